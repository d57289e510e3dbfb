"""The trained model -> the deploy form: the same function, in the operators that phones run well.

Exact folds only (float64 agrees to 1e-10): BatchNorm into the convolution or Linear before it (in the heads: after it),
the two heads into one, D**-0.5 into q, the bias table into a constant, sub-sampling and q into one stride-2 1x1
convolution, qkv split into three Linears, so that no slice is left, and the mean over tokens taken before the last Linear
of the last block, which then has one row to work on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from levit_mobile.model import Attention, AttentionSubsample, BNLinear, ConvBN, LeViT, LinearBN, Residual

__all__ = ["DeployAttention", "DeployLeViT", "DeployMLP", "fuse"]


def _mean_token(x: Tensor) -> Tensor:
    """(B, N, C) -> (B, C)."""
    return x.mean(dim=1)


class DeployAttention(nn.Module):
    """Attention with constants in place of tables: (B, N, C) -> (B, Nq, C'); the caller adds the residual.

    ``q`` is a Linear, or a stride-2 1x1 convolution where only every other token asks.
    """

    bias: Tensor

    def __init__(
        self, q: nn.Linear | nn.Conv2d, k: nn.Linear, v: nn.Linear, proj: nn.Linear, bias: Tensor, resolution: int
    ) -> None:
        super().__init__()
        self.q, self.k, self.v, self.proj = q, k, v, proj
        self.act = nn.Hardswish()
        self.heads, self.resolution = bias.size(0), resolution
        self.register_buffer("bias", bias)  # (H, Nq, N)

    def _per_head(self, x: Tensor) -> Tensor:
        """(B, N, H*D) -> (B*H, N, D). Three dimensions: delegates have no 4-D product without copies."""
        b, n, width = x.shape
        return x.reshape(b, n, self.heads, width // self.heads).transpose(1, 2).reshape(b * self.heads, n, -1)

    def _query(self, x: Tensor) -> Tensor:
        if isinstance(self.q, nn.Linear):
            return self._per_head(self.q(x))
        b, _, c = x.shape
        picture = x.reshape(b, self.resolution, self.resolution, c).permute(0, 3, 1, 2)
        return self._per_head(self.q(picture).permute(0, 2, 3, 1).reshape(b, -1, self.q.out_channels))

    def scores(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B*H, Nq, N): queries times keys, without the bias."""
        return torch.bmm(self._query(x), self._per_head(self.k(x)).transpose(1, 2))

    def forward(self, x: Tensor) -> Tensor:
        b = x.size(0)
        bias = self.bias if b == 1 else self.bias.repeat(b, 1, 1)
        heads = torch.bmm((self.scores(x) + bias).softmax(dim=-1), self._per_head(self.v(x)))  # (B*H, Nq, V)
        _, n, width = heads.shape
        # Hardswish before the heads are joined: int8 then moves what the projection reads, and nothing is rounded twice.
        joined = self.act(heads).reshape(b, self.heads, n, width).transpose(1, 2).reshape(b, n, self.heads * width)
        return self.proj(joined)


class DeployMLP(nn.Module):
    """Linear, Hardswish, Linear: (B, N, C) -> (B, N, C); the caller adds the residual."""

    def __init__(self, up: nn.Linear, down: nn.Linear) -> None:
        super().__init__()
        self.up, self.act, self.down = up, nn.Hardswish(), down

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.act(self.up(x)))


class DeployLeViT(nn.Module):
    """The deploy form: (B, 3, S, S), normalised -> (B, classes) logits, the mean of both heads.

    Args:
        stem: convolutions and activations.
        blocks: what follows, in order; the last one is an MLP with a residual.
        residual: for each block, whether its input is added to its output.
        head: the one Linear that both heads and their BatchNorms became.
        image_size: S in pixels.
    """

    def __init__(
        self, stem: nn.Sequential, blocks: list[nn.Module], residual: list[bool], head: nn.Linear, image_size: int
    ) -> None:
        super().__init__()
        self.stem, self.blocks, self.head = stem, nn.ModuleList(blocks), head
        self.residual = tuple(residual)
        self.image_size = image_size

    def features(self, x: Tensor, mean: Callable[[Tensor], Tensor] = _mean_token) -> Tensor:
        """(B, 3, S, S) -> (B, C): what the head sees. ``mean`` is over tokens, (B, N, C) -> (B, C)."""
        x = self.stem(x)
        b, c, h, w = x.shape
        x = x.permute(0, 2, 3, 1).reshape(b, h * w, c)
        for block, add in zip(self.blocks[:-1], self.residual, strict=False):
            y = block(x)
            x = x + y if add else y
        last = cast(DeployMLP, self.blocks[-1])
        # The mean of what a Linear gives is what it gives for the mean.
        return mean(x) + last.down(mean(last.act(last.up(x))))

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.head(self.features(x)))


