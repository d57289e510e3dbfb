"""``levit inspect --quant-error``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from levit_mobile.bundle import Bundle
from levit_mobile.cli.console import Output, Steps
from levit_mobile.cli.origin import checkpoint_of, program_of
from levit_mobile.runtimes import Runtime

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["show_quant_error"]

_WORST = 5


def show_quant_error(
    bundle: Bundle, runtime: Runtime, weights: str, data: Path | None, limit: int, output: Output
) -> dict[str, Any]:
    """Print the signal to noise of every quantised layer; the same for ``--json``."""
    steps = click.get_current_context().with_resource(Steps())
    program = program_of(bundle, checkpoint_of(bundle, weights, steps))
    pixels = _pictures(bundle, data, limit)
    import torch

    from levit_mobile.preprocess import normalise
    from levit_mobile.quant_error import quant_error, quantised_program

    names = [name for name, layer in quantised_program(program).named_modules() if hasattr(layer, "scale")]
    x = torch.from_numpy(normalise(pixels, bundle.preprocessing))
    with steps.counter("looking at layers", len(names)) as advance:
        inside = runtime.inside(pixels, names) if hasattr(runtime, "inside") else None
        found = quant_error(program, x, runtime.logits(pixels), inside, progress=advance)
    worst = sorted(found.layers, key=lambda row: row.logits)[:_WORST]
    rows = [["signal to noise, dB", "alone", "in the program", "in the artifact", "logits, only it"]]
    for row in found.layers:
        mark = " *" if row in worst else ""
        told = "" if row.artifact is None else f"{row.artifact:.1f}"
        rows.append([row.name, f"{row.alone:.1f}", f"{row.program:.1f}", told, f"{row.logits:.1f}{mark}"])
    rows.append(["logits", "", f"{found.program:.1f}", f"{found.artifact:.1f}", ""])
    output.table(rows, "<>>>>")
    output.say(f"\n* the {len(worst)} layers that hurt the logits most; {len(pixels)} pictures")
    return {"pictures": len(pixels), **{key: _rounded(value) for key, value in asdict(found).items()}}


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [{key: _rounded(part) for key, part in row.items()} for row in value]
    return round(value, 2) if isinstance(value, float) else value


def _pictures(bundle: Bundle, data: Path | None, limit: int) -> npt.NDArray[np.uint8]:
    if data is None:
        return bundle.golden().pixels[:limit]
    from calib.pictures import load_calibration_set

    return load_calibration_set(data, bundle.preprocessing, count=limit).pixels
