"""Environments for converters whose packages cannot live beside ours: made on first use by venv and pip, kept in the cache.

An environment is built as ``NAME.part`` and renamed when it is whole, so that an interrupted build is never used. Beside
it lies ``NAME.lock`` (one process builds, the others wait), empty; removing it would let two processes build at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from levit_mobile.download import default_cache
from levit_mobile.errors import ExportError, RuntimeMissingError

__all__ = ["Environment", "find_python", "is_ready", "last_words", "make_ready", "run_logged"]

# How pip says that it reached nobody: in the words of whatever part failed.
_NO_INDEX = re.compile(
    "NewConnectionError|Failed to establish a new connection|Name or service not known|name resolution|ProxyError"
    "|Cannot connect to proxy|ConnectTimeout|ReadTimeout|timed out|Connection refused|SSLError|Network is unreachable"
)
_OPTIONS = ("--disable-pip-version-check", "--no-input")
_INSTALL = ("-m", "pip", *_OPTIONS, "install", "--no-deps", "--only-binary", ":all:", "--progress-bar", "off", "-r")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Environment:
    """What an environment is made of.

    Attributes:
        name: of its folder, to which a digest of all that follows is added.
        requirements: for pip: exact versions of everything, what packages need included.
        pythons: versions that all those packages have wheels for, the best first, such as ``3.12``.
        proof: modules that can be imported in it, or it was not built well.
        needed_by: what was typed that needs it.
        instead: what to type to do without.
        room: on the disk, in GB.
    """

    name: str
    requirements: str
    pythons: tuple[str, ...]
    proof: tuple[str, ...]
    needed_by: str
    instead: str
    room: float


def is_ready(environment: Environment) -> bool:
    """Whether ``make_ready`` has nothing to do."""
    return any(os.path.exists(_python(_folder(environment, version))) for version in environment.pythons)


def make_ready(environment: Environment) -> Path:
    """The Python of an environment, which is built if it is not there. pip takes the packages from the user's own index.

    Raises:
        RuntimeMissingError: no Python that the packages have wheels for.
        ExportError: venv or pip failed, or the folder cannot be written to.
    """
    for version in environment.pythons:
        if os.path.exists(python := _python(_folder(environment, version))):
            return python
    base, version = find_python(environment)
    folder = _folder(environment, version)
    with _disk(folder, environment):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder, environment) as lock:
        if not _python(folder).exists():  # another process may have built it meanwhile
            _build(environment, base, folder, lock)
    return _python(folder)


def run_logged(command: Sequence[str | Path], folder: Path, *, holding: Sequence[int] = ()) -> tuple[int, str]:
    """Run a program, copy what it prints to standard error, and keep it.

    Its settings for Python are not ours: ``PYTHONPATH`` and the like are not handed on.

    Args:
        command: the program and what follows.
        folder: that it works in.
        holding: descriptors that stay open as long as it runs, also if we are gone.

    Returns:
        exit status (less than 0: the signal that ended it), and what it printed.
    """
    settings = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    lines = []
    with subprocess.Popen(
        [str(part) for part in command],
        cwd=folder,
        env={**settings, "PIP_USER": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        pass_fds=holding,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                sys.stderr.write(line)
                lines.append(_COLOURS.sub("", line))
        except BaseException:
            process.kill()
            raise
    return process.returncode, "".join(lines)


def last_words(printed: str) -> str:
    """What a program that failed gave as the reason: its last line, without indent; empty if it printed nothing."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"  # a link: it exists as long as the Python behind it does


def _folder(environment: Environment, version: str) -> Path:
    content = f"{environment.requirements}{environment.proof}{version}{platform.system()}{platform.machine()}"
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    return default_cache() / "environments" / f"{environment.name}-py{version}-{digest}"


def find_python(environment: Environment) -> tuple[str, str]:
    """A Python that fits, and its version: the running one, or one on the PATH.

    Raises:
        RuntimeMissingError: there is none.
    """
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    if running in environment.pythons:
        return sys.executable, running
    for version in environment.pythons:
        found = shutil.which(f"python{version}")
        # A shim of a version manager is there also where its Python is not.
        if found and _version_of(found) == version:
            return found, version
    able = " or ".join(environment.pythons)
    best = environment.pythons[0]
    raise RuntimeMissingError(
        f"{environment.needed_by} needs Python {able}, for {environment.name} has no packages for Python {running}, and "
        f"{', '.join(f'python{version}' for version in environment.pythons)} are not on the PATH; install one of them "
        f"(uv python install {best}, or apt-get install python{best}-venv), or type {environment.instead}"
    )


def _version_of(python: str) -> str:
    asked = [python, "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


@contextmanager
def _disk(folder: Path, environment: Environment) -> Iterator[None]:
    """Turns what the disk refuses into a sentence."""
    try:
        yield
    except OSError as error:
        raise ExportError(
            f"cannot use {folder} ({error.strerror or error}); set LEVIT_MOBILE_CACHE to a folder that can be written to "
            f"and has room for {environment.room:g} GB"
        ) from error


@contextmanager
def _locked(folder: Path, environment: Environment) -> Iterator[int]:
    """One process at a time; gives the lock's descriptor. The system frees it when we and all that hold it have ended."""
    with _disk(folder, environment):
        opened = folder.with_name(f"{folder.name}.lock").open("ab")
    with opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield opened.fileno()


def _build(environment: Environment, base: str, folder: Path, lock: int) -> None:
    def step(*command: str | Path) -> None:
        with _disk(folder, environment):
            # A pip whose toolkit was killed goes on for a while: until then nobody else shall build.
            status, printed = run_logged(command, folder.parent, holding=[lock])
        if status:
            raise ExportError(
                f"the environment for {environment.name} could not be made: {_reason(printed, status, environment)}, "
                f"or type {environment.instead}"
            )

    part = folder.with_name(f"{folder.name}.part")
    listing = part / "requirements.txt"
    with _disk(folder, environment):
        for old in (part, folder):  # of a process that died; or its Python is gone
            if old.exists():
                shutil.rmtree(old)
    try:
        step(base, "-I", "-m", "venv", part)
        with _disk(folder, environment):
            listing.write_text(environment.requirements, "utf-8")
        step(_python(part), "-I", *_INSTALL, listing)
        step(_python(part), "-I", "-c", f"import {', '.join(environment.proof)}")
        with _disk(folder, environment):
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _reason(printed: str, status: int, environment: Environment) -> str:
    """What went wrong while it was built, and what to do."""
    if "No space left on device" in printed or "Disk quota exceeded" in printed:
        return f"the disk is full; set LEVIT_MOBILE_CACHE to a folder with room for {environment.room:g} GB"
    if _NO_INDEX.search(printed):
        return (
            "pip reached no index with its packages; connect to the network, or tell pip of an index that can be reached "
            "(pip config set global.index-url URL)"
        )
    if missing := re.search(r"No matching distribution found for (\S+)", printed):
        if "(from versions: none)" in printed:  # all that it says, too, if it was told not to try again
            return (
                f"pip found no {missing[1]} for {platform.system()} on {platform.machine()}: its index has none, or was not "
                "reached; see with `pip config list` which index that is, and connect to the network"
            )
        return (
            f"pip's index has no {missing[1]} for {platform.system()} on {platform.machine()}; "
            "see with `pip config list` which index that is"
        )
    if "ensurepip" in printed:
        return "this Python cannot make environments; type apt-get install python3-venv, or install another Python"
    return f"{last_words(printed) or f'status {status}'}; --verbose shows all of it"
