"""Wheels for another machine than this one: pip fetches them from the user's own index, the cache keeps them.

A set of requirements has one folder, ``wheels/DIGEST``, downloaded as ``DIGEST.part`` and renamed when it is whole; a second
call needs no network. Beside it lies ``DIGEST.lock`` (one process downloads, the others wait), empty; removing it would let
two processes download at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from levit_mobile.download import default_cache
from levit_mobile.errors import DownloadError, NoWheelError, RuntimeMissingError, UsageError

__all__ = ["unpack", "wheels_for"]

_MACHINES = ("aarch64", "armv7l", "x86_64")
_OLDEST = 17  # glibc 2.17, as manylinux2014
_GLIBC = {"3.11": 36, "3.13": 41}  # of the Debian releases (bookworm, trixie) that have this Python
_PIP = (
    "-I",
    "-m",
    "pip",
    "--disable-pip-version-check",
    "--no-input",
    "download",
    "--no-deps",
    "--progress-bar",
    "off",
)
# How pip says that it reached nobody: in the words of whatever part failed.
_NO_INDEX = re.compile(
    "NewConnectionError|Failed to establish a new connection|Name or service not known|name resolution|ProxyError"
    "|Cannot connect to proxy|ConnectTimeout|ReadTimeout|timed out|Connection refused|SSLError|Network is unreachable"
)


def wheels_for(
    requirements: Sequence[str], *, python: str = "3.11", machine: str = "aarch64", cache: Path | None = None
) -> list[Path]:
    """The wheels of exactly these requirements, not of what they need in turn.

    Args:
        requirements: as pip takes them; with exact versions, or the cache keeps what was newest once.
        python: version that they are for.
        machine: ``aarch64``, ``armv7l`` or ``x86_64``, under Linux.
        cache: instead of ``default_cache()``.

    Returns:
        Their files, by name; nobody may change them.

    Raises:
        DownloadError: no index was reached, or the folder cannot be written to.
        NoWheelError: the index has no such wheel.
        RuntimeMissingError: this Python has no pip.
        UsageError: another machine.
    """
    if machine not in _MACHINES:
        raise UsageError(f"there are no wheels for machine {machine!r}; type one of {', '.join(_MACHINES)}")
    asked = sorted(requirements)
    digest = hashlib.sha256("\n".join([*asked, python, machine]).encode()).hexdigest()[:16]
    folder = (cache or default_cache()) / "wheels" / digest
    if not folder.exists():
        with _disk(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            lock = folder.with_name(f"{digest}.lock").open("ab")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():  # another process may have fetched them meanwhile
                _download(asked, python, machine, folder)
    return sorted(folder.glob("*.whl"))


def unpack(wheels: Sequence[Path], folder: Path) -> None:
    """Unpack wheels beside each other, as in ``site-packages``; ``folder`` is made if need be.

    Raises:
        DownloadError: a wheel is damaged (it is removed, to be fetched anew), or the folder cannot be written to.
    """
    for wheel in wheels:
        try:
            with zipfile.ZipFile(wheel) as opened, _disk(folder):
                opened.extractall(folder)
        except zipfile.BadZipFile as error:
            shutil.rmtree(wheel.parent, ignore_errors=True)
            raise DownloadError(
                f"{wheel} was damaged, and has been removed; type the same again to fetch it anew"
            ) from error


def _download(requirements: Sequence[str], python: str, machine: str, folder: Path) -> None:
    part = folder.with_name(f"{folder.name}.part")
    newest = _GLIBC.get(python, _OLDEST)
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(newest, _OLDEST - 1, -1)]
    command = [
        *(sys.executable, *_PIP, "--only-binary", ":all:", "--implementation", "cp", "--python-version", python),
        *(part for platform in (*platforms, f"manylinux2014_{machine}") for part in ("--platform", platform)),
        *("--dest", str(part), *requirements),
    ]
    with _disk(folder):
        shutil.rmtree(part, ignore_errors=True)  # of a process that died
        part.mkdir()
    try:
        done = subprocess.run(
            command,
            # PYTHONPATH and the like are for our Python; the index comes from pip's own files and variables.
            env={key: value for key, value in os.environ.items() if not key.startswith("PYTHON")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise _failed(done.stdout, done.returncode, f"Python {python} on {machine}")
        with _disk(folder):
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _failed(printed: str, status: int, where: str) -> DownloadError | RuntimeMissingError:
    """What went wrong, of what pip printed, and what to do."""
    if "No module named pip" in printed:
        return RuntimeMissingError(
            f"{sys.executable} has no pip, which fetches wheels; type {sys.executable} -m ensurepip"
        )
    if "No space left on device" in printed or "Disk quota exceeded" in printed:
        return DownloadError("the disk is full; set LEVIT_MOBILE_CACHE to a folder with room for 0.2 GB")
    if _NO_INDEX.search(printed):
        return DownloadError(
            f"pip reached no index with wheels for {where}; connect to the network, or tell pip of an index that can be "
            "reached (pip config set global.index-url URL)"
        )
    if missing := re.search(r"No matching distribution found for (\S+)", printed):
        unsure = ", or was not reached" if "(from versions: none)" in printed else ""
        return NoWheelError(
            f"pip's index has no wheel of {missing[1]} for {where}{unsure}; see with `pip config list` which index that is"
        )
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return DownloadError(f"pip could not fetch wheels for {where}: {lines[-1] if lines else f'status {status}'}")


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """Turns what the disk refuses into a sentence."""
    try:
        yield
    except OSError as error:
        raise DownloadError(
            f"cannot use {folder} ({error.strerror or error}); set LEVIT_MOBILE_CACHE to a folder that can be written to "
            "and has room for 0.2 GB"
        ) from error
