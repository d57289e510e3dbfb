"""Labelled pictures: folders find their classes by name, or by order where the names say nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from levit_mobile.checkpoints import imagenet_labels
from levit_mobile.datasets import LabelledPictures, find_labelled
from levit_mobile.errors import PictureError, UsageError
from levit_mobile.preprocess import Preprocessing, load_picture, resize_and_crop

SPEC = Preprocessing(20, 16)


def folders(root: Path, *names: str, count: int = 1) -> Path:
    """``count`` pictures a folder; they need not be pictures until somebody reads them."""
    for name in names:
        (root / name).mkdir(parents=True)
        for i in range(count):
            (root / name / f"{i}.png").touch()
    return root


def matched(root: Path, labels: list[str]) -> dict[str, int]:
    found = find_labelled(root, labels)
    return {path.parent.name: label for path, label in zip(found.paths, found.labels, strict=True)}


def refused(folder: Path, labels: list[str]) -> str:
    with pytest.raises(UsageError) as raised:
        find_labelled(folder, labels)
    assert raised.value.exit_code == 2
    assert str(raised.value).startswith(f"{folder}: ")
    return str(raised.value).removeprefix(f"{folder}: ")


# By name


def test_by_name_in_any_order(tmp_path: Path) -> None:
    assert matched(folders(tmp_path, "ant", "bee", "cat"), ["cat", "ant", "bee"]) == {"ant": 1, "bee": 2, "cat": 0}


@pytest.mark.parametrize("name", ["gas pump", "Gas_Pump", "GASPUMP", "gas-pump", "petrol pump", "island_dispenser"])
def test_by_name_without_case_spaces_and_underscores(name: str, tmp_path: Path) -> None:
    labels = ["church", "gas pump, gasoline pump, petrol pump, island dispenser"]
    assert matched(folders(tmp_path, name), labels) == {name: 1}


def test_a_class_may_be_a_link(tmp_path: Path) -> None:
    folders(tmp_path / "data", "ant")
    folders(tmp_path, "elsewhere", count=2)
    (tmp_path / "data" / "bee").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert find_labelled(tmp_path / "data", ["bee", "ant"]).labels == [1, 0, 0]


def test_some_classes_may_be_missing(tmp_path: Path) -> None:
    assert matched(folders(tmp_path, "cat", "bee"), ["ant", "bee", "cat"]) == {"bee": 1, "cat": 2}


def test_two_folders_may_mean_one_class(tmp_path: Path) -> None:
    assert matched(folders(tmp_path, "carp", "Goldfish"), ["goldfish, carp", "shark"]) == {"Goldfish": 0, "carp": 0}


@pytest.mark.parametrize("labels", [["goldfish, carp", "carp"], ["carp", "goldfish, carp"]])
def test_a_whole_name_comes_before_a_synonym(labels: list[str], tmp_path: Path) -> None:
    assert matched(folders(tmp_path, "carp"), labels) == {"carp": labels.index("carp")}


def test_the_dog_and_the_garment(tmp_path: Path) -> None:
    """ImageNet has a corgi, "Cardigan, Cardigan Welsh corgi" (264), and a "cardigan" (474)."""
    found = matched(folders(tmp_path, "cardigan", "Cardigan_Welsh_corgi", "tench"), list(imagenet_labels()))
    assert found == {"cardigan": 474, "Cardigan_Welsh_corgi": 264, "tench": 0}


def test_labels_in_any_script(tmp_path: Path) -> None:
    assert matched(folders(tmp_path, "犬", "église"), ["Église", "犬"]) == {"église": 0, "犬": 1}


# By order


def test_by_order_where_no_name_is_known(tmp_path: Path) -> None:
    folders(tmp_path, "n03028079", "n01440764", "n02102040")
    labels = ["tench", "English springer", "church"]
    assert matched(tmp_path, labels) == {"n01440764": 0, "n02102040": 1, "n03028079": 2}


def test_by_order_if_the_known_names_agree(tmp_path: Path) -> None:
    assert matched(folders(tmp_path, "ant", "bees", "cat"), ["ant", "bee", "cat"]) == {"ant": 0, "bees": 1, "cat": 2}


def test_not_by_order_against_a_name(tmp_path: Path) -> None:
    """One misspelt folder must not silently make cats of all ants."""
    message = refused(folders(tmp_path, "ant", "bees", "cat"), ["cat", "bee", "ant"])
    assert message == "has 3 classes, the model 3, and 'bees' is not one of the model's labels"


@pytest.mark.parametrize("names", [["x"], ["x", "y", "z"]])
def test_another_number_of_unknown_folders(names: list[str], tmp_path: Path) -> None:
    message = refused(folders(tmp_path, *names), ["a", "b"])
    assert message == f"has {len(names)} classes, the model 2, and 'x' is not one of the model's labels"


def test_one_unknown_folder_among_known(tmp_path: Path) -> None:
    message = refused(folders(tmp_path, "a", "b", "zebra"), ["a", "b"])
    assert message == "has 3 classes, the model 2, and 'zebra' is not one of the model's labels"


# What is no image folder


@pytest.mark.parametrize("name", ["none", "file"])
def test_no_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert refused(tmp_path / name, ["a"]) == "no such folder; --data wants one folder a class with pictures in it"


def test_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "notes.txt").touch()
    assert refused(tmp_path, ["cat"]) == "no pictures in it"


def test_loose_pictures(tmp_path: Path) -> None:
    folders(tmp_path, "cat")
    (tmp_path / "loose.png").touch()
    assert refused(tmp_path, ["cat"]) == "pictures lie loose in it; put each class's into a folder of its own"


# How many


def test_all_in_the_order_of_the_folders(tmp_path: Path) -> None:
    found = find_labelled(folders(tmp_path, "b", "a", count=3), ["b", "a"])
    assert [path.relative_to(tmp_path).as_posix() for path in found.paths] == [
        "a/0.png", "a/1.png", "a/2.png", "b/0.png", "b/1.png", "b/2.png",
    ]  # fmt: skip
    assert found.labels == [1, 1, 1, 0, 0, 0]
    assert len(found) == 6


@pytest.mark.parametrize("limit", [1, 2, 5, 7, 19, 20, 21, 1000])
def test_a_limit_is_spread_evenly(limit: int, tmp_path: Path) -> None:
    labels = ["a", "b", "c", "d"]
    found = find_labelled(folders(tmp_path, *labels, count=5), labels, limit=limit)
    assert len(found) == len(set(found.paths)) == min(limit, 20)
    per_class = [found.labels.count(at) for at in range(4)]
    assert max(per_class) - min(per_class) <= 1
    assert found.labels == sorted(found.labels)


# Batches


@pytest.fixture
def pictures(tmp_path: Path) -> LabelledPictures:
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (24, 30, 3), np.uint8)).save(path)
    return LabelledPictures(paths, [3, 1, 4, 1, 5])


@pytest.mark.parametrize(("batch", "sizes"), [(1, [1] * 5), (2, [2, 2, 1]), (5, [5]), (16, [5])])
def test_batches(batch: int, sizes: list[int], pictures: LabelledPictures) -> None:
    made = list(pictures.batches(SPEC, batch))
    assert [len(pixels) for pixels, _ in made] == sizes
    assert {(pixels.dtype.name, pixels.shape[1:], labels.dtype.name) for pixels, labels in made} == {
        ("uint8", (16, 16, 3), "int64")
    }
    expected = np.stack([resize_and_crop(load_picture(path), SPEC) for path in pictures.paths])
    assert np.array_equal(np.concatenate([pixels for pixels, _ in made]), expected)
    assert np.concatenate([labels for _, labels in made]).tolist() == [3, 1, 4, 1, 5]


def test_no_batches_of_nothing() -> None:
    assert list(LabelledPictures([], []).batches(SPEC)) == []


def test_a_file_that_is_no_picture(pictures: LabelledPictures) -> None:
    pictures.paths[3].write_bytes(b"")
    batches = pictures.batches(SPEC, 2)
    assert next(batches)[1].tolist() == [3, 1]
    with pytest.raises(PictureError, match=r"3\.png: not a picture that can be read"):
        next(batches)
