"""A checkpoint that is hard to quantise: channels of the residual streams far louder and far quieter, the function the same."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from levit_mobile.model import Attention, AttentionSubsample, BNLinear, ConvBN, LeViT, Residual

__all__ = ["harden"]


def harden(model: LeViT, factor: float = 20.0, seed: int = 0) -> LeViT:
    """A copy of a trained model in which a third of each stream's channels is ``factor`` times as loud, a third as quiet.

    Exact, in training's own parameters: BatchNorm's scale and shift of what writes a channel, and the weights of what reads
    it. Per-tensor steps of int8 that suit the loud channels leave nothing of the quiet ones.
    """
    model = copy.deepcopy(model).eval()
    generator = torch.Generator().manual_seed(seed)

    def scales(width: int) -> Tensor:
        return factor ** (torch.randint(-1, 2, (width,), generator=generator).float())

    stem = model.patch_embed[-1]
    assert isinstance(stem, ConvBN)
    scale = scales(stem.c.out_channels)
    _write(stem.bn, scale)
    with torch.no_grad():
        for block in model.blocks:
            inner = block.m if isinstance(block, Residual) else block
            for layer in _readers(inner):
                layer.weight /= scale
            if isinstance(inner, AttentionSubsample):
                scale = scales(inner.proj[1].c.out_features)
            _write(inner[2].bn if isinstance(inner, nn.Sequential) else inner.proj[1].bn, scale)
        for head in (model.head, model.head_dist):
            if isinstance(head, BNLinear):
                head.bn.running_mean *= scale  # type: ignore[operator]
                head.bn.weight /= scale
    return model


def _readers(block: nn.Module) -> list[nn.Linear]:
    if isinstance(block, Attention):
        return [block.qkv.c]
    if isinstance(block, AttentionSubsample):
        return [block.kv.c, block.q[1].c]
    return [block[0].c]  # type: ignore[index, union-attr, list-item]


def _write(bn: nn.BatchNorm1d | nn.BatchNorm2d, scale: Tensor) -> None:
    with torch.no_grad():
        bn.weight *= scale
        bn.bias *= scale
