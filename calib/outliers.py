"""Ranges of the stem without its outliers: the ends that make the least error, not the farthest values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from calib.pictures import CalibrationSet
from calib.ranges import Ranges
from calib.saturation import cut_before_hardswish
from levit_mobile.fuse import DeployLeViT
from levit_mobile.preprocess import Preprocessing, normalise
from levit_mobile.scales import affine

__all__ = ["clip_outliers", "least_error"]

_BINS = 2048
_SHARES = np.linspace(0.2, 1.0, 41)  # of an end's distance from 0


def clip_outliers(
    ranges: Ranges, model: DeployLeViT, pictures: CalibrationSet, spec: Preprocessing, *, batch: int = 16
) -> Ranges:
    """The same ranges, with those of the stem drawn in to where int8's squared error is least.

    There a few values lie far outside the rest, and every step of int8 pays for them; what it gives is in
    docs/quantisation.md. Later layers keep all of their range.

    Args:
        ranges: smallest and greatest values, from ``measure_ranges`` on the same pictures.
        model: float32, eval mode.
        pictures: that ``ranges`` were measured on.
        spec: how pixels are normalised.
        batch: pictures at a time.
    """
    ends = cut_before_hardswish(ranges).values  # what is cut off there is no error
    counts: dict[str, npt.NDArray[np.float64]] = {}

    def note(name: str, x: Tensor) -> None:
        low, high = ends[name]
        if low < high:
            found = torch.histc(x.clamp(low, high), _BINS, low, high).double().numpy()
            counts[name] = counts.get(name, 0) + found

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            note(f"{name}.in", inputs[0])
            note(f"{name}.out", output)

        return hook

    handles = [layer.register_forward_hook(watch(f"stem.{name}")) for name, layer in model.stem.named_children()]
    try:
        with torch.inference_mode():
            for first in range(0, len(pictures.pixels), batch):
                model.stem(torch.from_numpy(normalise(pictures.pixels[first : first + batch], spec)))
    finally:
        for handle in handles:
            handle.remove()
    values = {**ranges.values, **{name: least_error(found, *ends[name]) for name, found in counts.items()}}
    for reader in ("q", "k", "v"):  # the first block reads the stem's output as it is, so it has one range
        values[f"blocks.0.{reader}.in"] = values[f"stem.{len(model.stem) - 1}.out"]
    return replace(ranges, values=values, method=f"{ranges.method}; least squared error in the stem")


def least_error(counts: npt.NDArray[np.float64], low: float, high: float) -> tuple[float, float]:
    """The ends between which int8 holds a histogram with the least squared error, rounding and clipping together.

    Args:
        counts: how many values lie in each of equal bins from ``low`` to ``high``.
        low: its lower end.
        high: its upper end.
    """
    x = low + (np.arange(len(counts)) + 0.5) * (high - low) / len(counts)
    low, high = min(low, 0.0), max(high, 0.0)

    def error(a: float, b: float) -> float:
        scale, zero_point = affine(a, b)
        back = (np.clip(np.rint(x / scale) + zero_point, -128, 127) - zero_point) * scale
        return float((counts * (back - x) ** 2).sum())

    below = above = 1.0
    for _ in range(2):  # one end after the other, twice
        above = min(_SHARES, key=lambda share: (error(low * below, high * share), -share))
        below = min(_SHARES, key=lambda share: (error(low * share, high * above), -share))
    return float(low * below), float(high * above)
