"""Whether quantisation-aware training beats calibration alone: checkpoints of tools/train.py beside the one in the package.

    python tools/train.py --qat --weights demo --data imagenette/train --val imagenette/val \\
        --schedule 224:3 --lr 5e-5 --warm-up 0.5 --batch 64 --out qat.safetensors
    python tools/train.py --weights demo ... --out longer.safetensors
    python benchmarks/qat.py --data imagenette/val --calib-data imagenette/train \\
        "trained on=longer.safetensors" "trained on with --qat=qat.safetensors"

Each is beside its own float. The one that was trained on without rounding tells what of the gain is the training's.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from accuracy import examination
from calibration import examined, plain
from results import add_results_option, write

from calib.calibrate import calibrate
from calib.pictures import load_calibration_set
from calib.ranges import fingerprint
from levit_mobile.checkpoints import Checkpoint
from levit_mobile.cli.console import guarded
from levit_mobile.errors import UsageError
from levit_mobile.fuse import fuse
from levit_mobile.weights import resolve_weights


def row(checkpoint: Checkpoint, data: Path, calib_data: Path) -> dict[str, Any]:
    """Top-1 in float; int8 with the whole calibration and with min-max alone."""
    spec = checkpoint.preprocessing
    exam, pictures = examination(data, checkpoint), load_calibration_set(calib_data, spec)
    model, weights = fuse(checkpoint.model()), fingerprint(checkpoint.state)
    return {
        "pictures": len(exam),
        "float": exam.of(exam.pytorch())["top1"],
        "int8": examined(checkpoint, calibrate(model, pictures, spec, weights=weights), exam),
        "alone": examined(checkpoint, plain(model, pictures, spec, weights), exam),
    }


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("checkpoints", nargs="+", metavar="NAME=FILE", help="what training wrote, and what to call it")
    options.add_argument("--data", type=Path, required=True, help="labelled pictures: one folder a class")
    options.add_argument("--calib-data", type=Path, required=True, help="pictures that training saw")
    add_results_option(options)
    return options


def main() -> None:
    args = parser().parse_args()
    demo = resolve_weights("demo")
    checkpoints = {"as it is in the package": demo}
    for word in args.checkpoints:
        name, _, file = word.rpartition("=")
        if not name:
            raise UsageError(f"{word} has no name; type NAME=FILE")
        checkpoints[name] = resolve_weights(file)
    rows: dict[str, dict[str, Any]] = {}
    for name, checkpoint in checkpoints.items():
        rows[name] = row(checkpoint, args.data, args.calib_data)
        figures = {kind: rows[name][kind]["top1"]["share"] for kind in ("int8", "alone")}
        print(
            f"{name}: float {rows[name]['float']['share']:.2%}, int8 {figures['int8']:.2%}, min-max {figures['alone']:.2%}"
        )
    write(args.results, "qat.json", demo.sha256, {"rows": rows})


if __name__ == "__main__":
    with guarded():
        main()
