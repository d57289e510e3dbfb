"""A farm with labgrid's own coordinator and exporter, on loopback, and two emulated boards as its places."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from commands import Levit
from exports import SCRIPTS, Exported
from pictures import draw

from levit_mobile import journal
from levit_mobile.bench import emulated, shards
from levit_mobile.bench.emulated import Board
from levit_mobile.bench.farm import Farm
from levit_mobile.bench.server import choose_port
from levit_mobile.errors import BoardError
from levit_mobile.journal import Journal

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("board"),
    pytest.mark.skipif(
        importlib.util.find_spec("labgrid") is None, reason="labgrid is missing; type: pip install '.[labgrid]'"
    ),
]
QUICK = ["--runs", "1", "--seconds", "0", "--warmup", "0", "--cooldown", "0"]


@dataclass(frozen=True)
class Grid:
    """A coordinator that runs."""

    address: str

    def call(self, what: str, **about: Any) -> Any:
        """One request, by no code of ours."""
        import grpc
        from labgrid.remote.generated import labgrid_coordinator_pb2 as messages
        from labgrid.remote.generated.labgrid_coordinator_pb2_grpc import CoordinatorStub

        with grpc.insecure_channel(self.address) as channel:
            return getattr(CoordinatorStub(channel), what)(getattr(messages, f"{what}Request")(**about), timeout=30)

    def acquired(self) -> dict[str, str]:
        """{place: who has it}, of places that are not free, as the coordinator says."""
        return {place.name: place.acquired for place in self.call("GetPlaces").places if place.acquired}

    def place(self, name: str, group: str, **tags: str) -> None:
        self.call("AddPlace", name=name)
        self.call("AddPlaceMatch", placename=name, pattern=f"*/{group}/*")
        self.call("SetPlaceTags", placename=name, tags=tags)

    def client(self, *words: str, user: str = "alice") -> None:
        """``labgrid-client``, of another user."""
        command = [str(SCRIPTS / "labgrid-client"), "-x", self.address, *words]
        subprocess.run(command, env={**os.environ, "LG_USERNAME": user}, check=True, capture_output=True, timeout=60)


def until(done: Callable[[], bool], what: str) -> None:
    for _ in range(600):
        if done():
            return
        time.sleep(0.1)
    raise AssertionError(f"never: {what}")


def start(stack: ExitStack, folder: Path, name: str, *words: str) -> None:
    """One of labgrid's servers, ended at the end."""
    log = stack.enter_context((folder / f"{name}.log").open("wb"))
    process = subprocess.Popen([str(SCRIPTS / name), *words], cwd=folder, stdout=log, stderr=log)

    def stop() -> None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    stack.callback(stop)


@pytest.fixture(scope="module")
def empty_grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Grid, Path, ExitStack]]:
    import grpc

    folder, grid = tmp_path_factory.mktemp("grid"), Grid(f"127.0.0.1:{choose_port()}")

    def answers() -> bool:
        try:
            return grid.acquired() == {}
        except grpc.RpcError:
            return False

    with ExitStack() as stack:
        start(stack, folder, "labgrid-coordinator", "-l", grid.address)
        until(answers, "the coordinator answers")
        yield grid, folder, stack


@pytest.fixture(scope="module")
def two(boards_cache: Path) -> list[Board]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEVIT_MOBILE_CACHE", str(boards_cache))
        return [emulated.up(name="farm-1"), emulated.up("cortex-a72", name="farm-2")]


@pytest.fixture(scope="module")
def places(empty_grid: tuple[Grid, Path, ExitStack]) -> Grid:
    """Places without boards: one without a resource, one whose board is not there."""
    grid, folder, stack = empty_grid
    grid.place("bare", "nothing", kind="strange")
    grid.place("gone", "gone", kind="strange")
    (folder / "gone.yaml").write_text(
        f"gone:\n  NetworkService: {{address: 127.0.0.1, username: pi, port: {choose_port()}}}\n"
    )
    export(grid, folder, stack, "gone", 1)
    return grid


