"""Which pictures the ranges come from: N of a folder or of an ``.npz``, seeded, balanced over classes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from levit_mobile.arrays import read_arrays
from levit_mobile.errors import CalibrationError
from levit_mobile.preprocess import PICTURE_SUFFIXES, Preprocessing, load_picture, normalise, resize_and_crop

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CalibrationSet", "balanced_sample", "find_pictures", "load_calibration_set"]

_MOST_BYTES = 2**33  # of an .npz, unpacked: 50,000 pictures of 224 pixels a side


@dataclass(frozen=True)
class CalibrationSet:
    """Pictures as the model's input sees them, before normalisation.

    Attributes:
        pixels: uint8 (N, crop, crop, 3), RGB.
        digest: sha256 over the pixels: tells two sets apart without naming anybody's files.
    """

    pixels: npt.NDArray[np.uint8]
    digest: str

    def check_size(self, size: int) -> None:
        """Refuse pictures that are not of ``size`` pixels a side.

        Raises:
            CalibrationError: they are not.
        """
        height, width = self.pixels.shape[1:3]
        if self.pixels.shape[1:] != (size, size, 3):
            raise CalibrationError(f"calibration pictures of {height}x{width} pixels for a model that takes {size}")

    def batches(self, spec: Preprocessing, size: int = 16, *, most: int | None = None) -> Iterator[Tensor]:
        """The pictures as a model takes them, float32 (B, 3, S, S), ``size`` at a time; ``most`` of them, evenly chosen."""
        import torch

        pixels = self.pixels if most is None else self.pixels[:: max(1, -(-len(self.pixels) // most))]
        for first in range(0, len(pixels), size):
            yield torch.from_numpy(np.ascontiguousarray(normalise(pixels[first : first + size], spec)))


def find_pictures(folder: Path) -> dict[str, list[Path]]:
    """{class: its pictures, sorted}. The class is the first folder below ``folder``; flat folders give one class ``""``.

    Links are followed. Hidden files and folders are left out: editors and file managers keep their own pictures there, or
    what looks like it.
    """
    groups: dict[str, list[Path]] = {}
    for path in _pictures_below(folder, frozenset()):
        inside = path.relative_to(folder).parts
        groups.setdefault(inside[0] if len(inside) > 1 else "", []).append(path)
    return groups


def _pictures_below(folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    """In sorted order. ``above``: the folders on the way here; one that a link leads back to is not entered again."""
    try:
        status, paths = folder.stat(), sorted(folder.iterdir())
    except OSError:  # not ours to read
        return
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    for path in paths:
        if path.name.startswith("."):
            continue
        if os.path.isdir(path):
            yield from _pictures_below(path, above | {here})
        elif path.suffix.lower() in PICTURE_SUFFIXES and os.path.isfile(path):
            yield path


def balanced_sample(groups: dict[str, list[Path]], count: int, seed: int) -> list[Path]:
    """Up to ``count`` pictures, as evenly over the classes as they allow; the same seed gives the same pictures."""
    rng = np.random.default_rng(seed)
    queues = [[group[i] for i in rng.permutation(len(group))] for _, group in sorted(groups.items())]
    picked: list[Path] = []
    while len(picked) < count and any(queues):
        # When the last round cannot serve all classes, chance says which come first.
        for index in rng.permutation(len(queues)):
            if queues[index] and len(picked) < count:
                picked.append(queues[index].pop())
    return picked


def load_calibration_set(
    source: str | os.PathLike[str], spec: Preprocessing, *, count: int = 128, seed: int = 0
) -> CalibrationSet:
    """Read ``count`` pictures from an image folder (nested or flat) or an ``.npz``.

    An ``.npz`` holds one array, uint8 (N, H, W, 3), RGB; it goes through the same resize and crop as picture files.

    Raises:
        CalibrationError: nothing there, no pictures in it, or an array of another kind.
        PictureError: a file that is named as a picture is none.
    """
    path = Path(source)
    if count < 1:
        raise CalibrationError(f"{count} calibration pictures make no sense; type at least 1")
    if seed < 0:
        raise CalibrationError(f"the seed {seed} makes no sense; type 0 or more")
    if not os.path.exists(path):
        raise CalibrationError(f"{path}: no such folder or file of calibration pictures")
    pixels = _from_npz(path, spec, count, seed) if path.is_file() else _from_folder(path, spec, count, seed)
    digest = hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()
    return CalibrationSet(pixels, digest)


def _from_folder(folder: Path, spec: Preprocessing, count: int, seed: int) -> npt.NDArray[np.uint8]:
    paths: Sequence[Path] = balanced_sample(find_pictures(folder), count, seed)
    if not paths:
        kinds = ", ".join(sorted(PICTURE_SUFFIXES))
        raise CalibrationError(f"{folder}: no pictures in this folder or below it (looked for {kinds})")
    return np.stack([resize_and_crop(load_picture(path), spec) for path in paths])


def _from_npz(path: Path, spec: Preprocessing, count: int, seed: int) -> npt.NDArray[np.uint8]:
    from PIL import Image

    try:
        arrays = list(read_arrays(path, most=_MOST_BYTES).values())
    except Exception as error:  # zip, zlib and numpy each raise their own on a damaged file
        raise CalibrationError(f"{path}: not an .npz file of pictures ({error})") from error
    pictures = next((a for a in arrays if a.ndim == 4 and a.shape[3] == 3 and a.dtype == np.uint8), None)
    if pictures is None or not pictures.size:
        found = ", ".join(f"{a.dtype}{a.shape}" for a in arrays) or "nothing"
        raise CalibrationError(f"{path}: needs a uint8 array (N, H, W, 3) of RGB pictures, holds {found}")
    chosen = np.random.default_rng(seed).permutation(len(pictures))[:count]
    return np.stack([resize_and_crop(Image.fromarray(pictures[i]), spec) for i in chosen])
