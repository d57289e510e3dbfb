"""What each part of the calibration gives, for the checkpoint in the package and for a hardened copy; and how much it depends
on which pictures it sees.

    python benchmarks/calibration.py --data imagenette/val --calib-data imagenette/train

TFLite's artifact is examined; those of the other targets compute the same (agreement.py).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from accuracy import Examination, examination
from hardened import harden
from results import add_results_option, write

from calib.calibrate import calibrate
from calib.calibration import Calibration
from calib.equalisation import choose_equalisation, equalise, measure_channels
from calib.estimators import ESTIMATORS, estimate_ranges
from calib.hardswish import fit_hardswish
from calib.pictures import CalibrationSet, load_calibration_set
from calib.ranges import fingerprint, measure_ranges
from calib.rounding import round_stem
from calib.stem_ranges import search_stem
from exporters.tflite import export
from levit_mobile.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from levit_mobile.cli.console import guarded
from levit_mobile.fuse import DeployLeViT, fuse
from levit_mobile.preprocess import Preprocessing
from levit_mobile.program import build_program
from levit_mobile.quiet import quiet
from levit_mobile.runtimes.tflite import open_artifact
from levit_mobile.targets import check_request
from levit_mobile.weights import resolve_weights

_Maker = Callable[[DeployLeViT, CalibrationSet, Preprocessing, str], Calibration]


@dataclass(frozen=True)
class Parts:
    """Which parts of ``calibrate`` are used."""

    equalised: bool = True
    on_grid: bool = True
    searched: bool = True
    fitted: bool = True
    method: str = "min-max"

    def calibrate(self, model: DeployLeViT, pictures: CalibrationSet, spec: Preprocessing, weights: str) -> Calibration:
        """``calib.calibrate.calibrate`` with parts left out; a test says that it is the same with all of them."""
        equalisation = choose_equalisation(model, measure_channels(model, pictures, spec)) if self.equalised else {}
        model = equalise(model, equalisation)
        measured = measure_ranges(model, pictures, spec, weights=weights)
        measured = estimate_ranges(self.method, model, measured, pictures, spec)
        values = dict(fit_hardswish(measured).values)
        if self.searched:
            values |= search_stem(model, values, pictures, spec)
        if not self.on_grid:
            readers = ("proj.in", "down.in", "stem.2.in", "stem.4.in", "stem.6.in")
            values |= {name: measured.values[name] for name in values if name.endswith(readers)}
        rounded = round_stem(model, values, pictures, spec) if self.fitted else {}
        return Calibration(replace(measured, values=values), equalisation, rounded)


def plain(
    model: DeployLeViT, pictures: CalibrationSet, spec: Preprocessing, weights: str, method: str = "min-max"
) -> Calibration:
    """Ranges, and nothing else."""
    ranges = measure_ranges(model, pictures, spec, weights=weights)
    return Calibration(estimate_ranges(method, model, ranges, pictures, spec))


WAYS: dict[str, _Maker] = {
    "as shipped": Parts().calibrate,
    "channels not equalised": Parts(equalised=False).calibrate,
    "Hardswish's lowest value not on a step": Parts(on_grid=False).calibrate,
    "the stem's ends not searched": Parts(searched=False).calibrate,
    "the stem's weights each to the nearest step": Parts(fitted=False).calibrate,
    "ranges by min-max alone": plain,
}


def examined(checkpoint: Checkpoint, found: Calibration, exam: Examination) -> dict[str, Any]:
    """Top-1, agreement, and how far the logits' noise is below them: decibels, each picture's mean taken off."""
    said: list[npt.NDArray[np.float32]] = []
    options = check_request("tflite", "int8").options
    with tempfile.TemporaryDirectory() as name:
        program = build_program(checkpoint, "int8", calibration=found, options=options)
        program = replace(program, calibration=found)  # as it is: not fitted to Hardswish once more
        path = quiet()(export)(program, Path(name))
        runtime = open_artifact(path, size=checkpoint.image_size, spec=checkpoint.preprocessing, threads=2)

        def run(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            said.append(runtime.logits(pixels))
            return said[-1]

        row = exam.of(run)
    noise = _power([a - b for a, b in zip(said, exam.reference, strict=True)])
    return {**row, "decibels": round(10 * np.log10(_power(exam.reference) / noise), 2)}


def _power(parts: list[npt.NDArray[np.float32]]) -> float:
    rows = np.concatenate(parts).astype(np.float64)
    return float(np.square(rows - rows.mean(axis=1, keepdims=True)).sum())


def hardened(checkpoint: Checkpoint) -> Checkpoint:
    """A copy of a checkpoint whose residual streams are hard to quantise."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "hardened.safetensors"
        save_checkpoint(path, harden(checkpoint.model()), labels=checkpoint.labels, dtype=torch.float32)
        return load_checkpoint(path)


def rows(
    checkpoints: dict[str, Checkpoint],
    calib_data: Path,
    exam: Examination,
    samples: Sequence[int],
    seeds: Sequence[int],
    methods: Sequence[str],
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(table, row, figures)."""
    first = next(iter(checkpoints.values()))
    spec = first.preprocessing
    pictures = load_calibration_set(calib_data, spec)
    for name, checkpoint in checkpoints.items():
        model, weights = fuse(checkpoint.model()), fingerprint(checkpoint.state)
        for way, make in WAYS.items():
            yield name, way, examined(checkpoint, make(model, pictures, spec, weights), exam)
    model, weights = fuse(first.model()), fingerprint(first.state)
    for method in methods:
        both = {method: Parts(method=method).calibrate, f"{method} alone": partial(plain, method=method)}
        for way, make in both.items():
            yield "methods", way, examined(first, make(model, pictures, spec, weights), exam)
    for count in samples:
        for seed in seeds:
            some = load_calibration_set(calib_data, spec, count=count, seed=seed)
            found = calibrate(model, some, spec, weights=weights)
            yield "pictures", f"{count} pictures, seed {seed}", examined(first, found, exam)


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True, help="labelled pictures: one folder a class")
    options.add_argument("--calib-data", type=Path, required=True, help="pictures that training saw")
    options.add_argument(
        "--samples", type=int, nargs="+", default=[16, 64, 256], help="numbers of pictures (%(default)s)"
    )
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="which of them (%(default)s)")
    options.add_argument(
        "--methods",
        nargs="+",
        choices=tuple(ESTIMATORS),
        default=list(ESTIMATORS),
        help="where ranges end (%(default)s)",
    )
    add_results_option(options)
    return options


def main() -> None:
    args = parser().parse_args()
    checkpoint = resolve_weights("demo")
    exam = examination(args.data, checkpoint)
    checkpoints = {"bundled": checkpoint, "hardened": hardened(checkpoint)}
    found: dict[str, dict[str, Any]] = {}
    for table, name, row in rows(checkpoints, args.calib_data, exam, args.samples, args.seeds, args.methods):
        found.setdefault(table, {})[name] = row
        print(
            f"{table}: {name}: {row['decibels']} dB, top-1 {row['top1']['share']:.2%}, {row['agreement']['share']:.2%}",
            flush=True,
        )
    write(args.results, "calibration.json", checkpoint.sha256, {"pictures": len(exam), "tables": found})


if __name__ == "__main__":
    with guarded():
        main()
