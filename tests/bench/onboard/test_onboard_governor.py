from __future__ import annotations

import json
from pathlib import Path

import pytest

from levit_mobile.bench.onboard import facts
from levit_mobile.bench.onboard.governor import Governor


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Of two processors."""
    monkeypatch.setattr(facts, "ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("PATH", str(tmp_path))  # no sudo
    paths = [tmp_path / f"root/sys/devices/system/cpu/cpu{n}/cpufreq/scaling_governor" for n in (0, 1)]
    for path, text in zip(paths, ("ondemand", "schedutil"), strict=True):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return paths


def test_set_and_put_back(files: list[Path], tmp_path: Path) -> None:
    governor = Governor(str(tmp_path))
    governor.choose("performance")
    assert [path.read_text() for path in files] == ["performance", "performance"]
    assert sorted(json.loads((tmp_path / "governor.json").read_text()).values()) == ["ondemand", "schedutil"]
    governor.put_back()
    assert [path.read_text() for path in files] == ["ondemand", "schedutil"]
    assert not (tmp_path / "governor.json").exists()


def test_the_next_bench_puts_back_what_a_dead_one_could_not(files: list[Path], tmp_path: Path) -> None:
    Governor(str(tmp_path)).choose("performance")
    Governor(str(tmp_path)).put_back()
    assert [path.read_text() for path in files] == ["ondemand", "schedutil"]


def test_nothing_to_put_back(files: list[Path], tmp_path: Path) -> None:
    Governor(str(tmp_path)).put_back()
    assert [path.read_text() for path in files] == ["ondemand", "schedutil"]


def test_a_governor_that_may_not_be_set(files: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files[0].unlink()
    files[0].mkdir()  # cannot be written to, by root either
    Governor(str(tmp_path)).choose("performance")
    assert "setting it needs root or sudo" in json.loads(capfd.readouterr().out)["text"]
    files[0].rmdir()
    files[0].write_text("performance")
    Governor(str(tmp_path)).put_back()
    assert files[1].read_text() == "schedutil"


def test_what_a_dead_bench_noted_is_what_it_was_before(files: list[Path], tmp_path: Path) -> None:
    """Also where it cannot be put back at once."""
    first = Governor(str(tmp_path))
    first.choose("performance")
    Governor(str(tmp_path)).choose("performance")
    first.put_back()
    assert [path.read_text() for path in files] == ["ondemand", "schedutil"]


def test_a_governor_that_there_is_not(files: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files[0].with_name("scaling_available_governors").write_text("ondemand powersave\n")
    Governor(str(tmp_path)).choose("performence")
    assert json.loads(capfd.readouterr().out)["text"] == (
        "the board has no governor 'performence'; it has ondemand, powersave"
    )
    assert files[0].read_text() == "ondemand"
    assert not (tmp_path / "governor.json").exists()


@pytest.mark.parametrize("text", ["[1]", "null", "{"])
def test_a_note_that_is_damaged(text: str, files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "governor.json").write_text(text)
    Governor(str(tmp_path)).choose("performance")
    Governor(str(tmp_path)).put_back()
    assert [path.read_text() for path in files] == ["ondemand", "schedutil"]


def test_a_board_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(facts, "ROOT", str(tmp_path))
    Governor(str(tmp_path)).choose("performance")
    assert json.loads(capfd.readouterr().out) == {"event": "warning", "text": "the board has no governor to set"}
    assert not (tmp_path / "governor.json").exists()
