"""Quantisation-aware training: while it is trained, a LeViT rounds where its int8 program will (Jacob et al. 2018, section 3).

Weights have one scale an output channel, so that it makes no difference whether BatchNorm is folded in before or after.
Gradients pass a rounding as if it were not there, but not a value that was cut off at an end of its range. BatchNorm keeps
its statistics: what int8 folds into the weights is what was trained with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from calib.hardswish import fit_hardswish
from calib.pictures import CalibrationSet
from calib.ranges import measure_ranges
from levit_mobile.fuse import fuse
from levit_mobile.model import Attention, AttentionSubsample, ConvBN, LeViT, LinearBN, Residual
from levit_mobile.preprocess import Preprocessing
from levit_mobile.scales import affine

Part = tuple[
    str, int, float
]  # name in the deploy form, its share of a head's channels, what the deploy form folds into it


def layers(model: LeViT) -> Iterator[tuple[ConvBN | LinearBN, list[Part]]]:
    """Each layer that becomes int8, and what the deploy form makes of it; the heads' Linears become another one."""
    for index, module in enumerate(model.patch_embed):
        if isinstance(module, ConvBN):
            yield module, [(f"stem.{index}", 1, 1.0)]
    for index, block in enumerate(model.blocks):
        inner, name = (block.m if isinstance(block, Residual) else block), f"blocks.{index}"
        if isinstance(inner, Attention | AttentionSubsample):
            q = (f"{name}.q", inner.key_dim, inner.scale)
            k, v = (f"{name}.k", inner.key_dim, 1.0), (f"{name}.v", inner.value_dim, 1.0)
            if isinstance(inner, Attention):
                yield inner.qkv, [q, k, v]
            else:
                yield inner.kv, [k, v]
                yield inner.q[1], [q]  # type: ignore[misc]
            yield inner.proj[1], [(f"{name}.proj", 1, 1.0)]  # type: ignore[misc]
        else:
            yield inner[0], [(f"{name}.up", 1, 1.0)]  # type: ignore[index]
            yield inner[2], [(f"{name}.down", 1, 1.0)]  # type: ignore[index]


class Rounding:
    """Makes a model round. Until ``measure`` was called it only rounds its weights.

    Args:
        model: float32. Its layers stay changed, its state dict does not.
    """

    def __init__(self, model: LeViT) -> None:
        self.model = model
        self.ends: Mapping[str, tuple[float, float]] = {}
        found = list(layers(model))
        for layer, parts in found:
            layer.c.forward = partial(_with_rounded_weight, layer.c)  # type: ignore[method-assign]
            if layer is not found[-1][0]:  # the program averages tokens before it
                layer.register_forward_pre_hook(partial(self._before, parts[0][0]))
                layer.register_forward_hook(partial(self._after, parts))

    def measure(self, pictures: CalibrationSet, spec: Preprocessing) -> None:
        """Take the ranges that activations have now."""
        device = next(self.model.parameters()).device
        deploy = fuse(self.model.cpu())
        self.ends = fit_hardswish(measure_ranges(deploy, pictures, spec, weights="")).values
        self.model.to(device)

    def _before(self, name: str, _: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
        return (self._rounded(given[0], f"{name}.in"),)

    def _after(self, parts: list[Part], _: nn.Module, given: Any, y: Tensor) -> Tensor:
        if len(parts) == 1 and parts[0][2] == 1:
            return self._rounded(y, f"{parts[0][0]}.out")
        widths = [width for _, width, _ in parts]
        split = y.unflatten(2, (-1, sum(widths))).split(widths, dim=3)
        rounded = [
            self._rounded(part * fold, f"{name}.out") / fold for part, (name, _, fold) in zip(split, parts, strict=True)
        ]
        return torch.cat(rounded, dim=3).flatten(2)

    def _rounded(self, x: Tensor, name: str) -> Tensor:
        if name not in self.ends:
            return x
        return torch.fake_quantize_per_tensor_affine(x, *affine(*self.ends[name]), -128, 127)


def _with_rounded_weight(layer: nn.Conv2d | nn.Linear, x: Tensor) -> Tensor:
    scale = layer.weight.detach().flatten(1).abs().amax(1).clamp_min(1e-12) / 127
    zero_point = torch.zeros_like(scale, dtype=torch.int32)
    weight = torch.fake_quantize_per_channel_affine(layer.weight, scale, zero_point, 0, -127, 127)
    if isinstance(layer, nn.Conv2d):
        return F.conv2d(x, weight, None, layer.stride, layer.padding)
    return F.linear(x, weight)


def freeze_statistics(model: nn.Module) -> None:
    """BatchNorm as at inference, after ``model.train()``; its scales and shifts are still trained."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.eval()
