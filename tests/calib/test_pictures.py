"""Calibration pictures: found in any folder, chosen by a seed and evenly over the classes, refused with one sentence."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from calib.pictures import balanced_sample, find_pictures, load_calibration_set
from levit_mobile.errors import CalibrationError, PictureError
from levit_mobile.preprocess import Preprocessing, load_picture, resize_and_crop

SPEC = Preprocessing(20, 16)
Pixels = npt.NDArray[np.uint8]


def noise(count: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (count, 24, 30, 3), np.uint8)


def save(path: Path, pixels: Pixels) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def nested(folder: Path, counts: dict[str, int]) -> Path:
    for seed, (name, count) in enumerate(counts.items()):
        for i, pixels in enumerate(noise(count, seed)):
            save(folder / name / f"{i:02}.png", pixels)
    return folder


def rows(pixels: Pixels) -> set[bytes]:
    return {picture.tobytes() for picture in pixels}


# Finding


def test_find_nested_and_flat(tmp_path: Path) -> None:
    nested(tmp_path, {"cat": 2, "dog/small/old": 1, "dog/large": 1})
    assert find_pictures(tmp_path) == {
        "cat": [tmp_path / "cat/00.png", tmp_path / "cat/01.png"],
        "dog": [tmp_path / "dog/large/00.png", tmp_path / "dog/small/old/00.png"],
    }
    assert find_pictures(tmp_path / "cat") == {"": [tmp_path / "cat/00.png", tmp_path / "cat/01.png"]}
    save(tmp_path / "loose.JPG", noise(1)[0])
    assert find_pictures(tmp_path)[""] == [tmp_path / "loose.JPG"]


def test_find_leaves_out_what_is_no_picture(tmp_path: Path) -> None:
    """Other suffixes, folders with a picture's name, and what hides: a Mac leaves ``._x.jpg`` beside every ``x.jpg``."""
    for name in ("a/notes.txt", "a/._x.jpg", ".thumbnails/x.png", "a/.cache/x.png", "a/x.jpg.part", "a/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"no picture")
    (tmp_path / "a" / "folder.png").mkdir()
    assert find_pictures(tmp_path) == {}
    save(tmp_path / "a" / "folder.png" / "x.gif", noise(1)[0])
    assert find_pictures(tmp_path) == {"a": [tmp_path / "a/folder.png/x.gif"]}


def test_a_hidden_folder_may_be_named_itself(tmp_path: Path) -> None:
    save(tmp_path / ".cache" / "x.png", noise(1)[0])
    assert find_pictures(tmp_path / ".cache") == {"": [tmp_path / ".cache/x.png"]}


def test_linked_folders_and_pictures_are_followed(tmp_path: Path) -> None:
    """A data set is often put together from links; two classes may even be links to one folder."""
    store, data = nested(tmp_path / "store", {"cats": 2}), tmp_path / "data"
    nested(data, {"dog": 1})
    (data / "cat").symlink_to(store / "cats", target_is_directory=True)
    (data / "kitten").symlink_to(store / "cats", target_is_directory=True)
    (data / "dog" / "zz.png").symlink_to(store / "cats" / "00.png")
    (data / "dog" / "gone.png").symlink_to(store / "nothing.png")
    (data / ".hidden").symlink_to(store / "cats", target_is_directory=True)
    assert find_pictures(data) == {
        "cat": [data / "cat/00.png", data / "cat/01.png"],
        "dog": [data / "dog/00.png", data / "dog/zz.png"],
        "kitten": [data / "kitten/00.png", data / "kitten/01.png"],
    }
    assert list(find_pictures(data)) == ["cat", "dog", "kitten"]
    (tmp_path / "link").symlink_to(data, target_is_directory=True)
    assert len(load_calibration_set(tmp_path / "link", SPEC).pixels) == 6


def test_links_in_a_loop_end(tmp_path: Path) -> None:
    nested(tmp_path, {"cat": 1, "dog": 1})
    (tmp_path / "cat" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "cat" / "self").symlink_to(tmp_path / "cat", target_is_directory=True)
    (tmp_path / "dog" / "nowhere").symlink_to(tmp_path / "dog" / "nowhere")
    assert find_pictures(tmp_path) == {"cat": [tmp_path / "cat/00.png"], "dog": [tmp_path / "dog/00.png"]}


def test_the_order_is_that_of_the_paths(tmp_path: Path) -> None:
    """Not that of the disk; the seed chooses by place in it."""
    nested(tmp_path, {"a/z": 1, "a/b/c": 1, "a": 2, "a/01.png.d": 1, "B": 1})
    groups = find_pictures(tmp_path)
    assert list(groups) == ["B", "a"]
    names = [path.relative_to(tmp_path / "a").as_posix() for path in groups["a"]]
    assert names == ["00.png", "01.png", "01.png.d/00.png", "b/c/00.png", "z/00.png"]


# Choosing


def groups_of(sizes: list[int]) -> dict[str, list[Path]]:
    return {f"c{at}": [Path(f"c{at}/{i}") for i in range(size)] for at, size in enumerate(sizes)}


@settings(deadline=None)
@given(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=8), count=st.integers(1, 60), seed=st.integers(0, 99))
def test_balanced(sizes: list[int], count: int, seed: int) -> None:
    picked = balanced_sample(groups_of(sizes), count, seed)
    assert len(picked) == min(count, sum(sizes))
    assert len(set(picked)) == len(picked)
    per_class = Counter(path.parent.name for path in picked)
    most = max(per_class.values())
    for at, size in enumerate(sizes):
        # Either within one of the fullest class, or used up.
        assert per_class[f"c{at}"] >= min(most - 1, size)


