"""What training does to a batch of pictures: normalise, change the colours, mix two pictures."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from levit_mobile.preprocess import Preprocessing

EACH = 0.4  # of the batches are mixed by mixup, as many by CutMix


def jitter(pixels: Tensor, spec: Preprocessing, strength: float = 0.3) -> Tensor:
    """Normalise, with another brightness, contrast and saturation for each picture, up to ``strength`` either way.

    All of it is one affine map of a picture's colours, so it is one product: four passes over the batch are saved.

    Args:
        pixels: uint8 (B, 3, S, S).
        spec: whose mean and std.
        strength: 0 normalises only.

    Returns:
        float32 (B, 3, S, S), channels last in memory.
    """
    b, _, side, _ = pixels.shape
    colours = pixels.permute(0, 2, 3, 1).reshape(b, -1, 3).float()  # (B, S*S, 3)
    mean, std = (torch.tensor(v, device=pixels.device) for v in (spec.mean, spec.std))
    level = ((colours.mean(1) / 255 - mean) / std).mean(1)[:, None, None]  # (B, 1, 1), of the normalised picture
    saturation, contrast, brightness = torch.empty(3, b, 1, 1, device=pixels.device).uniform_(-strength, strength)
    grey = torch.full((3, 3), 1 / 3, device=pixels.device)
    mixing = (1 + contrast) * (grey + (1 + saturation) * (torch.eye(3, device=pixels.device) - grey))  # (B, 3, 3)
    shift = -(mean / std)[None] @ mixing + brightness - contrast * level  # (B, 1, 3)
    x = torch.baddbmm(shift, colours, mixing / (255 * std)[:, None])
    return x.reshape(b, side, side, 3).permute(0, 3, 1, 2)


def _beta(a: float) -> float:
    return float(torch.distributions.Beta(a, a).sample())


def mix(x: Tensor, targets: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """For most batches mixup (Zhang et al. 2018) or CutMix (Yun et al. 2019); targets are probabilities."""
    dice = torch.rand(()).item()
    if dice > 2 * EACH:
        return x, targets
    other = torch.randperm(len(x)).to(x.device)
    if dice < EACH:
        keep = _beta(0.8)
        x = x * keep + x[other] * (1 - keep)
    else:
        size = x.shape[-1]
        side = round(size * math.sqrt(1 - _beta(1.0)))
        top, left = (int(v) for v in torch.randint(0, size - side + 1, (2,)))
        x = x.clone()
        x[:, :, top : top + side, left : left + side] = x[other][:, :, top : top + side, left : left + side]
        keep = 1 - (side / size) ** 2
    return x, [t * keep + t[other] * (1 - keep) for t in targets]
