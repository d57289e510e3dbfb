"""``levit predict``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Levit
from exports import Exported
from pictures import draw

from levit_mobile.bundle import open_bundle
from levit_mobile.evaluate import top_k
from levit_mobile.preprocess import load_picture, resize_and_crop
from levit_mobile.runtimes import open_runtime

pytestmark = pytest.mark.slow


@pytest.fixture
def bundle(exported: Exported) -> Path:
    return exported.bundle("levit_128s-int8-tflite")


def wanted(bundle: Path, picture: Path, k: int) -> list[tuple[int, float]]:
    opened = open_bundle(bundle)
    pixels = resize_and_crop(load_picture(picture), opened.preprocessing)
    return top_k(open_runtime(opened).logits(pixels[None])[0], k)


def test_text(levit: Levit, bundle: Path, photos: list[Path]) -> None:
    answer = levit("predict", bundle, *photos)
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert len(lines) == 18
    labels = open_bundle(bundle).labels
    for number, photo in enumerate(photos):
        assert lines[6 * number] == str(photo)
        rows = [f"{share:>7.1%}  {labels[index]}" for index, share in wanted(bundle, photo, 5)]
        assert lines[6 * number + 1 : 6 * number + 6] == rows


def test_json(levit: Levit, bundle: Path, photos: list[Path]) -> None:
    answer = levit("predict", bundle, *photos, "--top-k", 3, "--json")
    assert (answer.code, answer.err) == (0, "")
    found = answer.data["predictions"]
    assert [row["image"] for row in found] == [str(photo) for photo in photos]
    labels = open_bundle(bundle).labels
    for row, photo in zip(found, photos, strict=True):
        assert [(t["class"], t["label"]) for t in row["top"]] == [(i, labels[i]) for i, _ in wanted(bundle, photo, 3)]
        shares = [t["probability"] for t in row["top"]]
        assert shares == pytest.approx([share for _, share in wanted(bundle, photo, 3)])
        assert 1 >= sum(shares) >= shares[0] >= shares[1] >= shares[2] > 0


@pytest.mark.parametrize("kind", ["nchw", "uint8", "int8", "uint8-fp32"])
def test_every_kind_of_artifact(levit: Levit, other_kinds: Exported, photos: list[Path], kind: str) -> None:
    answer = levit("predict", other_kinds.bundle(kind), photos[0], "--json")
    assert answer.code == 0
    assert len(answer.data["predictions"][0]["top"]) == 5


def test_threads_and_more_classes_than_there_are(levit: Levit, bundle: Path, photos: list[Path]) -> None:
    answer = levit("predict", bundle, photos[0], "--threads", 2, "--top-k", 99, "--json")
    top = answer.data["predictions"][0]["top"]
    assert sorted(row["class"] for row in top) == list(range(10))
    assert sum(row["probability"] for row in top) == pytest.approx(1)


@pytest.mark.parametrize(
    "name", ["a [bold]b[!].png", "c[/x].png", ":cat: $HOME 'q'.png", "caf\udce9.png", "na\u00efve 犬.png"]
)
def test_names_that_look_like_something_else(levit: Levit, bundle: Path, tmp_path: Path, name: str) -> None:
    """Markup, codes and letters that UTF-8 lacks: printed as they are, or escaped."""
    folder = tmp_path / "[/red]"
    (folder / name).parent.mkdir(parents=True)
    draw("300x200").save(folder / name)
    answer = levit("predict", bundle, folder / name)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[0] == str(folder / name).replace("\udce9", "\\udce9")
    assert levit("predict", bundle, folder / name, "--json").data["predictions"][0]["image"] == str(folder / name)


def test_a_terminal_with_few_letters(bundle: Path, tmp_path: Path) -> None:
    draw("300x200").save(tmp_path / "犬.png")
    command = [sys.executable, "-m", "levit_mobile", "predict", str(bundle), str(tmp_path / "犬.png")]
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.splitlines()[0].endswith(b"\\u72ac.png")


def test_without_torch(bundle: Path, photos: list[Path]) -> None:
    """A phone developer's machine has no torch; and where there is one, it is not waited for."""
    code = (
        "import sys; sys.modules['torch'] = None; sys.argv = ['levit', 'predict', *sys.argv[1:]]; "
        "from levit_mobile.cli.main import main; main()"
    )
    command = [sys.executable, "-c", code, str(bundle), str(photos[0])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("%") == 5


def test_a_file_that_is_no_picture(levit: Levit, bundle: Path, photos: list[Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"\xff\xd8\xff\xe0 not a JPEG")
    answer = levit("predict", bundle, photos[0], bad, photos[1])
    assert answer.code == 2
    assert answer.err.startswith(f"error: {bad}: ")
    assert answer.out.splitlines()[0] == str(photos[0])  # what came before has been said
    machine = levit("predict", bundle, photos[0], bad, "--json")
    assert (machine.code, machine.out) == (2, "")


def test_a_picture_that_is_not_there(levit: Levit, bundle: Path, tmp_path: Path) -> None:
    answer = levit("predict", bundle, tmp_path / "none.png")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == f"error: {tmp_path / 'none.png'}: no such file\n"
    folder = levit("predict", bundle, tmp_path)
    assert folder.code == 2
    assert str(tmp_path) in folder.err


def test_a_bundle_that_is_not_there(levit: Levit, photos: list[Path], tmp_path: Path) -> None:
    answer = levit("predict", tmp_path / "none", photos[0])
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == (
        f"error: {tmp_path / 'none'}: no such bundle; make one with: levit-export --target tflite --int8\n"
    )


def test_a_photograph_of_a_church(levit: Levit, exported: Exported, shared: Path) -> None:
    """The first pictures of two classes that the demo checkpoint knows: most are right."""
    right = 0
    for folder, label in (("n03028079", "church"), ("n03445777", "golf ball")):
        some = sorted((shared / "images/imagenette/val" / folder).iterdir())[:6]
        answer = levit("predict", exported.bundle("levit_128s-int8-tflite"), *some, "--top-k", 1, "--json")
        right += sum(row["top"][0]["label"] == label for row in answer.data["predictions"])
    assert right >= 8
