"""What can go wrong on a board, on the emulated one: a clear message, nothing left running, results so far kept."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from exports import Exported

from levit_mobile.bench import emulated
from levit_mobile.bench.address import Address, address_of
from levit_mobile.bench.board import BoardPlace
from levit_mobile.bench.emulated import Board
from levit_mobile.bench.measure import measure
from levit_mobile.bench.result import Results
from levit_mobile.bench.settings import Settings
from levit_mobile.bench.ssh import connect
from levit_mobile.bench.subject import Subject, open_subjects
from levit_mobile.errors import BoardError, LevitMobileError

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("board"), pytest.mark.long]
QUICK = Settings(warmup_runs=0, warmup_s=0, min_runs=2, min_s=0, cooldown_s=0.0)
LONG = Settings(warmup_runs=0, warmup_s=0, min_runs=1000, min_s=0, cooldown_s=0.0)


@pytest.fixture
def int8(exported: Exported) -> Subject:
    return open_subjects([exported.bundle("levit_128s-int8-tflite")])[0]


@pytest.fixture
def cache(board: Board) -> Path:
    """What benches leave on the board, as seen from here."""
    return board.root / "root/.cache/levit-mobile"


@pytest.fixture
def governor(board: Board) -> Path:
    """The stand-in for the file in /sys."""
    return board.root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"


def bench(
    subject: Subject,
    settings: Settings = QUICK,
    *,
    name: str = "emulated",
    progress: Any = lambda *_: None,
    **changes: Any,
) -> tuple[Results, LevitMobileError | None]:
    results = Results({})

    async def go() -> None:
        address = replace(address_of(name), **changes)
        async with connect(address) as connection:
            place = BoardPlace(connection, emulated=address.emulated)
            await measure(place, [subject], settings, results, progress)

    try:
        asyncio.run(go())
    except LevitMobileError as error:
        return results, error
    return results, None


def left_running(board: Board) -> str:
    """Runners that are on the board, after they had time to end."""
    for _ in range(40):
        done = subprocess.run(
            board.ssh("ps", "axww", "-o", "args="), capture_output=True, text=True, timeout=60, check=True
        )
        found = [line for line in done.stdout.splitlines() if "runner-" in line]
        if not found:
            return ""
        time.sleep(0.5)
    return "\n".join(found)


def test_it_runs_and_answers_rightly(board: Board, int8: Subject, cache: Path) -> None:
    results, error = bench(int8)
    assert error is None
    (run,) = results.runs
    assert run["where"]["facts"]["machine"] == "aarch64"
    assert run["where"]["facts"]["cpu"] == "Cortex-A76"
    assert run["where"]["facts"]["emulated"] is True
    assert (run["inferences"], run["samples_ms"], run["wrong"], run["invalid"]) == (2, [], False, [])
    assert run["runtime"]["name"] == "ai-edge-litert"
    assert left_running(board) == ""
    assert not (cache / "governor.json").exists()


@pytest.mark.long
def test_it_runs_on_32_bits(in_boards_cache: Path, int8: Subject) -> None:
    """As on 32-bit Raspberry Pi OS: tflite-runtime, and the board's own numpy."""
    emulated.up(name="small", architecture="armhf")
    try:
        results, error = bench(int8, name="small")
    finally:
        emulated.down("small")
    assert error is None
    (run,) = results.runs
    assert (run["where"]["facts"]["machine"], run["where"]["facts"]["bits"]) == ("armv7l", 32)
    assert run["runtime"] == {"name": "tflite-runtime", "version": "2.14.0"}
    assert (run["inferences"], run["wrong"]) == (2, False)


def test_connection_refused(board: Board, int8: Subject) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        _, error = bench(int8, port=free.getsockname()[1])
    assert "emulated: refuses connections" in str(error)


def test_another_host_key(board: Board, int8: Subject, tmp_path: Path) -> None:
    known = tmp_path / "known"
    kind, key, *_ = Path(f"{board.key}.pub").read_text().split()
    known.write_text(f"[127.0.0.1]:{board.port} {kind} {key}\n")
    _, error = bench(int8, known_hosts=known)
    assert f"ssh-keygen -R '[127.0.0.1]:{board.port}'" in str(error)


def test_a_key_that_is_refused(board: Board, int8: Subject, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True, timeout=60)
    _, error = bench(int8, keys=(tmp_path / "key",))
    assert "emulated: does not let us in" in str(error)
    assert "ssh-copy-id" in str(error)


def test_no_python(board: Board, int8: Subject) -> None:
    python = board.root / "usr/bin/python3"
    python.rename(python.with_name("hidden"))
    try:
        _, error = bench(int8)
    finally:
        python.with_name("hidden").rename(python)
    assert str(error) == "emulated: there is no Python on it; type there: sudo apt install python3"


