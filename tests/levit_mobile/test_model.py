"""The PyTorch definition, against the official code's keys, shapes and outputs; and that it learns."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from levit_mobile.errors import UsageError
from levit_mobile.model import Attention, AttentionSubsample, LeViT, Residual, bias_offsets
from levit_mobile.variants import VARIANTS

Fill = Callable[..., nn.Module]
OFFICIAL = {name: name.replace("levit", "LeViT").replace("s", "S") for name in VARIANTS}
SMALL = VARIANTS["levit_128s"]
GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def both(model: LeViT, x: Tensor) -> tuple[Tensor, Tensor]:
    return cast(tuple[Tensor, Tensor], model(x))


# Against the official code


@pytest.mark.parametrize("name", VARIANTS)
def test_keys_and_shapes_are_the_official_ones(name: str) -> None:
    golden = json.loads((GOLDEN / "official_state_dicts.json").read_text("utf-8"))[OFFICIAL[name]]["state_dict"]
    with torch.device("meta"):
        state = LeViT(VARIANTS[name]).state_dict()
    assert {key: list(value.shape) for key, value in state.items()} == golden


@pytest.mark.parametrize("name", VARIANTS)
def test_logits_are_the_official_ones(name: str, golden_fill: Fill) -> None:
    golden = np.load(GOLDEN / "official_logits.npz")[OFFICIAL[name]]
    x = np.random.default_rng(0).standard_normal((2, 3, 224, 224)).astype(np.float32)
    model = golden_fill(LeViT(VARIANTS[name])).double()
    with torch.no_grad():
        logits = model(torch.from_numpy(x).double()).numpy()
    assert logits.shape == (2, 1000)
    assert np.abs(golden).max() > 0.5  # something to compare
    assert np.abs(logits - golden).max() < 1e-9


@pytest.mark.parametrize("name", VARIANTS)
def test_as_many_parameters_as_published(name: str) -> None:
    variant = VARIANTS[name]
    with torch.device("meta"):
        two, one = LeViT(variant), LeViT(variant, distillation=False)
    count = sum(p.numel() for p in two.parameters())
    assert count == variant.parameters
    head = 2 * variant.channels[2] + variant.channels[2] * 1000 + 1000
    assert sum(p.numel() for p in one.parameters()) == count - head


# The bias table


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [1, 2, 3, 4, 7, 10, 14])
def test_bias_offsets_by_their_definition(side: int, stride: int) -> None:
    """Facts: |dx|, |dy| of stride * query - key, numbered in the order in which they are first met."""
    offsets, index = bias_offsets(side, stride)
    queries = (side - 1) // stride + 1
    assert index.shape == (queries**2, side**2)
    assert index.dtype == torch.int64
    assert sorted(offsets) == list(product(range(side), repeat=2))
    seen: list[tuple[int, int]] = []
    for q, (x1, y1) in enumerate(product(range(queries), repeat=2)):
        for k, (x2, y2) in enumerate(product(range(side), repeat=2)):
            offset = (abs(stride * x1 - x2), abs(stride * y1 - y2))
            if offset not in seen:
                seen.append(offset)
            assert offsets[int(index[q, k])] == offset
    assert offsets == seen


def test_a_model_made_on_another_device_leaves_no_trace() -> None:
    bias_offsets.cache_clear()
    with torch.device("meta"):
        LeViT(SMALL, image_size=48)
    assert bias_offsets(3)[1].device.type == "cpu"
    index = cast(Attention, cast(Residual, LeViT(SMALL, image_size=48).blocks[0]).m).attention_bias_idxs
    assert index[0].tolist() == list(range(9))


def test_the_index_of_one_model_is_its_own() -> None:
    first, second = LeViT(SMALL, image_size=32), LeViT(SMALL, image_size=32)
    first.state_dict()["blocks.0.m.attention_bias_idxs"].zero_()
    assert second.state_dict()["blocks.0.m.attention_bias_idxs"].any()


# Shapes and modes


@pytest.mark.parametrize("image_size", [16, 32, 64, 96, 160, 288])
def test_any_multiple_of_16_pixels(image_size: int, random_fill: Fill) -> None:
    model = random_fill(LeViT(SMALL, num_classes=7, image_size=image_size))
    with torch.no_grad():
        logits = model(torch.randn(2, 3, image_size, image_size))
    assert logits.shape == (2, 7)
    assert logits.isfinite().all()


@pytest.mark.parametrize(("image_size", "nearest"), [(100, 96), (225, 224), (8, 16), (0, 16), (-16, 16), (239, 240)])
def test_other_sizes_are_refused(image_size: int, nearest: int) -> None:
    with pytest.raises(UsageError) as raised:
        LeViT(SMALL, image_size=image_size)
    assert str(raised.value) == f"image size {image_size} is not a multiple of 16 pixels; type {nearest}"


def test_tokens_and_features() -> None:
    model = LeViT(SMALL, num_classes=3).eval()
    x = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        assert model.patch_embed(x).shape == (1, 128, 14, 14)
        assert model.features(x).shape == (1, 384)
    shapes = [(m.resolution, m.stride) for m in model.modules() if isinstance(m, Attention | AttentionSubsample)]
    assert shapes == [(14, 1)] * 2 + [(14, 2)] + [(7, 1)] * 3 + [(7, 2)] + [(4, 1)] * 4


def test_two_logits_while_training_their_mean_otherwise(random_fill: Fill) -> None:
    model = cast(LeViT, random_fill(LeViT(SMALL, num_classes=5, image_size=64)))
    assert model.distillation
    x = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        features = model.features(x)
        mean = model(x)
        assert model.head_dist is not None
        first, second = model.head(features), model.head_dist(features)
        assert isinstance(mean, Tensor)
        assert (first - second).abs().max() > 0.1
        assert torch.equal(mean, (first + second) / 2)
        model.train()
        one, two = both(model, x)
    assert one.shape == two.shape == (3, 5)
    assert not torch.equal(one, two)


def test_one_head(random_fill: Fill) -> None:
    model = cast(LeViT, random_fill(LeViT(SMALL, num_classes=5, distillation=False, image_size=64)))
    assert not model.distillation
    assert not [key for key in model.state_dict() if key.startswith("head_dist")]
    x = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(cast(Tensor, model(x)), model.head(model.features(x)))
        model.train()
        assert cast(Tensor, model(x)).shape == (3, 5)


def test_a_picture_does_not_depend_on_its_neighbours(random_fill: Fill) -> None:
    model = random_fill(LeViT(SMALL, num_classes=5, image_size=64)).double()
    x = torch.randn(3, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        assert (model(x)[1:2] - model(x[1:2])).abs().max() < 1e-12


@pytest.mark.parametrize("training", [True, False])
def test_residual_branches_start_silent(training: bool) -> None:
    """The last BatchNorm of every branch starts at 0, as in the official code."""
    model = LeViT(SMALL, num_classes=5, image_size=64).train(training)
    block = cast(Residual, model.blocks[0])
    x = torch.randn(2, 16, 128)
    assert torch.equal(block(x), x)
    branches = [m.m for m in model.modules() if isinstance(m, Residual)]
    assert len(branches) == 2 * (2 + 3 + 4) + 2
    for branch in branches:
        last = [m for m in branch.modules() if isinstance(m, nn.BatchNorm1d)][-1]
        assert not last.weight.any()


# Learning


@pytest.mark.parametrize("training", [True, False], ids=["training", "frozen statistics"])
@pytest.mark.parametrize("name", VARIANTS)
def test_gradients_reach_every_parameter(name: str, training: bool, random_fill: Fill) -> None:
    model = cast(LeViT, random_fill(LeViT(VARIANTS[name], num_classes=5, image_size=80))).double().train(training)
    out = model(torch.randn(4, 3, 80, 80, generator=torch.Generator().manual_seed(0)).double())
    target = torch.tensor([0, 1, 2, 3])
    sum(F.cross_entropy(logits, target) for logits in (out if training else (out,))).backward()
    weakest = {key: 0.0 if p.grad is None else p.grad.abs().max().item() for key, p in model.named_parameters()}
    assert len(weakest) == len(list(model.parameters()))
    unreached = [key for key, value in weakest.items() if not value > 1e-11]  # float64
    if training:
        # What shifts the residual stream is taken away by every BatchNorm that looks at it, with statistics of the batch.
        assert [key for key in unreached if not re.search(r"(proj\.1|m\.2|patch_embed\.6)\.bn\.bias$", key)] == []
        assert all(p.grad is not None for p in model.parameters())
    else:
        assert unreached == []


@pytest.mark.slow
def test_it_learns_eight_pictures_by_heart() -> None:
    torch.manual_seed(0)
    model = LeViT(SMALL, num_classes=4, image_size=32).train()
    x, target = torch.randn(8, 3, 32, 32), torch.arange(8) % 4
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(20):
        first, second = both(model, x)
        loss = F.cross_entropy(first, target) + F.cross_entropy(second, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 2.5  # two heads, four classes: 2 ln 4 = 2.77
    assert losses[-1] < 0.2


@pytest.mark.parametrize("training", [True, False])
def test_the_output_follows_the_bias_table(training: bool, random_fill: Fill) -> None:
    """The official code keeps a looked-up copy of the biases in eval mode; a copy must never outlive the table."""
    model = cast(LeViT, random_fill(LeViT(SMALL, num_classes=5, image_size=64)))
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for bn in [m for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]:
        bn.momentum = 0.0  # so that only the table moves
    table = model.get_parameter("blocks.0.m.attention_biases")
    was = table.detach().clone()

    def run() -> Tensor:
        with torch.no_grad():
            out = model(x)
        return out[0] if training else out

    model.eval()
    run()
    model.train(training)
    before = run()
    out = model(x)
    (out[0] if training else out).square().sum().backward()
    assert table.grad is not None
    torch.optim.SGD([table], lr=1 / table.grad.abs().max().item()).step()
    assert (table - was).abs().max().item() == pytest.approx(1)
    after = run()
    assert (after - before).abs().max() > 1e-4
    fresh = LeViT(SMALL, num_classes=5, image_size=64)
    fresh.load_state_dict(model.state_dict())
    fresh.train(training)
    with torch.no_grad():
        again = fresh(x)
        assert torch.equal(after, again[0] if training else again)
        table.copy_(was)
    assert torch.equal(run(), before)


# Stochastic depth


class _Constant(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.full_like(x, 3.0)


@pytest.mark.parametrize("drop", [0.1, 0.5, 0.8])
def test_drop_path_drops_whole_pictures_and_scales_the_rest(drop: float) -> None:
    torch.manual_seed(0)
    x = torch.randn(4000, 2, 3)
    y = Residual(_Constant(), drop).train()(x) - x
    per_picture = y.flatten(1)
    spread = per_picture.amax(1) - per_picture.amin(1)
    assert spread.max() < 1e-4  # all or nothing
    kept = per_picture.mean(1) > 1
    assert (per_picture[kept] - 3 / (1 - drop)).abs().max() < 1e-3
    assert per_picture[~kept].abs().max() < 1e-3
    sigma = (drop * (1 - drop) / 4000) ** 0.5
    assert abs(kept.float().mean().item() - (1 - drop)) < 4 * sigma
    assert abs(y.mean().item() - 3) < 4 * sigma * 3 / (1 - drop)


def test_drop_path_is_off_outside_training() -> None:
    x = torch.randn(50, 2, 3)
    assert torch.equal(Residual(_Constant(), 0.9).eval()(x), x + 3)
    assert torch.equal(Residual(_Constant(), 0.0).train()(x), x + 3)


@pytest.mark.parametrize(
    ("name", "given", "rate"),
    [
        ("levit_128s", None, 0.0),
        ("levit_256", None, 0.0),
        ("levit_384", None, 0.1),
        ("levit_384", 0.0, 0.0),
        ("levit_128s", 0.3, 0.3),
    ],
)
def test_drop_path_rate_of_every_block(name: str, given: float | None, rate: float) -> None:
    with torch.device("meta"):
        model = LeViT(VARIANTS[name], drop_path=given)
    assert {m.drop for m in model.modules() if isinstance(m, Residual)} == {rate}
