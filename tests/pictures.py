"""Pictures for tests: drawn from seeds, the same on every machine, and the two photographs that scikit-learn ships."""

from __future__ import annotations

import zlib
from importlib import resources
from pathlib import Path

import numpy as np
from PIL import Image

PHOTOGRAPHS = ("china.jpg", "flower.jpg")  # 640x427
DRAWN = (
    "640x480",
    "300x200",
    "97x701",
    "1000x999",
    "256x256",
    "257x255",
    "224x224",
    "3x5",
    "1x1",
    "300x1000",
    "60x900",
    "31x17",
)


def draw(size: str) -> Image.Image:
    """An RGB picture, ``WIDTHxHEIGHT``: slanted waves, and noise on a third of the pixels."""
    width, height = (int(n) for n in size.split("x"))
    rng = np.random.default_rng(zlib.crc32(size.encode()))
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    pixels = np.empty((height, width, 3), np.uint8)
    for channel in range(3):  # integers only, so that no library's rounding matters
        fx, fy, phase = rng.integers(1, 40, 3)
        wave = (fx * x + fy * y + phase) % 512
        pixels[..., channel] = np.where(wave < 256, wave, 511 - wave)
    noisy = rng.random((height, width)) < 1 / 3
    pixels[noisy] = rng.integers(0, 256, (int(noisy.sum()), 3))
    return Image.fromarray(pixels)


def photograph(name: str) -> Path:
    """The file of one of ``PHOTOGRAPHS``; ModuleNotFoundError where scikit-learn is not installed."""
    return Path(str(resources.files("sklearn.datasets"))) / "images" / name
