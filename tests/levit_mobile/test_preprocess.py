"""Pictures into arrays: torchvision's numbers, any picture file, and one sentence for what is none."""

from __future__ import annotations

import hashlib
import io
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import DRAWN, PHOTOGRAPHS, draw, photograph
from PIL import Image

from levit_mobile.errors import PictureError
from levit_mobile.preprocess import (
    IMAGENET,
    PICTURE_SUFFIXES,
    Preprocessing,
    load_picture,
    normalise,
    preprocess,
    preprocess_files,
    resize_and_crop,
)

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "preprocess.npz"
Pixels = npt.NDArray[np.uint8]
pillow_13 = pytest.mark.skipif(
    int(PIL.__version__.split(".")[0]) < 13,
    reason="one call of an earlier Pillow resizes tall pictures in another order",
)


def pixels_of(path: Path) -> Pixels:
    picture = load_picture(path)
    assert picture.mode == "RGB"
    return np.asarray(picture)


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def plain(picture: Image.Image, spec: Preprocessing = IMAGENET) -> Pixels:
    """torchvision's Resize and CenterCrop in their own words: the whole picture is resized, then cut."""
    width, height = picture.size
    short, long = (width, height) if width <= height else (height, width)
    new_long = int(spec.resize * long / short)
    new_w, new_h = (spec.resize, new_long) if width <= height else (new_long, spec.resize)
    resized = picture.resize((new_w, new_h), Image.Resampling.BICUBIC)
    top, left = round((new_h - spec.crop) / 2.0), round((new_w - spec.crop) / 2.0)
    return np.asarray(resized.crop((left, top, left + spec.crop, top + spec.crop)))


def assert_within(a: Pixels, b: Pixels, levels: int) -> None:
    assert a.shape == b.shape
    assert np.abs(a.astype(int) - b.astype(int)).max() <= levels


# torchvision is the oracle


@pytest.mark.parametrize("size", DRAWN)
def test_drawn_pictures_give_torchvisions_bits(size: str) -> None:
    golden = np.load(GOLDEN)
    array = preprocess(draw(size))
    assert array.dtype == np.float32
    assert array.shape == (3, 224, 224)
    assert np.array_equal(array[:, ::8, ::8], golden[size])
    assert hashlib.sha256(array.tobytes()).digest() == golden[f"{size}.sha256"].tobytes()


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_give_torchvisions_numbers(name: str) -> None:
    pytest.importorskip("sklearn", reason="its photographs are what is compared")
    array = preprocess_files([photograph(name)])[0]
    two_levels = 2 / 255 / 0.224  # JPEG decoders may differ by that
    assert np.abs(array[:, ::8, ::8] - np.load(GOLDEN)[name]).max() < two_levels


def test_what_the_numbers_are() -> None:
    white = preprocess(Image.new("RGB", (5, 5), "white"))
    assert white[:, 100, 100] == pytest.approx([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225])
    red = preprocess(Image.new("RGB", (300, 200), (255, 0, 0)))
    assert red[:, 0, 0] == pytest.approx([(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225])


@pillow_13
@settings(max_examples=60, deadline=None, derandomize=True)
@given(width=st.integers(1, 600), height=st.integers(1, 600))
def test_any_size(width: int, height: int) -> None:
    picture = Image.fromarray(
        np.random.default_rng(width * 601 + height).integers(0, 256, (height, width, 3), np.uint8)
    )
    assert_within(resize_and_crop(picture), plain(picture), 1)
    array = preprocess(picture)
    assert array.shape == (3, 224, 224)
    assert array.flags.c_contiguous
    assert np.isfinite(array).all()


@pillow_13
@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 300), st.integers(0, 100))
def test_any_specification(width: int, height: int, crop: int, more: int) -> None:
    spec = Preprocessing(resize=crop + more, crop=crop)
    picture = draw(f"{width}x{height}")
    assert_within(resize_and_crop(picture, spec), plain(picture, spec), 1)


LONG = [
    (20_000, 50),
    (50, 20_000),
    (1, 400),
    (400, 1),
    (5000, 300),
    (301, 5000),
    (300, 20_000),
    (9999, 33),
    (33, 9999),
]


@pillow_13
@pytest.mark.parametrize("size", LONG)
def test_long_pictures_are_resized_only_where_the_crop_is(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(size[0])
    picture = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8))
    assert_within(resize_and_crop(picture), plain(picture), 1)


