"""Measure the activation ranges of the checkpoint in the package; they ship beside it.

python tools/calibrate_demo.py --data DIR/train
"""

from __future__ import annotations

import argparse
from pathlib import Path

from calib.outliers import clip_outliers
from calib.pictures import load_calibration_set
from calib.ranges import fingerprint, measure_ranges
from levit_mobile.fuse import fuse
from levit_mobile.weights import resolve_weights

RANGES = Path(__file__).parent.parent / "calib" / "data" / "levit_128s-imagenette.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="pictures that training saw, one folder a class")
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    checkpoint = resolve_weights("demo")
    pictures = load_calibration_set(args.data, checkpoint.preprocessing, count=args.samples, seed=args.seed)
    model, spec = fuse(checkpoint.model()), checkpoint.preprocessing
    ranges = measure_ranges(model, pictures, spec, weights=fingerprint(checkpoint.state))
    ranges = clip_outliers(ranges, model, pictures, spec)
    RANGES.write_text(ranges.to_json())
    print(f"wrote {RANGES.name}: {len(ranges.values)} ranges from {ranges.samples} pictures")


if __name__ == "__main__":
    main()
