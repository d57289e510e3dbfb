"""Calibrate the checkpoint in the package; the result ships beside it.

python tools/calibrate_demo.py --data DIR/train
"""

from __future__ import annotations

import argparse
from pathlib import Path

from calib.calibrate import calibrate
from calib.pictures import load_calibration_set
from calib.ranges import fingerprint
from levit_mobile.fuse import fuse
from levit_mobile.weights import resolve_weights

CALIBRATION = Path(__file__).parent.parent / "calib" / "data" / "levit_128s-imagenette.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="pictures that training saw, one folder a class")
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=CALIBRATION)
    args = parser.parse_args()
    checkpoint = resolve_weights("demo")
    spec = checkpoint.preprocessing
    pictures = load_calibration_set(args.data, spec, count=args.samples, seed=args.seed)
    found = calibrate(fuse(checkpoint.model()), pictures, spec, weights=fingerprint(checkpoint.state))
    args.out.write_text(found.to_json())
    print(f"wrote {args.out.name}: {len(found.ranges.values)} ranges from {found.ranges.samples} pictures")


if __name__ == "__main__":
    main()
