"""Crops of a folder of pictures: which box of which picture, the same for teacher and student."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image

Box = tuple[float, float, float, float]

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


def list_pictures(root: Path) -> tuple[list[Path], list[int], list[str]]:
    """Every picture of an ImageFolder (``root/CLASS/...``), its class index, and the sorted class names."""
    classes = sorted(folder.name for folder in root.iterdir() if folder.is_dir())
    paths: list[Path] = []
    labels: list[int] = []
    for index, name in enumerate(classes):
        found = sorted(p for p in (root / name).rglob("*") if p.suffix.lower() in SUFFIXES)
        paths += found
        labels += [index] * len(found)
    if not paths:
        raise SystemExit(f"no pictures in {root}; expected one folder a class, with .jpg or .png files in it")
    return paths, labels, classes


def load_picture(path: Path, limit: int = 256) -> Image.Image:
    """The picture in RGB, its shorter side at most ``limit`` pixels (decoded smaller where JPEG allows it)."""
    picture = Image.open(path)
    picture.draft("RGB", (limit, limit))
    picture = picture.convert("RGB")
    scale = limit / min(picture.size)
    if scale < 1:
        picture = picture.resize(
            (round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BICUBIC
        )
    return picture


def crop_box(size: tuple[int, int], scale: tuple[float, float], seed: tuple[int, ...]) -> Box:
    """A random resized crop (Inception's): area in ``scale`` of the picture, aspect 3:4 to 4:3; (left, top, right, bottom)."""
    rng = np.random.default_rng(seed)
    width, height = size
    for _ in range(10):
        area = width * height * rng.uniform(*scale)
        aspect = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = math.sqrt(area * aspect), math.sqrt(area / aspect)
        if w <= width and h <= height:
            left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
            return (left, top, left + w, top + h)
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return (left, top, left + side, top + side)


def crop(picture: Image.Image, box: Box, size: int) -> np.ndarray:
    """The box, resized to ``size``: uint8 (size, size, 3)."""
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC, box=box))
