"""Where to end an activation's range: wide ends keep rare large values, narrow ones have finer steps for all others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from calib.pictures import CalibrationSet
from calib.ranges import Ranges
from calib.watching import watch
from levit_mobile.fuse import DeployLeViT
from levit_mobile.preprocess import Preprocessing

__all__ = ["ESTIMATORS", "Histogram", "estimate_ranges", "measure_histograms"]

_BINS = 4096
_STEPS = 255  # of int8
_SHRINK = np.linspace(1, 0.3, 71)  # of what lies between 0 and an end
_BEYOND = 5e-5  # of the values, at each end, by percentile


@dataclass(frozen=True)
class Histogram:
    """How often an activation had which value, in bins of equal width.

    Attributes:
        low: the smallest value.
        high: the greatest.
        counts: float64 (bins,).
    """

    low: float
    high: float
    counts: npt.NDArray[np.float64]

    @property
    def edges(self) -> npt.NDArray[np.float64]:
        """Of the bins, (bins + 1,)."""
        return np.linspace(self.low, self.high, len(self.counts) + 1)


def _min_max(seen: Histogram) -> tuple[float, float]:
    return seen.low, seen.high


def _percentile(seen: Histogram) -> tuple[float, float]:
    """Without one value in 20,000 at each end."""
    share = seen.counts.cumsum() / seen.counts.sum()
    first = int(np.searchsorted(share, _BEYOND, "right"))
    last = int(np.searchsorted(share, 1 - _BEYOND, "left"))
    return float(seen.edges[first]), float(seen.edges[last + 1])


def _mse(seen: Histogram) -> tuple[float, float]:
    """The ends with the least squared error, each sought in turn."""
    centres = (seen.edges[1:] + seen.edges[:-1]) / 2

    def error(low: float, high: float) -> float:
        low, high = min(low, 0.0), max(high, 0.0)
        step = max((high - low) / _STEPS, 1e-12)
        rounded = np.clip(np.rint((centres - low) / step), 0, _STEPS) * step + low
        return float((seen.counts * (rounded - centres) ** 2).sum())

    low, high = seen.low, seen.high
    for _ in range(2):
        if seen.high > 0:
            high = min((float(seen.high * part) for part in _SHRINK), key=lambda end: error(low, end))
        if seen.low < 0:
            low = min((float(seen.low * part) for part in _SHRINK), key=lambda end: error(end, high))
    return low, high


def _entropy(seen: Histogram) -> tuple[float, float]:
    """Both ends drawn in alike, to where 255 levels differ least from the values with the tails at the ends.

    By Kullback-Leibler divergence: Migacz 2017, "8-bit Inference with TensorRT".
    """
    centres = (seen.edges[1:] + seen.edges[:-1]) / 2
    least, ends = np.inf, (seen.low, seen.high)
    for part in _SHRINK:
        low, high = (float(end * part) if end * sign > 0 else end for end, sign in ((seen.low, -1), (seen.high, 1)))
        inside = np.flatnonzero((centres >= low) & (centres <= high))
        if len(inside) < _STEPS:
            break
        plain = seen.counts[inside]
        clipped = plain.copy()
        clipped[0] += seen.counts[: inside[0]].sum()
        clipped[-1] += seen.counts[inside[-1] + 1 :].sum()
        level = np.arange(len(plain)) * _STEPS // len(plain)
        filled = plain > 0
        mass, bins = np.bincount(level, plain, _STEPS), np.bincount(level, filled, _STEPS)
        levels = np.where(filled, (mass / np.maximum(bins, 1))[level], 0)
        p, q = clipped / clipped.sum(), np.maximum(levels / max(levels.sum(), 1e-300), 1e-12)
        told = p > 0
        divergence = float((p[told] * np.log(p[told] / q[told])).sum())
        if divergence < least:
            least, ends = divergence, (low, high)
    return ends


ESTIMATORS: Mapping[str, Callable[[Histogram], tuple[float, float]]] = {
    "min-max": _min_max,
    "percentile": _percentile,
    "mse": _mse,
    "entropy": _entropy,
}


def measure_histograms(
    model: DeployLeViT, ranges: Ranges, pictures: CalibrationSet, spec: Preprocessing, *, batch: int = 16
) -> dict[str, Histogram]:
    """{activation: its histogram} between the ends of its range, which are its smallest and greatest value.

    Args:
        model: what the ranges were measured on.
        ranges: of the same pictures.
        pictures: what to show it.
        spec: how pixels are normalised.
        batch: pictures at a time.
    """
    counts = {name: np.zeros(_BINS) for name in ranges.values}

    def count(name: str, x: Tensor) -> None:
        low, high = ranges.values[name]
        if high > low:  # histc takes the ends from the tensor otherwise
            counts[name] += torch.histc(x, _BINS, low, high).double().numpy()
        else:
            counts[name][0] += x.numel()

    def note(name: str, _: nn.Module, before: Tensor, after: Tensor) -> None:
        count(f"{name}.in", before)
        count(f"{name}.out", after)

    layers = sorted({name.rpartition(".")[0] for name in counts})
    watch(model, layers, pictures, spec, batch, note)
    return {name: Histogram(*ranges.values[name], count) for name, count in counts.items()}


def estimate_ranges(
    method: str, model: DeployLeViT, ranges: Ranges, pictures: CalibrationSet, spec: Preprocessing
) -> Ranges:
    """The ranges with their ends by a method of ``ESTIMATORS``; see ``measure_histograms``."""
    if method == "min-max":
        return ranges
    seen = measure_histograms(model, ranges, pictures, spec)
    return replace(ranges, values={name: ESTIMATORS[method](histogram) for name, histogram in seen.items()})
