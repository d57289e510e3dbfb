"""``levit models``, and what all output has in common."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from commands import Levit
from exports import SCRIPTS

from levit_mobile.variants import VARIANTS

LAST = "levit_384   384/512/768  6/9/12  4/4/4  82.6 %  2,353 M      39.1 M"


def test_text(levit: Levit) -> None:
    answer = levit("models")
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines[0] == "name        channels     heads   depth   top-1     MACs  parameters"
    assert lines[1] == "levit_128s  128/256/384  4/6/8   2/3/4  76.6 %    305 M       7.8 M"
    assert lines[5] == LAST
    assert len(lines) == 6


def test_json(levit: Levit) -> None:
    rows = levit("models", "--json").data["models"]
    assert [row["name"] for row in rows] == list(VARIANTS)
    assert rows[0]["channels"] == [128, 256, 384]
    assert (rows[0]["macs"], rows[0]["parameters"]) == (305108946, 7777058)


@pytest.mark.parametrize("variable", [{"COLUMNS": "20"}, {"TERM": "dumb"}, {"FORCE_COLOR": "1", "COLUMNS": "20"}])
def test_nothing_is_folded_or_cut(levit: Levit, monkeypatch: pytest.MonkeyPatch, variable: dict[str, str]) -> None:
    for name, value in variable.items():
        monkeypatch.setenv(name, value)
    assert levit("models").out.splitlines()[5] == LAST


@pytest.mark.parametrize("args", [["models"], ["models", "--json"]])
def test_a_reader_that_has_gone(args: list[str]) -> None:
    """``levit models | head -0``: no traceback, and the exit code of other programs in its place."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        command = [str(SCRIPTS / "levit"), *args]
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_standard_output() -> None:
    with open("/dev/full", "w") as full:
        command = [str(SCRIPTS / "levit"), "models"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: [Errno 28] No space left on device\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_streams_that_are_closed(closed: str) -> None:
    done = subprocess.run(["sh", "-c", f"{SCRIPTS / 'levit'} models {closed}"], timeout=60, check=False)
    assert done.returncode == 0
