"""Places of a farm, against a coordinator that is made up; a real one is in test_labgrid.py."""

from __future__ import annotations

import asyncio
import enum
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from levit_mobile.bench import emulated, farm
from levit_mobile.bench.address import Address
from levit_mobile.bench.emulated import Board
from levit_mobile.bench.farm import Farm, coordinator_address
from levit_mobile.errors import BoardError, RuntimeMissingError, UsageError

ME, ALICE = "here/me", "desk/alice"
AT = "127.0.0.1:20408"


class Code(enum.Enum):
    DEADLINE_EXCEEDED = 4
    FAILED_PRECONDITION = 9
    UNAVAILABLE = 14


class RpcError(Exception):
    def code(self) -> Code:
        code: Code = self.args[0]
        return code

    def details(self) -> str:
        return str(self.args[1])


class ServerError(Exception):
    pass


class Place:
    def __init__(self, name: str, *groups: str, **tags: str) -> None:
        self.name, self.aliases, self.tags, self.acquired = name, {f"the {name}"}, tags, ""
        self._groups = groups or (name,)

    def hasmatch(self, path: Sequence[str]) -> bool:
        return path[1] in self._groups


def service(kind: str = "NetworkService", *, avail: bool = True, **params: Any) -> Any:
    told = {"address": "10.0.0.7", "username": "pi", **params}
    return SimpleNamespace(data={"cls": kind}, avail=avail, params=told)


class Coordinator:
    """What it knows, and how it behaves."""

    def __init__(self) -> None:
        self.places = {
            p.name: p for p in (Place("a", board="rpi5"), Place("b", board="rpi5"), Place("c", kind="jetson"))
        }
        self.groups = {name: {"NetworkService": service(address=f"10.0.0.{at}")} for at, name in enumerate("abc")}
        self.asked: list[tuple[str, str]] = []
        self.down = False
        self.errors: dict[str, RpcError] = {}  # of AcquirePlace, by place
        self.slow: asyncio.Event | None = None
        self.sessions = 0

    async def open(self, address: str) -> Any:
        assert address == AT
        return Session(self, address)


class Session:
    def __init__(self, coordinator: Coordinator, address: str) -> None:
        self._coordinator, self.address, self.stub = coordinator, address, self
        self.places, self.resources = coordinator.places, {"exporter": coordinator.groups}

    def gethostname(self) -> str:
        return ME.split("/")[0]

    def getuser(self) -> str:
        return ME.split("/")[1]

    async def start(self) -> None:
        self._coordinator.sessions += 1
        if self._coordinator.down:
            raise ServerError("no")

    async def stop(self) -> None:
        self._coordinator.sessions -= 1

    async def close(self) -> None:
        pass

    async def sync_with_coordinator(self) -> None:
        pass

    async def AcquirePlace(self, request: Any, timeout: float) -> None:  # noqa: N802
        self._coordinator.asked.append(("acquire", request.placename))
        if self._coordinator.slow is not None:
            self._coordinator.slow.set()
            await asyncio.sleep(0.05)
        if error := self._coordinator.errors.get(request.placename):
            raise error
        self.places[request.placename].acquired = ME

    async def ReleasePlace(self, request: Any, timeout: float) -> None:  # noqa: N802
        self._coordinator.asked.append(("release", request.placename))
        if self.places[request.placename].acquired == request.fromuser:
            self.places[request.placename].acquired = ""


@pytest.fixture
def coordinator(monkeypatch: pytest.MonkeyPatch) -> Coordinator:
    made = Coordinator()
    client = SimpleNamespace(ServerError=ServerError)
    messages = SimpleNamespace(AcquirePlaceRequest=SimpleNamespace, ReleasePlaceRequest=SimpleNamespace)
    grpc = SimpleNamespace(aio=SimpleNamespace(AioRpcError=RpcError), StatusCode=Code)
    monkeypatch.setattr(farm, "_packages", lambda: (client, messages, grpc))
    monkeypatch.setattr(farm, "_open", made.open)
    monkeypatch.delenv("LG_COORDINATOR", raising=False)
    return made


