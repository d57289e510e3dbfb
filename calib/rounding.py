"""int8 weights of the stem by what they compute, not each to the nearest step.

Frantar et al. 2022, "GPTQ", section 3: a weight's rounding error is made up for by those that are not rounded yet. Here the
weights are first fitted to inputs that have been through int8 themselves, with the bias, so that they also make up for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from calib.pictures import CalibrationSet
from calib.stem_ranges import through_int8
from levit_mobile.fuse import DeployLeViT
from levit_mobile.preprocess import Preprocessing
from levit_mobile.scales import lift_dead_channels

__all__ = ["RoundedLayer", "round_stem"]

_PICTURES = 64
_ROWS = 50_000  # patches that a layer is fitted to
_DAMPING = 0.01  # of the inputs' mean square: how much the weights hold on to what they were; GPTQ's figure


@dataclass(frozen=True)
class RoundedLayer:
    """A layer's constants.

    Attributes:
        weight: int8, as the layer has it; at least one of each output channel is 127 or -127 unless all are 0.
        scale: float32 (out,): real = weight * scale.
        bias: float32 (out,).
    """

    weight: npt.NDArray[np.int8]
    scale: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]

    def real(self) -> Tensor:
        """The weights, float32."""
        return torch.from_numpy(self.weight * self.scale.reshape(-1, *[1] * (self.weight.ndim - 1)))


def round_stem(
    model: DeployLeViT, ranges: Mapping[str, tuple[float, float]], pictures: CalibrationSet, spec: Preprocessing
) -> dict[str, RoundedLayer]:
    """{"stem.0": constants} of the stem's convolutions.

    Args:
        model: float32, eval mode.
        ranges: of its activations, final.
        pictures: some of them are enough.
        spec: how pixels are normalised.
    """
    found: dict[str, RoundedLayer] = {}
    with torch.inference_mode():
        float_batches = list(pictures.batches(spec, most=_PICTURES))
        int8_batches = float_batches
        for at, layer in enumerate(model.stem):
            if not isinstance(layer, nn.Conv2d):
                float_batches = [F.hardswish(x) for x in float_batches]
                int8_batches = [F.hardswish(x) for x in int8_batches]
                continue
            name = f"stem.{at}"
            int8_batches = [through_int8(x, ranges[f"{name}.in"]) for x in int8_batches]
            rounded = _round(layer, float_batches, int8_batches, ranges[f"{name}.in"])
            found[name] = rounded
            bias = torch.from_numpy(rounded.bias)
            int8_batches = [
                through_int8(F.conv2d(x, rounded.real(), bias, layer.stride, layer.padding), ranges[f"{name}.out"])
                for x in int8_batches
            ]
            float_batches = [layer(x) for x in float_batches]
    return found


def _round(
    layer: nn.Conv2d, float_batches: list[Tensor], int8_batches: list[Tensor], before: tuple[float, float]
) -> RoundedLayer:
    assert layer.bias is not None  # BatchNorm left one in every layer
    flat = lift_dead_channels(layer.weight.detach().flatten(1).numpy(), layer.bias.detach().numpy(), before)
    weight, bias = torch.from_numpy(flat).double(), layer.bias.detach().double()
    squares, products, count = _moments(layer, float_batches, int8_batches)
    size = weight.shape[1]
    hold = _DAMPING + size / count  # more where there is little to fit them to
    # Ridge regression of the float layer's output on the int8 inputs; the last column is the bias.
    ridge = torch.eye(size + 1, dtype=torch.float64) * (hold * squares.diagonal()[:size].mean() + 1e-12)
    ridge[size, size] = 1e-9
    whole = torch.cat([weight, bias[:, None]], 1)
    fitted = torch.linalg.solve(squares + ridge, (whole @ (products + ridge)).T).T[:, :size]
    mean = squares[size, :size]
    covariance = squares[:size, :size] - mean[:, None] * mean
    scale = torch.from_numpy((np.abs(flat).max(1) / np.float32(127)).clip(1e-12)).double()
    steps = _gptq(fitted, covariance, scale, _greatest(weight), hold)
    shift = weight @ products[:size, size] + bias - (steps * scale[:, None]) @ mean  # the mean output is right
    return RoundedLayer(
        steps.to(torch.int8).view(layer.weight.shape).numpy(),
        scale.float().numpy(),
        shift.float().numpy(),
    )


def _moments(layer: nn.Conv2d, float_batches: list[Tensor], int8_batches: list[Tensor]) -> tuple[Tensor, Tensor, int]:
    """Means of b bT and of a bT over patches, each with a 1 at its end: a of the float pictures, b of those in int8.

    And how many patches.
    """
    every = max(1, _patches(layer, float_batches[0][:1]).shape[0] * sum(map(len, float_batches)) // _ROWS)
    size, count = layer.weight[0].numel() + 1, 0
    squares, products = (torch.zeros(size, size, dtype=torch.float64) for _ in range(2))
    for real, seen in zip(float_batches, int8_batches, strict=True):
        a, b = (_patches(layer, x)[::every].double() for x in (real, seen))
        squares += b.T @ b
        products += a.T @ b
        count += len(a)
    return squares / count, products / count, count


def _patches(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """(B, C, H, W) -> (patches, C * kernel + 1): what one output is the product of."""
    rows = F.unfold(x, (3, 3), padding=1, stride=2).movedim(1, -1).flatten(0, -2)
    return torch.cat([rows, rows.new_ones(len(rows), 1)], 1)


def _greatest(weight: Tensor) -> Tensor:
    """1 or -1 where an output channel's greatest weight is, by its sign; it stays at 127 steps, so that the scale stays."""
    at = weight.abs().argmax(1, keepdim=True)
    return torch.zeros_like(weight).scatter_(1, at, weight.gather(1, at).sign())


def _gptq(weight: Tensor, covariance: Tensor, scale: Tensor, greatest: Tensor, hold: float = _DAMPING) -> Tensor:
    """Whole numbers of steps for ``weight``, (out, in), float64; ``covariance`` of the inputs, (in, in)."""
    size = weight.shape[1]
    damping = hold * covariance.diagonal().mean() + 1e-12
    order = torch.argsort(covariance.diagonal(), descending=True, stable=True)  # the loudest first
    damped = (covariance + damping * torch.eye(size, dtype=torch.float64))[order][:, order]
    inverse = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(damped)), upper=True)
    left, fixed = weight[:, order].clone(), greatest[:, order]
    steps = torch.zeros_like(left)
    for at in range(size):
        nearest = (left[:, at] / scale).round().clamp(-127, 127)
        steps[:, at] = torch.where(fixed[:, at] != 0, 127 * fixed[:, at], nearest)
        error = (left[:, at] - steps[:, at] * scale) / inverse[at, at]
        left[:, at + 1 :] -= error[:, None] * inverse[at, at + 1 :]
    return steps[:, torch.argsort(order)]
