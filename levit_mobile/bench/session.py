"""One conversation with a runner: the request goes out, events come back, and the lease is kept."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Mapping
from typing import Any

from levit_mobile.bench.place import Channel, Place, Prepared
from levit_mobile.errors import BoardError

__all__ = ["Session", "open_session"]

_PING = 5.0  # seconds; the runner gives up after a minute without
_SILENCE = 90.0  # it tells how it is every two


class Session:
    """A running request. Iterate over ``events``; ``say`` sends more to the job that runs."""

    def __init__(self, place: Place, channel: Channel) -> None:
        self._place, self._channel = place, channel
        self._sending = asyncio.Lock()

    async def say(self, **what: Any) -> None:
        """One line for the job.

        Raises:
            BoardError: the place is gone.
        """
        await self._send((json.dumps(what) + "\n").encode())

    async def _send(self, line: bytes) -> None:
        try:
            async with self._sending:
                await self._channel.send(line)
        except OSError as error:
            raise BoardError(
                f"{self._place.name}: the connection was lost ({error or type(error).__name__})"
            ) from error

    async def ping(self) -> None:
        """Keep the lease, until this is cancelled or the place is gone."""
        with contextlib.suppress(BoardError):
            while True:
                await asyncio.sleep(_PING)
                await self._send(b"\n")

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """What the runner tells, until its request is done.

        Raises:
            BoardError: another bench has the place, or the runner ended before it was done.
        """
        ended, lines = False, self._channel.lines()
        while True:
            try:
                line = await asyncio.wait_for(anext(lines), _SILENCE)
            except StopAsyncIteration:
                break
            except TimeoutError as error:
                raise BoardError(
                    f"{self._place.name}: has said nothing for {_SILENCE:.0f} s; it hangs, or is gone"
                ) from error
            except OSError as error:
                raise BoardError(f"{self._place.name}: the connection was lost ({error})") from error
            event = self._event(line)
            if event["event"] == "busy":
                raise BoardError(
                    f"{self._place.name}: another bench is running there ({event['text']}); wait until it has ended"
                )
            ended = ended or event["event"] == "end"
            yield event
        if not ended:
            status, words = await self._channel.close()
            raise BoardError(f"{self._place.name}: {_cause(status, words)}")

    def _event(self, line: bytes) -> dict[str, Any]:
        try:
            event = json.loads(line)
            if not isinstance(event["event"], str):
                raise TypeError
        except (ValueError, KeyError, TypeError) as error:
            text = line.decode("utf-8", "replace").strip()[:200]
            raise BoardError(
                f"{self._place.name}: printed {text!r} in place of a result; its shell's start-up files must not print"
            ) from error
        return event  # type: ignore[no-any-return]


def _cause(status: int | None, words: str) -> str:
    last = words.strip().splitlines()[-1:] or [""]
    if status is None:
        return "the connection was lost"
    if status == 127:
        return f"the board has no Python to start ({last[0]}); type there: sudo apt install python3"
    number = -status if status < 0 else status - 128  # shells tell of a signal by 128 more
    if number in set(signal.Signals):
        return f"the runner was ended by {signal.Signals(number).name}"
    return f"the runner ended with status {status} ({last[0] or 'without a word'})"


@contextlib.asynccontextmanager
async def open_session(place: Place, prepared: Prepared, request: Mapping[str, Any]) -> AsyncIterator[Session]:
    """Start a runner, keep it as long as the block lasts, and see it off: it puts the governor back.

    Raises:
        BoardError: it cannot be started.
    """
    channel = await place.start(prepared.command)
    session = Session(place, channel)
    pinging: asyncio.Task[None] | None = None
    try:
        await session.say(home=prepared.home, **request)
        pinging = asyncio.create_task(session.ping())
        yield session
    finally:
        if pinging is not None:
            pinging.cancel()
        # Also when this task is cancelled (Ctrl-C): the runner has to end before we do.
        with contextlib.suppress(OSError):
            await asyncio.shield(channel.close())
