"""What each part of the int8 policy gives: accuracy, delegate parts, size and latency with one thing changed at a time.

    python benchmarks/policy.py --data imagenette/val --calib-data imagenette/train levit_128s-fp32-tflite levit_128s-int8-tflite

All rows are the same weights, quantised. Some need ranges that the package does not have: --calib-data is for them, and
should be what the package's calibration was measured on.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from ablations import Ablations, float_artifact
from accuracy import examination
from bundles import open_bundles
from latency import compared, interleaved
from results import add_results_option, write

from calib.calibration import bundled_calibration
from calib.pictures import load_calibration_set
from levit_mobile.cli.console import guarded
from levit_mobile.errors import UsageError
from levit_mobile.preprocess import normalise
from levit_mobile.runtimes.tflite import open_artifact
from levit_mobile.weights import resolve_weights

SHIPPED, FLOAT = "as shipped", "nothing in int8"


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("bundles", type=Path, nargs="+", help="tflite fp32 and tflite int8, of the demo weights")
    options.add_argument("--data", type=Path, required=True, help="labelled pictures: one folder a class")
    options.add_argument("--calib-data", type=Path, required=True, help="pictures that training saw")
    options.add_argument("--calib-samples", type=int, default=128, help="how many of them (%(default)s)")
    options.add_argument("--rounds", type=int, default=400, help="inferences of each (%(default)s)")
    options.add_argument("--threads", type=int, default=1, help="threads of the timed inferences (%(default)s)")
    add_results_option(options)
    return options


def main() -> None:
    args = parser().parse_args()
    checkpoint, calibration = resolve_weights("demo"), bundled_calibration()
    spec = checkpoint.preprocessing
    bundles = open_bundles(args.bundles, checkpoint)
    if set(bundles) != {"tflite fp32", "tflite int8"}:
        raise UsageError(
            f"this takes two bundles, tflite fp32 and tflite int8, not: {', '.join(bundles)}; "
            "make them with: levit-export --target tflite --precision fp32 --int8"
        )
    pictures = load_calibration_set(args.calib_data, spec, count=args.calib_samples, seed=0)
    inputs = [np.ascontiguousarray(normalise(p[None], spec).transpose(0, 2, 3, 1)) for p in pictures.pixels]
    exam = examination(args.data, checkpoint)
    rows: dict[str, dict[str, Any]] = {}
    runtimes = []
    with tempfile.TemporaryDirectory() as name:
        base = float_artifact(checkpoint, calibration)
        ablations = Ablations(base, calibration.ranges, inputs)
        files = {SHIPPED: bundles["tflite int8"].artifact, FLOAT: bundles["tflite fp32"].artifact}
        for number, (change, make) in enumerate(ablations.all().items()):
            files[change] = Path(name) / f"{number}.tflite"
            files[change].write_bytes(make())
        for change, file in files.items():
            runtime = open_artifact(file, size=spec.crop, spec=spec, threads=2)
            anatomy = runtime.anatomy()
            rows[change] = {
                **exam.of(runtime.logits),
                "artifact_bytes": file.stat().st_size,
                "xnnpack_parts": anatomy.parts,
                "operators_outside": sum(anatomy.outside.values()),
            }
            print(change, rows[change], flush=True)
            runtimes.append(open_artifact(file, size=spec.crop, spec=spec, threads=args.threads))
        times = interleaved(runtimes, args.rounds)
    for change, row in compared(times, list(files), SHIPPED).items():
        rows[change]["latency"] = row
        print(change, row)
    about = {
        "pictures": len(exam),
        "rounds": args.rounds,
        "threads": args.threads,
    }
    write(args.results, "policy.json", checkpoint.sha256, {**about, "rows": rows})


if __name__ == "__main__":
    with guarded():
        main()
