"""Coroutines that are run to their end, or to the end that a signal puts to them."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Coroutine
from types import FrameType
from typing import Any, TypeVar

__all__ = ["run_to_end"]

_Result = TypeVar("_Result")


def run_to_end(coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """``asyncio.run``, where SIGTERM and SIGHUP do what Ctrl-C does: the coroutine is cancelled, and may put things right.

    Their usual handlers raise an exception wherever the program is, which an event loop cannot bear.

    Raises:
        SystemExit: with 128 and the signal's number, also if the coroutine came to its end all the same.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    ours = [number for number, handler in before.items() if callable(handler)]  # else somebody has a wish of their own
    if threading.current_thread() is not threading.main_thread() or not ours:
        return asyncio.run(coroutine)
    ended: list[int] = []
    running: list[asyncio.Task[Any]] = []

    def end(number: int, frame: FrameType | None) -> None:
        ended.append(number)
        for task in running:
            if len(ended) == 1 and not task.done():
                task.cancel()
                task.get_loop().call_soon_threadsafe(lambda: None)  # it may be waiting for something else

    async def main() -> _Result:
        task = asyncio.current_task()
        assert task is not None
        running.append(task)
        if ended:
            coroutine.close()
            raise asyncio.CancelledError
        return await coroutine

    try:
        for number in ours:
            signal.signal(number, end)
        return asyncio.run(main())
    finally:
        for number in ours:
            signal.signal(number, before[number])
        if ended:
            raise SystemExit(128 + ended[0])
