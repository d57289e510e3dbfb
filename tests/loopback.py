"""A board that is this machine: an SSH server on 127.0.0.1 with a home folder of its own, and faults on demand."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from levit_mobile.bench.address import Address


@dataclass
class Loopback:
    """The server, and what goes wrong with it.

    Attributes:
        folder: of its keys and its home.
        path: PATH of the programs that it runs.
        room: bytes that may still be written over SFTP; None: as many as there is disk.
        flips: how many files yet arrive with one bit wrong.
    """

    folder: Path
    path: str = field(default_factory=lambda: f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    room: int | None = None
    flips: int = 0
    port: int = 0
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    running: list[asyncio.subprocess.Process] = field(default_factory=list)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    @property
    def home(self) -> Path:
        """As programs there see it."""
        return self.folder / "home"

    @property
    def cache(self) -> Path:
        """What benches leave there."""
        return self.home / ".cache/levit-mobile"

    def address(self, **changes: Any) -> Address:
        """How to get in."""
        known = {
            "name": "loopback",
            "host": "127.0.0.1",
            "user": "pi",
            "port": self.port,
            "keys": (self.folder / "user",),
            "known_hosts": self.folder / "known_hosts",
        }
        return Address(**{**known, **changes})

    def cut(self) -> None:
        """All connections are gone, as when a cable is pulled; the programs notice at the end of their input."""

        def abort() -> None:
            for connection in self.connections:
                connection.abort()

        self.loop.call_soon_threadsafe(abort)

    def programs(self) -> list[int]:
        """Process ids of what still runs there."""
        return [process.pid for process in self.running if process.returncode is None]


class _Server(asyncssh.SSHServer):
    def __init__(self, board: Loopback) -> None:
        self._board = board

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._board.connections.append(conn)


def _sftp(board: Loopback) -> Any:
    class Files(asyncssh.SFTPServer):
        def write(self, file_obj: object, offset: int, data: bytes) -> int:
            if board.room is not None:
                if len(data) > board.room:
                    raise asyncssh.SFTPFailure("Failure")
                board.room -= len(data)
            if board.flips and offset == 0:
                board.flips -= 1
                data = bytes([data[0] ^ 1]) + data[1:]
            return super().write(file_obj, offset, data)  # type: ignore[return-value]

    return Files


async def _pump(source: Any, sink: Any) -> None:
    """From one to the other, until either is gone."""
    with contextlib.suppress(asyncssh.Error, OSError):
        while data := await source.read(1 << 16):
            sink.write(data)
            await sink.drain()
    if isinstance(sink, asyncio.StreamWriter):  # a program's input
        sink.close()


async def _serve(board: Loopback) -> asyncssh.SSHAcceptor:
    for name in ("host", "user", "stranger"):
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(board.folder / name))
    key = asyncssh.read_private_key(str(board.folder / "user"))
    (board.folder / "authorized").write_bytes(key.export_public_key())

    async def run(process: asyncssh.SSHServerProcess[bytes]) -> None:
        child = await asyncio.create_subprocess_shell(
            str(process.command),
            cwd=board.home,
            env={**os.environ, "HOME": str(board.home), "PATH": board.path},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        board.running.append(child)
        feeding = asyncio.ensure_future(_pump(process.stdin, child.stdin))
        await asyncio.gather(_pump(child.stdout, process.stdout), _pump(child.stderr, process.stderr))
        status = await child.wait()
        feeding.cancel()
        with contextlib.suppress(asyncssh.Error, OSError):
            if status < 0:
                process.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
            else:
                process.exit(status)

    acceptor = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=lambda: _Server(board),
        server_host_keys=[str(board.folder / "host")],
        authorized_client_keys=str(board.folder / "authorized"),
        process_factory=run,
        sftp_factory=_sftp(board),
        encoding=None,
    )
    board.port = acceptor.get_port()
    host = asyncssh.read_private_key(str(board.folder / "host")).export_public_key().decode()
    (board.folder / "known_hosts").write_text(f"[127.0.0.1]:{board.port} {host}")
    return acceptor


@pytest.fixture
def loopback(tmp_path: Path) -> Iterator[Loopback]:
    """A board that is this machine."""
    board = Loopback(tmp_path / "loopback")
    board.home.mkdir(parents=True)
    thread = threading.Thread(target=board.loop.run_forever, daemon=True)
    thread.start()

    def there(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, board.loop).result(30)

    acceptor = there(_serve(board))
    yield board

    async def stop() -> None:
        for connection in board.connections:
            connection.abort()
        acceptor.close()
        for process in board.running:
            if process.returncode is None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), 20)
        await asyncio.sleep(0.1)

    there(stop())
    board.loop.call_soon_threadsafe(board.loop.stop)
    thread.join(10)
    board.loop.close()
    assert board.programs() == []
