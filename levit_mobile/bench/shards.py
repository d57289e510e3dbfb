"""Logits of many pictures from one board or several, shared out by batches."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from levit_mobile.bench.address import Address
from levit_mobile.bench.board import BoardPlace
from levit_mobile.bench.measure import raise_if_stopped, unpacked
from levit_mobile.bench.session import Session, open_session
from levit_mobile.bench.settings import Settings
from levit_mobile.bench.ssh import connect
from levit_mobile.bench.subject import Subject, put_pixels, shared_job
from levit_mobile.errors import BoardError, LevitMobileError
from levit_mobile.journal import BATCH, Journal

__all__ = ["gather"]

_ATTEMPTS = 3  # to reach a board that has done nothing yet
_GIVE_UP = 150.0  # seconds without a picture: a board that was lost may start anew, and keeps its lease for a minute
_PAUSE = 2.0  # seconds before the next attempt, and more before later ones
_LONGEST = 15.0

# first picture, how many -> uint8 (N, S, S, 3)
Loader = Callable[[int, int], npt.NDArray[np.uint8]]


async def gather(
    addresses: Sequence[Address],
    subject: Subject,
    load: Loader,
    kept: Journal,
    progress: Callable[[str, int], None],
) -> tuple[dict[str, int], dict[str, LevitMobileError]]:
    """Share the missing batches out to boards; each takes the next when it has done one.

    A board that is lost is tried again, and in the end left out; others take its pictures.

    Returns:
        pictures that each board has done, and what went wrong with which; ``kept.missing()`` tells whether all came.
    """
    todo = deque(kept.missing())
    failed: dict[str, LevitMobileError] = {}
    did = {address.name: 0 for address in addresses}
    size = len(kept.done)

    async def work(address: Address, folder: Path) -> None:
        failures, since = 0, time.monotonic()
        while todo:
            before = did[address.name]
            try:
                await _visit(address, folder)
            except BoardError as error:
                if did[address.name] != before:
                    failures, since = 0, time.monotonic()
                failures += 1
                progress(str(error), 0)
                worked = did[address.name] > 0
                if time.monotonic() - since > _GIVE_UP if worked else failures >= _ATTEMPTS:
                    failed[address.name] = error
                    return
                await asyncio.sleep(min(_PAUSE * failures, _LONGEST))
            except LevitMobileError as error:  # not a matter of the connection
                failed[address.name] = error
                return
            except OSError as error:  # of this machine's disk, for one; the other boards go on
                failed[address.name] = LevitMobileError(f"{address.name}: {error}")
                return
            else:
                if not todo:
                    return

    async def _visit(address: Address, folder: Path) -> None:
        async with connect(address) as connection:
            place = BoardPlace(connection, emulated=address.emulated)
            prepared = await place.prepare([subject.target])
            job = {
                **shared_job(prepared, Settings(), 1),
                "do": "logits",
                "id": "0",
                "artifact": subject.told(await subject.put(place)),
            }
            async with open_session(place, prepared, {**Settings().request(), "jobs": [job]}) as session:
                events = session.events()
                await _until(events, "loaded", address.name, subject.name)
                while todo:
                    first = todo.popleft()
                    try:
                        rows = await _one(place, session, events, folder, first)
                    except BaseException:
                        todo.appendleft(first)
                        raise
                    kept.put(first, rows)
                    did[address.name] += len(rows)
                    kept.save(now=not todo)
                    progress(address.name, len(rows))
                await session.say(end=True)
                async for _ in events:
                    pass

    async def _one(
        place: BoardPlace, session: Session, events: Any, folder: Path, first: int
    ) -> npt.NDArray[np.float32]:
        pixels = await asyncio.to_thread(load, first, min(BATCH, size - first))
        path = await put_pixels(place, folder, pixels)
        try:
            digest = hashlib.sha256((folder / Path(path).name).read_bytes()).hexdigest()
            await session.say(pixels=path, first=first, sha256=digest)
            event = await _until(events, "logits", place.name, subject.name)
        finally:
            with contextlib.suppress(BoardError):
                await place.forget(path)  # the runner has, if it came to that
            (folder / Path(path).name).unlink(missing_ok=True)
        try:
            rows = unpacked(event["logits"])
            if rows.shape != (len(pixels), kept.rows.shape[1]):
                raise ValueError(f"logits of shape {rows.shape}")
        except (KeyError, TypeError, ValueError) as error:
            raise BoardError(f"{place.name}: its runner tells what it should not ({error!r})") from error
        return rows

    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as last:
        last.callback(kept.save)  # also on the way out by an error, or Ctrl-C
        # More than once only where a board was lost with a batch that the others did not wait for.
        while todo and (left := [address for address in addresses if address.name not in failed]):
            async with asyncio.TaskGroup() as group:
                for address in left:
                    own = Path(tempfile.mkdtemp(dir=name))
                    group.create_task(work(address, own))
    return did, failed


async def _until(events: Any, kind: str, place: str, what: str) -> Mapping[str, Any]:
    """The next event of a kind.

    Raises:
        BoardError: the job was refused, or ended, before.
        BundleError: it died.
    """
    async for event in events:
        if event["event"] == kind:
            found: Mapping[str, Any] = event
            return found
        raise_if_stopped(event, f"{place}: {what}")
    raise BoardError(f"{place}: the runner ended before all was done")
