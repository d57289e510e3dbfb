"""LeViT as trained: Graham et al. 2021, section 4; names of parameters as in the official ``levit.py``.

Shapes: B pictures, R tokens a side, N = R*R tokens, C channels, H heads, D = key width, V = value width.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import torch
from torch import Tensor, nn

from levit_mobile.errors import UsageError
from levit_mobile.variants import ATTENTION_RATIO, DOWN_ATTENTION_RATIO, MLP_RATIO, PATCH, Variant

__all__ = [
    "Attention",
    "AttentionSubsample",
    "BNLinear",
    "ConvBN",
    "LeViT",
    "LinearBN",
    "Residual",
    "bias_offsets",
]


class ConvBN(nn.Sequential):
    """3x3 stride-2 convolution and BatchNorm: (B, a, S, S) -> (B, b, S/2, S/2)."""

    c: nn.Conv2d
    bn: nn.BatchNorm2d

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.add_module("c", nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False))
        self.add_module("bn", nn.BatchNorm2d(b))


class LinearBN(nn.Sequential):
    """Linear without bias and BatchNorm over all tokens: (B, N, a) -> (B, N, b)."""

    c: nn.Linear
    bn: nn.BatchNorm1d

    def __init__(self, a: int, b: int, *, bn_weight: float = 1.0) -> None:
        super().__init__()
        self.add_module("c", nn.Linear(a, b, bias=False))
        bn = nn.BatchNorm1d(b)
        nn.init.constant_(bn.weight, bn_weight)
        self.add_module("bn", bn)

    def forward(self, x: Tensor) -> Tensor:
        x = self.c(x)
        return self.bn(x.flatten(0, 1)).reshape_as(x)


class BNLinear(nn.Sequential):
    """BatchNorm and Linear, a classifier: (B, a) -> (B, classes)."""

    bn: nn.BatchNorm1d
    l: nn.Linear

    def __init__(self, a: int, classes: int) -> None:
        super().__init__()
        self.add_module("bn", nn.BatchNorm1d(a))
        linear = nn.Linear(a, classes)
        nn.init.trunc_normal_(linear.weight, std=0.02)
        nn.init.zeros_(linear.bias)
        self.add_module("l", linear)

    def forward(self, x: Tensor) -> Tensor:
        return self.l(self.bn(x))


class Residual(nn.Module):
    """x + m(x); while training, m(x) of a picture is left out with probability ``drop`` (stochastic depth)."""

    def __init__(self, m: nn.Module, drop: float) -> None:
        super().__init__()
        self.m = m
        self.drop = drop

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.m(x)
        if self.training and self.drop > 0:
            keep = torch.rand(x.size(0), 1, 1, device=x.device).ge(self.drop)
            y = y * keep.to(x.dtype) / (1 - self.drop)
        return x + y


@lru_cache(maxsize=64)
def bias_offsets(resolution: int, stride: int = 1) -> tuple[list[tuple[int, int]], Tensor]:
    """Which learnt bias each (query, key) pair uses.

    Args:
        resolution: tokens along one side, for the keys.
        stride: 1, or 2 where only tokens [::2, ::2] ask.

    Returns:
        The distinct offsets ``(|dx|, |dy|)`` in the order in which they are first met, which is the order of the learnt
        table's columns, and the index of each pair's offset: int64 (queries, keys).
    """
    keys = list(product(range(resolution), range(resolution)))
    queries = list(product(range(0, resolution, stride), range(0, resolution, stride)))
    seen: dict[tuple[int, int], int] = {}
    rows = [[seen.setdefault((abs(q[0] - k[0]), abs(q[1] - k[1])), len(seen)) for k in keys] for q in queries]
    return list(seen), torch.tensor(rows, device="cpu")  # kept, so never of a passing default device


class _BiasedAttention(nn.Module):
    """softmax(q kT / sqrt(D) + bias) v, with the bias looked up per ``(|dx|, |dy|)``; section 4.2.3."""

    attention_bias_idxs: Tensor

    def __init__(self, key_dim: int, heads: int, value_dim: int, resolution: int, stride: int) -> None:
        super().__init__()
        self.key_dim, self.heads, self.value_dim = key_dim, heads, value_dim
        self.resolution, self.stride = resolution, stride
        self.scale = key_dim**-0.5
        offsets, index = bias_offsets(resolution, stride)
        self.attention_biases = nn.Parameter(torch.zeros(heads, len(offsets)))
        self.register_buffer("attention_bias_idxs", index.clone())

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q (B, H, Nq, D), k (B, H, N, D), v (B, H, N, V) -> (B, Nq, H*V)."""
        bias = self.attention_biases[:, self.attention_bias_idxs]  # (H, Nq, N)
        weights = (q @ k.transpose(-2, -1) * self.scale + bias).softmax(dim=-1)
        return (weights @ v).transpose(1, 2).flatten(2)


