"""Noise of layers, beside numbers worked out by hand and beside the program run whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from levit_mobile.errors import UsageError
from levit_mobile.golden import golden_pictures
from levit_mobile.preprocess import IMAGENET, normalise
from levit_mobile.program import Program, build_program
from levit_mobile.quant_error import Errors, quant_error, quantised_program
from levit_mobile.weights import resolve_weights


@pytest.fixture(scope="module")
def program() -> Program:
    return build_program(resolve_weights("demo"), "int8")


@pytest.fixture(scope="module")
def x() -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(normalise(golden_pictures(224, 2), IMAGENET)))


@pytest.fixture(scope="module")
def logits(program: Program, x: Tensor) -> np.ndarray:
    with torch.inference_mode():
        return program.model(x).numpy()


@pytest.fixture(scope="module")
def errors(program: Program, x: Tensor, logits: np.ndarray) -> Errors:
    """Of an artifact that is as exact as float, but for one part in a thousand."""
    return quant_error(program, x, logits * 1.001)


def decibels(signal: Tensor, noise: Tensor) -> float:
    return float(10 * torch.log10(signal.double().var(correction=0) / noise.double().square().mean()))


def test_every_quantised_layer_has_a_row(program: Program, errors: Errors) -> None:
    layers = [name for name, layer in program.model.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    assert [row.name for row in errors.layers] == layers
    assert all(row.artifact is None for row in errors.layers)
    assert all(5 < value < 200 for row in errors.layers for value in (row.alone, row.program, row.logits))


def test_a_layer_by_hand(program: Program, errors: Errors, x: Tensor) -> None:
    """The first: its input is the picture, so its noise is its own, seen through the Hardswish behind it."""
    quantised = quantised_program(program)
    with torch.inference_mode():
        exact, found = F.hardswish(program.model.stem[0](x)), F.hardswish(quantised.stem[0](x))
    row = errors.layers[0]
    assert row.alone == pytest.approx(decibels(exact, found - exact), abs=0.01)
    assert row.program == pytest.approx(row.alone, abs=1e-6)


def test_the_head_is_the_logits(program: Program, errors: Errors, x: Tensor) -> None:
    quantised = quantised_program(program)
    with torch.inference_mode():
        exact, whole = program.model(x), quantised(x)
        alone = quantised.head(program.model.features(x))
    row = errors.layers[-1]
    assert row.name == "head"
    assert row.alone == row.logits == pytest.approx(decibels(exact, alone - exact), abs=0.01)
    assert row.program == errors.program == pytest.approx(decibels(exact, whole - exact), abs=0.01)
    assert errors.artifact == pytest.approx(decibels(exact, 0.001 * exact), abs=0.1)


def test_a_layer_that_is_made_worse_is_found(program: Program, x: Tensor, logits: np.ndarray) -> None:
    """A range thirty times too wide: that layer's row falls, alone and for the logits, and no other's alone does."""
    assert program.calibration is not None
    assert program.ranges is not None
    low, high = program.ranges.values["blocks.3.down.out"]
    values = {**program.ranges.values, "blocks.3.down.out": (30 * low, 30 * high)}
    worse = replace(program, calibration=replace(program.calibration, ranges=replace(program.ranges, values=values)))
    before, after = (quant_error(p, x, logits).layers for p in (program, worse))
    changed = [a.name for a, b in zip(before, after, strict=True) if abs(a.alone - b.alone) > 1]
    assert changed == ["blocks.3.down"]
    rows = {row.name: row for row in after}
    assert min(after, key=lambda row: row.logits).name == "blocks.3.down"
    assert rows["blocks.3.down"].alone < 15


def test_what_an_artifact_has_inside(program: Program, x: Tensor, logits: np.ndarray) -> None:
    """Outputs in another shape, as a runtime has them; exact ones have no noise to speak of."""
    seen: dict[str, np.ndarray] = {}
    handles = []
    for name, layer in program.model.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):

            def hook(layer: nn.Module, _: tuple[Tensor, ...], y: Tensor, name: str = name) -> None:
                seen[name] = (y.movedim(1, -1) if isinstance(layer, nn.Conv2d) else y).flatten(1).numpy()

            handles.append(layer.register_forward_hook(hook))
    with torch.inference_mode():
        program.model(x)
    for handle in handles:
        handle.remove()
    found = quant_error(program, x, logits, seen)
    assert all(row.artifact is not None and row.artifact > 100 for row in found.layers)
    assert found.artifact == 200


def test_the_model_is_left_as_it_was(program: Program, x: Tensor, logits: np.ndarray) -> None:
    quant_error(program, x, logits)
    with torch.inference_mode():
        assert np.array_equal(program.model(x).numpy(), logits)
    assert not any(layer._forward_hooks for layer in program.model.modules())


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8-weights"])
def test_nothing_is_quantised(precision: str, x: Tensor, logits: np.ndarray) -> None:
    with pytest.raises(UsageError, match=rf"{precision} has no quantised layers to look at; .* int8 and int8-dynamic"):
        quant_error(build_program(resolve_weights("demo"), precision), x, logits)