def test_a_full_disk(board: Board, int8: Subject, cache: Path) -> None:
    assert bench(int8)[1] is None
    # A small disk of its own, mounted on the board; libc has the call, where the program mount is not installed.
    mount = (
        "import ctypes, sys; libc = ctypes.CDLL(None, use_errno=True); "
        "sys.exit(libc.mount(b'small', b'.cache/levit-mobile/artifacts', b'tmpfs', 0, b'size=2m') and ctypes.get_errno())"
    )
    done = subprocess.run(
        board.ssh("python3", "-c", f'"{mount}"'), capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        pytest.skip(f"no disk could be mounted on the board ({os.strerror(done.returncode)})")
    try:
        results, error = bench(int8)
        ls = board.ssh("ls", "-A", ".cache/levit-mobile/artifacts")
        left = subprocess.run(ls, capture_output=True, text=True, timeout=60, check=True)
    finally:
        away = "import ctypes; ctypes.CDLL(None).umount(b'.cache/levit-mobile/artifacts')"
        subprocess.run(board.ssh("python3", "-c", f'"{away}"'), timeout=60, check=True)
    assert isinstance(error, BoardError)
    assert "its disk is full" in str(error)
    assert results.runs == []
    assert left.stdout == ""


def test_an_artifact_that_arrived_otherwise(board: Board, int8: Subject, cache: Path) -> None:
    assert bench(int8)[1] is None
    (artifact,) = (cache / "artifacts").glob("*.tflite")
    data = bytearray(artifact.read_bytes())
    data[4096] ^= 1
    artifact.write_bytes(data)
    results, error = bench(int8)
    assert error is None, "it is sent again"
    assert [run["complete"] for run in results.runs] == [True]


@pytest.fixture
def runtime(board: Board, int8: Subject, cache: Path) -> Iterator[Path]:
    """The runtime's module on the board, put back as it was."""
    assert bench(int8)[1] is None
    (module,) = cache.glob("packages-*/ai_edge_litert/interpreter.py")
    text = module.read_text()
    yield module
    module.write_text(text)


def test_a_runtime_that_crashes(runtime: Path, board: Board, int8: Subject) -> None:
    runtime.write_text("import ctypes\nctypes.string_at(0)\n")
    results, error = bench(int8)
    assert "emulated: levit_128s-int8-tflite: the runtime died of SIGSEGV there" in str(error)
    assert results.runs == []
    assert left_running(board) == ""


def test_a_clock_that_jumps(runtime: Path, int8: Subject) -> None:
    """A day back in the middle: nothing that is told depends on it."""
    text = runtime.read_text()
    jump = "import time as _time\n_real = _time.time\n_time.time = lambda: _real() - 86400\n"
    runtime.write_text(text.replace("import ctypes\n", f"import ctypes\n{jump}", 1))
    assert jump in runtime.read_text()
    results, error = bench(int8)
    assert error is None
    assert [run["complete"] for run in results.runs] == [True]


def test_two_benches(board: Board, int8: Subject) -> None:
    told: list[LevitMobileError] = []

    def second(what: str, count: int, median: float | None) -> None:
        if not told:
            _, error = in_a_thread(int8)
            assert error is not None
            told.append(error)

    results, error = bench(int8, replace(QUICK, min_runs=6), progress=second)
    assert error is None
    assert [run["complete"] for run in results.runs] == [True]
    assert str(told[0]).startswith("emulated: another bench is running there (process ")


def in_a_thread(subject: Subject) -> tuple[Results, LevitMobileError | None]:
    """``bench`` in a thread, since this one's loop runs."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(bench, subject).result(120)


def test_power_is_cut_in_the_middle(board: Board, int8: Subject, governor: Path, cache: Path) -> None:
    """What came is kept; the governor, which nobody could put back, the next bench puts back."""
    from levit_mobile.bench import server

    cut = replace(LONG, governor="performance")

    def progress(what: str, count: int, median: float | None) -> None:
        if count >= 1 and governor.read_text().strip() == "performance":
            server.stop(board.folder)

    try:
        results, error = bench(int8, cut, progress=progress)
    finally:
        emulated.up()
    assert isinstance(error, BoardError)
    assert "the connection was lost" in str(error)
    (run,) = results.runs
    assert run["complete"] is False
    assert run["inferences"] >= 1
    assert (cache / "governor.json").exists()
    assert bench(int8)[1] is None
    assert governor.read_text().strip() == "ondemand"
    assert not (cache / "governor.json").exists()


def test_ctrl_c(board: Board, exported: Exported, governor: Path, cache: Path, tmp_path: Path) -> None:
    """A whole ``levit bench``: the governor is put back, nothing runs on, and what came is in the file."""
    out = tmp_path / "r.json"
    levit = Path(sys.executable).with_name("levit")
    args = ["--board", "emulated", "--governor", "performance", "--runs", "1000", "--warmup", "0", "--out", str(out)]
    command = [str(levit), "bench", str(exported.bundle("levit_128s-int8-tflite")), *args]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(600):
            if governor.read_text().strip() == "performance":
                break
            time.sleep(0.1)
        time.sleep(15)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "interrupted" in said
    assert governor.read_text().strip() == "ondemand"
    assert not (cache / "governor.json").exists()
    assert left_running(board) == ""
    (run,) = json.loads(out.read_text())["runs"]
    assert run["complete"] is False
    assert run["inferences"] >= 1


def test_an_address_is_all_it_takes(board: Board) -> None:
    assert isinstance(address_of("emulated"), Address)
    assert shutil.which("ssh")