def test_the_seed_chooses() -> None:
    groups = groups_of([50, 50])
    one, same, other = (balanced_sample(groups, 10, seed) for seed in (1, 1, 2))
    assert one == same
    assert set(one) != set(other)


def test_the_order_of_the_classes_does_not_matter() -> None:
    groups = groups_of([9, 5, 7])
    assert balanced_sample(groups, 11, 3) == balanced_sample(dict(reversed(groups.items())), 11, 3)


def test_every_class_has_the_same_chance_in_the_last_round() -> None:
    """One picture of four classes, 2000 times: 500 each, with a standard deviation of 19."""
    groups = groups_of([3] * 4)
    firsts = Counter(balanced_sample(groups, 1, seed)[0].parent.name for seed in range(2000))
    assert min(firsts.values()) > 400
    assert max(firsts.values()) < 600


# Reading a folder


def test_a_nested_folder(tmp_path: Path) -> None:
    nested(tmp_path, {"cat": 3, "dog": 3, "fox": 3})
    chosen = load_calibration_set(tmp_path, SPEC, count=6, seed=4)
    assert chosen.pixels.shape == (6, 16, 16, 3)
    assert chosen.pixels.dtype == np.uint8
    expected = {
        name: rows(np.stack([resize_and_crop(load_picture(p), SPEC) for p in (tmp_path / name).iterdir()]))
        for name in ("cat", "dog", "fox")
    }
    assert [len(rows(chosen.pixels) & expected[name]) for name in expected] == [2, 2, 2]


def test_the_digest_tells_sets_apart(tmp_path: Path) -> None:
    nested(tmp_path, {"cat": 5, "dog": 5})
    one, same, other = (load_calibration_set(str(tmp_path), SPEC, count=4, seed=seed) for seed in (0, 0, 1))
    assert one.digest == same.digest == hashlib.sha256(b"(4, 16, 16, 3)" + one.pixels.tobytes()).hexdigest()
    assert one.digest != other.digest
    assert one.digest != load_calibration_set(tmp_path, SPEC, count=5).digest
    assert one.digest != load_calibration_set(tmp_path, Preprocessing(24, 16), count=4).digest


def test_where_the_pictures_lie_does_not_matter(tmp_path: Path) -> None:
    one, two = (nested(tmp_path / place, {"cat": 2, "dog": 2}) for place in ("one", "deep/two"))
    assert load_calibration_set(one, SPEC).digest == load_calibration_set(two, SPEC).digest


def test_more_than_there_are(tmp_path: Path) -> None:
    nested(tmp_path, {"cat": 2, "dog": 1})
    assert len(load_calibration_set(tmp_path, SPEC, count=1000).pixels) == 3
    assert len(rows(load_calibration_set(tmp_path, SPEC, count=1000).pixels)) == 3


def refused(source: Path, **options: Any) -> str:
    """What the error says after the source's name."""
    with pytest.raises(CalibrationError) as raised:
        load_calibration_set(source, SPEC, **options)
    assert raised.value.exit_code == 2
    message = str(raised.value)
    assert message.startswith(f"{source}: ")
    return message.removeprefix(f"{source}: ")


@pytest.mark.parametrize("name", ["none", "none/deeper", "x" * 300, "nul\0byte"])
def test_a_missing_path(name: str, tmp_path: Path) -> None:
    assert refused(tmp_path / name) == "no such folder or file of calibration pictures"


def test_an_empty_folder(tmp_path: Path) -> None:
    expected = (
        "no pictures in this folder or below it (looked for .bmp, .gif, .jpeg, .jpg, .png, .ppm, .tif, .tiff, .webp)"
    )
    assert refused(tmp_path) == expected
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "readme.txt").write_text("none yet")
    assert refused(tmp_path) == expected


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    nested(tmp_path, {"cat": 3})
    (tmp_path / "cat" / "zz.jpg").write_bytes(b"<html>404</html>")
    with pytest.raises(PictureError) as raised:
        load_calibration_set(tmp_path, SPEC, count=4)
    assert str(raised.value).startswith(f"{tmp_path / 'cat' / 'zz.jpg'}: not a picture that can be read")


