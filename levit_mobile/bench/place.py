"""Where measurements run: this host, or whatever else can start the runner and be sent files."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Protocol

from levit_mobile.bench.archive import runner_archive
from levit_mobile.download import default_cache

__all__ = ["Channel", "HostPlace", "Place", "Prepared"]

_LINE = 64 << 20  # bytes; logits of a batch are one line
_PATIENCE = 15.0  # seconds that a runner has to put things back


class Channel(Protocol):
    """A started program, spoken to by lines."""

    async def send(self, line: bytes) -> None:
        """Write a line, with its end.

        Raises:
            OSError: it is gone.
        """
        ...

    def lines(self) -> AsyncIterator[bytes]:
        """What it prints, until it ends."""
        ...

    async def close(self) -> tuple[int | None, str]:
        """End its input, wait for it; its exit status (None: nobody knows), and the end of what it wrote to standard error."""
        ...


class Prepared:
    """What a runner on a place needs to be started.

    Args:
        command: the runner's.
        home: its folder there.
        etrun: the ExecuTorch program there, and its version; None runs ``.pte`` in Python.
    """

    def __init__(self, command: Sequence[str], home: str, etrun: tuple[str, str] | None = None) -> None:
        self.command, self.home, self.etrun = tuple(command), home, etrun


class Place(Protocol):
    """Somewhere to measure.

    Attributes:
        name: for people.
        kind: host, board or emulated.
    """

    name: str
    kind: str

    async def prepare(self, targets: Sequence[str]) -> Prepared:
        """Bring there what running artifacts of these targets needs; nothing where it is there already.

        Raises:
            BoardError: the place cannot.
            RuntimeMissingError: something is missing on this host.
        """
        ...

    async def put(self, local: Path, name: str) -> str:
        """Bring a file there; the path that it has there. ``name`` is unique for its content."""
        ...

    async def forget(self, path: str) -> None:
        """Remove a file that was brought."""
        ...

    async def start(self, command: Sequence[str]) -> Channel:
        """Start a program there."""
        ...


class _Child:
    """A process on this host."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._errors = asyncio.ensure_future(_tail(process.stderr))

    async def send(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        await self._process.stdin.drain()

    async def lines(self) -> AsyncIterator[bytes]:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            yield line

    async def close(self) -> tuple[int | None, str]:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            status = await asyncio.wait_for(self._process.wait(), _PATIENCE)
        except TimeoutError:
            self._process.kill()
            status = await self._process.wait()
        return status, await self._errors


async def _tail(stream: asyncio.StreamReader | None) -> str:
    assert stream is not None
    kept = b""
    while block := await stream.read(1 << 16):
        kept = (kept + block)[-(1 << 14) :]
    return kept.decode("utf-8", "replace").strip()


class HostPlace:
    """This machine."""

    name, kind = "this host", "host"

    async def prepare(self, targets: Sequence[str]) -> Prepared:
        """Everything is here."""
        return Prepared([sys.executable, "-P", "-u", str(runner_archive())], str(default_cache() / "bench"))

    async def put(self, local: Path, name: str) -> str:
        """It is here."""
        return str(local.resolve())

    async def forget(self, path: str) -> None:
        """Nothing was brought."""

    async def start(self, command: Sequence[str]) -> Channel:
        """A child in a session of its own: Ctrl-C is for the parent, which ends it in order."""
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE,
            start_new_session=True,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
        return _Child(process)
