"""The golden pictures are the same everywhere, and worth looking at."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pytest

from levit_mobile.golden import GOLDEN_COUNT, golden_pictures

# sha256 of the eight pictures of 224x224. Another value means that bundles change: their golden.npz, and what they prove.
EXPECTED = "24f2758b90300787cedd0b2e9b5cc9dd6da2f19487156119ff438111dcfd3676"


@pytest.fixture(scope="module")
def pictures() -> npt.NDArray[np.uint8]:
    return golden_pictures(224)


def test_shape(pictures: npt.NDArray[np.uint8]) -> None:
    assert pictures.shape == (GOLDEN_COUNT, 224, 224, 3) == (8, 224, 224, 3)
    assert pictures.dtype == np.uint8


def test_the_same_on_every_machine(pictures: npt.NDArray[np.uint8]) -> None:
    assert hashlib.sha256(pictures.tobytes()).hexdigest() == EXPECTED


@pytest.mark.parametrize("count", [0, 1, 3])
def test_fewer_are_the_first_of_all(count: int, pictures: npt.NDArray[np.uint8]) -> None:
    """So that a bundle with more of them extends one with less."""
    assert np.array_equal(golden_pictures(224, count), pictures[:count])


def test_nothing_else_draws_from_the_same_source() -> None:
    np.random.default_rng(0).random(3)
    one = golden_pictures(64)
    assert np.array_equal(one, golden_pictures(64))


@pytest.mark.parametrize("size", [16, 160, 256, 384])
def test_other_sizes(size: int) -> None:
    pictures = golden_pictures(size, 2)
    assert pictures.shape == (2, size, size, 3)
    assert pictures.std(axis=(1, 2)).min() > 10


def test_they_differ(pictures: npt.NDArray[np.uint8]) -> None:
    for i in range(8):
        for j in range(i):
            assert np.abs(pictures[i].astype(int) - pictures[j]).mean() > 20, (i, j)


def test_they_have_contrast_and_colour(pictures: npt.NDArray[np.uint8]) -> None:
    assert pictures.std(axis=(1, 2)).min() > 15  # in every channel of every picture
    assert np.ptp(pictures.mean(axis=(1, 2)), axis=1).min() > 3  # the channels' means differ: none is grey
    for picture in pictures:
        assert ((picture == 0) | (picture == 255)).mean() < 0.25  # little is cut off


def test_they_have_the_spectrum_of_natural_pictures(pictures: npt.NDArray[np.uint8]) -> None:
    """Amplitude falls about as 1/f: on a log-log line from 4 to 64 waves a picture, a slope of -1, give or take 0.5."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(224, 1 / 224), np.fft.fftfreq(224, 1 / 224)))
    ring = (frequency >= 4) & (frequency <= 64)
    for picture in pictures:
        amplitude = np.abs(np.fft.fft2(picture.mean(axis=2)))
        slope = np.polyfit(np.log(frequency[ring]), np.log(amplitude[ring]), 1)[0]
        assert -1.5 < slope < -0.5
