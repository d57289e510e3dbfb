"""Ranges of the stem: the ends that make the least error in what the next convolution computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from calib.hardswish import LOWEST, cut_dead, on_grid
from calib.pictures import CalibrationSet
from levit_mobile.fuse import DeployLeViT
from levit_mobile.preprocess import Preprocessing
from levit_mobile.scales import affine

__all__ = ["search_stem", "through_int8"]

_Ends = tuple[float, float]
_SHARES = [0.3 + 0.05 * n for n in range(15)]  # of the upper end
_PICTURES = 32


def search_stem(
    model: DeployLeViT, values: Mapping[str, _Ends], pictures: CalibrationSet, spec: Preprocessing
) -> dict[str, _Ends]:
    """{"stem.0.out": ends} of the inputs and outputs of the stem's convolutions, but for the first input and the last output.

    There a few values lie far outside the rest, and every step of int8 pays for them. And neighbouring pixels are alike: the
    error of one is that of the next, so it is not the error of single values that counts but what the next convolution makes
    of it. Only upper ends are searched; the lower ones belong to Hardswish.

    Args:
        model: float32, eval mode.
        values: smallest and greatest values, after ``fit_hardswish``.
        pictures: that they were measured on; some of them are enough.
        spec: how pixels are normalised.
    """
    found: dict[str, _Ends] = {}
    with torch.inference_mode():
        x = torch.cat(list(pictures.batches(spec, most=_PICTURES)))
        convolutions = [(f"stem.{at}", layer) for at, layer in enumerate(model.stem) if isinstance(layer, nn.Conv2d)]
        for (name, layer), (after, following) in pairwise(convolutions):
            y = layer(x)
            x = F.hardswish(y)
            expected = following(x)

            low, high = values[f"{name}.out"]
            ends = (cut_dead(low, high * share) for share in _SHARES)
            found[f"{name}.out"] = min(ends, key=partial(_error, following, expected, y, F.hardswish))
            pair = values[f"{after}.in"]
            found[f"{after}.in"] = min(
                _on_grid(*pair), key=partial(_error, following, expected, x, _same), default=pair
            )
            activation = f"stem.{int(name.removeprefix('stem.')) + 1}"  # in between; the same two tensors
            found[f"{activation}.in"], found[f"{activation}.out"] = found[f"{name}.out"], found[f"{after}.in"]
    return found


def _on_grid(low: float, high: float) -> Iterator[_Ends]:
    """Ranges with shorter upper ends in which Hardswish's lowest value is a step."""
    if on_grid(low, high)[0] == LOWEST:
        for count in range(1, 128):
            top = LOWEST * (1 - 255 / count)
            if _SHARES[0] * high <= top <= 1.03 * high:
                yield LOWEST, top


def _same(x: Tensor) -> Tensor:
    return x


def _error(layer: nn.Module, expected: Tensor, x: Tensor, between: Callable[[Tensor], Tensor], ends: _Ends) -> float:
    """Mean square of what a layer's output is off when ``x`` goes through int8, and then through what is between."""
    return float((layer(between(through_int8(x, ends))) - expected).square().mean(dtype=torch.float64))


def through_int8(x: Tensor, ends: _Ends) -> Tensor:
    """What int8 keeps of values between ``ends``; others are clipped."""
    scale, zero_point = affine(*ends)
    return torch.fake_quantize_per_tensor_affine(x, scale, zero_point, -128, 127)