def test_a_picture_a_million_times_longer_than_wide_takes_no_room() -> None:
    """Resized whole it would have 256 x 256,000,000 pixels."""
    assert resize_and_crop(Image.new("RGB", (1_000_000, 1), (9, 8, 7))).reshape(-1, 3).tolist() == [[9, 8, 7]] * 224**2


def test_normalise_takes_batches_of_pixels() -> None:
    pixels = np.stack([resize_and_crop(draw("31x17")), resize_and_crop(draw("3x5"))])
    batch = normalise(pixels, IMAGENET)
    assert batch.dtype == np.float32
    for one, name in zip(batch, ("31x17", "3x5"), strict=True):
        assert np.array_equal(one, preprocess(draw(name)))


def test_files_in_their_order(tmp_path: Path) -> None:
    paths = []
    for name in ("31x17", "3x5", "1x1"):
        draw(name).save(tmp_path / f"{name}.png")
        paths.append(tmp_path / f"{name}.png")
    batch = preprocess_files([str(paths[0]), *paths[1:]])
    assert batch.shape == (3, 3, 224, 224)
    for one, name in zip(batch, ("31x17", "3x5", "1x1"), strict=True):
        assert np.array_equal(one, preprocess(draw(name)))
    assert preprocess_files([]).shape == (0, 3, 224, 224)
    assert preprocess_files([], Preprocessing(resize=40, crop=32)).shape == (0, 3, 32, 32)


# Kinds of picture


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff", ".ppm", ".webp", ".gif", ".jpg", ".jpeg", ".PNG"])
def test_formats(suffix: str, tmp_path: Path) -> None:
    picture = Image.new("RGB", (40, 24), (200, 100, 50))
    picture.paste((0, 0, 0), (0, 0, 8, 8))
    options = {"lossless": True} if suffix == ".webp" else {"quality": 98, "subsampling": 0} if "jp" in suffix else {}
    path = tmp_path / f"picture{suffix}"
    picture.save(path, **options)
    assert suffix.lower() in PICTURE_SUFFIXES
    assert_within(pixels_of(path), np.asarray(picture), 3 if "jp" in suffix else 0)


def test_the_suffix_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "picture.jpg").write_bytes(encoded(draw("31x17"), "PNG"))
    assert np.array_equal(pixels_of(tmp_path / "picture.jpg"), np.asarray(draw("31x17")))


def test_grey(tmp_path: Path) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(pixels_of(tmp_path / "grey.png"), np.repeat(grey[..., None], 3, 2))


def test_one_bit(tmp_path: Path) -> None:
    bits = np.random.default_rng(0).random((9, 13)) < 0.5
    Image.fromarray(bits).save(tmp_path / "bits.png")
    assert np.array_equal(pixels_of(tmp_path / "bits.png"), np.repeat(bits[..., None] * np.uint8(255), 3, 2))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_grey(suffix: str, tmp_path: Path) -> None:
    deep = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    Image.fromarray(deep).save(tmp_path / f"deep{suffix}")
    assert np.array_equal(pixels_of(tmp_path / f"deep{suffix}")[..., 0], np.arange(256).reshape(16, 16))
    between = np.array([[0, 128, 129, 385, 386, 65535]], np.uint16)
    Image.fromarray(between).save(tmp_path / f"between{suffix}")
    assert pixels_of(tmp_path / f"between{suffix}")[0, :, 1].tolist() == [0, 0, 1, 1, 2, 255]


def test_sixteen_bit_grey_in_the_dark(tmp_path: Path) -> None:
    """How bright a pixel is does not depend on whether another one is bright."""
    Image.fromarray(np.full((4, 4), 200, np.uint16)).save(tmp_path / "dark.png")
    assert pixels_of(tmp_path / "dark.png").max() == 1


def pgm(most: int, values: list[int], *, plain: bool = False) -> bytes:
    """A portable greymap of one row whose white is ``most``."""
    head = f"{'P2' if plain else 'P5'} {len(values)} 1 {most}\n".encode()
    return head + (" ".join(map(str, values)).encode() if plain else np.array(values, ">u2").tobytes())


