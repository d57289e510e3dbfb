"""Crops of a folder of pictures: which box of which picture, the same for teacher and student."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from calib.pictures import find_pictures
from levit_mobile import preprocess

Box = tuple[float, float, float, float]

SCALE = (0.3, 1.0)  # how much of a picture's area a crop takes


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself; elsewhere it is slower than float32."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def list_pictures(root: Path) -> tuple[list[Path], list[int], list[str]]:
    """Every picture of an image folder (``root/CLASS/...``), its class index, and the sorted class names."""
    groups = find_pictures(root) if root.is_dir() else {}
    groups.pop("", None)  # loose files have no class
    if not groups:
        raise SystemExit(f"no pictures in {root}; expected one folder a class with pictures in it")
    classes = sorted(groups)
    paths = [path for name in classes for path in groups[name]]
    return paths, [index for index, name in enumerate(classes) for _ in groups[name]], classes


def load_picture(path: Path, limit: int = 256) -> Image.Image:
    """The picture as the library reads it (upright, RGB), its shorter side at most ``limit`` pixels."""
    picture = preprocess.load_picture(path)
    scale = limit / min(picture.size)
    if scale < 1:
        width, height = (round(side * scale) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
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
