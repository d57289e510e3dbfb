"""Ends of ranges from histograms whose best ends are known, or can be found by trying."""

from __future__ import annotations

from collections.abc import Callable

import click
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from calib.estimators import ESTIMATORS, Histogram, estimate_ranges, measure_histograms
from calib.pictures import CalibrationSet
from calib.ranges import Ranges, measure_ranges
from levit_mobile.cli.export import command
from levit_mobile.fuse import DeployLeViT, fuse
from levit_mobile.golden import golden_pictures
from levit_mobile.model import LeViT
from levit_mobile.preprocess import Preprocessing
from levit_mobile.scales import affine
from levit_mobile.variants import VARIANTS

SIZE = 32
SPEC = Preprocessing(SIZE, SIZE)
CUTTING = [name for name in ESTIMATORS if name != "min-max"]


def seen(values: npt.NDArray[np.floating], bins: int = 4096) -> Histogram:
    counts, edges = np.histogram(values, bins)
    return Histogram(float(edges[0]), float(edges[-1]), counts.astype(np.float64))


def error(values: npt.NDArray[np.floating], ends: tuple[float, float]) -> float:
    """What int8 makes of them, by PyTorch's own operator."""
    scale, zero_point = affine(*ends)
    x = torch.from_numpy(values).float()
    return float((torch.fake_quantize_per_tensor_affine(x, scale, zero_point, -128, 127) - x).square().mean())


@pytest.fixture(scope="module")
def spread() -> npt.NDArray[np.float64]:
    """A bell, and one value in 100,000 far outside."""
    values = np.random.default_rng(0).normal(0.5, 1, 200_000)
    values[:2] = (40, -25)
    return values


def test_min_max_keeps_all(spread: npt.NDArray[np.float64]) -> None:
    assert ESTIMATORS["min-max"](seen(spread)) == (-25, 40)


@pytest.mark.parametrize("method", CUTTING)
def test_rare_outliers_are_cut_off(method: str, spread: npt.NDArray[np.float64]) -> None:
    low, high = ESTIMATORS[method](seen(spread))
    assert -25 < low < -2
    assert 3 < high < 40
    assert error(spread[2:], (low, high)) < error(spread[2:], (-25, 40))  # all others have finer steps


def test_percentile_beside_numpys(spread: npt.NDArray[np.float64]) -> None:
    """Within a bin of the quantiles of the values themselves."""
    histogram = seen(spread)
    width = (histogram.high - histogram.low) / len(histogram.counts)
    assert ESTIMATORS["percentile"](histogram) == pytest.approx(np.quantile(spread, [5e-5, 1 - 5e-5]), abs=1.5 * width)


def test_mse_is_about_the_best_there_is(spread: npt.NDArray[np.float64]) -> None:
    """Beside all pairs of ends on a grid, each by what int8 really does."""
    found = error(spread, ESTIMATORS["mse"](seen(spread)))
    grid = np.linspace(0.05, 1, 39)
    best = min(error(spread, (-25 * a, 40 * b)) for a in grid for b in grid if min(a, b) >= 0.3)
    assert found <= 1.05 * best


def test_entropy_keeps_what_is_even() -> None:
    """Of values that are spread evenly none is rare, so nothing is cut off."""
    values = np.random.default_rng(1).uniform(-2, 3, 200_000)
    low, high = ESTIMATORS["entropy"](seen(values))
    assert low < -1.95
    assert high > 2.95


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(list(ESTIMATORS)),
    st.sampled_from(["bell", "above", "below", "flat", "one"]),
)
def test_ends_lie_within_what_was_seen(seed: int, method: str, shape: str) -> None:
    generator = np.random.default_rng(seed)
    values = generator.standard_t(2, 5_000) * 10.0 ** generator.uniform(-6, 6)
    values = {
        "bell": values,
        "above": np.abs(values),
        "below": -np.abs(values) - 1,
        "flat": values * 0,
        "one": values[:1],
    }[shape]
    histogram = seen(values)
    low, high = ESTIMATORS[method](histogram)
    assert histogram.low <= low <= high <= histogram.high


@pytest.fixture(scope="module")
def deploy(random_fill: Callable[..., nn.Module]) -> DeployLeViT:
    model = random_fill(LeViT(VARIANTS["levit_128s"], num_classes=7, image_size=SIZE))
    assert isinstance(model, LeViT)
    return fuse(model)


@pytest.fixture(scope="module")
def pictures() -> CalibrationSet:
    return CalibrationSet(golden_pictures(SIZE), "drawn")


@pytest.fixture(scope="module")
def ranges(deploy: DeployLeViT, pictures: CalibrationSet) -> Ranges:
    return measure_ranges(deploy, pictures, SPEC, weights="these")


def test_histograms_of_a_model(deploy: DeployLeViT, ranges: Ranges, pictures: CalibrationSet) -> None:
    found = measure_histograms(deploy, ranges, pictures, SPEC)
    assert found.keys() == ranges.values.keys()
    for name, histogram in found.items():
        assert (histogram.low, histogram.high) == ranges.values[name]
    count, side = len(pictures.pixels), SIZE // 2
    assert found["stem.0.in"].counts.sum() == count * 3 * SIZE**2
    assert found["stem.0.out"].counts.sum() == count * 16 * side**2
    assert found["head.out"].counts.sum() == count * 7


def test_an_activation_that_is_always_the_same(deploy: DeployLeViT, ranges: Ranges, pictures: CalibrationSet) -> None:
    flat = Ranges("", {**ranges.values, "head.out": (0.5, 0.5)}, "", 8, "")
    histogram = measure_histograms(deploy, flat, pictures, SPEC)["head.out"]
    assert histogram.counts.sum() == 8 * 7
    for estimate in ESTIMATORS.values():
        assert estimate(histogram) == (0.5, 0.5)


def test_ranges_by_a_method(deploy: DeployLeViT, ranges: Ranges, pictures: CalibrationSet) -> None:
    assert estimate_ranges("min-max", deploy, ranges, pictures, SPEC) is ranges
    found = estimate_ranges("percentile", deploy, ranges, pictures, SPEC)
    histograms = measure_histograms(deploy, ranges, pictures, SPEC)
    assert found.values == {name: ESTIMATORS["percentile"](histogram) for name, histogram in histograms.items()}
    assert (found.weights, found.samples, found.digest) == (ranges.weights, ranges.samples, ranges.digest)


def test_the_command_has_them_all() -> None:
    """It lists them itself: to import them would take PyTorch, for --help too."""
    option = next(option for option in command.params if option.name == "calib_method")
    assert isinstance(option.type, click.Choice)
    assert (tuple(option.type.choices), option.default) == (tuple(ESTIMATORS), "min-max")
