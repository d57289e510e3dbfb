"""The stem's weights in int8, by what they compute: beside rounding each to the nearest step, and beside all choices."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from calib.hardswish import fit_hardswish
from calib.pictures import CalibrationSet
from calib.ranges import Ranges, measure_ranges
from calib.rounding import RoundedLayer, _gptq, _greatest, round_stem
from calib.stem_ranges import through_int8
from levit_mobile.fuse import DeployLeViT, fuse
from levit_mobile.golden import golden_pictures
from levit_mobile.model import LeViT
from levit_mobile.preprocess import IMAGENET, Preprocessing, normalise
from levit_mobile.variants import VARIANTS
from levit_mobile.weights import resolve_weights

SIZE = 32
SPEC = Preprocessing(SIZE, SIZE)
PICTURES = CalibrationSet(golden_pictures(SIZE), "drawn")


@pytest.fixture(scope="module")
def deploy(random_fill: Callable[..., nn.Module]) -> DeployLeViT:
    return fuse(random_fill(LeViT(VARIANTS["levit_128s"], num_classes=7, image_size=SIZE)))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def ranges(deploy: DeployLeViT) -> Ranges:
    return fit_hardswish(measure_ranges(deploy, PICTURES, SPEC, weights="these"))


@pytest.fixture(scope="module")
def rounded(deploy: DeployLeViT, ranges: Ranges) -> dict[str, RoundedLayer]:
    return round_stem(deploy, ranges.values, PICTURES, SPEC)


def output_error(weight: Tensor, steps: Tensor, scale: Tensor, covariance: Tensor) -> Tensor:
    apart = weight - steps * scale[:, None]
    return ((apart @ covariance) * apart).sum(1)


def test_gptq_is_close_to_the_best_of_all_roundings() -> None:
    """Four weights whose inputs go together: of the sixteen ways to round them up or down."""
    generator = torch.Generator().manual_seed(0)
    mixed = torch.randn(200, 4, generator=generator, dtype=torch.float64) @ torch.tensor(
        [[3.0, 3, 3, 3], [0.2, 0, 0, 0], [0, 0.2, 0, 0], [0, 0, 0.2, 0.1]], dtype=torch.float64
    )
    covariance = mixed.T @ mixed / 200
    weight = torch.rand(40, 4, generator=generator, dtype=torch.float64) * 20 - 10
    scale, free = torch.ones(40, dtype=torch.float64), torch.zeros(40, 4, dtype=torch.float64)
    found = output_error(weight, _gptq(weight, covariance, scale, free), scale, covariance)
    nearest = output_error(weight, weight.round(), scale, covariance)
    ways = [weight.floor() + torch.tensor(way, dtype=torch.float64) for way in itertools.product((0, 1), repeat=4)]
    best = torch.stack([output_error(weight, way, scale, covariance) for way in ways]).amin(0)
    assert found.sum() < 0.3 * nearest.sum()
    assert found.sum() < 2 * best.sum()


def test_scales_stay(deploy: DeployLeViT, rounded: dict[str, RoundedLayer]) -> None:
    """The greatest weight of each channel is 127 steps, as without: so every exporter finds the same scale."""
    assert list(rounded) == ["stem.0", "stem.2", "stem.4", "stem.6"]
    for name, layer in rounded.items():
        conv = deploy.get_submodule(name)
        assert isinstance(conv, nn.Conv2d)
        assert layer.weight.dtype == np.int8
        assert layer.weight.shape == tuple(conv.weight.shape)
        assert (np.abs(layer.weight.reshape(len(layer.weight), -1)).max(1) == 127).all()
        assert np.allclose(layer.scale, conv.weight.detach().flatten(1).abs().amax(1) / 127, rtol=1e-5)
        assert np.abs(layer.real().numpy() - conv.weight.detach().numpy()).max() < 20 * layer.scale.max()


def test_the_greatest_is_marked_once_a_row() -> None:
    weight = torch.tensor([[1.0, -3.0, 2.0], [0.0, 0.0, 0.0], [5.0, 5.0, -1.0]])
    assert _greatest(weight).tolist() == [[0, -1, 0], [0, 0, 0], [1, 0, 0]]


def test_the_stem_computes_more_exactly() -> None:
    """Than with each weight at its nearest step and the bias as it was, also on pictures that it was not fitted to."""
    demo, drawn = fuse(resolve_weights("demo").model()), golden_pictures(224, 32)
    seen = CalibrationSet(drawn[:24], "drawn")
    ranges = fit_hardswish(measure_ranges(demo, seen, IMAGENET, weights="these"))
    rounded = round_stem(demo, ranges.values, seen, IMAGENET)
    for pixels, most in ((drawn[:24], 0.75), (drawn[24:], 0.85)):  # 0.62 and 0.76 measured
        x = torch.from_numpy(np.ascontiguousarray(normalise(pixels, IMAGENET)))
        with torch.inference_mode():
            plain, fitted = (float((run(demo, x, ranges, way) - demo.stem(x)).square().mean()) for way in ({}, rounded))
        assert fitted < most * plain


def run(deploy: DeployLeViT, x: Tensor, ranges: Ranges, rounded: dict[str, RoundedLayer]) -> Tensor:
    for at, layer in enumerate(deploy.stem):
        if not isinstance(layer, nn.Conv2d):
            x = F.hardswish(x)
            continue
        name = f"stem.{at}"
        scale = layer.weight.flatten(1).abs().amax(1).view(-1, 1, 1, 1) / 127
        weight, bias = (layer.weight / scale).round() * scale, layer.bias
        if name in rounded:
            weight, bias = rounded[name].real(), torch.from_numpy(rounded[name].bias)
        x = F.conv2d(through_int8(x, ranges.values[f"{name}.in"]), weight, bias, layer.stride, layer.padding)  # type: ignore[arg-type]
        x = through_int8(x, ranges.values[f"{name}.out"])
    return x
