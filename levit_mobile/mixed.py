"""Mixed precision: as few layers as possible left in float, such that int8 loses no more than it may."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from calib.calibration import Calibration
from levit_mobile.checkpoints import Checkpoint
from levit_mobile.evaluate import Model
from levit_mobile.program import build_program
from levit_mobile.quant_error import in_pytorch, sensitivities

__all__ = ["Mixed", "keep_float", "measure_sensitivity"]


@dataclass(frozen=True)
class Mixed:
    """What was found; right answers of so many labelled pictures, in PyTorch.

    Attributes:
        calibration: with the layers that stay float, the most sensitive first, and every layer's sensitivity.
        right: of the program with them.
        all_int8: of the program with none.
        in_float: of the trained model.
    """

    calibration: Calibration
    right: int
    all_int8: int
    in_float: int


def measure_sensitivity(checkpoint: Checkpoint, calibration: Calibration, pictures: Tensor) -> dict[str, float]:
    """{layer: signal to noise of the logits, in decibels, when it alone is int8}; the lowest hurts most.

    Args:
        checkpoint: the trained model.
        calibration: of its weights; what it keeps in float so far does not count.
        pictures: normalised, float32 (B, 3, S, S).

    Raises:
        CalibrationError: the calibration is of other weights.
    """
    found = sensitivities(build_program(checkpoint, "int8", calibration=replace(calibration, kept=())), pictures)
    return {name: round(decibels, 2) for name, decibels in found.items()}


def keep_float(
    checkpoint: Checkpoint,
    calibration: Calibration,
    in_float: int,
    count: Callable[[Model, str], int],
    most: float,
) -> Mixed:
    """Find the layers that have to stay float.

    Layers are taken in the order of their sensitivity, the worst first; how many of them is found by doubling and halving.
    Where int8 holds as it is, one program is counted; otherwise about ten.

    Args:
        checkpoint: the trained model.
        calibration: of its weights, with their sensitivity; what it keeps so far does not count.
        in_float: right answers of the trained model over the labelled pictures.
        count: the same of another model; it gets a name for what it counts.
        most: right answers that may be lost.
    """
    order = sorted(calibration.sensitivity, key=lambda name: (calibration.sensitivity[name], name))
    right: dict[int, int] = {}

    def holds(kept: int) -> bool:
        program = build_program(checkpoint, "int8", calibration=replace(calibration, kept=tuple(order[:kept])))
        right[kept] = count(in_pytorch(program), f"{kept} of {len(order)} layers in float")
        return in_float - right[kept] <= most

    low, high = -1, 0  # low are too few, and high are enough
    while not holds(high) and high < len(order):
        low, high = high, min(max(2 * high, 1), len(order))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return Mixed(replace(calibration, kept=tuple(order[:high])), right[high], right[0], in_float)
