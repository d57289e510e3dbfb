"""Averaging tokens before they are projected changes nothing but the number of multiplications."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from exporters.tflite_average_first import average_first
from levit_mobile.fuse import DeployAttention, DeployLeViT, fuse
from levit_mobile.model import LeViT
from levit_mobile.variants import VARIANTS
from levit_mobile.weights import resolve_weights

Fill = Callable[..., nn.Module]


def made(fill: Fill, name: str, image_size: int = 224) -> DeployLeViT:
    return fuse(cast(LeViT, fill(LeViT(VARIANTS[name], num_classes=12, image_size=image_size), 0).double()))


def picture(size: int) -> Tensor:
    return torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(size)).double()


def multiplications(model: nn.Module, x: Tensor) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(
    ("name", "size"), [*((name, 96) for name in VARIANTS), ("levit_128s", 160), ("levit_128s", 224), ("levit_192", 224)]
)
def test_the_same_function_in_fewer_multiplications(name: str, size: int, random_fill: Fill) -> None:
    model, x = made(random_fill, name, size), picture(size)
    other = average_first(model)
    with torch.no_grad():
        expected, logits = model(x), other(x)
    assert expected.abs().max() > 0.1
    assert (logits - expected).abs().max() < 1e-10
    assert multiplications(other, x) < multiplications(model, x)


def test_levit_128s() -> None:
    """As the docstring has it: 11 of 305 million."""
    model = fuse(resolve_weights("demo").model())
    x = torch.zeros(1, 3, 224, 224)
    before, after = multiplications(model, x), multiplications(average_first(model), x)
    assert before == pytest.approx(300e6, rel=0.01)
    assert before - after == pytest.approx(11e6, rel=0.02)


def test_never_in_more(random_fill: Fill) -> None:
    """With many tokens the averages of all heads are more work than the values: the first one stays as it is."""
    model, x = made(random_fill, "levit_128s", 384), picture(384)
    other = average_first(model)
    between = [i for i, add in enumerate(model.residual) if not add]
    assert [other.blocks[i] is model.blocks[i] for i in between] == [True, False]
    with torch.no_grad():
        assert (other(x) - model(x)).abs().max() < 1e-10
    assert multiplications(other, x) < multiplications(model, x)


def test_the_model_is_not_changed(random_fill: Fill) -> None:
    model = made(random_fill, "levit_128s", 64)
    kinds = [type(m) for m in model.modules()]
    other = average_first(model)
    assert [type(m) for m in model.modules()] == kinds
    changed = [b for b in other.blocks if type(b) is not DeployAttention and isinstance(b, DeployAttention)]
    assert changed
    with torch.no_grad():
        changed[0].v.weight.zero_()
    same = [b for b in model.blocks if isinstance(b, DeployAttention) and b.v.weight.abs().max() == 0]
    assert len(same) == 1  # it is the same memory: nothing is copied
