"""A board over SSH: logging in, files, and programs whose input and output are lines."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import secrets
import shlex
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from levit_mobile.bench.address import Address
from levit_mobile.errors import BoardError, RuntimeMissingError, install_hint

if TYPE_CHECKING:
    import asyncssh

__all__ = ["Connection", "connect"]

_CONNECT_S, _LOGIN_S = 20, 60
_ALIVE_S, _ALIVE_TIMES = 5, 4  # a board that says nothing for so long is gone
_PATIENCE = 20.0  # seconds that a program has to end when its input does


def _package() -> Any:
    try:
        import asyncssh
    except ModuleNotFoundError as error:
        raise RuntimeMissingError(f"reaching a board needs the package asyncssh; {install_hint('bench')}") from error
    return asyncssh


@contextlib.asynccontextmanager
async def connect(address: Address) -> AsyncIterator[Connection]:
    """Log in, for as long as the block lasts. The host's key must be known; nothing is asked.

    Raises:
        BoardError: not reached, not known, or not let in; the message says what to do.
        RuntimeMissingError: asyncssh is not installed.
    """
    ssh = _package()
    chosen: dict[str, Any] = {}
    if address.user is not None:
        chosen["username"] = address.user
    if address.port is not None:
        chosen["port"] = address.port
    if address.keys:
        chosen |= {"client_keys": [str(key) for key in address.keys], "agent_path": None}
    if address.known_hosts is not None:
        chosen |= {"known_hosts": str(address.known_hosts), "config": None}
    try:
        opened = await ssh.connect(
            address.host,
            connect_timeout=_CONNECT_S,
            login_timeout=_LOGIN_S,
            keepalive_interval=_ALIVE_S,
            keepalive_count_max=_ALIVE_TIMES,
            **chosen,
        )
    except (OSError, ssh.Error) as error:
        raise _refusal(address, error) from error
    except ValueError as error:  # a damaged key, configuration or list of known hosts
        raise BoardError(f"{address.name}: SSH cannot be set up ({error}); see ~/.ssh") from error
    try:
        yield Connection(address.name, opened)
    finally:
        opened.close()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(asyncio.shield(opened.wait_closed()), 5)


def _refusal(address: Address, error: Exception) -> BoardError:
    """What to say of a login that failed."""
    ssh, name = _package(), address.name
    plain = address.host if address.port in (None, 22) else f"[{address.host}]:{address.port}"
    target = f"{address.user}@{address.host}" if address.user else address.host
    login = f"ssh{f' -p {address.port}' if address.port else ''} {target}"
    if isinstance(error, ssh.HostKeyNotVerifiable):
        return BoardError(
            f"{name}: its host key is not the one that is known, or none is; if the board was set up anew, type "
            f"ssh-keygen -R '{plain}', then {login}, and compare the key that it shows"
        )
    if isinstance(error, ssh.PermissionDenied):
        return BoardError(
            f"{name}: does not let us in ({error.reason}); bring your key there with ssh-copy-id, until {login} asks nothing"
        )
    if isinstance(error, socket.gaierror):
        return BoardError(f"{name}: there is no host of this name; see that the board is on and in this network")
    if isinstance(error, ConnectionRefusedError):
        return BoardError(
            f"{name}: refuses connections; switch its SSH server on (sudo systemctl enable --now ssh), or name its port: "
            "USER@HOST:PORT"
        )
    if isinstance(error, TimeoutError):
        return BoardError(f"{name}: does not answer; see that the board is on and in this network")
    return BoardError(f"{name}: cannot be reached ({_words(error)})")


def _words(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or getattr(error, "reason", None) or error or type(error).__name__)


class _Program:
    """A program on the board."""

    def __init__(self, process: asyncssh.SSHClientProcess[bytes]) -> None:
        self._process = process
        self._errors = asyncio.ensure_future(_tail(process.stderr))

    async def send(self, line: bytes) -> None:
        ssh = _package()
        try:
            self._process.stdin.write(line)
            await self._process.stdin.drain()
        except ssh.Error as error:
            raise ConnectionError(_words(error)) from error

    async def lines(self) -> AsyncIterator[bytes]:
        ssh = _package()
        while True:
            try:
                line = await self._process.stdout.readline()
            except (ssh.Error, asyncio.IncompleteReadError) as error:
                raise ConnectionError(_words(error)) from error
            if not line.endswith(b"\n"):
                return  # nothing more, or half a line of a lost connection
            yield line

    async def close(self) -> tuple[int | None, str]:
        ssh = _package()
        with contextlib.suppress(OSError, ssh.Error):
            self._process.stdin.write_eof()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait_closed(), _PATIENCE)
        self._process.close()
        status, signalled = self._process.exit_status, self._process.exit_signal
        if signalled:  # by its name, such as SEGV; names of no meaning here are nobody's
            number = signal.Signals.__members__.get(f"SIG{signalled[0]}")
            status = None if number is None else -number
        with contextlib.suppress(TimeoutError):
            return status, await asyncio.wait_for(asyncio.shield(self._errors), 2)
        return status, ""


async def _tail(stream: Any) -> str:
    kept = b""
    with contextlib.suppress(Exception):  # of a lost connection, which others notice
        while block := await stream.read(1 << 16):
            kept = (kept + block)[-(1 << 14) :]
    return kept.decode("utf-8", "replace").strip()


class Connection:
    """A login. Relative paths are the board's home folder's."""

    def __init__(self, name: str, opened: asyncssh.SSHClientConnection) -> None:
        self.name, self._opened = name, opened
        self._files: asyncssh.SFTPClient | None = None

    async def run(self, command: Sequence[str]) -> tuple[int | None, str, str]:
        """A short program: its status (None: the connection was lost), and what it printed.

        Raises:
            BoardError: the connection was lost.
        """
        ssh = _package()
        try:
            done = await self._opened.run(shlex.join(command), encoding="utf-8", errors="replace", stdin=ssh.DEVNULL)
        except (OSError, ssh.Error) as error:
            raise self._lost(error) from error
        return done.exit_status, str(done.stdout), str(done.stderr)

    async def start(self, command: Sequence[str]) -> _Program:
        """A program that is spoken to.

        Raises:
            BoardError: the connection was lost.
        """
        ssh = _package()
        try:
            return _Program(await self._opened.create_process(shlex.join(command), encoding=None))
        except (OSError, ssh.Error) as error:
            raise self._lost(error) from error

    async def has(self, path: str, size: int) -> bool:
        """Whether there is a file of so many bytes."""
        ssh = _package()
        try:
            return bool((await (await self._sftp()).stat(path)).size == size)
        except ssh.SFTPNoSuchFile:
            return False
        except (OSError, ssh.Error) as error:
            raise self._disk(path, error, 0) from error

    async def put(self, local: Path, path: str) -> None:
        """Send a file, under another name until it is whole.

        Raises:
            BoardError: the disk there is full, or the connection was lost.
        """
        ssh = _package()
        part, size = f"{path}.{secrets.token_hex(4)}.part", local.stat().st_size
        try:
            files = await self._sftp()
            try:
                await files.put(str(local), part)
                await files.posix_rename(part, path)
            except BaseException:
                with contextlib.suppress(OSError, ssh.Error):
                    await files.remove(part)
                raise
        except (OSError, ssh.Error) as error:
            raise self._disk(path, error, size) from error

    async def remove(self, path: str) -> None:
        """Remove a file, if there is one."""
        ssh = _package()
        with contextlib.suppress(OSError, ssh.Error):
            await (await self._sftp()).remove(path)

    async def _sftp(self) -> asyncssh.SFTPClient:
        if self._files is None:
            self._files = await self._opened.start_sftp_client()
        return self._files

    def _lost(self, error: Exception) -> BoardError:
        return BoardError(f"{self.name}: the connection was lost ({_words(error)})")

    def _disk(self, path: str, error: Exception, size: int) -> BoardError:
        ssh = _package()
        # Which of them comes depends on what the channel was at; a write to one that is closed is a ConnectionError.
        lost = (
            ConnectionError,
            ssh.SFTPConnectionLost,
            ssh.SFTPNoConnection,
            ssh.DisconnectError,
            ssh.ChannelOpenError,
        )
        if isinstance(error, lost):
            return self._lost(error)
        # SFTP's version 3, which OpenSSH speaks, has one word for a full disk and many other things: failure.
        if (
            isinstance(error, (ssh.SFTPFailure, ssh.SFTPNoSpaceOnFilesystem))
            or getattr(error, "errno", 0) == errno.ENOSPC
        ):
            return BoardError(
                f"{self.name}: cannot store {path} ({size / 1e6:.1f} MB) there; its disk is full, as a rule: make room on it"
            )
        return BoardError(f"{self.name}: cannot use {path} there ({_words(error)})")
