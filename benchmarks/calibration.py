"""What each part of the calibration gives, for the checkpoint in the package and for a hardened copy; and how much it depends
on which pictures it sees.

    python benchmarks/calibration.py --data imagenette/val --calib-data imagenette/train

The quantised program in PyTorch is examined: every target's artifact computes the same (agreement.py).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
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
from calib.hardswish import fit_hardswish
from calib.pictures import CalibrationSet, load_calibration_set
from calib.ranges import measure_ranges
from calib.rounding import round_stem
from calib.stem_ranges import search_stem
from levit_mobile.cli.console import guarded
from levit_mobile.fuse import DeployLeViT, fuse
from levit_mobile.preprocess import Preprocessing, normalise
from levit_mobile.qdq import quantize_static
from levit_mobile.weights import resolve_weights

SAMPLES, SEEDS = (16, 64, 256), (0, 1, 2)
_NO_WEIGHTS = ""


@dataclass(frozen=True)
class Parts:
    """Which parts of ``calibrate`` are used."""

    equalised: bool = True
    on_grid: bool = True
    searched: bool = True
    fitted: bool = True

    def calibrate(self, model: DeployLeViT, pictures: CalibrationSet, spec: Preprocessing) -> Calibration:
        """``calib.calibrate.calibrate`` with parts left out; a test says that it is the same with all of them."""
        equalisation = choose_equalisation(model, measure_channels(model, pictures, spec)) if self.equalised else {}
        model = equalise(model, equalisation)
        measured = measure_ranges(model, pictures, spec, weights=_NO_WEIGHTS)
        values = dict(fit_hardswish(measured).values)
        if self.searched:
            values |= search_stem(model, values, pictures, spec)
        if not self.on_grid:
            readers = ("proj.in", "down.in", "stem.2.in", "stem.4.in", "stem.6.in")
            values |= {name: measured.values[name] for name in values if name.endswith(readers)}
        rounded = round_stem(model, values, pictures, spec) if self.fitted else {}
        return Calibration(replace(measured, values=values), equalisation, rounded)


def plain(model: DeployLeViT, pictures: CalibrationSet, spec: Preprocessing) -> Calibration:
    """Smallest and greatest values, and nothing else."""
    return Calibration(measure_ranges(model, pictures, spec, weights=_NO_WEIGHTS))


WAYS: dict[str, Callable[[DeployLeViT, CalibrationSet, Preprocessing], Calibration]] = {
    "as shipped": Parts().calibrate,
    "channels not equalised": Parts(equalised=False).calibrate,
    "Hardswish's lowest value not on a step": Parts(on_grid=False).calibrate,
    "the stem's ends not searched": Parts(searched=False).calibrate,
    "the stem's weights each to the nearest step": Parts(fitted=False).calibrate,
    "smallest and greatest values alone": plain,
}


def examined(model: DeployLeViT, found: Calibration, exam: Examination, spec: Preprocessing) -> dict[str, Any]:
    """Top-1, agreement, and how far the logits' noise is below them: decibels, each picture's mean taken off."""
    program = quantize_static(found.prepare(model), found.ranges)
    said: list[npt.NDArray[np.float32]] = []

    def run(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            said.append(program(torch.from_numpy(normalise(pixels, spec))).numpy())
        return said[-1]

    row = exam.of(run)
    signal, noise = (
        _power(part) for part in (exam.reference, [a - b for a, b in zip(said, exam.reference, strict=True)])
    )
    return {**row, "decibels": round(10 * np.log10(signal / noise), 2)}


def _power(parts: list[npt.NDArray[np.float32]]) -> float:
    rows = np.concatenate(parts).astype(np.float64)
    return float(np.square(rows - rows.mean(axis=1, keepdims=True)).sum())


def rows(
    models: dict[str, DeployLeViT], calib_data: Path, exam: Examination, spec: Preprocessing
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(table, row, figures)."""
    pictures = load_calibration_set(calib_data, spec)
    for name, model in models.items():
        for way, make in WAYS.items():
            yield name, way, examined(model, make(model, pictures, spec), exam, spec)
    model = next(iter(models.values()))
    for count in SAMPLES:
        for seed in SEEDS:
            some = load_calibration_set(calib_data, spec, count=count, seed=seed)
            found = calibrate(model, some, spec, weights=_NO_WEIGHTS)
            yield "pictures", f"{count} pictures, seed {seed}", examined(model, found, exam, spec)


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True, help="labelled pictures: one folder a class")
    options.add_argument("--calib-data", type=Path, required=True, help="pictures that training saw")
    add_results_option(options)
    return options


def main() -> None:
    args = parser().parse_args()
    checkpoint = resolve_weights("demo")
    spec, exam = checkpoint.preprocessing, examination(args.data, checkpoint)
    models = {"bundled": fuse(checkpoint.model()), "hardened": fuse(harden(checkpoint.model()))}
    found: dict[str, dict[str, Any]] = {}
    for table, name, row in rows(models, args.calib_data, exam, spec):
        found.setdefault(table, {})[name] = row
        print(
            f"{table}: {name}: {row['decibels']} dB, top-1 {row['top1']['share']:.2%}, {row['agreement']['share']:.2%}"
        )
    write(args.results, "calibration.json", checkpoint.sha256, {"pictures": len(exam), "tables": found})


if __name__ == "__main__":
    with guarded():
        main()
