"""Ranges beside a Hardswish: what it makes of them decides which steps of int8 matter."""

from __future__ import annotations

import math
from dataclasses import replace

from calib.ranges import Ranges
from levit_mobile.scales import step_of

__all__ = ["LOWEST", "cut_dead", "feeds_hardswish", "fit_hardswish", "on_grid"]

LOWEST = -0.375  # of Hardswish, at -1.5
_STEPS = 255  # of int8
_SLACK = 1.03  # a range may lose so much of its length for finer steps


def fit_hardswish(ranges: Ranges) -> Ranges:
    """The same ranges, with low ends before Hardswish raised, and Hardswish's lowest value made a step of int8 after it.

    Hardswish(x) = x * clip(x + 3, 0, 6) / 6 is 0 for every x <= -3: what is cut off before it changes nothing, and the steps
    that are left are finer where it does. LeViT's stem reaches far below, and gains most.

    Around -1.5 it is flat, so that many values lie close to its lowest, -0.375. Where that is not a step of int8 they are all
    rounded the same way, and the layer behind adds the error up; where it is, they are all exact.
    """
    values = dict(ranges.values)
    for name in ranges.values:
        layer, _, part = name.rpartition(".")
        before = _layer_before(layer)
        if part != "in":
            continue
        if _reads_hardswish(layer):
            values[name] = on_grid(*values[name])
        if not (layer.endswith(".act") or (before or "").startswith("stem.")):
            continue
        low, high = values[name]
        cut = cut_dead(low, high)
        if cut[0] > high:  # all of it is dead
            continue
        values[name] = cut
        if before is not None and f"{before}.out" in values:
            values[f"{before}.out"] = cut
    return replace(ranges, values=values)


def cut_dead(low: float, high: float) -> tuple[float, float]:
    """The range before a Hardswish without most of what lies below -3.

    One step of int8 is left: the zero point is a whole number, and moves the ends by up to half a step.
    """
    return max(low, -3 - max(high + 3, 0.0) / _STEPS), high


def on_grid(low: float, high: float) -> tuple[float, float]:
    """The range closest to (low, high) with -0.375 on a step; unchanged if it does not reach there, or is too wide."""
    steps = -LOWEST / step_of(low, high)
    count = round(steps) if abs(steps - round(steps)) < 1e-4 else math.floor(steps * _SLACK)
    if low > LOWEST * 0.99 or low < LOWEST * 1.01 or count < 1:
        return low, high
    return LOWEST, LOWEST * (1 - _STEPS / count)


def feeds_hardswish(layer: str) -> bool:
    """Whether a Hardswish alone sees a layer's output, in the deploy form."""
    parent, _, own = layer.rpartition(".")
    return own == "up" if parent.startswith("blocks.") else parent == "stem" and own in ("0", "2", "4")


def _layer_before(layer: str) -> str | None:
    """The layer whose output a Hardswish reads as it is, in the deploy form; None for the attention's."""
    parent, _, own = layer.rpartition(".")
    if parent == "stem":
        return f"stem.{int(own) - 1}" if int(own) % 2 else None
    return f"{parent}.up" if own == "act" else None


def _reads_hardswish(layer: str) -> bool:
    """Whether a layer's input is a Hardswish's output, in the deploy form."""
    parent, _, own = layer.rpartition(".")
    return own in ("proj", "down") if parent.startswith("blocks.") else parent == "stem" and own in ("2", "4", "6")
