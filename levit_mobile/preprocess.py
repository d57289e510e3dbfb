"""Picture file -> the array that LeViT was trained on. One definition; its numbers travel in every bundle.

Resize the shorter side to 256 (bicubic with antialiasing), cut the middle 224x224, scale to [0, 1], subtract the mean,
divide by the standard deviation: the official evaluation transform (``datasets.py`` of the official code), with the
rounding of torchvision's ``Resize`` and ``CenterCrop``.
"""

from __future__ import annotations

import json
import math
import operator
import os
import struct
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from levit_mobile.errors import PictureError

__all__ = [
    "IMAGENET",
    "PICTURE_SUFFIXES",
    "Preprocessing",
    "load_picture",
    "normalise",
    "preprocess",
    "preprocess_files",
    "resize_and_crop",
]

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm"})
_FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "BMP",
    "GIF",
    "TIFF",
    "PPM",
)  # Pillow's others start programs (EPS) or are no pictures
_BICUBIC = Image.Resampling.BICUBIC
_LONGEST = 4096  # pixels; a longer side is resized only where the crop will be
_TURNS = {  # EXIF's orientation -> what makes the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_HUGGINGFACE: dict[str, Any] = {  # what transformers' LevitImageProcessor does where its file says nothing
    "size": 224,
    "crop_size": 224,
    "do_normalize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}
_HUGGINGFACE_ALWAYS: dict[str, Any] = {  # and what it may be told to do otherwise, but nothing here can
    "do_resize": True,
    "resample": 3,  # PIL's BICUBIC
    "default_to_square": False,
    "do_center_crop": True,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_pad": False,
}
_HUGGINGFACE_LARGEST = 3584  # pixels; resized to 256/224 of it, which is 4096


@dataclass(frozen=True)
class Preprocessing:
    """What happens to a picture before the model sees it.

    Attributes:
        resize: pixels of the shorter side after resizing.
        crop: pixels a side of the square that is cut out of the middle: the model's input.
        mean: per channel (red, green, blue), of pixels in [0, 1].
        std: the same.
    """

    resize: int = 256
    crop: int = 224
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    @classmethod
    def of_size(cls, size: int) -> Preprocessing:
        """ImageNet's for a model that takes ``size`` pixels a side, as the official ``datasets.py`` has it.

        The shorter side becomes 256/224 of ``size``, rounded down.
        """
        return cls(resize=256 * size // 224, crop=size)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it in manifests and checkpoints."""
        return {
            **asdict(self),
            "mean": list(self.mean),
            "std": list(self.std),
            "interpolation": "bicubic",
            "antialias": True,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Preprocessing:
        """The inverse of ``to_dict``; other ways to resize are refused.

        Raises:
            ValueError: a number is missing or makes no sense, or pictures are not resized bicubically with antialiasing.
        """
        if not isinstance(data, dict):
            raise ValueError(f"preprocessing is not a table of numbers, but {data!r}")
        if data.get("interpolation", "bicubic") != "bicubic":
            raise ValueError(f"interpolation {data['interpolation']!r} is not supported; only 'bicubic' is")
        if data.get("antialias", True) is not True:
            raise ValueError("resizing without antialiasing is not supported")
        try:
            mean, std = (tuple(float(v) for v in data[key]) for key in ("mean", "std"))
            resize, crop = (operator.index(data[key]) for key in ("resize", "crop"))
        except (KeyError, TypeError) as error:
            raise ValueError(f"preprocessing lacks or garbles {error}") from error
        finite = all(math.isfinite(v) for v in (*mean, *std))
        if len(mean) != 3 or len(std) != 3 or not finite or min(std) <= 0 or not 0 < crop <= resize:
            raise ValueError(f"preprocessing makes no sense: {data}")
        return cls(resize, crop, mean, std)

    @classmethod
    def from_huggingface(cls, data: Any) -> Preprocessing:
        """What transformers' ``LevitImageProcessor`` does with a ``preprocessor_config.json`` that holds ``data``.

        Its ``size`` is not what the shorter side becomes: that is 256/224 of it, rounded down. Where the crop cannot lie
        in the very middle, its crop may lie one pixel beside this one.

        Raises:
            ValueError: a value makes no sense or asks for what is not supported here; the message names its key.
        """
        if not isinstance(data, dict):
            raise ValueError(f"it holds no object, but {_short(data)}")
        told = {**_HUGGINGFACE_ALWAYS, **_HUGGINGFACE, **{k: v for k, v in data.items() if v is not None}}
        for key in ("image_processor_type", "feature_extractor_type"):
            if not str(told.get(key, "Levit")).startswith("Levit"):
                raise ValueError(f"{key} is {_short(told[key])}; only LevitImageProcessor is supported")
        for key, value in _HUGGINGFACE_ALWAYS.items():
            if told[key] != value:
                raise ValueError(f"{key} is {_short(told[key])}; only {json.dumps(value)} is supported")
        size, crop = _side(told, "size", "shortest_edge"), _side(told, "crop_size", "height", "width")
        resize = int(256 / 224 * size)
        if crop > resize:
            raise ValueError(f"crop_size is {crop}, but with a size of {size} pictures are resized to {resize} pixels")
        if not told["do_normalize"]:
            return cls(resize, crop, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        mean, std = _channels(told, "image_mean"), _channels(told, "image_std")
        if min(std) <= 0:
            raise ValueError(f"image_std is {_short(told['image_std'])}; it must be positive")
        return cls(resize, crop, mean, std)


def _short(value: Any) -> str:
    return json.dumps(value)[:80]


def _side(told: dict[str, Any], key: str, *names: str) -> int:
    """Pixels: a number, or the same one under each of ``names``."""
    value = told[key]
    named = (
        {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else dict.fromkeys(names, value)
    )
    side = named.get(names[0])
    if type(side) is not int or not 0 < side <= _HUGGINGFACE_LARGEST or named != dict.fromkeys(names, side):
        form = json.dumps(dict.fromkeys(names, "N")).replace('"N"', "N")
        raise ValueError(f"{key} is {_short(value)}; only {form} with N from 1 to {_HUGGINGFACE_LARGEST} is supported")
    return side


def _channels(told: dict[str, Any], key: str) -> tuple[float, float, float]:
    """Three numbers, or one for all channels."""
    value = told[key]
    numbers = value if isinstance(value, list) else [value] * 3
    if len(numbers) != 3 or not all(type(v) in (int, float) and abs(v) <= 1e6 for v in numbers):
        raise ValueError(f"{key} is {_short(value)}; it must be three numbers, for red, green and blue")
    return float(numbers[0]), float(numbers[1]), float(numbers[2])


IMAGENET = Preprocessing()


def load_picture(path: str | os.PathLike[str]) -> Image.Image:
    """Open a file as an upright RGB picture.

    EXIF rotation is applied; transparency is laid on white; an animation gives its first frame. 16-bit grey is scaled to
    8 bits. 32-bit grey does not tell its scale, so its values do: floats that all lie in [0, 1] are fractions of white, a
    value above 255 means 16 bits, all else is taken as 8 bits. What Pillow only warns of (damaged EXIF, 100 megapixels)
    is no reason to stop, nor to trouble the user.

    Raises:
        PictureError: the file is missing, is no picture, is cut short, or is too large to be meant (a decompression
            bomb: more than twice ``PIL.Image.MAX_IMAGE_PIXELS``, 179 megapixels).
    """
    name = Path(path)
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(name, formats=_FORMATS) as picture:
            picture.load()
            return _to_rgb(_upright(picture))
    except FileNotFoundError as error:
        raise PictureError(f"{name}: no such file") from error
    except IsADirectoryError as error:
        raise PictureError(f"{name}: is a folder; name the pictures in it") from error
    except UnidentifiedImageError as error:
        raise PictureError(f"{name}: not a picture that can be read (JPEG, PNG, WebP, BMP, GIF, TIFF)") from error
    except Image.DecompressionBombError as error:
        raise PictureError(f"{name}: too many pixels; scale it down first ({error})") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise PictureError(f"{name}: cannot be decoded ({error})") from error


def _upright(picture: Image.Image) -> Image.Image:
    """As EXIF says; not ``ImageOps.exif_transpose``, which also rewrites the EXIF block and trips over a damaged one."""
    try:
        turn = _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except (SyntaxError, ValueError, TypeError, OSError, struct.error):
        return picture
    return picture if turn is None else picture.transpose(turn)


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode in ("I", "I;16", "I;16L", "I;16B", "F"):
        grey = np.nan_to_num(np.asarray(picture).astype(np.float64))
        # Pillow scales a PGM of more than 8 bits to 16, and opens it in the same mode as 32 bits.
        says_sixteen = picture.mode.startswith("I;16") or (picture.mode, picture.format) == ("I", "PPM")
        if says_sixteen or grey.max() > 255:
            grey = grey / 257
        elif picture.mode == "F" and grey.min() >= 0 and grey.max() <= 1:
            grey = grey * 255
        return Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        white = Image.new("RGBA", clear.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, clear).convert("RGB")
    return picture.convert("RGB")


def resize_and_crop(picture: Image.Image, spec: Preprocessing = IMAGENET) -> npt.NDArray[np.uint8]:
    """RGB picture -> uint8 (crop, crop, 3). Any size and aspect from 1x1 on."""
    width, height = picture.size
    short = min(width, height)
    # torchvision: the longer side is truncated, the offset rounded half to even.
    new_w = spec.resize if width == short else int(spec.resize * width / short)
    new_h = spec.resize if height == short else int(spec.resize * height / short)
    left, top = round((new_w - spec.crop) / 2), round((new_h - spec.crop) / 2)
    columns_first = height - new_h > max(0, 2 * (width - new_w))
    if max(new_w, new_h) > _LONGEST:
        return np.asarray(_resize_middle(picture, (new_w, new_h), (left, top), spec.crop, columns_first))
    picture = _two_passes(picture, (new_w, new_h), (0, 0, width, height), columns_first)
    return np.asarray(picture.crop((left, top, left + spec.crop, top + spec.crop)))


def _two_passes(
    picture: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float], columns_first: bool
) -> Image.Image:
    """Bicubic resize of ``box``, one direction after the other.

    What Pillow does in one call, but Pillow 13 chooses the order by how many rows and columns go, and earlier versions have
    another rule. Pixels are clipped in between, which is worth 20 of 255 levels; so the order (Pillow 13's) is set here.
    """
    (width, height), (left, top, right, bottom) = size, box
    if columns_first:
        picture = picture.resize((picture.width, height), _BICUBIC, box=(0, top, picture.width, bottom))
        return picture.resize(size, _BICUBIC, box=(left, 0, right, height))
    picture = picture.resize((width, picture.height), _BICUBIC, box=(left, 0, right, picture.height))
    return picture.resize(size, _BICUBIC, box=(0, top, width, bottom))


def _resize_middle(
    picture: Image.Image, size: tuple[int, int], corner: tuple[int, int], crop: int, columns_first: bool
) -> Image.Image:
    """Only the crop of the resized picture: whole, a 20,000 x 50 picture would become 102,400 x 256."""
    cut: list[tuple[int, int]] = []
    box: list[tuple[float, float]] = []
    for old, new, first in zip(picture.size, size, corner, strict=True):
        ratio = old / new
        start, stop = first * ratio, (first + crop) * ratio
        reach = 2 * max(ratio, 1) + 1  # what the filter sees: two pixels of the coarser grid; and one for rounding
        low, high = max(0, math.floor(start - reach)), min(old, math.ceil(stop + reach))
        cut.append((low, high))
        box.append((start - low, min(stop, old) - low))
    (x0, x1), (y0, y1) = cut
    (left, right), (top, bottom) = box
    return _two_passes(picture.crop((x0, y0, x1, y1)), (crop, crop), (left, top, right, bottom), columns_first)


def normalise(pixels: npt.NDArray[np.uint8], spec: Preprocessing = IMAGENET) -> npt.NDArray[np.float32]:
    """uint8 (B, S, S, 3) -> float32 (B, 3, S, S), contiguous: (pixel / 255 - mean) / std."""
    x: npt.NDArray[np.float32] = pixels.astype(np.float32) / np.float32(255)
    mean: npt.NDArray[np.float32] = np.array(spec.mean, np.float32)
    std: npt.NDArray[np.float32] = np.array(spec.std, np.float32)
    x = (x - mean) / std
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def preprocess(picture: Image.Image, spec: Preprocessing = IMAGENET) -> npt.NDArray[np.float32]:
    """RGB picture -> float32 (3, crop, crop), normalised."""
    x: npt.NDArray[np.float32] = normalise(resize_and_crop(picture, spec)[None], spec)[0]
    return x


def preprocess_files(
    paths: Sequence[str | os.PathLike[str]], spec: Preprocessing = IMAGENET
) -> npt.NDArray[np.float32]:
    """Picture files -> float32 (B, 3, crop, crop).

    Raises:
        PictureError: as ``load_picture``.
    """
    if not paths:
        return np.zeros((0, 3, spec.crop, spec.crop), np.float32)
    return np.stack([preprocess(load_picture(path), spec) for path in paths])
