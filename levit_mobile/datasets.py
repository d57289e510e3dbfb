"""A folder of labelled pictures (one folder a class) -> batches, with the classes matched to a model's labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from calib.pictures import find_pictures
from levit_mobile.errors import UsageError
from levit_mobile.preprocess import Preprocessing, load_picture, resize_and_crop

__all__ = ["LabelledPictures", "find_labelled"]


@dataclass(frozen=True)
class LabelledPictures:
    """Paths and class indices, in the order of the folders."""

    paths: list[Path]
    labels: list[int]

    def __len__(self) -> int:
        return len(self.paths)

    def batches(
        self, spec: Preprocessing, batch: int = 16
    ) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]]:
        """(pixels uint8 (B, S, S, 3), labels int64 (B,)).

        Raises:
            PictureError: a file is no picture.
        """
        for first in range(0, len(self.paths), batch):
            yield self.load(first, batch, spec)

    def load(self, first: int, many: int, spec: Preprocessing) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """The same, from one picture on; at the end there may be fewer.

        Raises:
            PictureError: a file is no picture.
        """
        part = slice(first, first + many)
        pixels = np.stack([resize_and_crop(load_picture(path), spec) for path in self.paths[part]])
        return pixels, np.array(self.labels[part], np.int64)


def find_labelled(folder: Path, labels: list[str], *, limit: int | None = None) -> LabelledPictures:
    """The pictures of an image folder.

    Folders that are named like the labels (ignoring case, spaces and underscores; a synonym of a label will do) are
    matched by name, also if some are missing. Otherwise there must be one folder a class, and they are matched in sorted
    order, as training does it; not if that gives a folder another label than the one it is named like.

    Args:
        folder: one folder a class below it.
        labels: the model's.
        limit: at most so many pictures, spread evenly over the whole set.

    Raises:
        UsageError: no such folder, no pictures, or folders that do not match the labels.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; --data wants one folder a class with pictures in it")
    groups = find_pictures(folder)
    if not groups:
        raise UsageError(f"{folder}: no pictures in it")
    if "" in groups:
        raise UsageError(f"{folder}: pictures lie loose in it; put each class's into a folder of its own")
    index = _match(sorted(groups), labels, folder)
    pairs = [(path, index[name]) for name in sorted(groups) for path in groups[name]]
    if limit is not None and limit < len(pairs):
        pairs = [pairs[i] for i in np.linspace(0, len(pairs) - 1, limit).round().astype(int)]
    return LabelledPictures([path for path, _ in pairs], [label for _, label in pairs])


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def _match(names: list[str], labels: list[str], folder: Path) -> dict[str, int]:
    known: dict[str, int] = {}
    for at, label in enumerate(labels):
        known.setdefault(_plain(label), at)
    for at, label in enumerate(labels):  # later, for a class's whole name comes before another one's synonym
        for synonym in label.split(","):
            known.setdefault(_plain(synonym), at)
    if all(_plain(name) in known for name in names):
        return {name: known[_plain(name)] for name in names}
    if len(names) == len(labels) and all(known.get(_plain(name), at) == at for at, name in enumerate(names)):
        return {name: at for at, name in enumerate(names)}
    stray = next(name for name in names if _plain(name) not in known)
    raise UsageError(
        f"{folder}: has {len(names)} classes, the model {len(labels)}, and {stray!r} is not one of the model's labels"
    )