@pytest.fixture
def grid(places: Grid, empty_grid: tuple[Grid, Path, ExitStack], two: list[Board], in_boards_cache: Path) -> Grid:
    """All of it, with ``one`` and ``two``, which have the tag ``rack=here``."""
    _, folder, stack = empty_grid
    if not (folder / "boards.yaml").exists():
        lines = [
            f"{name}:\n  NetworkService: {{address: 127.0.0.1, username: {board.user}, port: {board.port}}}\n"
            for name, board in zip(("first", "second"), two, strict=True)
        ]
        (folder / "boards.yaml").write_text("".join(lines))
        places.place("one", "first", rack="here")
        places.place("two", "second", rack="here")
        export(places, folder, stack, "boards", 2)
    assert places.acquired() == {}
    return places


def export(grid: Grid, folder: Path, stack: ExitStack, name: str, count: int) -> None:
    """Start an exporter, and wait until the coordinator knows what it has."""
    import labgrid.remote.client as client

    start(stack, folder, "labgrid-exporter", "-c", grid.address, "-n", name, "--hostname", "localhost", f"{name}.yaml")

    async def known() -> int:
        session = client.ClientSession(grid.address, asyncio.get_running_loop())
        try:
            await session.start()
            return len(session.resources.get(name, {}))
        finally:
            await session.stop()
            await session.close()

    until(lambda: asyncio.run(known()) == count, f"the exporter {name}")


@pytest.fixture
def bundle(exported: Exported) -> Path:
    return exported.bundle("levit_128s-int8-tflite")


def levit_process(grid: Grid, folder: Path, *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "levit_mobile", *map(str, words), "--coordinator", grid.address]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


# Without a board


def test_a_place_whose_board_is_not_there_is_released(levit: Levit, places: Grid, bundle: Path) -> None:
    answer = levit("bench", bundle, "--labgrid", "gone", "--coordinator", places.address, *QUICK)
    assert (answer.code, answer.out) == (2, "")
    assert "error: gone: refuses connections; " in answer.err
    assert places.acquired() == {}


def test_of_a_tag_what_cannot_be_used_is_left_out(places: Grid) -> None:
    told: list[str] = []

    async def go() -> None:
        async with Farm(["kind=strange"], places.address, tell=told.append) as addresses:
            assert [(a.name, a.host, a.user, a.keys, a.emulated) for a in addresses] == [
                ("gone", "127.0.0.1", "pi", (), False)
            ]
            (who,) = places.acquired().items()
            assert who[0] == "gone"

    asyncio.run(go())
    assert [text.partition(";")[0] for text in told] == [
        "left out: the place bare has no SSH resource (NetworkService)"
    ]
    assert places.acquired() == {}


def test_a_place_that_another_client_has(levit: Levit, places: Grid, bundle: Path) -> None:
    places.client("-p", "gone", "acquire")
    try:
        (who,) = places.acquired().values()
        assert who.endswith("/alice")
        answer = levit("bench", bundle, "--labgrid", "gone", "--coordinator", places.address)
        assert (answer.code, answer.out) == (2, "")
        assert answer.err == (
            f"error: the place gone is acquired by {who}; wait until it is released, or choose another\n"
        )
        assert places.acquired() == {"gone": who}
    finally:
        places.client("-p", "gone", "release")


def test_two_of_ours_want_the_same_place_at_once(places: Grid) -> None:
    async def want() -> str:
        try:
            async with Farm(["gone"], places.address):
                await asyncio.sleep(0.5)
                return "had it"
        except BoardError as error:
            return str(error)

    async def both() -> list[str]:
        return list(await asyncio.gather(want(), want()))

    first, second = sorted(asyncio.run(both()))
    assert first == "had it"
    assert second.startswith("the place gone is acquired already, by you (")
    assert places.acquired() == {}


def test_the_coordinator_is_not_there(levit: Levit, bundle: Path) -> None:
    address = f"127.0.0.1:{choose_port()}"
    answer = levit("validate", bundle, "--labgrid", "one", "--coordinator", address)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        f"error: labgrid's coordinator {address} cannot be reached; see that labgrid-coordinator runs there, or type "
        "--coordinator HOST:PORT\n"
    )


# With boards


