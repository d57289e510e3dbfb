"""One phone at this host's adb server, spoken to by adbutils; it starts the server where none runs."""

from __future__ import annotations

import contextlib
import os
import shlex
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

from adbutils import AdbClient, AdbError, AdbTimeout
from adbutils.sync import Sync

from levit_mobile.errors import BoardError

__all__ = ["AdbPhone", "find_phone"]

_PATIENCE = 60.0  # seconds that an answer may take
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
    with _talking("adb"):
        client = AdbClient(socket_timeout=_PATIENCE)
        states = {info.serial: info.state for info in client.list()}
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
    return AdbPhone(client, serial)


class AdbPhone:
    """A phone that is ready.

    Attributes:
        serial: its name for adb.
    """

    def __init__(self, client: AdbClient, serial: str) -> None:
        self.serial = serial
        self._device = client.device(serial)

    def shell(self, *words: str) -> str:
        """What a program on the phone prints; both streams together.

        Raises:
            BoardError: the connection is lost, or nothing comes for a minute.
        """
        with _talking(self.serial):
            said = self._device.shell(shlex.join(words), timeout=_PATIENCE)
        return str(said).replace("\r", "")

    def push(self, local: Path, remote: str) -> None:
        """Bring a file there, readable to all.

        Raises:
            BoardError: it does not arrive whole.
        """
        with _talking(self.serial):
            Sync(self._device).push(local, remote, mode=0o644, check=True)

    def size(self, remote: str) -> int | None:
        """Bytes of a file there; None: there is no such file.

        Raises:
            BoardError: the connection is lost.
        """
        with _talking(self.serial):
            found = Sync(self._device).stat(remote)
        return int(found.size) if found.mode else None

    def read(self, remote: str) -> bytes:
        """A file there.

        Raises:
            BoardError: it cannot be read, or the connection is lost.
        """
        with _talking(self.serial):
            return bytes(Sync(self._device).read_bytes(remote))

    def remove(self, *remotes: str) -> None:
        """Files or folders there, if they are there.

        Raises:
            BoardError: the connection is lost.
        """
        self.shell("rm", "-rf", *remotes)


@contextlib.contextmanager
def _talking(name: str) -> Iterator[None]:
    """Turn what adbutils raises into one sentence. A connection that ends in the middle trips its reading of numbers."""
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
        lost = not words or isinstance(error, EOFError | AssertionError | ValueError | struct.error | OSError)
        if lost or "closed" in words or "Invalid sync cmd" in words or "Unknown data" in words:
            raise BoardError(f"{name}: the connection was lost; plug it in again") from error
        raise BoardError(f"{name}: {words}") from error
    except subprocess.SubprocessError as error:
        raise BoardError("the adb server does not start; type: adb start-server") from error
