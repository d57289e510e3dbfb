"""Real bundles, on this host and on a board that is this host behind SSH; with what can go wrong."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exports import Exported
from loopback import Loopback

from levit_mobile.bench import board as board_module
from levit_mobile.bench.board import BoardPlace
from levit_mobile.bench.measure import measure
from levit_mobile.bench.place import HostPlace, Place
from levit_mobile.bench.result import Results
from levit_mobile.bench.settings import Settings
from levit_mobile.bench.ssh import connect
from levit_mobile.bench.subject import Subject, open_subjects
from levit_mobile.errors import BoardError, BundleError, LevitMobileError

pytestmark = pytest.mark.slow  # they want an export
QUICK = Settings(warmup_runs=1, warmup_s=0, min_runs=12, min_s=0.1, cooldown_s=0.0, every_s=0.2)
LONG = Settings(warmup_runs=1, warmup_s=0, min_runs=12, min_s=60, cooldown_s=0.0, every_s=0.2)


@pytest.fixture
def int8(exported: Exported) -> Subject:
    return open_subjects([exported.bundle("levit_128s-int8-tflite")])[0]


@pytest.fixture
def fp32(exported: Exported) -> Subject:
    return open_subjects([exported.bundle("levit_128s-fp32-tflite")])[0]


@pytest.fixture(autouse=True)
def _a_place_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This host is lent to one bench at a time, and another worker may be measuring on it."""
    monkeypatch.setenv("LEVIT_MOBILE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _packages_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The board that is this machine has what we have: nothing is fetched."""
    monkeypatch.setattr(board_module, "wheels_for", lambda names, **_: [])


def on_host(subjects: list[Subject], settings: Settings = QUICK) -> Results:
    results = Results({})
    asyncio.run(measure(HostPlace(), subjects, settings, results, lambda *_: None))
    return results


def on_board(
    loopback: Loopback,
    subjects: list[Subject],
    settings: Settings = QUICK,
    *,
    progress: Any = lambda *_: None,
    **login: Any,
) -> tuple[Results, LevitMobileError | None]:
    results = Results({})

    async def go() -> None:
        async with connect(loopback.address(**login)) as connection:
            await measure(BoardPlace(connection), subjects, settings, results, progress)

    try:
        asyncio.run(go())
    except LevitMobileError as error:
        return results, error
    return results, None


def test_one_bundle_here(int8: Subject) -> None:
    (run,) = on_host([int8]).runs
    assert run["complete"]
    assert len(run["samples_ms"]) >= 12
    assert run["summary"]["count"] == len(run["samples_ms"])
    assert run["summary"]["min"] <= run["summary"]["p50"] <= run["summary"]["p90"] <= run["summary"]["p99"]
    assert run["summary"]["p50"] == pytest.approx(np.median(run["samples_ms"]))
    assert run["artifact"]["bundle"] == "levit_128s-int8-tflite"
    assert run["where"]["kind"] == "host"
    assert run["where"]["facts"]["machine"] == os.uname().machine
    assert run["runtime"]["name"] == "ai-edge-litert"
    assert 0 < run["before_mb"] < run["peak_mb"] < 2000
    assert run["load_ms"] > 0
    assert run["first_ms"] > 0
    assert len(run["health"]) >= 2
    assert run["wrong"] is False


def test_two_in_turn_and_on_one_and_two_threads(fp32: Subject, int8: Subject) -> None:
    results = on_host([fp32, int8], Settings((1, 2), 1, 0, 12, 0.1, 60, 0.0))
    assert [(run["artifact"]["precision"], run["threads"]) for run in results.runs] == [
        *(("fp32", 1), ("int8", 1)),
        *(("fp32", 2), ("int8", 2)),
    ]
    assert [row["threads"] for row in results.ratios] == [1, 2]
    one = results.ratios[0]
    assert (one["base"]["precision"], one["other"]["precision"]) == ("fp32", "int8")
    assert one["interval95"][0] <= one["ratio"] <= one["interval95"][1]
    assert one["rounds"] >= 12


def test_a_wrong_answer_is_seen(int8: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = int8.bundle.golden()
    turned = type(golden)(golden.pixels, golden.logits[::-1].copy())
    monkeypatch.setattr(type(int8.bundle), "golden", lambda self: turned)
    (run,) = on_host([int8]).runs
    assert run["wrong"] is True
    assert "the answer to the golden picture is wrong there" in run["invalid"][-1]


def test_a_board(loopback: Loopback, int8: Subject) -> None:
    results, error = on_board(loopback, [int8])
    assert error is None
    (run,) = results.runs
    assert run["complete"]
    assert run["where"] == {"kind": "board", "name": "loopback", "facts": run["where"]["facts"]}
    assert len(run["samples_ms"]) >= 12
    left = sorted(path.name for path in loopback.cache.iterdir())
    assert left[0] == "artifacts"
    assert left[1] == "lock"
    assert left[2].endswith(".pyz")


def test_what_is_there_is_not_sent_again(loopback: Loopback, int8: Subject) -> None:
    on_board(loopback, [int8])
    before = {path: path.stat().st_mtime_ns for path in loopback.cache.rglob("*") if path.name != "lock"}
    loopback.room = 0
    _, error = on_board(loopback, [int8])
    assert error is None
    assert {p: p.stat().st_mtime_ns for p in loopback.cache.rglob("*") if p.name != "lock"} == before


def test_times_of_an_emulated_board_are_not_kept(loopback: Loopback, int8: Subject) -> None:
    results = Results({})

    async def go() -> None:
        async with connect(loopback.address()) as connection:
            await measure(BoardPlace(connection, emulated=True), [int8], QUICK, results, lambda *_: None)

    asyncio.run(go())
    (run,) = results.runs
    assert run["where"]["kind"] == "emulated"
    assert run["samples_ms"] == []
    assert run["inferences"] >= 12
    assert not {"load_ms", "first_ms", "summary", "peak_mb", "health", "drift"} & run.keys()


# Faults


def test_a_board_that_is_gone_in_the_middle(loopback: Loopback, fp32: Subject, int8: Subject) -> None:
    """What came is kept, and marked; nothing goes on there."""

    def progress(what: str, count: int, median: float | None) -> None:
        if what.startswith("levit_128s-int8") and count > 12:
            loopback.cut()

    results, error = on_board(loopback, [int8, fp32], LONG, progress=progress)
    assert isinstance(error, BoardError)
    assert str(error).startswith("loopback: the connection was lost")
    (run,) = results.runs
    assert run["complete"] is False
    assert len(run["samples_ms"]) > 12
    assert _ended(loopback)


def _ended(loopback: Loopback) -> bool:
    """Whether all that ran there comes to its end."""
    for _ in range(100):
        if not loopback.programs():
            return True
        time.sleep(0.1)
    return False


def test_a_full_disk(loopback: Loopback, int8: Subject) -> None:
    loopback.room = 3_000_000
    results, error = on_board(loopback, [int8])
    assert isinstance(error, BoardError)
    assert "(7.7 MB) there; its disk is full" in str(error)
    assert results.runs == []
    assert list((loopback.cache / "artifacts").iterdir()) == []


def test_no_room_for_what_the_runtimes_need(loopback: Loopback, int8: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = next(Path(sys.prefix).rglob("*.whl"), None) or _wheel(loopback.folder)
    monkeypatch.setattr(board_module, "wheels_for", lambda names, **_: [wheel])
    monkeypatch.setattr(board_module, "_SPARE", 1 << 60)
    _, error = on_board(loopback, [int8])
    assert isinstance(error, BoardError)
    assert "MB are needed for its runtimes; make room on it" in str(error)


def _wheel(folder: Path) -> Path:
    import zipfile

    path = folder / "some-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("some/__init__.py", "")
    return path


def test_packages_are_brought_once(loopback: Loopback, int8: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = _wheel(loopback.folder)
    monkeypatch.setattr(board_module, "wheels_for", lambda names, **_: [wheel])
    assert on_board(loopback, [int8])[1] is None
    (folder,) = loopback.cache.glob("packages-*")
    assert (folder / "some/__init__.py").exists()
    assert not list(loopback.cache.glob("*.whl"))
    loopback.room = 0
    assert on_board(loopback, [int8])[1] is None


def test_an_artifact_that_is_damaged_on_its_way(loopback: Loopback, int8: Subject) -> None:
    """Once: it is sent again."""
    assert on_board(loopback, [int8])[1] is None
    (artifact,) = (loopback.cache / "artifacts").glob("*.tflite")
    data = bytearray(artifact.read_bytes())
    data[1000] ^= 1
    artifact.write_bytes(data)
    results, error = on_board(loopback, [int8])
    assert error is None
    assert [run["complete"] for run in results.runs] == [True]


def test_a_connection_that_damages_everything(loopback: Loopback, int8: Subject) -> None:
    assert on_board(loopback, [int8])[1] is None
    (artifact,) = (loopback.cache / "artifacts").glob("*.tflite")
    artifact.unlink()
    loopback.flips = 9
    results, error = on_board(loopback, [int8])
    assert isinstance(error, BundleError)
    assert "is not what was sent" in str(error)
    assert str(error).endswith("twice; mind its disk, or the connection")
    assert results.runs == []
    assert not artifact.exists()


def test_no_python_there(loopback: Loopback, int8: Subject) -> None:
    loopback.path = str(loopback.home)
    _, error = on_board(loopback, [int8])
    assert str(error) == "loopback: there is no Python on it; type there: sudo apt install python3"


def test_a_python_that_does_not_work(loopback: Loopback, int8: Subject) -> None:
    python = loopback.home / "python3"
    python.write_text("#!/bin/sh\necho 'Illegal instruction' >&2\nexit 132\n")
    python.chmod(0o755)
    loopback.path = f"{loopback.home}:{loopback.path}"
    _, error = on_board(loopback, [int8])
    assert str(error) == "loopback: its Python does not work (status 132: Illegal instruction)"


def _shadow(loopback: Loopback, text: str) -> None:
    """A runtime on the board that does as ``text`` says."""
    package = loopback.home / "shadow/ai_edge_litert"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "interpreter.py").write_text(text)
    python = loopback.home / "python3"
    python.write_text(f'#!/bin/sh\nexec env PYTHONPATH={loopback.home}/shadow {sys.executable} "$@"\n')
    python.chmod(0o755)
    loopback.path = f"{loopback.home}:{loopback.path}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)",
            "the runtime died of SIGSEGV there; try another version",
        ),
        (
            "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
            "the system ended the runtime (SIGKILL), for want of",
        ),
        ("import os\nos._exit(4)", "the job ended with status 4 (without a word)"),
        ("raise ValueError('\\nsay why')", "the runtime cannot load it: say why"),
        ("raise ImportError('no libgomp.so.1')", "no libgomp.so.1"),
        ("Interpreter = None", "the runtime cannot load it: 'NoneType' object is not callable"),
    ],
)
def test_a_runtime_that_fails(text: str, said: str, loopback: Loopback, int8: Subject) -> None:
    _shadow(loopback, text)
    results, error = on_board(loopback, [int8])
    assert error is not None
    assert f"loopback: levit_128s-int8-tflite: {said}" in str(error)
    assert results.runs == []
    assert _ended(loopback)


