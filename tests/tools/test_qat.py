"""Rounding while training: the same places and steps as the int8 program's, and gradients that pass."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calib.pictures import CalibrationSet
from calib.ranges import Ranges
from levit_mobile.fuse import fuse
from levit_mobile.model import LeViT
from levit_mobile.preprocess import Preprocessing
from levit_mobile.qdq import quantize_static
from levit_mobile.variants import Variant

SPEC = Preprocessing(resize=64, crop=64)


@pytest.fixture(autouse=True)
def _tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "tools"))


@pytest.fixture
def model(random_fill: Callable[..., LeViT]) -> LeViT:
    variant = Variant("small", (32, 48, 64), 16, (2, 3, 4), (1, 1, 1), 0.0, 0, 0, 0, 0, "")
    return random_fill(LeViT(variant, num_classes=6, image_size=64)).eval()


@pytest.fixture
def pictures() -> CalibrationSet:
    return CalibrationSet(np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8), "0" * 64)


def noise(found: Tensor, expected: Tensor) -> float:
    """Decibels: the error's power beside the signal's."""
    return float(10 * torch.log10((found - expected).square().sum() / expected.square().sum()))


def test_it_rounds_where_the_program_does(model: LeViT, pictures: CalibrationSet) -> None:
    """Part by part, each with the float model's input: a step that differs makes others differ in the parts behind it.

    The last MLP is left out: the program averages tokens within it.
    """
    from qat import Rounding

    for name, table in model.named_parameters():
        if name.endswith("attention_biases"):  # in the program they are int8; training leaves them alone
            nn.init.zeros_(table)
    plain, here = fuse(model), copy.deepcopy(model)
    rounding = Rounding(here)
    rounding.measure(pictures, SPEC)
    program = quantize_static(plain, Ranges("", rounding.ends, "min-max", 8, ""))
    given: list[Tensor] = []
    for block in (plain.stem, *plain.blocks):
        block.register_forward_pre_hook(lambda _, x: given.append(x[0]))
    parts = [here.patch_embed, *(getattr(block, "m", block) for block in here.blocks)]
    programs, plains = [program.stem, *program.blocks], [plain.stem, *plain.blocks]
    with torch.inference_mode():
        plain(next(pictures.batches(SPEC)))
        for x, ours, theirs, exact in list(zip(given, parts, programs, plains, strict=False))[:-1]:
            wanted, float32 = theirs(x), exact(x)
            error = noise(wanted, float32)
            assert -60 < error < -20
            assert noise(ours(x), wanted) < error - 8
    assert len(given) >= len(parts) - 1


def test_every_layer_but_the_heads(model: LeViT) -> None:
    from qat import layers

    parts = [name for _, found in layers(model) for name, _, _ in found]
    deployed = [n for n, m in fuse(model).named_modules() if isinstance(m, nn.Linear | nn.Conv2d) and n != "head"]
    assert sorted(parts) == sorted(deployed)


def test_weights_and_their_names_stay(model: LeViT, pictures: CalibrationSet) -> None:
    from qat import Rounding

    before = {key: value.clone() for key, value in model.state_dict().items()}
    rounding = Rounding(model)
    rounding.measure(pictures, SPEC)
    model(next(pictures.batches(SPEC)))
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)


def test_gradients_pass_but_not_what_is_cut_off(model: LeViT) -> None:
    from qat import Rounding

    rounding = Rounding(model)
    rounding.ends = {"x": (-1.0, 1.0)}
    x = torch.tensor([-3.0, -0.5, 0.301, 3.0], requires_grad=True)
    y = rounding._rounded(x, "x")
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 0.0]
    assert y.tolist() == pytest.approx([-1.0, -0.5, 0.301, 1.0], abs=2 / 255)
    assert not torch.equal(y[1:3], x[1:3])


def test_statistics_are_frozen_scales_are_not(model: LeViT) -> None:
    from qat import freeze_statistics

    model.train()
    freeze_statistics(model)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    before = [torch.stack([m.running_mean, m.running_var]) for m in norms]  # type: ignore[list-item]
    sum(y.sum() for y in model(torch.randn(4, 3, 64, 64))).backward()
    assert all(m.weight.grad is not None for m in norms)
    after = [torch.stack([m.running_mean, m.running_var]) for m in norms]  # type: ignore[list-item]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
