"""``--board``, ``--labgrid`` and ``--coordinator``: what is had, for how long, and what cannot be meant."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from commands import Levit

from levit_mobile.bench import farm
from levit_mobile.bench.address import Address
from levit_mobile.cli import main
from levit_mobile.cli.boards import boards_of
from levit_mobile.errors import BoardError, UsageError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(main.COMMANDS, "bench", ("levit_mobile.cli.bench", "Measure."))
    monkeypatch.setenv("LEVIT_MOBILE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What the farm was asked for: places ``one`` and ``two``, whatever was typed."""
    asked: list[object] = []

    class Farm:
        def __init__(self, selectors: Sequence[str], coordinator: str | None, *, tell: object) -> None:
            asked.append((list(selectors), coordinator))

        async def acquire(self) -> list[Address]:
            asked.append("acquire")
            return [Address("one", "10.0.0.1", "pi"), Address("two", "10.0.0.2", "pi")]

        async def release(self) -> None:
            asked.append(("release", signal.getsignal(signal.SIGINT)))

    monkeypatch.setattr(farm, "Farm", Farm)
    return asked


RELEASE = ("release", signal.SIG_IGN)  # a second Ctrl-C waits


def test_boards_and_places(seen: list[object]) -> None:
    before = signal.getsignal(signal.SIGINT)
    with boards_of(["pi@zero", "pi@zero"], ["rack=here"], "farm:7") as addresses:
        assert [address.name for address in addresses] == ["pi@zero", "one", "two"]
        assert seen == [(["rack=here"], "farm:7"), "acquire"]
    assert seen[2:] == [RELEASE]
    assert signal.getsignal(signal.SIGINT) is before


def test_without_places_there_is_no_farm(seen: list[object]) -> None:
    with boards_of(["pi@zero"], [], None) as addresses:
        assert addresses == [Address("pi@zero", "zero", "pi")]
    with boards_of([], [], None) as addresses:
        assert addresses == []
    assert seen == []


@pytest.mark.parametrize("error", [BoardError("lost"), KeyboardInterrupt(), SystemExit(143)])
def test_released_whatever_happens(seen: list[object], error: BaseException) -> None:
    with pytest.raises(type(error)), boards_of([], ["one"], None):
        raise error
    assert seen[1:] == ["acquire", RELEASE]


def test_released_when_acquiring_fails(seen: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(self: object) -> list[Address]:
        raise BoardError("taken")

    monkeypatch.setattr(farm.Farm, "acquire", refuse)
    with pytest.raises(BoardError, match=r"^taken$"), boards_of([], ["one"], None):
        raise AssertionError
    assert seen[1:] == [RELEASE]


def test_a_name_twice(seen: list[object]) -> None:
    with (
        pytest.raises(UsageError, match=r"^--board and --labgrid both name two; leave one out$"),
        boards_of(["two"], ["one"], None),
    ):
        raise AssertionError
    assert seen[-1] == RELEASE


@pytest.mark.parametrize("command", ["bench", "validate"])
def test_a_coordinator_without_a_place(levit: Levit, tmp_path: Path, command: str, seen: list[object]) -> None:
    answer = levit(command, tmp_path / "none", "--coordinator", "farm:7")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        "error: --coordinator is about a farm's boards; type --labgrid PLACE too, or --labgrid TAG=VALUE\n"
    )


@pytest.mark.parametrize("command", ["bench", "validate"])
def test_what_is_wrong_here_is_said_before_a_place_is_taken(
    levit: Levit, tmp_path: Path, command: str, seen: list[object]
) -> None:
    answer = levit(command, tmp_path / "none", "--labgrid", "one")
    assert answer.code != 0
    assert "none" in answer.err
    assert "acquire" not in seen


@pytest.mark.parametrize("option", ["--board", "--labgrid"])
def test_counting_instructions_needs_no_board(levit: Levit, tmp_path: Path, option: str) -> None:
    answer = levit("bench", tmp_path, "--emulate", "cortex-a76", option, "one")
    assert (answer.code, answer.err) == (
        2,
        "error: --emulate counts instructions here, without a board; leave the board or --emulate out\n",
    )


def test_what_was_left_out_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Farm:
        def __init__(self, selectors: object, coordinator: object, *, tell: Callable[[str], None]) -> None:
            self._tell = tell

        async def acquire(self) -> list[Address]:
            self._tell("left out: a")
            return []

        async def release(self) -> None:
            self._tell("the place b was not released")

    monkeypatch.setattr(farm, "Farm", Farm)
    with boards_of([], ["kind=any"], None):
        pass
    assert capsys.readouterr().err == "note: left out: a\nnote: the place b was not released\n"