@pytest.mark.parametrize("plain", [False, True])
def test_sixteen_bit_grey_in_a_pgm(plain: bool, tmp_path: Path) -> None:
    """Also in the dark, and where white is less than 65535: Pillow scales it, and opens it as if it had 32 bits."""
    path = tmp_path / "a.pgm"
    path.write_bytes(pgm(65535, [0, 128, 129, 385, 386, 65535], plain=plain))
    assert pixels_of(path)[0, :, 1].tolist() == [0, 0, 1, 1, 2, 255]
    path.write_bytes(pgm(65535, [200, 200], plain=plain))
    assert pixels_of(path).max() == 1
    path.write_bytes(pgm(1023, [0, 1, 3, 512, 1023], plain=plain))
    assert pixels_of(path)[0, :, 2].tolist() == [0, 0, 1, 128, 255]
    path.write_bytes(pgm(1023, [0, 1], plain=plain))
    assert pixels_of(path).max() == 0


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        ([0, 0.25, 0.5, 1], [0, 64, 128, 255]),
        ([0.1, 0.2], [26, 51]),
        ([0, 0], [0, 0]),
        ([1, 1], [255, 255]),
        ([0, 1.25], [0, 1]),
        ([-0.25, 1], [0, 1]),
        ([np.nan, 1], [0, 255]),
        ([0, 255.4], [0, 1]),
    ],
)
def test_floats_within_one_are_fractions_of_white(values: list[float], levels: list[int], tmp_path: Path) -> None:
    Image.fromarray(np.array([values], np.float32)).save(tmp_path / "a.tif")
    assert pixels_of(tmp_path / "a.tif")[0, :, 1].tolist() == levels


def test_integers_within_one_are_levels(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 1]], np.int32)).save(tmp_path / "a.tif")
    assert pixels_of(tmp_path / "a.tif")[0, :, 1].tolist() == [0, 1]


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_thirty_two_bit_grey(dtype: type, tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 7, 255]], dtype)).save(tmp_path / "a.tif")
    assert pixels_of(tmp_path / "a.tif")[0, :, 2].tolist() == [0, 7, 255]
    Image.fromarray(np.array([[-5, 257, 65535]], dtype)).save(tmp_path / "b.tif")
    assert pixels_of(tmp_path / "b.tif")[0, :, 2].tolist() == [0, 1, 255]


def test_grey_that_is_not_a_number(tmp_path: Path) -> None:
    Image.fromarray(np.array([[np.nan, 8]], np.float32)).save(tmp_path / "a.tif")
    assert pixels_of(tmp_path / "a.tif")[0, :, 0].tolist() == [0, 8]


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    rgba = np.array([[[10, 20, 30, 0], [10, 20, 30, 255], [0, 0, 0, 128], [255, 0, 0, 51]]], np.uint8)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    expected = [[255, 255, 255], [10, 20, 30], [127, 127, 127], [255, 204, 204]]
    assert pixels_of(tmp_path / "a.png")[0].tolist() == expected
    Image.fromarray(rgba).save(tmp_path / "a.webp", lossless=True, exact=True)
    assert pixels_of(tmp_path / "a.webp")[0].tolist() == expected


def test_grey_with_transparency(tmp_path: Path) -> None:
    picture = Image.new("LA", (3, 1))
    picture.putdata([(50, 0), (50, 255), (0, 204)])
    picture.save(tmp_path / "la.png")
    assert pixels_of(tmp_path / "la.png")[0, :, 0].tolist() == [255, 50, 51]


def test_palettes(tmp_path: Path) -> None:
    picture = Image.new("P", (3, 1))
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.putdata([0, 1, 2])
    picture.save(tmp_path / "p.png")
    assert pixels_of(tmp_path / "p.png")[0].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    picture.save(tmp_path / "one.png", transparency=1)
    assert pixels_of(tmp_path / "one.png")[0].tolist() == [[255, 0, 0], [255, 255, 255], [0, 0, 255]]
    picture.save(tmp_path / "each.png", transparency=bytes([255, 0, 51]))
    assert pixels_of(tmp_path / "each.png")[0].tolist() == [[255, 0, 0], [255, 255, 255], [204, 204, 255]]
    picture.save(tmp_path / "one.gif", transparency=0)
    assert pixels_of(tmp_path / "one.gif")[0].tolist() == [[255, 255, 255], [0, 255, 0], [0, 0, 255]]


@pytest.mark.parametrize(("mode", "clear"), [("RGB", (1, 2, 3)), ("L", 2), ("1", 0)])
def test_one_transparent_colour(mode: str, clear: Any, tmp_path: Path) -> None:
    Image.new(mode, (2, 2), clear).save(tmp_path / "a.png", transparency=clear)
    assert pixels_of(tmp_path / "a.png").min() == 255