@pytest.mark.long
def test_bench_on_the_places_of_a_tag(levit: Levit, grid: Grid, bundle: Path, tmp_path: Path) -> None:
    """Both at once, each under its place's name."""
    out = tmp_path / "out.json"
    words = ["--labgrid", "rack=here", "--coordinator", grid.address, *QUICK, "--json", "--out", out]
    answer = levit("bench", bundle, *words)
    assert answer.code == 0, answer.err
    runs = {run["where"]["name"]: run for run in answer.data["runs"]}
    assert sorted(runs) == ["one", "two"]
    for run in runs.values():
        assert (run["where"]["kind"], run["where"]["facts"]["machine"]) == ("emulated", "aarch64")
        assert (run["complete"], run["wrong"], run["inferences"]) == (True, False, 1)
        assert "summary" not in run  # no milliseconds of an emulated board
    assert [runs[name]["where"]["facts"]["cpu"] for name in ("one", "two")] == ["Cortex-A76", "Cortex-A72"]
    assert grid.acquired() == {}


@pytest.mark.long
def test_pictures_are_shared_out_over_a_tag(
    levit: Levit, grid: Grid, other_kinds: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The A76 has half precision and the A72 has not, so this bundle makes no use of it: the logits are the same bits."""
    bundle = other_kinds.bundle("never-half")
    for at, label in enumerate(("tench", "church", "parachute")):
        for number in range(4):
            path = tmp_path / "data" / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            draw(f"{230 + number}x{240 + at}").save(path)
    logits: list[npt.NDArray[np.float32]] = []
    monkeypatch.setattr(Journal, "forget", lambda kept: logits.append(kept.rows.copy()))
    monkeypatch.setattr(Journal, "save", lambda kept, **_: None)
    for module in (shards, journal):
        monkeypatch.setattr(module, "BATCH", 4)
    answers = []
    for selector in ("rack=here", "one"):
        words = ["--data", tmp_path / "data", "--labgrid", selector, "--coordinator", grid.address, "--json"]
        answers.append(levit("validate", bundle, *words))
        assert answers[-1].code == 0, answers[-1].err
        assert grid.acquired() == {}
    shared, alone = (answer.data for answer in answers)
    count = len(logits[0])
    assert list(alone["boards"]) == ["one"]
    assert sorted(shared["boards"]) == ["one", "two"]
    assert min(board["pictures"] for board in shared["boards"].values()) > 0
    assert sum(board["pictures"] for board in shared["boards"].values()) == count == alone["boards"]["one"]["pictures"]
    assert all(board["emulated"] for board in shared["boards"].values())
    assert not np.isnan(logits[0]).any()
    assert np.array_equal(logits[0], logits[1])
    assert shared["accuracy"]["top1"] == alone["accuracy"]["top1"]


def test_released_after_ctrl_c(grid: Grid, bundle: Path, tmp_path: Path) -> None:
    """A real process: its runner ends, and the place is free."""
    process = levit_process(grid, tmp_path, "bench", bundle, "--labgrid", "two", "--runs", "1000000")
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "two: levit_128s-int8-tflite" in line:
                break
        assert list(grid.acquired()) == ["two"]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, "Traceback" in err) == (130, False)
    assert grid.acquired() == {}


def test_released_after_sigterm_while_validating(grid: Grid, bundle: Path, tmp_path: Path) -> None:
    process = levit_process(grid, tmp_path, "validate", bundle, "--labgrid", "rack=here")
    try:
        until(lambda: len(grid.acquired()) == 2 or process.poll() is not None, "both places are acquired")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, "Traceback" in err) == (128 + signal.SIGTERM, False)
    assert grid.acquired() == {}


def test_released_when_the_board_is_lost(grid: Grid, bundle: Path, two: list[Board], tmp_path: Path) -> None:
    """The last one: the board's server is ended in the middle of a bench."""
    process = levit_process(grid, tmp_path, "bench", bundle, "--labgrid", "two", "--runs", "1000000")
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "two: levit_128s-int8-tflite" in line:
                break
        pid = two[1].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 2
    assert "error: two: " in err
    assert "Traceback" not in err
    assert grid.acquired() == {}
