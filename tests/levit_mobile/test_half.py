"""Which models are let into float16."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from levit_mobile.fuse import DeployLeViT, fuse
from levit_mobile.half import fits_half
from levit_mobile.preprocess import Preprocessing
from levit_mobile.weights import resolve_weights


@pytest.fixture(scope="module")
def deploy() -> DeployLeViT:
    return fuse(resolve_weights("demo").model())


def scaled(deploy: DeployLeViT, by: float) -> DeployLeViT:
    """The same function in exact arithmetic, with v of the first attention and what comes of it ``by`` times as large.

    Hardswish is not linear, so it is taken out.
    """
    model = copy.deepcopy(deploy)
    attention = model.blocks[0]
    attention.act = nn.Identity()
    for part in (attention.v.weight, attention.v.bias):
        part.data *= by
    attention.proj.weight.data /= by
    return model


def test_the_demo_fits(deploy: DeployLeViT) -> None:
    assert fits_half(deploy, Preprocessing())


@pytest.mark.parametrize(("by", "fits"), [(1.0, True), (100.0, True), (1e6, False)])
def test_numbers_that_float16_does_not_have(deploy: DeployLeViT, by: float, fits: bool) -> None:
    model = scaled(deploy, by)
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(model(x), scaled(deploy, 1.0)(x), rtol=1e-3, atol=1e-3)
    assert fits_half(model, Preprocessing()) is fits


def test_it_is_the_rounding_that_counts(deploy: DeployLeViT) -> None:
    """A large sum and its opposite, far beyond the last bits of float16, added to the stream between two layers."""

    class Coarse(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x + 30_000) - 30_000

    model = copy.deepcopy(deploy)
    model.stem.append(Coarse())
    assert not fits_half(model, Preprocessing())
