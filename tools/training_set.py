"""A folder of labelled pictures in memory, and batches of crops from it."""

from __future__ import annotations

import itertools
import os
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from views import SCALE, crop, crop_box, list_pictures, load_picture

MOST_KEPT = 10e9  # bytes of crops; cutting them anew takes a third of the time that the processor has


@dataclass
class TrainingSet:
    """Decoded pictures, their classes, and what the teacher said of its crops (None: nobody was asked)."""

    pictures: list[Image.Image]
    labels: Tensor
    boxes: np.ndarray | None = None
    answers: np.ndarray | None = None
    crops: dict[tuple[int, int, int], np.ndarray] = field(default_factory=dict)  # (size, picture, box): kept for later

    def crop(self, index: int, view: int, size: int, seed: int) -> np.ndarray:
        """uint8 (size, size, 3): one of the teacher's crops, or a new one where there is no teacher."""
        picture = self.pictures[index]
        if self.boxes is None:
            return crop(picture, crop_box(picture.size, SCALE, (seed, index, view)), size)
        view %= self.boxes.shape[1]
        if (size, index, view) not in self.crops:
            pixels = crop(picture, tuple(self.boxes[index, view].tolist()), size)
            if self.boxes.shape[0] * self.boxes.shape[1] * pixels.nbytes > MOST_KEPT:
                return pixels
            self.crops[size, index, view] = pixels
        return self.crops[size, index, view]


def read(folder: Path, classes: list[str] | None = None, teacher: Path | None = None) -> tuple[TrainingSet, list[str]]:
    """The pictures of ``folder`` and the names of their classes, which must be ``classes`` if those are given."""
    paths, labels, names = list_pictures(folder)
    if classes is not None and names != classes:
        raise SystemExit(f"{folder} has the classes {names}, the training set {classes}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        data = TrainingSet(list(pool.map(load_picture, paths)), torch.tensor(labels))
    if teacher is not None:
        told = np.load(teacher)
        if len(told["logits"]) != len(paths):
            raise SystemExit(f"{teacher} was made from {len(told['logits'])} pictures, {folder} has {len(paths)}")
        data.boxes, data.answers = told["boxes"], told["logits"]
    return data, names


def batches(
    data: TrainingSet, size: int, batch: int, epoch: int, seed: int
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """(uint8 (B, 3, S, S), labels (B,), the teacher's logits (B, 1000) or None), cropped by other threads ahead of use."""
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(data.pictures))
    order = order[: len(order) // batch * batch].reshape(-1, batch)
    views = rng.integers(1 << 30, size=order.shape)
    flips = rng.random(order.shape) < 0.5
    ready: queue.Queue[tuple[Tensor, Tensor, Tensor | None] | None] = queue.Queue(4)
    if any(kept != size for kept, _, _ in itertools.islice(data.crops, 1)):
        data.crops.clear()

    def make(index: int, view: int, flip: bool) -> np.ndarray:
        pixels = data.crop(index, view, size, seed)
        return pixels[:, ::-1] if flip else pixels

    def produce() -> None:
        with ThreadPoolExecutor(2) as pool:
            for row, view, flip in zip(order, views, flips, strict=True):
                pixels = np.stack(list(pool.map(make, row.tolist(), view.tolist(), flip.tolist())))
                told = None
                if data.answers is not None:
                    told = torch.from_numpy(data.answers[row, view % data.answers.shape[1]]).float()
                ready.put((torch.from_numpy(pixels).permute(0, 3, 1, 2), data.labels[torch.from_numpy(row)], told))
        ready.put(None)

    threading.Thread(target=produce, daemon=True).start()
    while (item := ready.get()) is not None:
        yield item
