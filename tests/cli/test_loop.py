"""What SIGTERM and SIGHUP do to a coroutine: they end it, and it may put things right."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from levit_mobile.cli.loop import run_to_end

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def raising(number: int, frame: FrameType | None) -> None:
    raise AssertionError("the usual handler was called")


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    before = {number: signal.signal(number, raising) for number in SIGNALS}
    yield
    left = [signal.getsignal(number) for number in SIGNALS]
    for number, handler in before.items():
        signal.signal(number, handler)
    assert left == [raising, raising]


def test_nothing_happens() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    assert run_to_end(work()) == 7


def test_errors_pass() -> None:
    async def work() -> None:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match=r"^wrong$"):
        run_to_end(work())


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("times", [1, 2])
def test_ended_in_the_middle(number: signal.Signals, times: int) -> None:
    seen: list[str] = []

    async def work() -> None:
        try:
            for _ in range(times):
                os.kill(os.getpid(), number)
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            seen.append("put right")

    with pytest.raises(SystemExit) as ended:
        run_to_end(work())
    assert (ended.value.code, seen) == (128 + number, ["put right"])


def test_who_swallows_it_ends_all_the_same() -> None:
    async def work() -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return 7
        return 8

    with pytest.raises(SystemExit) as ended:
        run_to_end(work())
    assert ended.value.code == 128 + signal.SIGTERM


def test_ended_before_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    real = asyncio.run

    def late(main: object) -> object:
        os.kill(os.getpid(), signal.SIGTERM)
        return real(main)  # type: ignore[arg-type]

    monkeypatch.setattr(asyncio, "run", late)

    async def work() -> None:
        raise AssertionError("it began")

    with pytest.raises(SystemExit) as ended:
        run_to_end(work())
    assert ended.value.code == 128 + signal.SIGTERM


def test_who_ignores_a_signal_goes_on_ignoring_it() -> None:
    async def work() -> int:
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0.01)
        return 7

    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run_to_end(work()) == 7
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, raising)
