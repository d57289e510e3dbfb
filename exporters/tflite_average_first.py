"""Attention between stages that averages tokens before it projects them to values: the same function, in fewer products.

Only every other token asks there, so there are four times fewer averages than tokens: (A X) W in place of A (X W). Rows of
attention weights add up to 1, so the bias stays what it is. In LeViT-128S that is 11 of 305 million multiplications. For
fp32 and fp16 alone: int8 is one program for all targets, in the form that its calibration saw.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from levit_mobile.fuse import DeployAttention, DeployLeViT

__all__ = ["average_first"]


def average_first(model: DeployLeViT) -> DeployLeViT:
    """The same function, for one picture; layers keep their names, and share their weights with ``model``."""
    blocks = [
        _AveragingAttention(block) if isinstance(block, DeployAttention) and _saves(block) else block
        for block in model.blocks
    ]
    return DeployLeViT(model.stem, blocks, list(model.residual), model.head, model.image_size).eval()


def _saves(block: DeployAttention) -> bool:
    """Whether fewer numbers are multiplied; never where every token asks."""
    heads, queries, tokens = block.bias.shape
    width, values = block.v.in_features, block.v.out_features  # C, H*V
    return (
        heads * queries * tokens * width + queries * width * values
        < tokens * width * values + queries * tokens * values
    )


class _AveragingAttention(DeployAttention):
    """(1, N, C) -> (1, Nq, C'). ``v`` is a 1x1 convolution with a group for each head."""

    v: nn.Conv2d  # type: ignore[assignment]

    def __init__(self, layer: DeployAttention) -> None:
        super().__init__(layer.q, layer.k, layer.v, layer.proj, layer.bias, layer.resolution)
        self.v = nn.Conv2d(self.heads * layer.v.in_features, layer.v.out_features, 1, groups=self.heads, device="meta")
        self.v.weight = nn.Parameter(layer.v.weight.detach()[:, :, None, None], requires_grad=False)
        self.v.bias = layer.v.bias

    def forward(self, x: Tensor) -> Tensor:
        heads, queries, tokens = self.bias.shape
        # All heads' queries are rows of one product: the tokens are the same for all of them.
        scores = self.scores(x).reshape(heads * queries, tokens) + self.bias.reshape(heads * queries, tokens)
        means = torch.mm(scores.softmax(dim=-1), x[0])  # (H*Nq, C)
        picture = means.reshape(heads, queries, -1).transpose(0, 1).reshape(1, queries, 1, -1).permute(0, 3, 1, 2)
        values = self.v(picture).permute(0, 2, 3, 1).reshape(1, queries, -1)  # (1, Nq, H*V)
        return cast(Tensor, self.proj(self.act(values)))