def names(coordinator: Coordinator) -> list[str]:
    """Places that are not free."""
    return [place.name for place in coordinator.places.values() if place.acquired]


def have(*selectors: str) -> tuple[list[Address], list[str]]:
    """Acquire and release; the addresses, and what was told."""
    told: list[str] = []

    async def go() -> list[Address]:
        async with Farm(selectors, tell=told.append) as addresses:
            return addresses

    return asyncio.run(go()), told


@pytest.mark.parametrize(
    ("chosen", "variable", "address"),
    [
        (None, None, "127.0.0.1:20408"),
        (None, "farm", "farm:20408"),
        ("other:7", "farm", "other:7"),
        ("[::1]:7", None, "[::1]:7"),
        ("[fe80::1]", None, "[fe80::1]:20408"),
    ],
)
def test_where_the_coordinator_is(
    chosen: str | None, variable: str | None, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LG_COORDINATOR", variable or "")
    assert coordinator_address(chosen) == address


@pytest.mark.parametrize(
    "text", ["farm:", "farm:x", "farm:0", "farm:70000", ":20408", "::1", "http://farm", "me@farm", "a farm"]
)
def test_what_is_no_coordinator(text: str) -> None:
    with pytest.raises(
        UsageError, match=r"is no coordinator; type --coordinator HOST:PORT, or set LG_COORDINATOR to it$"
    ):
        Farm(["a"], text)


def test_a_place(coordinator: Coordinator) -> None:
    assert have("b") == ([Address("b", "10.0.0.1", "pi")], [])
    assert coordinator.asked == [("acquire", "b"), ("release", "b")]
    assert (names(coordinator), coordinator.sessions) == ([], 0)


def test_an_alias_and_a_port(coordinator: Coordinator) -> None:
    coordinator.groups["a"] = {"NetworkService": service(port=2222), "NetworkPowerPort": service("NetworkPowerPort")}
    assert have("the a") == ([Address("a", "10.0.0.7", "pi", 2222)], [])


def test_a_tag_is_all_its_places_and_each_once(coordinator: Coordinator) -> None:
    addresses, told = have("a", "board=rpi5", "board=rpi5")
    assert ([address.name for address in addresses], told) == (["a", "b"], [])
    assert [what for what, _ in coordinator.asked] == ["acquire", "acquire", "release", "release"]


def test_of_a_tag_the_free_places_are_taken(coordinator: Coordinator) -> None:
    coordinator.places["a"].acquired = ALICE
    addresses, told = have("board=rpi5")
    assert [address.name for address in addresses] == ["b"]
    assert told == [
        "left out: the place a is acquired by desk/alice; wait until it is released, or choose another",
    ]
    assert names(coordinator) == ["a"]


def test_of_a_tag_no_place_is_free(coordinator: Coordinator) -> None:
    coordinator.places["a"].acquired = ALICE
    coordinator.groups["b"] = {}
    with pytest.raises(
        BoardError, match=r"^the place a is acquired by desk/alice; .*; the place b has no SSH resource"
    ):
        have("board=rpi5")


@pytest.mark.parametrize(
    ("who", "words"),
    [
        (ALICE, "the place b is acquired by desk/alice; wait until it is released, or choose another"),
        (
            ME,
            "the place b is acquired already, by you (here/me); wait until that is done, or if nothing uses it, type: "
            "labgrid-client -x 127.0.0.1:20408 -p b release",
        ),
    ],
)
def test_a_place_that_is_taken(coordinator: Coordinator, who: str, words: str) -> None:
    coordinator.places["b"].acquired = who
    with pytest.raises(BoardError) as raised:
        have("a", "b")
    assert str(raised.value) == words
    assert coordinator.asked == [("acquire", "a"), ("release", "a")]  # what we had by then, and nobody else's
    assert names(coordinator) == ["b"]


def test_another_client_is_faster(coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch) -> None:
    coordinator.errors["a"] = RpcError(Code.FAILED_PRECONDITION, "Place a is already acquired")

    async def sync(session: Session) -> None:
        session.places["a"].acquired = ALICE

    monkeypatch.setattr(Session, "sync_with_coordinator", sync)
    with pytest.raises(BoardError, match=r"^the place a is acquired by desk/alice; "):
        have("a")
    assert coordinator.asked == [("acquire", "a")]


def test_what_else_the_coordinator_says(coordinator: Coordinator) -> None:
    coordinator.errors["a"] = RpcError(Code.FAILED_PRECONDITION, "Failed to acquire resources for place a")
    with pytest.raises(BoardError, match=r"^the place a cannot be acquired: Failed to acquire resources for place a$"):
        have("a")


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED])
def test_no_answer_is_released_too(coordinator: Coordinator, code: Code) -> None:
    coordinator.errors["a"] = RpcError(code, "Socket closed")
    with pytest.raises(BoardError, match=r"^labgrid's coordinator does not answer any more$"):
        have("a")
    assert coordinator.asked == [("acquire", "a"), ("release", "a")]


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ("d", "labgrid's coordinator has no place d; places are: a, b, c"),
        ("board=rpi4", "labgrid's coordinator has no place with the tag board=rpi4; tags are: board=rpi5, kind=jetson"),
    ],
)
def test_there_is_no_such_place(coordinator: Coordinator, selector: str, words: str) -> None:
    with pytest.raises(BoardError) as raised:
        have("a", selector)
    assert (str(raised.value), coordinator.asked) == (words, [])
    coordinator.places.clear()
    with pytest.raises(BoardError, match=r"; it has (none|no tags)$"):
        have(selector)


