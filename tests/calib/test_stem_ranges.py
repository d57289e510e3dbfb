"""The stem's ends, by what the next convolution makes of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from calib.hardswish import LOWEST, fit_hardswish
from calib.pictures import CalibrationSet
from calib.ranges import Ranges, measure_ranges
from calib.stem_ranges import search_stem, through_int8
from levit_mobile.fuse import DeployLeViT, fuse
from levit_mobile.golden import golden_pictures
from levit_mobile.model import LeViT
from levit_mobile.preprocess import Preprocessing, normalise
from levit_mobile.scales import affine
from levit_mobile.variants import VARIANTS

SIZE = 32
SPEC = Preprocessing(SIZE, SIZE)
PICTURES = CalibrationSet(golden_pictures(SIZE), "drawn")


@pytest.fixture(scope="module")
def deploy(random_fill: Callable[..., nn.Module]) -> DeployLeViT:
    return fuse(random_fill(LeViT(VARIANTS["levit_128s"], num_classes=7, image_size=SIZE)))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def measured(deploy: DeployLeViT) -> Ranges:
    return fit_hardswish(measure_ranges(deploy, PICTURES, SPEC, weights="these"))


def test_through_int8_is_what_int8_keeps() -> None:
    x = torch.linspace(-2, 5, 1001)
    ends = (-0.9, 3.3)
    scale, zero_point = affine(*ends)
    whole = np.clip(np.rint(x.numpy() / scale) + zero_point, -128, 127)
    assert np.allclose(through_int8(x, ends), (whole - zero_point) * scale, atol=1e-6)


def test_only_upper_ends_between_the_stems_layers_are_drawn_in(deploy: DeployLeViT, measured: Ranges) -> None:
    found = search_stem(deploy, measured.values, PICTURES, SPEC)
    inner = {f"stem.{n}.{side}" for n in range(7) for side in ("in", "out")} - {"stem.0.in", "stem.6.out"}
    assert found.keys() == inner
    for name, (low, high) in found.items():
        assert 0.3 * measured.values[name][1] - 1e-6 <= high <= 1.6 * measured.values[name][1] + 0.4
        assert low == pytest.approx(LOWEST) or low >= measured.values[name][0]
    for n in (0, 2, 4):  # one tensor has one range
        assert found[f"stem.{n}.out"] == found[f"stem.{n + 1}.in"]
        assert found[f"stem.{n + 1}.out"] == found[f"stem.{n + 2}.in"]
    assert search_stem(deploy, measured.values, PICTURES, SPEC) == found


def stem_error(deploy: DeployLeViT, values: dict[str, tuple[float, float]], x: Tensor) -> float:
    """Of the stem's output, when what is between its layers goes through int8."""
    y, expected = x, x
    for at, layer in enumerate(deploy.stem):
        expected = layer(expected)
        y = F.hardswish(y) if at % 2 else layer(through_int8(y, values[f"stem.{at}.in"]) if at else y)
        if not at % 2 and at < 6:
            y = through_int8(y, values[f"stem.{at}.out"])
    return float((y - expected).square().mean())


def test_a_few_far_values_do_not_set_the_step(deploy: DeployLeViT, measured: Ranges) -> None:
    """The same model, with ranges in which one value was three times as far out as all others."""
    wide = dict(measured.values)
    for name, (low, high) in measured.values.items():
        if name.startswith("stem.") and name not in ("stem.0.in", "stem.6.out"):
            wide[name] = (low, 3 * high)
    x = torch.from_numpy(normalise(PICTURES.pixels, SPEC))
    with torch.inference_mode():
        before = stem_error(deploy, wide, x)
        after = stem_error(deploy, {**wide, **search_stem(deploy, wide, PICTURES, SPEC)}, x)
    assert after < before / 2
