"""Pictures that are drawn, not taken: the inputs on which every artifact is compared with PyTorch.

They show nobody and nothing, so they may travel in every bundle.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["GOLDEN_COUNT", "golden_pictures"]

GOLDEN_COUNT = 8


def golden_pictures(size: int, count: int = GOLDEN_COUNT) -> npt.NDArray[np.uint8]:
    """uint8 (count, size, size, 3): clouds of the spectrum that natural pictures have (1/f), with discs and bars on them."""
    y, x = np.mgrid[0:size, 0:size] / size
    pictures = np.empty((count, size, size, 3), np.uint8)
    for index in range(count):
        rng = np.random.default_rng((20210402, index))
        picture = _clouds(rng, size)
        for _ in range(int(rng.integers(2, 6))):
            colour, (cx, cy) = rng.uniform(0, 1, 3), rng.uniform(0.1, 0.9, 2)
            if rng.random() < 0.5:
                inside = (x - cx) ** 2 + (y - cy) ** 2 < rng.uniform(0.05, 0.3) ** 2
            else:
                angle = rng.uniform(0, np.pi)
                across = (x - cx) * np.sin(angle) - (y - cy) * np.cos(angle)
                inside = np.abs(across) < rng.uniform(0.02, 0.12)
            picture[inside] = 0.25 * picture[inside] + 0.75 * colour
        pictures[index] = np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)
    return pictures


def _clouds(rng: np.random.Generator, size: int) -> npt.NDArray[np.float64]:
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None, :]
    falloff = 1 / np.maximum(np.hypot(fy, fx), 1 / size)
    tint = rng.uniform(0.25, 0.75, 3)
    channels = []
    for level in tint:
        wave = np.fft.ifft2(np.fft.fft2(rng.standard_normal((size, size))) * falloff).real
        channels.append(level + 0.2 * wave / wave.std())
    grey = sum(channels) / 3
    return np.stack([0.6 * grey + 0.4 * channel for channel in channels], axis=-1)