class Attention(_BiasedAttention):
    """Multi-head attention over all tokens: (B, N, C) -> (B, N, C)."""

    def __init__(self, dim: int, key_dim: int, heads: int, resolution: int) -> None:
        super().__init__(key_dim, heads, ATTENTION_RATIO * key_dim, resolution, stride=1)
        self.qkv = LinearBN(dim, heads * (2 * key_dim + self.value_dim))
        # The last BatchNorm starts at 0, so that the residual branch starts silent.
        self.proj = nn.Sequential(nn.Hardswish(), LinearBN(heads * self.value_dim, dim, bn_weight=0.0))

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, H, N, 2D+V): laid out per head
        q, k, v = qkv.split([self.key_dim, self.key_dim, self.value_dim], dim=3)
        out: Tensor = self.proj(self.attend(q, k, v))
        return out


class _Subsample(nn.Module):
    """Keep tokens [::2, ::2]: (B, R*R, C) -> (B, ceil(R/2)**2, C)."""

    def __init__(self, resolution: int) -> None:
        super().__init__()
        self.resolution = resolution

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (self.resolution, self.resolution))[:, ::2, ::2].flatten(1, 2)


class AttentionSubsample(_BiasedAttention):
    """The attention between stages; only every other token asks (section 4.2.2): (B, N, C) -> (B, ~N/4, C')."""

    def __init__(self, dim: int, out_dim: int, key_dim: int, heads: int, resolution: int) -> None:
        super().__init__(key_dim, heads, DOWN_ATTENTION_RATIO * key_dim, resolution, stride=2)
        self.kv = LinearBN(dim, heads * (key_dim + self.value_dim))
        self.q = nn.Sequential(_Subsample(resolution), LinearBN(dim, heads * key_dim))
        self.proj = nn.Sequential(nn.Hardswish(), LinearBN(heads * self.value_dim, out_dim))

    def forward(self, x: Tensor) -> Tensor:
        kv = self.kv(x).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, H, N, D+V)
        k, v = kv.split([self.key_dim, self.value_dim], dim=3)
        q = self.q(x).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, H, Nq, D)
        out: Tensor = self.proj(self.attend(q, k, v))
        return out


def _mlp(dim: int, drop: float) -> Residual:
    hidden = dim * MLP_RATIO
    return Residual(nn.Sequential(LinearBN(dim, hidden), nn.Hardswish(), LinearBN(hidden, dim, bn_weight=0.0)), drop)


class LeViT(nn.Module):
    """The whole network: (B, 3, S, S), normalised pictures -> (B, classes) logits.

    While training with two heads it returns both logits, (class, distillation); otherwise their mean.

    Args:
        variant: a row of ``VARIANTS``.
        num_classes: classes of each head.
        distillation: whether there is a second head, taught by another model.
        image_size: S in pixels; a multiple of 16. The bias tables depend on it.
        drop_path: stochastic depth rate; None takes the variant's.

    Raises:
        UsageError: ``image_size`` is not a multiple of 16.
    """

    def __init__(
        self,
        variant: Variant,
        *,
        num_classes: int = 1000,
        distillation: bool = True,
        image_size: int = 224,
        drop_path: float | None = None,
    ) -> None:
        super().__init__()
        if image_size < PATCH or image_size % PATCH:
            nearest = max(PATCH, round(image_size / PATCH) * PATCH)
            raise UsageError(f"image size {image_size} is not a multiple of {PATCH} pixels; type {nearest}")
        self.variant, self.num_classes, self.image_size = variant, num_classes, image_size
        drop = variant.drop_path if drop_path is None else drop_path
        c0, d = variant.channels[0], variant.key_dim
        self.patch_embed = nn.Sequential(
            ConvBN(3, c0 // 8),
            nn.Hardswish(),
            ConvBN(c0 // 8, c0 // 4),
            nn.Hardswish(),
            ConvBN(c0 // 4, c0 // 2),
            nn.Hardswish(),
            ConvBN(c0 // 2, c0),
        )
        resolution = image_size // PATCH
        blocks: list[nn.Module] = []
        for stage, dim in enumerate(variant.channels):
            for _ in range(variant.depth[stage]):
                blocks.append(Residual(Attention(dim, d, variant.heads[stage], resolution), drop))
                blocks.append(_mlp(dim, drop))
            if stage < 2:
                after = variant.channels[stage + 1]
                blocks.append(AttentionSubsample(dim, after, d, variant.down_heads(stage), resolution))
                blocks.append(_mlp(after, drop))
                resolution = (resolution - 1) // 2 + 1
        self.blocks = nn.Sequential(*blocks)
        self.head = BNLinear(variant.channels[2], num_classes)
        self.head_dist = BNLinear(variant.channels[2], num_classes) if distillation else None

    @property
    def distillation(self) -> bool:
        """Whether the second head is there."""
        return self.head_dist is not None

    def features(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, C): what the heads see, the mean over the last stage's tokens."""
        x = self.patch_embed(x).flatten(2).transpose(1, 2)  # (B, N, C)
        return self.blocks(x).mean(dim=1)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return self.classify(self.features(x))

    def classify(self, features: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """(B, C) -> logits; see the class."""
        logits: Tensor = self.head(features)
        if self.head_dist is None:
            return logits
        taught: Tensor = self.head_dist(features)
        if self.training:
            return logits, taught
        return (logits + taught) / 2