@pytest.mark.parametrize("selector", ["", "=", "=rpi5", "board="])
def test_what_is_neither_place_nor_tag(coordinator: Coordinator, selector: str) -> None:
    with pytest.raises(UsageError, match=r"is neither a place nor a tag; type PLACE or TAG=VALUE$"):
        have(selector)


@pytest.mark.parametrize("group", [{}, {"x": service("NetworkPowerPort")}, {"x": service(avail=False)}])
def test_a_place_without_ssh(coordinator: Coordinator, group: dict[str, Any]) -> None:
    coordinator.groups["a"] = group
    with pytest.raises(BoardError) as raised:
        have("a")
    assert str(raised.value) == (
        "the place a has no SSH resource (NetworkService); see that its exporter runs, and its matches: "
        "labgrid-client -x 127.0.0.1:20408 -p a show"
    )
    assert coordinator.asked == []


def test_a_place_with_several(coordinator: Coordinator) -> None:
    coordinator.groups["a"] = {"x": service(), "y": service()}
    with pytest.raises(
        BoardError,
        match=r"^the place a has several SSH resources \(exporter/a/NetworkService/x, exporter/a/NetworkService/y\); ",
    ):
        have("a")


def test_the_coordinator_is_not_reached(coordinator: Coordinator) -> None:
    coordinator.down = True
    with pytest.raises(BoardError) as raised:
        have("a")
    assert str(raised.value) == (
        "labgrid's coordinator 127.0.0.1:20408 cannot be reached; see that labgrid-coordinator runs there, or type "
        "--coordinator HOST:PORT"
    )
    assert coordinator.sessions == 0


def test_released_after_an_error(coordinator: Coordinator) -> None:
    async def go() -> None:
        async with Farm(["a"]):
            assert names(coordinator) == ["a"]
            raise BoardError("lost")

    with pytest.raises(BoardError, match=r"^lost$"):
        asyncio.run(go())
    assert names(coordinator) == []


