"""Numbers of int8: the step and zero point of a range, packed tables, and weights too small for their bias."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["PACKED_FROM", "affine", "lift_dead_channels", "pack_table", "step_of"]

PACKED_FROM = 1024  # elements; a smaller table stays float
_LEAST_STEP = 1e-12


def step_of(low: float, high: float) -> float:
    """The step of an int8 tensor whose values lie between ``low`` and ``high``; the range always has 0 in it.

    A float32 number, for that is what every format stores.
    """
    return float(np.float32(max((max(high, 0.0) - min(low, 0.0)) / 255, _LEAST_STEP)))


def affine(low: float, high: float) -> tuple[float, int]:
    """(scale, zero point) of int8 values between ``low`` and ``high``: real = scale * (integer - zero point)."""
    scale = step_of(low, high)
    return scale, int(min(max(round(-128 - min(low, 0.0) / scale), -128), 127))


def pack_table(table: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """An attention-bias table as int8, symmetric, with one scale a head.

    Args:
        table: (heads, ...), float32.

    Returns:
        The integers, of the same shape, and the scales, (heads, 1, ...): table = integers * scales.
    """
    greatest = np.abs(table).max(axis=tuple(range(1, table.ndim)), keepdims=True)
    scale = np.maximum(greatest, np.float32(1e-8)) / np.float32(127)
    return np.rint(table / scale).astype(np.int8), scale


def lift_dead_channels(
    weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32], before: tuple[float, float]
) -> npt.NDArray[np.float32]:
    """Make room for the bias of output channels whose weights are (almost) zero.

    A bias is stored as int32 in steps of input scale x weight scale. Where all weights of a channel are tiny its bias
    overflows. One weight is raised to the smallest size that keeps the bias in range; it moves the output by less than
    a thirty-thousandth of that bias.

    Args:
        weight: (out, in), float32.
        bias: (out,).
        before: range of the layer's input.

    Returns:
        The weights, raised where there was need.
    """
    weight = weight.copy()
    least = np.abs(bias) / (step_of(*before) * 2.0**30) * 127
    for channel in np.flatnonzero(np.abs(weight).max(axis=1) < least):
        weight[channel, np.abs(weight[channel]).argmax()] = least[channel]
    return weight