def test_cmyk(tmp_path: Path) -> None:
    for colour, expected in (((0, 0, 0, 0), 255), ((0, 0, 0, 255), 0), ((0, 0, 0, 155), 100)):
        Image.new("CMYK", (16, 16), colour).save(tmp_path / "a.jpg", quality=100)
        assert np.abs(pixels_of(tmp_path / "a.jpg").astype(int) - expected).max() <= 2
    Image.new("CMYK", (16, 16), (255, 0, 0, 0)).save(tmp_path / "a.tif")
    assert pixels_of(tmp_path / "a.tif")[0, 0].tolist() == [0, 255, 255]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_picture_of_several(kind: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    frames[0].save(tmp_path / "a", kind, save_all=True, append_images=frames[1:], **options)
    with Image.open(tmp_path / "a") as opened:
        assert getattr(opened, "n_frames", 1) == 3
    assert pixels_of(tmp_path / "a").reshape(-1, 3).tolist() == [[255, 0, 0]] * 48


def test_a_phones_jpeg_with_a_second_picture_inside(tmp_path: Path) -> None:
    one, two = Image.new("RGB", (16, 16), "white"), Image.new("RGB", (16, 16), "black")
    one.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[two])
    with Image.open(tmp_path / "a.jpg") as opened:
        assert opened.format == "MPO"
    assert pixels_of(tmp_path / "a.jpg").min() > 250


# EXIF

UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda s: s,
    2: lambda s: s[:, ::-1],
    3: lambda s: s[::-1, ::-1],
    4: lambda s: s[::-1],
    5: lambda s: s.transpose(1, 0, 2),
    6: lambda s: np.rot90(s, -1),
    7: lambda s: s[::-1, ::-1].transpose(1, 0, 2),
    8: lambda s: np.rot90(s, 1),
}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", [*UPRIGHT, 0, 9, 65535])
def test_exif_orientation(orientation: int, kind: str, tmp_path: Path) -> None:
    stored = np.asarray(Image.new("RGB", (48, 32), "white")).copy()
    stored[:16, :16], stored[16:, :16] = (255, 0, 0), (0, 0, 255)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    Image.fromarray(stored).save(tmp_path / "a", kind, exif=exif, **options)
    expected = UPRIGHT.get(orientation, UPRIGHT[1])(stored)
    assert_within(pixels_of(tmp_path / "a"), expected, 3 if kind == "JPEG" else 0)