def fuse(model: LeViT) -> DeployLeViT:
    """Fold a trained model; it is not changed. The result has the model's dtype and is in eval mode, without gradients."""
    dtype = next(model.parameters()).dtype
    stem = nn.Sequential(*[_fold_conv(m) if isinstance(m, ConvBN) else nn.Hardswish() for m in model.patch_embed])
    blocks: list[nn.Module] = []
    residual: list[bool] = []
    for block in model.blocks:
        residual.append(isinstance(block, Residual))
        inner = block.m if isinstance(block, Residual) else block
        if isinstance(inner, Attention):
            blocks.append(_fold_attention(inner))
        elif isinstance(inner, AttentionSubsample):
            blocks.append(_fold_subsample(inner))
        else:
            assert isinstance(inner, nn.Sequential)
            blocks.append(DeployMLP(_linear(*_folded(inner[0])), _linear(*_folded(inner[2]))))
    heads = [_folded_head(h) for h in (model.head, model.head_dist) if h is not None]
    head = _linear(sum(w for w, _ in heads) / len(heads), sum(b for _, b in heads) / len(heads))  # type: ignore[arg-type]
    deploy = DeployLeViT(stem, blocks, residual, head, model.image_size).to(dtype).eval()
    return deploy.requires_grad_(False)


def _scale_shift(bn: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """BatchNorm at inference is x * scale + shift; float64, so that folding adds no error of its own."""
    assert bn.running_var is not None
    assert bn.running_mean is not None
    scale = bn.weight.detach().double() / (bn.running_var.double() + bn.eps).sqrt()
    return scale, bn.bias.detach().double() - bn.running_mean.double() * scale


def _fold_conv(m: ConvBN) -> nn.Conv2d:
    scale, shift = _scale_shift(m.bn)
    conv = nn.Conv2d(m.c.in_channels, m.c.out_channels, 3, stride=2, padding=1, device="meta")  # no random weights
    conv.weight = nn.Parameter(m.c.weight.detach().double() * scale[:, None, None, None])
    conv.bias = nn.Parameter(shift)
    return conv


def _folded(m: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight (out, in) and bias (out,) of a Linear with its BatchNorm; float64."""
    assert isinstance(m, LinearBN)
    scale, shift = _scale_shift(m.bn)
    return m.c.weight.detach().double() * scale[:, None], shift


def _folded_head(m: BNLinear) -> tuple[Tensor, Tensor]:
    scale, shift = _scale_shift(m.bn)
    weight = m.l.weight.detach().double()
    return weight * scale, m.l.bias.detach().double() + weight @ shift


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    linear = nn.Linear(weight.size(1), weight.size(0), device="meta")
    linear.weight, linear.bias = nn.Parameter(weight.contiguous()), nn.Parameter(bias.contiguous())
    return linear


def _split_heads(m: LinearBN, heads: int, widths: list[int]) -> list[tuple[Tensor, Tensor]]:
    """Rows are laid out per head, [q k v] of head 0, then of head 1...; each part gets its own Linear."""
    weight, bias = _folded(m)
    ws = weight.unflatten(0, (heads, -1)).split(widths, dim=1)
    bs = bias.unflatten(0, (heads, -1)).split(widths, dim=1)
    return [(w.flatten(0, 1), b.flatten(0, 1)) for w, b in zip(ws, bs, strict=True)]


def _bias(m: Attention | AttentionSubsample) -> Tensor:
    return m.attention_biases.detach()[:, m.attention_bias_idxs].double()


def _fold_attention(m: Attention) -> DeployAttention:
    (qw, qb), k, v = _split_heads(m.qkv, m.heads, [m.key_dim, m.key_dim, m.value_dim])
    q = _linear(qw * m.scale, qb * m.scale)
    return DeployAttention(q, _linear(*k), _linear(*v), _linear(*_folded(m.proj[1])), _bias(m), m.resolution)


def _fold_subsample(m: AttentionSubsample) -> DeployAttention:
    k, v = _split_heads(m.kv, m.heads, [m.key_dim, m.value_dim])
    weight, bias = _folded(m.q[1])
    q = nn.Conv2d(weight.size(1), weight.size(0), 1, stride=2, device="meta")
    q.weight, q.bias = nn.Parameter(weight[:, :, None, None] * m.scale), nn.Parameter(bias * m.scale)
    return DeployAttention(q, _linear(*k), _linear(*v), _linear(*_folded(m.proj[1])), _bias(m), m.resolution)