@pytest.mark.parametrize("count", [0, -1])
def test_a_count_that_makes_no_sense(count: int, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=f"^{count} calibration pictures make no sense; type at least 1$"):
        load_calibration_set(tmp_path, SPEC, count=count)


def test_a_seed_that_makes_no_sense(tmp_path: Path) -> None:
    nested(tmp_path, {"cat": 1})
    with pytest.raises(CalibrationError, match=r"^the seed -1 makes no sense; type 0 or more$"):
        load_calibration_set(tmp_path, SPEC, seed=-1)


# Reading an .npz


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_an_npz(tmp_path: Path) -> None:
    """The same resize and crop as files: a lossless file and an array of the same pixels give the same set."""
    pixels = noise(7)
    file = npz(tmp_path / "set.npz", pictures=pixels)
    chosen = load_calibration_set(file, SPEC, count=100)
    expected = rows(np.stack([resize_and_crop(Image.fromarray(p), SPEC) for p in pixels]))
    assert rows(chosen.pixels) == expected
    assert len(expected) == len(chosen.pixels) == 7
    for i, picture in enumerate(pixels):
        save(tmp_path / "files" / f"{i}.png", picture)
    assert rows(load_calibration_set(tmp_path / "files", SPEC, count=7).pixels) == expected


def test_an_npz_is_chosen_from_by_seed(tmp_path: Path) -> None:
    file = npz(tmp_path / "set.npz", x=noise(20))
    one, same, other = (load_calibration_set(file, SPEC, count=5, seed=seed) for seed in (1, 1, 2))
    assert len(rows(one.pixels)) == len(one.pixels) == 5
    assert one.digest == same.digest != other.digest


def test_an_npz_with_labels_beside_the_pictures(tmp_path: Path) -> None:
    file = npz(tmp_path / "set.npz", labels=np.arange(4), x=noise(4), zz=noise(1))
    assert len(load_calibration_set(file, SPEC).pixels) == 4


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (noise(2).astype(np.float32), "float32(2, 24, 30, 3)"),
        (noise(2).astype(np.int8), "int8(2, 24, 30, 3)"),
        (noise(2).transpose(0, 3, 1, 2), "uint8(2, 3, 24, 30)"),
        (noise(2)[0], "uint8(24, 30, 3)"),
        (noise(2)[..., :1], "uint8(2, 24, 30, 1)"),
        (noise(2)[:0], "uint8(0, 24, 30, 3)"),
        (noise(2)[:, :0], "uint8(2, 0, 30, 3)"),
    ],
)
def test_an_npz_of_another_kind(array: Pixels, found: str, tmp_path: Path) -> None:
    file = npz(tmp_path / "set.npz", x=array)
    assert refused(file) == f"needs a uint8 array (N, H, W, 3) of RGB pictures, holds {found}"


def test_an_npz_with_nothing_in_it(tmp_path: Path) -> None:
    assert refused(npz(tmp_path / "set.npz")).endswith("of RGB pictures, holds nothing")


def test_a_zip_of_picture_files(tmp_path: Path) -> None:
    picture = save(tmp_path / "a.png", noise(1)[0])
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        archive.write(picture, "a.png")
    assert refused(tmp_path / "pictures.zip").endswith("of RGB pictures, holds nothing")


def saved_array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, noise(2))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data", [b"", b"text", b"PK\x03\x04cut", saved_array(), b"\x93NUMPY"], ids=["empty", "text", "cut", ".npy", "magic"]
)
def test_a_file_that_is_no_npz(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "set.npz").write_bytes(data)
    assert refused(tmp_path / "set.npz").startswith("not an .npz file of pictures (")


def test_an_npz_that_is_damaged_anywhere(tmp_path: Path) -> None:
    """Read or refused, and nothing is left open (a ResourceWarning is an error here)."""
    whole = npz(tmp_path / "set.npz", x=noise(1)).read_bytes()
    rng = np.random.default_rng(0)
    refusals = 0
    for i in range(60):
        data = bytearray(whole)
        if i % 2:
            del data[int(rng.integers(len(data))) :]
        else:
            for place in rng.integers(0, 128, 2):
                data[place] ^= int(rng.integers(1, 256))
        (tmp_path / "set.npz").write_bytes(data)
        try:
            load_calibration_set(tmp_path / "set.npz", SPEC)
        except CalibrationError:
            refusals += 1
    assert refusals > 40


class Trap:
    """Runs code where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("beside", [False, True])
def test_an_npz_is_never_unpickled(beside: bool, tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    objects = np.empty(1, object)
    objects[0] = Trap(trap)
    file = npz(tmp_path / "set.npz", **({"x": noise(2)} if beside else {}), y=objects)
    with np.load(file, allow_pickle=True) as opened:
        assert opened["y"].shape == (1,)
    trap.rmdir()  # it was there: the trap works
    assert "allow_pickle=False" in refused(file)
    assert not trap.exists()