def test_released_when_the_task_is_cancelled(coordinator: Coordinator) -> None:
    async def go() -> None:
        async with Farm(["a"]):
            await asyncio.sleep(60)

    async def cancel() -> None:
        task = asyncio.create_task(go())
        while names(coordinator) != ["a"]:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(cancel())
    assert (names(coordinator), coordinator.sessions) == ([], 0)


def test_released_when_cancelled_before_the_answer(coordinator: Coordinator) -> None:
    async def cancel() -> None:
        coordinator.slow = asyncio.Event()
        task = asyncio.create_task(Farm(["a"]).__aenter__())
        await coordinator.slow.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(cancel())
    assert coordinator.asked == [("acquire", "a"), ("release", "a")]
    assert (names(coordinator), coordinator.sessions) == ([], 0)


def test_a_place_that_cannot_be_released_is_told(coordinator: Coordinator) -> None:
    told: list[str] = []

    async def go() -> None:
        async with Farm(["a"], tell=told.append):
            coordinator.down = True

    asyncio.run(go())
    assert len(told) == 1
    assert told[0].startswith("the place a was not released (labgrid's coordinator 127.0.0.1:20408 cannot be reached; ")
    assert told[0].endswith("); type: labgrid-client -x 127.0.0.1:20408 -p a release")


def test_a_place_that_was_deleted_does_not_keep_the_others(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    release = Session.ReleasePlace

    async def refuse(session: Session, request: Any, timeout: float) -> None:
        if request.placename == "a":
            raise RpcError(Code.FAILED_PRECONDITION, "Place a does not exist")
        await release(session, request, timeout)

    monkeypatch.setattr(Session, "ReleasePlace", refuse)

    async def go() -> None:
        async with Farm(["board=rpi5"], tell=told.append):
            pass

    asyncio.run(go())
    assert [text.partition(";")[0] for text in told] == ["the place a was not released (Place a does not exist)"]
    assert names(coordinator) == ["a"]


def test_released_when_the_loop_ends_before_the_answer(coordinator: Coordinator) -> None:
    """SIGTERM, which cancels every task there is."""
    farm = Farm(["a"])

    async def end() -> None:
        coordinator.slow = asyncio.Event()
        asyncio.ensure_future(farm.acquire()).add_done_callback(lambda _: None)
        await coordinator.slow.wait()

    asyncio.run(end())
    coordinator.places["a"].acquired = ME  # it was done, and nobody was there to be told
    asyncio.run(farm.release())
    assert names(coordinator) == []


def test_what_somebody_else_has_by_now_stays_theirs(coordinator: Coordinator) -> None:
    async def go() -> None:
        async with Farm(["a"]):
            coordinator.places["a"].acquired = ALICE  # labgrid-client release --kick, and acquire

    asyncio.run(go())
    assert coordinator.places["a"].acquired == ALICE


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_emulated_board_is_known_by_its_port(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str
) -> None:
    board = Board("one", tmp_path, 4022, "root", "cortex-a76", "arm64", "bookworm", True)
    monkeypatch.setattr(emulated, "status", lambda: [board])
    monkeypatch.setattr(Board, "pid", 7)
    coordinator.groups["a"] = {"NetworkService": service(address=host, port=4022, username="root")}
    coordinator.groups["b"] = {"NetworkService": service(address=host, port=4023, username="root")}
    assert have("board=rpi5")[0] == [
        Address("a", "127.0.0.1", "root", 4022, [tmp_path / "key"], tmp_path / "known_hosts", emulated=True),
        Address("b", host, "root", 4023),
    ]
    monkeypatch.setattr(Board, "pid", None)
    assert have("a")[0] == [Address("a", host, "root", 4022)]


def test_labgrid_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "labgrid.remote", None)
    with pytest.raises(RuntimeMissingError) as raised:
        have("a")
    assert str(raised.value) == (
        "a farm of boards needs the package labgrid; type in the checkout: pip install '.[labgrid]'"
    )
