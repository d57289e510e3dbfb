"""One phone at this host's adb server, spoken to by adbutils; it starts the server where none runs."""

from __future__ import annotations

import contextlib
import os
import shlex
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adbutils import AdbClient, AdbError, AdbTimeout
from adbutils.sync import Sync

from levit_mobile.errors import BoardError

__all__ = ["AdbPhone", "find_phone"]

_END = "levit-mobile: that was all"
_PATIENCE = 60.0  # seconds that an answer may take
_LOST = ("closed", "Invalid sync cmd", "Unknown data", "read chunk missing", "device offline", "not found")
_STATES = {  # as adb has them -> what to do
    "unauthorized": "it does not trust this computer; unlock it, and allow USB debugging in the dialogue that it shows",
    "offline": "it is offline; plug it in again, or type: adb reconnect",
    "no": "this user may not use it over USB; see https://developer.android.com/studio/run/device for udev rules",
    "recovery": "it is in recovery; restart it",
    "sideload": "it is in sideload mode; restart it",
    "bootloader": "it is in its bootloader; restart it",
}


def find_phone(serial: str | None = None) -> AdbPhone:
    """The phone called ``serial``, or the only one; ``ANDROID_SERIAL`` counts as for adb.

    Raises:
        BoardError: there is none, several, or it is not ready; the message says what to do.
    """
    serial = serial or os.environ.get("ANDROID_SERIAL") or None
    server = _Server()
    with server.talking("adb"):
        states = {info.serial: info.state for info in server.client.list()}
    if not states:
        raise BoardError(
            "no phone is connected; plug one in with USB debugging on (in its developer options), or type: adb connect HOST"
        )
    if serial is None:
        ready = [name for name, state in states.items() if state == "device"]
        if len(ready) > 1 or (not ready and len(states) > 1):
            told = ", ".join(n if s == "device" else f"{n} ({s})" for n, s in states.items())
            raise BoardError(f"several phones are connected: {told}; type --android SERIAL")
        serial = ready[0] if ready else next(iter(states))
    if serial not in states:
        raise BoardError(
            f"no phone is called {serial!r}; connected: {', '.join(states)}; name bundles before --android"
        )
    state = states[serial]
    if state != "device":
        raise BoardError(f"{serial}: {_STATES.get(state, f'it is not ready, but {state}')}")
    return AdbPhone(server, serial)


class AdbPhone:
    """A phone that is ready.

    Attributes:
        serial: its name for adb.
    """

    def __init__(self, server: _Server, serial: str) -> None:
        self.serial, self._server = serial, server
        self._device = server.client.device(serial)

    def shell(self, *words: str) -> str:
        """What a program on the phone prints; both streams together.

        Raises:
            BoardError: the connection is lost, or nothing comes for a minute.
        """
        line = f"{shlex.join(words)}; echo {_END}"  # an answer that was cut off would look like one without a word
        with self._server.talking(self.serial):
            said = str(self._device.shell(line, timeout=_PATIENCE)).replace("\r", "")
            answer, end, _ = said.rpartition(_END)
            if not end:
                raise EOFError
        return answer

    def push(self, local: Path, remote: str) -> None:
        """Bring a file there, readable to all.

        Raises:
            BoardError: it does not arrive whole.
        """
        with self._server.talking(self.serial):
            Sync(self._device).push(local, remote, mode=0o644, check=True)

    def size(self, remote: str) -> int | None:
        """Bytes of a file there; None: there is no such file.

        Raises:
            BoardError: the connection is lost.
        """
        with self._server.talking(self.serial):
            found = Sync(self._device).stat(remote)
        return int(found.size) if found.mode else None

    def read(self, remote: str) -> bytes:
        """A file there.

        Raises:
            BoardError: it cannot be read, or the connection is lost.
        """
        with self._server.talking(self.serial):
            return bytes(Sync(self._device).read_bytes(remote))

    def remove(self, *remotes: str) -> None:
        """Files or folders there, if they are there.

        Raises:
            BoardError: the connection is lost.
        """
        self.shell("rm", "-rf", *remotes)


class _Server:
    """The adb server. Each talk has connections of its own, and adbutils leaves them open where something goes wrong."""

    def __init__(self) -> None:
        self.client = AdbClient(socket_timeout=_PATIENCE)
        self._open: list[Any] = []
        connect = self.client.make_connection

        def kept(timeout: float | None = None) -> Any:
            self._open.append(connect(timeout))
            return self._open[-1]

        self.client.make_connection = kept

    @contextlib.contextmanager
    def talking(self, name: str) -> Iterator[None]:
        """Turn what adbutils raises into one sentence, and close what it opened."""
        try:
            with _told(name):
                yield
        finally:
            for connection in self._open:
                connection.close()
            self._open.clear()


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """A connection that ends in the middle trips adbutils' reading of numbers."""
    try:
        yield
    except AdbTimeout as error:
        raise BoardError(
            f"{name}: no answer for {_PATIENCE:.0f} seconds; plug it in again, or type: adb reconnect"
        ) from error
    except (AdbError, EOFError, AssertionError, ValueError, struct.error, OSError) as error:
        words = " ".join(str(error).split())
        if name == "adb":
            raise BoardError(f"the adb server cannot be reached ({words}); type: adb start-server") from error
        lost = not words or not isinstance(error, AdbError) or any(sign in words for sign in _LOST)
        if lost:
            raise BoardError(f"{name}: the connection was lost; plug it in again") from error
        raise BoardError(f"{name}: {words}") from error
    except subprocess.SubprocessError as error:
        raise BoardError("the adb server does not start; type: adb start-server") from error
