"""Every variant for every target in every precision: what it costs to make, and what comes out.

    python benchmarks/matrix.py

1000 classes, random weights, ranges from drawn pictures; each export in a process of its own. It takes an hour or two on an
idle machine, keeps what it has after each export, and goes on from there when it is started again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export_cost import measure
from results import add_results_option, measured_on, write

from levit_mobile.cli.console import guarded
from levit_mobile.errors import ExportError, UsageError
from levit_mobile.quantize import PRECISIONS
from levit_mobile.targets import TARGETS, check_request
from levit_mobile.variants import VARIANTS

# Torch is not imported here, for the reason that export_cost gives.
Route = tuple[str, dict[str, str], tuple[str, ...]]
ROUTES: tuple[Route, ...] = (
    *((target, {}, tuple(PRECISIONS)) for target in TARGETS),
    ("tflite", {"via": "onnx2tf"}, ("fp32", "int8")),  # its part, the float graph, is the same in all
    ("executorch", {"delegate": "coreml"}, tuple(PRECISIONS)),
    ("executorch", {"delegate": "vulkan"}, tuple(PRECISIONS)),
    ("executorch", {"delegate": "none"}, tuple(PRECISIONS)),
)
NAME = "matrix.json"


@dataclass(frozen=True)
class Cell:
    """One export: a variant, a target with its options, a precision."""

    variant: str
    target: str
    options: dict[str, str]
    precision: str

    @property
    def name(self) -> str:
        """For example ``levit_192 executorch vulkan fp16``."""
        return " ".join([self.variant, self.target, *self.options.values(), self.precision])

    @property
    def impossible(self) -> str | None:
        """Why it cannot be, or None."""
        try:
            check_request(self.target, self.precision, options=self.options)
        except UsageError as error:
            return str(error)
        return None

    def arguments(self) -> list[str]:
        """Of levit-export, beside target and precision."""
        weights = ["--weights", "thousand.safetensors", "--allow-drift"]
        if PRECISIONS[self.precision].needs_ranges:
            weights += ["--calib-data", "thousand.json"]
        return weights + [word for name, value in self.options.items() for word in (f"--{name}", value)]


def cells() -> Iterator[Cell]:
    """All of them, those that cannot be too."""
    for variant in VARIANTS:
        for target, options, precisions in ROUTES:
            for precision in precisions:
                yield Cell(variant, target, options, precision)


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", default="", help="only the cells whose name has this in it")
    options.add_argument("--again", action="store_true", help="measure anew what is there already")
    add_results_option(options)
    return options


def main() -> None:
    args = parser().parse_args()
    chosen = [cell for cell in cells() if args.only in cell.name]
    if not chosen:
        raise UsageError(f"--only {args.only!r} is in no cell's name; one is: {next(cells()).name}")
    rows = {} if args.again and not args.only else _earlier(args.results / NAME)
    rows |= {cell.name: {"impossible": cell.impossible} for cell in chosen if cell.impossible is not None}
    todo = [cell for cell in chosen if cell.impossible is None and (args.again or not _measured(rows.get(cell.name)))]
    for variant in dict.fromkeys(cell.variant for cell in todo):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            subprocess.run(
                [sys.executable, Path(__file__).with_name("thousand.py"), folder, "--model", variant], check=True
            )
            for cell in (cell for cell in todo if cell.variant == variant):
                rows[cell.name] = _row(cell, folder)
                print(cell.name, rows[cell.name], flush=True)
                _keep(args.results, rows)
    _keep(args.results, rows)


def _earlier(path: Path) -> dict[str, Any]:
    """The rows of a run that was stopped.

    Raises:
        UsageError: they were measured on something else.
    """
    if not path.exists():
        return {}
    stored = json.loads(path.read_text())
    for what, now in measured_on().items():
        if stored[what] != now:
            raise UsageError(
                f"{path} was measured on other {what} ({stored[what]}, now {now}); type --again without --only to measure "
                "all of it anew, or --results DIR to keep it apart"
            )
    rows: dict[str, Any] = stored["rows"]
    return rows


def _measured(row: dict[str, Any] | None) -> bool:
    """Whether a row has figures; what failed, and what could not be done then, is tried anew."""
    return row is not None and "failed" not in row and "impossible" not in row


def _row(cell: Cell, folder: Path) -> dict[str, Any]:
    try:
        return measure(cell.target, cell.precision, cell.arguments(), folder)
    except ExportError as error:
        return {"failed": str(error)}


def _keep(results: Path, rows: dict[str, Any]) -> None:
    in_order = {cell.name: rows[cell.name] for cell in cells() if cell.name in rows}
    write(results, NAME, "random", {"rows": in_order})


if __name__ == "__main__":
    with guarded():
        main()
