"""Pictures like those of training, and others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calib.familiar import unfamiliar
from calib.pictures import CalibrationSet, load_calibration_set
from levit_mobile.golden import golden_pictures
from levit_mobile.model import LeViT
from levit_mobile.preprocess import IMAGENET, Preprocessing
from levit_mobile.weights import resolve_weights

NOISE = np.random.default_rng(0).integers(0, 256, (8, 224, 224, 3), np.uint8)


@pytest.fixture(scope="module")
def demo() -> LeViT:
    return resolve_weights("demo").model()


@pytest.mark.parametrize("count", [4, 16, 64])
@pytest.mark.parametrize("part", ["train", "val"])
def test_natural_pictures(demo: LeViT, shared: Path, count: int, part: str) -> None:
    for seed in range(3):
        pictures = load_calibration_set(shared / "images/imagenette" / part, IMAGENET, count=count, seed=seed)
        assert unfamiliar(demo, pictures, IMAGENET) is None


def test_drawn_pictures_will_do(demo: LeViT) -> None:
    assert unfamiliar(demo, CalibrationSet(golden_pictures(224, 16), "drawn"), IMAGENET) is None


@pytest.mark.parametrize(
    ("pixels", "says"),
    [
        (NOISE, "variance of what the stem computes is"),
        (np.zeros_like(NOISE), "variance of what the stem computes is"),
        (np.where(NOISE[..., :1] < 13, 0, 255).astype(np.uint8).repeat(3, 3), "standard deviations off"),
    ],
    ids=["noise", "black", "dots on white"],
)
def test_what_is_no_picture(demo: LeViT, pixels: np.ndarray, says: str) -> None:
    told = unfamiliar(demo, CalibrationSet(pixels, "x"), IMAGENET)
    assert told is not None
    assert says in told


@pytest.mark.parametrize(
    "spec",
    [
        Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        Preprocessing(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
        Preprocessing(mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255)),
    ],
    ids=["-1 to 1", "0 to 1", "0 to 255"],
)
def test_another_normalisation(demo: LeViT, shared: Path, spec: Preprocessing) -> None:
    pictures = load_calibration_set(shared / "images/imagenette/train", IMAGENET, count=32)
    assert unfamiliar(demo, pictures, IMAGENET) is None
    assert unfamiliar(demo, pictures, spec) is not None
