"""The same weights at another picture size."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from levit_mobile.errors import UsageError
from levit_mobile.model import Attention, AttentionSubsample, LeViT, Residual, bias_offsets
from levit_mobile.resize import resize_bias, resize_model
from levit_mobile.variants import VARIANTS

Fill = Callable[..., nn.Module]
SIZES = [(14, 7), (14, 10), (14, 24), (7, 14), (7, 4), (4, 7), (14, 13), (13, 14), (7, 1), (1, 7), (2, 3)]
PLANES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "ramp": lambda x, y: x + 2 * y,
    "bowl": lambda x, y: x * x + y * y,
    "near": lambda x, y: -torch.exp(-x / 2) * torch.exp(-y / 3),
    "far": lambda x, y: torch.log1p(x) + torch.log1p(y * y),
}


def as_table(plane: Tensor, stride: int) -> Tensor:
    """(side, side) over (|dx|, |dy|) -> (1, offsets)."""
    offsets = torch.tensor(bias_offsets(plane.size(0), stride)[0])
    return plane[offsets[:, 0], offsets[:, 1]][None]


def as_plane(table: Tensor, side: int, stride: int) -> Tensor:
    offsets = torch.tensor(bias_offsets(side, stride)[0])
    plane = torch.full((side, side), float("nan"), dtype=table.dtype)
    plane[offsets[:, 0], offsets[:, 1]] = table[0]
    assert not plane.isnan().any()
    return plane


def drawn(name: str, side: int) -> Tensor:
    x, y = torch.meshgrid(*[torch.arange(side, dtype=torch.float64)] * 2, indexing="ij")
    return PLANES[name](x, y)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("old", "new"), SIZES)
def test_a_constant_table_stays_constant(old: int, new: int, stride: int) -> None:
    resized = resize_bias(torch.full((3, old * old), 0.7, dtype=torch.float64), old, new, stride)
    assert resized.shape == (3, new * new)
    assert (resized - 0.7).abs().max() < 1e-12


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [1, 4, 7, 14])
def test_the_same_size_changes_nothing(side: int, stride: int) -> None:
    table = torch.randn(5, side * side, generator=torch.Generator().manual_seed(side))
    assert torch.equal(resize_bias(table, side, side, stride), table)


@pytest.mark.parametrize("name", PLANES)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("old", "new"), [s for s in SIZES if 1 not in s])
def test_ends_stay_and_smooth_planes_keep_their_order(old: int, new: int, stride: int, name: str) -> None:
    before = drawn(name, old)
    after = as_plane(resize_bias(as_table(before, stride), old, new, stride), new, stride)
    for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        assert after[corner].item() == pytest.approx(before[corner].item(), abs=1e-12)
    assert after.diff(dim=0).min() > 0
    assert after.diff(dim=1).min() > 0
    assert after.min() >= before.min() - 1e-12
    assert after.max() <= before.max() + 1e-12


@pytest.mark.parametrize("stride", [1, 2])
def test_axes_are_not_swapped(stride: int) -> None:
    """|dx| grows along rows of the plane only; after resampling too."""
    x = torch.arange(14, dtype=torch.float64)[:, None].expand(14, 14)
    after = as_plane(resize_bias(as_table(x, stride), 14, 7, stride), 7, stride)
    assert after.diff(dim=1).abs().max() < 1e-12
    assert after[:, 0].tolist() == pytest.approx([i * 13 / 6 for i in range(7)], abs=0.2)


def test_heads_do_not_mix() -> None:
    table = torch.randn(4, 196, generator=torch.Generator().manual_seed(0))
    whole = resize_bias(table, 14, 9, 1)
    for head in range(4):
        assert torch.equal(whole[head : head + 1], resize_bias(table[head : head + 1], 14, 9, 1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_is_kept(dtype: torch.dtype) -> None:
    assert resize_bias(torch.zeros(2, 49, dtype=dtype), 7, 4, 1).dtype == dtype
    model = LeViT(VARIANTS["levit_128s"], num_classes=2, image_size=32).to(dtype)
    assert {p.dtype for p in resize_model(model, 48).parameters()} == {dtype}


def test_float64_weights_keep_every_bit(random_fill: Fill) -> None:
    model = cast(LeViT, random_fill(LeViT(VARIANTS["levit_128s"], num_classes=2, image_size=64)).double())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1 + 1e-12)
    resized = resize_model(model, 96)
    for key, value in model.state_dict().items():
        if "attention_bias" not in key:
            assert torch.equal(resized.state_dict()[key], value), key


@pytest.mark.parametrize("training", [True, False])
def test_mode_heads_and_drop_path_are_kept(training: bool) -> None:
    model = LeViT(VARIANTS["levit_128s"], num_classes=3, distillation=False, image_size=32, drop_path=0.2)
    resized = resize_model(model.train(training), 64)
    assert {m.training for m in resized.modules()} == {training}
    assert (resized.num_classes, resized.distillation, resized.image_size) == (3, False, 64)
    assert {m.drop for m in resized.modules() if isinstance(m, Residual)} == {0.2}
    assert model.image_size == 32


def test_the_same_image_size_is_the_same_model() -> None:
    model = LeViT(VARIANTS["levit_128s"], num_classes=2, image_size=32)
    assert resize_model(model, 32) is model


def test_sizes_between_tokens_are_refused() -> None:
    model = LeViT(VARIANTS["levit_128s"], num_classes=2, image_size=32)
    with pytest.raises(UsageError, match=r"image size 100 is not a multiple of 16 pixels; type 96"):
        resize_model(model, 100)


@pytest.mark.parametrize("name", ["levit_128s", "levit_192", "levit_384"])
def test_224_to_112_and_back(name: str, random_fill: Fill) -> None:
    model = cast(LeViT, random_fill(LeViT(VARIANTS[name], num_classes=10)))
    small = resize_model(model, 112)
    again = resize_model(small, 224)
    with torch.no_grad():
        assert cast(Tensor, small(torch.randn(1, 3, 112, 112))).isfinite().all()
        assert cast(Tensor, again(torch.randn(1, 3, 224, 224))).shape == (1, 10)
    for side, resized in ((7, small), (14, again)):
        for attention in [m for m in resized.modules() if isinstance(m, Attention | AttentionSubsample)]:
            r = attention.resolution
            assert attention.attention_biases.shape[1] == r * r
            assert torch.equal(attention.attention_bias_idxs, bias_offsets(r, attention.stride)[1])
        assert resized.blocks[0].m.resolution == side
    assert again.state_dict().keys() == model.state_dict().keys()
    for key, value in model.state_dict().items():
        if "attention_biases" not in key:
            assert torch.equal(again.state_dict()[key], value), key
        else:  # zero distance and the farthest corner were never moved
            assert torch.allclose(again.state_dict()[key][:, 0], value[:, 0], atol=1e-5), key


def test_a_smooth_table_survives_the_round_trip() -> None:
    plane = drawn("far", 14)
    there = resize_bias(as_table(plane, 1), 14, 24, 1)
    back = as_plane(resize_bias(there, 24, 14, 1), 14, 1)
    assert (back - plane).abs().max() < 0.02 * plane.max()
