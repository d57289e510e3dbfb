"""Ends of ranges by least error, beside a search over all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from calib.outliers import clip_outliers, least_error
from calib.pictures import CalibrationSet
from calib.ranges import Ranges, measure_ranges
from levit_mobile.fuse import DeployLeViT, fuse
from levit_mobile.golden import golden_pictures
from levit_mobile.model import LeViT
from levit_mobile.preprocess import Preprocessing, normalise
from levit_mobile.qdq import quantize_static
from levit_mobile.variants import VARIANTS

SIZE = 32
SPEC = Preprocessing(SIZE, SIZE)
PICTURES = CalibrationSet(golden_pictures(SIZE), "drawn")


@pytest.fixture(scope="module")
def deploy(random_fill: Callable[..., nn.Module]) -> DeployLeViT:
    model = random_fill(LeViT(VARIANTS["levit_128s"], num_classes=7, image_size=SIZE))
    assert isinstance(model, LeViT)
    return fuse(model)


@pytest.fixture(scope="module")
def measured(deploy: DeployLeViT) -> Ranges:
    return measure_ranges(deploy, PICTURES, SPEC, weights="these")


def squared_error(x: np.ndarray, low: float, high: float) -> float:
    scale = (max(high, 0) - min(low, 0)) / 255
    zero = round(-128 - min(low, 0) / scale)
    return float(((np.clip(np.rint(x / scale) + zero, -128, 127) - zero) * scale - x).__pow__(2).sum())


def histogram(x: np.ndarray) -> tuple[np.ndarray, float, float]:
    low, high = float(x.min()), float(x.max())
    return np.histogram(x, 2048, (low, high))[0].astype(float), low, high


def test_values_without_outliers_keep_their_range() -> None:
    x = np.random.default_rng(0).uniform(-1, 3, 100_000)
    low, high = least_error(*histogram(x))
    assert low == pytest.approx(x.min(), rel=0.03)
    assert high == pytest.approx(x.max(), rel=0.03)


@pytest.mark.parametrize("outlier", [40.0, -40.0])
def test_one_outlier_does_not_set_the_step(outlier: float) -> None:
    x = np.append(np.random.default_rng(0).normal(0, 1, 1_000_000), outlier)
    low, high = least_error(*histogram(x))
    assert high - low < 25
    assert squared_error(x, low, high) < squared_error(x, float(x.min()), float(x.max())) / 2
    # No pair of a finer grid is much better.
    wide, far = float(x.min()), float(x.max())
    best = min(
        squared_error(x[::50], wide * a, far * b) for a in np.linspace(0.05, 1, 20) for b in np.linspace(0.05, 1, 20)
    )
    assert squared_error(x[::50], low, high) <= 2 * best + (abs(outlier) - min(-low, high)) ** 2


def test_many_far_values_are_kept() -> None:
    x = np.concatenate([np.random.default_rng(0).normal(0, 1, 10_000), np.full(1_000, 20.0)])
    assert least_error(*histogram(x))[1] == pytest.approx(20.0, rel=0.03)


def test_ranges_of_one_sign() -> None:
    x = np.random.default_rng(0).uniform(2, 4, 10_000)
    assert least_error(*histogram(x)) == (0.0, pytest.approx(x.max(), rel=0.03))
    assert least_error(*histogram(-x)) == (pytest.approx(-x.max(), rel=0.03), 0.0)


def test_only_the_stem_is_changed(deploy: DeployLeViT, measured: Ranges) -> None:
    clipped = clip_outliers(measured, deploy, PICTURES, SPEC)
    assert clipped.values.keys() == measured.values.keys()
    for name, (low, high) in clipped.values.items():
        if name in ("blocks.0.q.in", "blocks.0.k.in", "blocks.0.v.in"):
            assert (low, high) == clipped.values["stem.6.out"]  # the same tensor
        elif not name.startswith("stem."):
            assert (low, high) == measured.values[name]
        assert low >= min(measured.values[name][0], 0.0)
        assert high <= max(measured.values[name][1], 0.0)
    assert any(clipped.values[name] != pair for name, pair in measured.values.items())
    assert clipped.method == "min-max; least squared error in the stem"
    assert (clipped.weights, clipped.samples, clipped.digest) == ("these", measured.samples, "drawn")
    # A Hardswish's input and the convolution's output before it are one tensor.
    assert clipped.values["stem.0.out"] == clipped.values["stem.1.in"]
    assert clipped.values["stem.1.out"] == clipped.values["stem.2.in"]
    assert not any(layer._forward_hooks for layer in deploy.modules())
    assert clip_outliers(measured, deploy, PICTURES, SPEC, batch=3).values == clipped.values


def test_a_far_value_in_the_stem_does_less_harm(deploy: DeployLeViT, measured: Ranges) -> None:
    """The same model, with ranges in which one value was three times as far out as all others."""
    far = {name: (3 * low, 3 * high) for name, (low, high) in measured.values.items() if name.startswith("stem.")}
    wide = replace(measured, values={**measured.values, **far})
    x = torch.from_numpy(normalise(PICTURES.pixels, SPEC))
    with torch.inference_mode():
        expected = deploy.stem(x)
        errors = [
            float((quantize_static(deploy, ranges).stem(x) - expected).square().mean())
            for ranges in (wide, clip_outliers(wide, deploy, PICTURES, SPEC))
        ]
    assert errors[1] < errors[0] / 3