def test_two_benches_at_one_board(loopback: Loopback, int8: Subject) -> None:
    """The second is told; the first goes on."""
    told: list[LevitMobileError | None] = []

    async def go() -> Results:
        first = Results({})
        begun = asyncio.Event()

        async def one(results: Results, settings: Settings) -> None:
            async with connect(loopback.address()) as connection:
                await measure(
                    BoardPlace(connection), [int8], settings, results, lambda *said: begun.set() if said[1] else None
                )

        task = asyncio.create_task(one(first, Settings(warmup_runs=1, warmup_s=0, min_runs=12, min_s=4, cooldown_s=0)))
        await asyncio.wait({task, asyncio.ensure_future(begun.wait())}, return_when=asyncio.FIRST_COMPLETED)
        try:
            await one(Results({}), QUICK)
        except LevitMobileError as error:
            told.append(error)
        await task
        return first

    results = asyncio.run(go())
    assert isinstance(told[0], BoardError)
    assert str(told[0]).startswith("loopback: another bench is running there (process ")
    assert [run["complete"] for run in results.runs] == [True]


def test_shells_that_print(loopback: Loopback, int8: Subject) -> None:
    python = loopback.home / "python3"
    python.write_text(f'#!/bin/sh\necho Welcome\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    loopback.path = f"{loopback.home}:{loopback.path}"
    _, error = on_board(loopback, [int8])
    assert "printed 'Welcome' in place of a result" in str(error)
    assert _ended(loopback)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_end_by_a_signal(number: int, exported: Exported, tmp_path: Path) -> None:
    """Nothing is left running, and what came is kept."""
    out = tmp_path / "r.json"
    command = [Path(sys.executable).with_name("levit"), "bench", exported.bundle("levit_128s-int8-tflite")]
    args = ["--seconds", "60", "--out", out]
    with subprocess.Popen(
        [str(word) for word in (*command, *args)],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert "levit_128s-int8-tflite, 1 thread" in process.stderr.readline()
        time.sleep(8)
        process.send_signal(number)
        said = process.stderr.read()
    assert process.returncode == 128 + number, said
    (run,) = json.loads(out.read_text())["runs"]
    assert run["complete"] is False
    assert len(run["samples_ms"]) > 10
    lock = (tmp_path / "cache/bench/lock").read_text()
    watch = int(lock.split(",")[0].split()[1])
    assert not Path(f"/proc/{watch}").exists()


def test_a_place_is_what_the_protocol_says() -> None:
    place: Place = HostPlace()
    assert (place.name, place.kind) == ("this host", "host")
