"""Ranges of what a Hardswish reads: all below -3 gives 0, so int8 need not tell it apart."""

from __future__ import annotations

from dataclasses import replace

from calib.ranges import Ranges

__all__ = ["cut_before_hardswish"]

_STEPS = 255  # of int8


def cut_before_hardswish(ranges: Ranges) -> Ranges:
    """The same ranges with the low ends before Hardswish raised to one step below -3.

    Hardswish(x) = x * clip(x + 3, 0, 6) / 6 is 0 for every x <= -3: what is cut off changes nothing, and the steps that are
    left are finer where it does. LeViT's stem reaches far below, and gains most.
    """
    values = dict(ranges.values)
    for name in ranges.values:
        layer, _, part = name.rpartition(".")
        before = _layer_before(layer)
        if part != "in" or not (layer.endswith(".act") or (before or "").startswith("stem.")):
            continue
        low, high = values[name]
        # One step below: the zero point is a whole number, and moves the ends by up to half a step.
        cut = (max(low, -3 - max(high + 3, 0.0) / _STEPS), high)
        if cut[0] > high:  # all of it is dead
            continue
        values[name] = cut
        if before is not None and f"{before}.out" in values:
            values[f"{before}.out"] = cut
    return replace(ranges, values=values)


def _layer_before(layer: str) -> str | None:
    """The layer whose output a Hardswish reads as it is, in the deploy form; None for the attention's."""
    parent, _, own = layer.rpartition(".")
    if parent == "stem":
        return f"stem.{int(own) - 1}" if int(own) % 2 else None
    return f"{parent}.up" if own == "act" else None
