"""Artifacts are opened by another process first: what may become of that one, and what is remembered."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from levit_mobile import isolated
from levit_mobile.errors import BundleError, LevitMobileError, RuntimeMissingError
from levit_mobile.runtimes import trial

REPOSITORY = Path(__file__).parents[2]
READER = """
import os, time, sys
from levit_mobile.errors import BundleError, LevitMobileError, RuntimeMissingError

class Opened:
    def logits(self, pixels):
        assert pixels.shape == (1, 64, 64, 3)
        print("chatter")
    def anatomy(self):
        pass

def open_artifact(path, *, size, spec):
    assert (size, spec.crop) == (64, 64)
    text = path.read_text()
    with open(path.with_suffix(".opened"), "a") as file:
        file.write("x")
    if text == "abort":
        os.abort()
    if text == "sleep":
        time.sleep(60)
    if text == "refuse":
        raise BundleError("not one of ours")
    if text == "stumble":
        raise ZeroDivisionError("by\\n nothing")
    if text == "missing":
        raise RuntimeMissingError("no package")
    if text == "fill":
        bytearray(9 << 30)
    return Opened()
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "made_up_reader.py").write_text(READER)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(REPOSITORY)]))
    monkeypatch.setenv("LEVIT_MOBILE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return tmp_path / "model.bin"


def survives(artifact: Path, content: str, digest: str = "a", target: str = "tflite") -> None:
    artifact.write_text(content)
    trial.survives(target, "made_up_reader", artifact, size=64, digest=digest)


def opened(artifact: Path) -> int:
    marks = artifact.with_suffix(".opened")
    return len(marks.read_text()) if marks.exists() else 0


def test_what_went_well_is_not_tried_again(artifact: Path, cache: Path) -> None:
    survives(artifact, "good")
    survives(artifact, "good")
    assert opened(artifact) == 1
    assert len(list((cache / "ran").iterdir())) == 1
    survives(artifact, "good", digest="b")
    assert opened(artifact) == 2


def test_another_version_of_the_runtime_is(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    survives(artifact, "good")
    monkeypatch.setattr(trial.metadata, "version", lambda package: "99.9")
    survives(artifact, "good")
    assert opened(artifact) == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("refuse", "not one of ours"),
        ("stumble", "{artifact}: cannot be read (ZeroDivisionError: by nothing)"),
        ("fill", "{artifact}: reading it takes more than 8 GiB of memory"),
    ],
)
def test_what_is_refused_there_is_not_opened_here(artifact: Path, content: str, words: str, cache: Path) -> None:
    for _ in range(2):
        with pytest.raises(BundleError) as caught:
            survives(artifact, content)
        assert str(caught.value) == words.format(artifact=artifact)
    assert opened(artifact) == 2  # and is not taken for a success
    assert not cache.exists()


def test_the_kind_of_a_refusal_is_kept(artifact: Path) -> None:
    with pytest.raises(RuntimeMissingError, match=r"^no package$"):
        survives(artifact, "missing")


def test_a_reader_that_dies(artifact: Path, cache: Path) -> None:
    with pytest.raises(BundleError) as caught:
        survives(artifact, "abort")
    assert str(caught.value) == (
        f"{artifact}: the runtime dies of it (SIGABRT); it is damaged, or none of this toolkit's"
    )
    assert not cache.exists()


def test_a_reader_that_hangs(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_SECONDS", 3)
    with pytest.raises(BundleError, match=r"model\.bin: the runtime did not come to an end with it in 3 s$"):
        survives(artifact, "sleep")


def test_what_was_just_exported_is_known(artifact: Path) -> None:
    trial.note_success("tflite", "a")
    survives(artifact, "abort")
    assert opened(artifact) == 0


def test_a_reader_in_python_needs_no_trial(artifact: Path) -> None:
    survives(artifact, "abort", target="coffee")
    assert opened(artifact) == 0


def test_a_cache_that_cannot_be_written(artifact: Path, cache: Path) -> None:
    cache.write_text("a file where a folder should be")
    survives(artifact, "good")
    survives(artifact, "good")
    assert opened(artifact) == 2
    trial.note_success("tflite", "a")


def child(artifact: Path, content: str, seconds: int) -> int:
    artifact.write_text(content)
    words = ["2", str(seconds), trial.__name__, "open_and_run", "made_up_reader", str(artifact), "64"]
    command = [sys.executable, "-P", "-c", isolated._CHILD, *words]
    return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode


def test_what_the_child_ends_with(artifact: Path) -> None:
    assert [child(artifact, content, 60) for content in ("good", "refuse", "stumble", "abort")] == [0, 3, 3, -6]


def test_a_child_that_outlives_its_parent_ends_itself(artifact: Path) -> None:
    assert child(artifact, "sleep", 2) == -14


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (6, "dies of it (SIGABRT)"),
        (9, "the system ended the runtime (SIGKILL), for want of memory"),
        (14, "did not come to an end"),
        (40, "dies of it (signal 40)"),
    ],
)
def test_what_ended_it(number: int, words: str) -> None:
    assert words in isolated.cause_of_death(number, "the runtime", 600)


def test_modules_in_the_current_folder_are_not_taken(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be somebody else's bundle."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "numpy.py").write_text("open('taken', 'w')")
    monkeypatch.chdir(folder)
    survives(artifact, "good")
    assert [path.name for path in folder.iterdir()] == ["numpy.py"]
    assert opened(artifact) == 1


def test_warnings_may_be_errors(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    survives(artifact, "good")
    assert opened(artifact) == 1


def test_a_child_that_cannot_start(artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "numpy.py").write_text("raise ImportError('no numpy here')")  # on PYTHONPATH, as a broken one would be
    with pytest.raises(LevitMobileError, match=r"could not be tried in a process of its own: .*no numpy here"):
        survives(artifact, "good")
    assert opened(artifact) == 0


def test_a_cache_that_may_not_be_looked_at(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVIT_MOBILE_CACHE", "/" + "x" * 300)
    survives(artifact, "good")
    assert opened(artifact) == 1