@pytest.mark.parametrize("damage", ["byte order", "offset", "cut"])
def test_a_damaged_exif_block_spoils_no_picture(damage: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    data = bytearray(encoded(Image.new("RGB", (16, 24), "white"), "JPEG", exif=exif))
    start = data.index(b"Exif\0\0") + 6
    if damage == "byte order":
        data[start : start + 4] = b"??!!"
    elif damage == "offset":
        data[start + 4 : start + 8] = b"\xff\xff\xff\xff"
    else:
        data[start + 8 : start + 20] = bytes(range(200, 212))
    (tmp_path / "a.jpg").write_bytes(data)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert pixels_of(tmp_path / "a.jpg").min() > 250
    assert told == []


# Refusals


def refused(path: Path) -> str:
    with pytest.raises(PictureError) as raised:
        load_picture(path)
    assert raised.value.exit_code == 2
    message = str(raised.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_a_missing_file(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.jpg") == "no such file"


def test_a_folder(tmp_path: Path) -> None:
    assert refused(tmp_path) == "is a folder; name the pictures in it"


@pytest.mark.parametrize(
    "contents", [b"", b"hello", b"\xff\xd8\xff", b"PK\x03\x04", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"GIF89a"]
)
def test_no_picture(contents: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(contents)
    assert refused(tmp_path / "a.jpg") == "not a picture that can be read (JPEG, PNG, WebP, BMP, GIF, TIFF)"


def test_postscript_is_not_handed_to_an_interpreter(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(Image.new("RGB", (4, 4)), "EPS"))
    assert refused(tmp_path / "a.jpg").startswith("not a picture that can be read")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
def test_a_truncated_picture(kind: str, tmp_path: Path) -> None:
    data = encoded(draw("300x200"), kind)
    (tmp_path / "a.jpg").write_bytes(data[: len(data) // 2])
    message = refused(tmp_path / "a.jpg")
    assert message.startswith(("cannot be decoded (", "not a picture that can be read"))


def test_a_truncated_jpeg_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(draw("300x200"), "JPEG")[:5000])
    assert refused(tmp_path / "a.jpg").startswith("cannot be decoded (image file is truncated")


def test_preprocess_files_names_the_file(tmp_path: Path) -> None:
    draw("3x5").save(tmp_path / "good.png")
    with pytest.raises(PictureError, match=r"bad\.png: no such file"):
        preprocess_files([tmp_path / "good.png", tmp_path / "bad.png"])


def test_large_pictures_pass_in_silence_and_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow warns from MAX_IMAGE_PIXELS (89 million) on and refuses from twice that on; here from 1000 and 2000 on."""
    assert Image.MAX_IMAGE_PIXELS == 1024**3 // 4 // 3
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    Image.new("RGB", (40, 50), "white").save(tmp_path / "large.png")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert pixels_of(tmp_path / "large.png").shape == (50, 40, 3)
    assert told == []
    Image.new("RGB", (40, 51)).save(tmp_path / "bomb.png")
    assert refused(tmp_path / "bomb.png").startswith("too many pixels; scale it down first (")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
def test_damaged_anywhere_it_is_a_picture_or_refused(kind: str, tmp_path: Path) -> None:
    """Bytes exchanged, bytes lost, the end lost: never another exception, and never a warning (they are errors here)."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    options = {"exif": exif} if kind in ("JPEG", "PNG", "TIFF", "WEBP") else {}
    whole = encoded(draw("31x17"), kind, **options)
    rng = random.Random(0)
    path = tmp_path / "a.jpg"
    refusals = 0
    for i in range(300):
        data = bytearray(whole)
        if i % 3 == 0:
            del data[rng.randrange(len(data)) :]
        elif i % 3 == 1:
            for _ in range(rng.randint(1, 4)):
                data[rng.randrange(min(len(data), 600))] = rng.randrange(256)
        else:
            start = rng.randrange(min(len(data), 600))
            del data[start : start + rng.randint(1, 40)]
        path.write_bytes(data)
        try:
            message, mode = "", load_picture(path).mode
        except PictureError as error:
            message, mode = str(error), ""
        assert mode == "RGB" or message.startswith(f"{path}: ")
        refusals += bool(message)
    assert refusals > 30


# The specification as JSON has it


@given(
    st.integers(1, 1000),
    st.integers(0, 1000),
    st.tuples(*[st.floats(-1e3, 1e3)] * 3),
    st.tuples(*[st.floats(1e-3, 1e3)] * 3),
)
def test_to_dict_and_back(
    crop: int, more: int, mean: tuple[float, float, float], std: tuple[float, float, float]
) -> None:
    spec = Preprocessing(crop + more, crop, mean, std)
    assert Preprocessing.from_dict(spec.to_dict()) == spec


def test_to_dict() -> None:
    assert IMAGENET.to_dict() == {
        "resize": 256,
        "crop": 224,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "interpolation": "bicubic",
        "antialias": True,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"interpolation": "bilinear"}, "interpolation 'bilinear' is not supported; only 'bicubic' is"),
        ({"interpolation": None}, "interpolation None is not supported"),
        ({"antialias": False}, "resizing without antialiasing is not supported"),
        ({"mean": [0.5, 0.5]}, "preprocessing makes no sense"),
        ({"mean": 0.5}, "preprocessing lacks or garbles"),
        ({"mean": None}, "preprocessing lacks or garbles"),
        ({"mean": ["x", 0, 0]}, "could not convert string to float"),
        ({"mean": [float("nan"), 0, 0]}, "preprocessing makes no sense"),
        ({"std": [1, 1, 0]}, "preprocessing makes no sense"),
        ({"std": [1, 1, -1]}, "preprocessing makes no sense"),
        ({"std": [1, 1, float("nan")]}, "preprocessing makes no sense"),
        ({"std": [1, 1, float("inf")]}, "preprocessing makes no sense"),
        ({"std": [1, 1, 1, 1]}, "preprocessing makes no sense"),
        ({"crop": 0}, "preprocessing makes no sense"),
        ({"crop": -1}, "preprocessing makes no sense"),
        ({"crop": 257}, "preprocessing makes no sense"),
        ({"crop": "224"}, "preprocessing lacks or garbles"),
        ({"resize": 256.5}, "preprocessing lacks or garbles"),
        ({"resize": float("inf")}, "preprocessing lacks or garbles"),
    ],
)
def test_from_dict_refuses(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing.from_dict({**IMAGENET.to_dict(), **change})


@pytest.mark.parametrize("key", ["resize", "crop", "mean", "std"])
def test_from_dict_misses_a_number(key: str) -> None:
    data = IMAGENET.to_dict()
    del data[key]
    with pytest.raises(ValueError, match=f"preprocessing lacks or garbles '{key}'"):
        Preprocessing.from_dict(data)


@pytest.mark.parametrize("data", [None, [], "bicubic", 3])
def test_from_dict_of_no_dict(data: Any) -> None:
    with pytest.raises(ValueError, match="preprocessing is not a table of numbers"):
        Preprocessing.from_dict(data)
