"""The deploy form with channels first, (B, C, H, W) from the first layer to the last: what the Neural Engine is built for.

Every Linear is a 1x1 convolution. A head's queries are (D, N) as they come out of one, so both products of the attention are
written with one factor transposed inside the product, and no transpose is left in the graph (the deploy form has 49).
The same layers under the same names: ranges and quantisation fit as they are.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from levit_mobile.fuse import DeployAttention, DeployLeViT, DeployMLP
from levit_mobile.preprocess import Preprocessing

__all__ = ["ChannelsFirstLeViT", "Pictures"]


class _Hardswish(nn.Module):
    """x * hardsigmoid(x): two operators of Core ML, where its own translation of Hardswish has three."""

    def forward(self, x: Tensor) -> Tensor:
        return x * F.hardsigmoid(x)


class _Attention(nn.Module):
    """(B, C, H, W) -> (B, C', H', W'); the caller adds the residual."""

    bias: Tensor

    def __init__(self, layer: DeployAttention) -> None:
        super().__init__()
        self.q, self.k, self.v, self.proj = (_conv(m) for m in (layer.q, layer.k, layer.v, layer.proj))
        self.act, self.heads = _Hardswish(), layer.heads
        self.register_buffer("bias", layer.bias)  # (heads, Nq, N)

    def _per_head(self, x: Tensor) -> Tensor:
        """(B, heads*D, H, W) -> (B, heads, D, H*W)."""
        per_head: Tensor = x.unflatten(1, (self.heads, -1)).flatten(3)
        return per_head

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.q(x), self.k(x), self.v(x)
        height, width = q.shape[2:]
        scores = self._per_head(q).transpose(2, 3) @ self._per_head(k)  # (B, heads, Nq, N)
        weights = (scores + self.bias).softmax(dim=-1)
        heads = self._per_head(v) @ weights.transpose(2, 3)  # (B, heads, V, Nq)
        return cast(Tensor, self.proj(self.act(heads.flatten(1, 2).unflatten(2, (height, width)))))


class _MLP(nn.Module):
    """(B, C, H, W) -> (B, C, H, W); the caller adds the residual."""

    def __init__(self, layer: DeployMLP) -> None:
        super().__init__()
        self.up, self.act, self.down = _conv(layer.up), _Hardswish(), _conv(layer.down)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.down(self.act(self.up(x))))


class ChannelsFirstLeViT(nn.Module):
    """The same function as a ``DeployLeViT``: (B, 3, S, S), normalised -> (B, classes) logits."""

    def __init__(self, model: DeployLeViT) -> None:
        super().__init__()
        self.stem = nn.Sequential(*[_Hardswish() if isinstance(m, nn.Hardswish) else m for m in model.stem])
        self.blocks = nn.ModuleList(
            _Attention(m) if isinstance(m, DeployAttention) else _MLP(cast(DeployMLP, m)) for m in model.blocks
        )
        self.residual, self.head = model.residual, model.head

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block, add in zip(self.blocks[:-1], self.residual, strict=False):
            y = block(x)
            x = x + y if add else y
        last = cast(_MLP, self.blocks[-1])
        x = x.mean((2, 3), keepdim=True) + last.down(last.act(last.up(x)).mean((2, 3), keepdim=True))
        return cast(Tensor, self.head(x.flatten(1)))


class Pictures(nn.Module):
    """A model that takes pixels as a phone has them: (B, 3, S, S), 0 to 255 -> logits and probabilities, (B, classes) each.

    Core ML's ImageType has one scale for all channels, and LeViT's three have a standard deviation each; so normalisation is
    the first difference and product of the graph. Not a product and a sum: coremltools would make one BatchNorm of these,
    with an epsilon that moves every logit by five millionths.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, model: nn.Module, spec: Preprocessing) -> None:
        super().__init__()
        self.model = model
        mean, std = (torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1) for v in (spec.mean, spec.std))
        self.register_buffer("mean", (255 * mean).float())
        self.register_buffer("scale", (1 / (255 * std)).float())

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.model((image - self.mean) * self.scale)
        return logits, logits.softmax(dim=-1)


def _conv(layer: nn.Module) -> nn.Conv2d:
    """A Linear as a 1x1 convolution; a convolution as it is."""
    if isinstance(layer, nn.Conv2d):
        return layer
    assert isinstance(layer, nn.Linear)
    conv = nn.Conv2d(layer.in_features, layer.out_features, 1, device="meta")
    conv.weight = nn.Parameter(layer.weight.detach()[:, :, None, None].contiguous(), requires_grad=False)
    conv.bias = nn.Parameter(layer.bias.detach(), requires_grad=False)
    return conv
