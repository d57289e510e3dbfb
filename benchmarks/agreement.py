"""Do the int8 artifacts compute what the quantised program computes in PyTorch, and the same as each other?

    python benchmarks/agreement.py --data imagenette/val levit_128s-int8-tflite levit_128s-int8-onnx

The program is ``quantize_static`` of the deploy form, with the ranges that are in the bundles. Pictures are drawn by a seed,
as evenly over the classes as they allow.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from bundles import open_bundles
from results import add_results_option, write

from calib.calibration import Calibration, load_calibration
from calib.pictures import balanced_sample, find_pictures
from levit_mobile.bundle import Bundle
from levit_mobile.checkpoints import Checkpoint
from levit_mobile.cli.console import guarded
from levit_mobile.errors import UsageError
from levit_mobile.evaluate import wilson_interval
from levit_mobile.preprocess import load_picture, resize_and_crop
from levit_mobile.program import build_program
from levit_mobile.quant_error import in_pytorch
from levit_mobile.quantize import get_precision
from levit_mobile.runtimes import open_runtime
from levit_mobile.weights import resolve_weights

LIMIT = 0.02  # greatest difference of a picture's logits that counts as the same, as a share of the logits' range
_BATCH = 10
Logits = npt.NDArray[np.float32]


def common_calibration(bundles: Mapping[str, Bundle]) -> Calibration:
    """The calibration that all the bundles were made with.

    Raises:
        UsageError: a bundle is not int8 with static ranges, or two have another calibration.
    """
    found: dict[str, Calibration] = {}
    for name, bundle in bundles.items():
        if not get_precision(bundle.manifest["artifact"]["precision"]).needs_ranges:
            raise UsageError(f"{bundle.folder} is {name}; only int8 with static ranges has a program to compare with")
        found[name] = load_calibration(bundle.folder / "calibration.json")
    (first, calibration), *others = found.items()
    for name, other in others:
        if other.to_json() != calibration.to_json():
            raise UsageError(f"{first} and {name} have other activation ranges; export both from the same")
    return calibration


def draw(data: Path, count: int, seed: int, checkpoint: Checkpoint) -> npt.NDArray[np.uint8]:
    """Up to ``count`` pictures below a folder: uint8 (N, S, S, 3).

    Raises:
        UsageError: there are none.
    """
    paths = balanced_sample(find_pictures(data), count, seed)
    if not paths:
        raise UsageError(f"{data}: no pictures in it; --data wants one folder a class with pictures in it")
    return np.stack([resize_and_crop(load_picture(path), checkpoint.preprocessing) for path in paths])


def program_logits(checkpoint: Checkpoint, calibration: Calibration, pixels: npt.NDArray[np.uint8]) -> Logits:
    """What the quantised program says in PyTorch: float32 (N, classes)."""
    run = in_pytorch(build_program(checkpoint, "int8", calibration=calibration))
    return np.concatenate([run(pixels[at : at + _BATCH]) for at in range(0, len(pixels), _BATCH)])


def beside(reference: Logits, got: Logits) -> dict[str, Any]:
    """How far apart two sets of logits are, both (N, classes); a picture's difference is its greatest.

    Returns:
        within: share of pictures whose difference is within ``LIMIT`` of the range of all the reference's logits.
        within_own_range: the same, of the range of that picture's own logits.
        mean, p99, greatest: of the differences, as shares of the range of all.
        same_first: share of pictures with the same first class.
    """
    apart = np.abs(got - reference).max(axis=1)
    shares = apart / np.ptp(reference)
    return {
        "within": _share(shares <= LIMIT),
        "within_own_range": _share(apart <= LIMIT * np.ptp(reference, axis=1)),
        "mean": round(float(shares.mean()), 5),
        "p99": round(float(np.quantile(shares, 0.99)), 5),
        "greatest": round(float(shares.max()), 5),
        "same_first": _share(reference.argmax(axis=1) == got.argmax(axis=1)),
    }


def _share(right: npt.NDArray[np.bool_]) -> dict[str, Any]:
    low, high = wilson_interval(int(right.sum()), len(right))
    return {"share": round(float(right.mean()), 5), "interval95": [round(low, 5), round(high, 5)]}


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("bundles", type=Path, nargs="+", help="in int8, made from the demo weights")
    options.add_argument("--data", type=Path, required=True, help="pictures: one folder a class")
    options.add_argument("--pictures", type=int, default=500, help="how many of them (%(default)s)")
    options.add_argument("--seed", type=int, default=0, help="which of them (%(default)s)")
    add_results_option(options)
    return options


def main() -> None:
    args = parser().parse_args()
    checkpoint = resolve_weights("demo")
    bundles = open_bundles(args.bundles, checkpoint)
    calibration = common_calibration(bundles)
    pixels = draw(args.data, args.pictures, args.seed, checkpoint)
    reference = program_logits(checkpoint, calibration, pixels)
    said = {name: open_runtime(bundle, threads=2).logits(pixels) for name, bundle in bundles.items()}
    rows = {name: beside(reference, got) for name, got in said.items()}
    for name, row in rows.items():
        print(f"{name}: within {LIMIT:.0%} {row['within']['share']:.1%}, greatest {row['greatest']:.2%}")
    pairs = [
        {"between": [one, other], "same_first": beside(said[one], said[other])["same_first"]}
        for one, other in itertools.combinations(said, 2)
    ]
    for pair in pairs:
        print(f"{' and '.join(pair['between'])}: same first class {pair['same_first']['share']:.1%}")
    about = {"pictures": len(pixels), "seed": args.seed, "limit": LIMIT}
    write(args.results, "agreement.json", checkpoint.sha256, {**about, "rows": rows, "pairs": pairs})


if __name__ == "__main__":
    with guarded():
        main()
