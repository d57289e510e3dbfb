"""Long use, the short way: what ``benchmarks/long_use.py`` does, on fewer pictures; and 1,000 predictions of each runtime."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from exports import Exported, labelled_pictures

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
# MB that a process may have more after all predictions than after 100. The script saw 0.3 at most; a copy of every picture
# that stays would be 135.
MOST_GROWTH = 4


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    labelled_pictures(tmp_path / "labelled", 2)
    return tmp_path / "labelled"


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name"),
    [  # Core ML's stand-in takes its time: that is left to the script
        ("exported", "levit_128s-int8-tflite"),
        pytest.param("executorch_exported", "levit_128s-int8-executorch", marks=pytest.mark.xdist_group("executorch")),
        ("onnx_exported", "levit_128s-int8-onnx"),
    ],
)
def test_predictions_leave_nothing_behind(kind: str, name: str, labelled: Path, request: pytest.FixtureRequest) -> None:
    exports: Exported = request.getfixturevalue(kind)
    command = [sys.executable, str(BENCHMARKS / "long_use.py"), str(exports.bundle(name)), "--one"]
    settings = {**os.environ, "PYTHONPATH": str(BENCHMARKS.parent)}
    done = subprocess.run(
        [*command, "--data", str(labelled), "--predictions", "1000"],
        env=settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["predictions"] == 1000
    assert told["grew_mb"] < MOST_GROWTH


def test_pictures_are_linked_in_turn(labelled: Path, tmp_path: Path) -> None:
    from long_use import link

    link(labelled, tmp_path / "many", 7)
    names = sorted(path.relative_to(tmp_path / "many").as_posix() for path in (tmp_path / "many").rglob("*.png"))
    assert [name.partition("/")[0] for name in names] == ["church"] * 4 + ["golf_ball"] * 3
    assert (tmp_path / "many" / "church" / "000000.png").read_bytes() == (labelled / "church" / "0.png").read_bytes()
