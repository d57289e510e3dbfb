"""An emulated board: a real ARM system behind a real SSH server on loopback, whose programs QEMU runs.

What runs on it computes what it would on a Raspberry Pi with the same core; how long it takes says nothing about one. It is
for trying out, with everything that needs a board, what a board would do. See ``stand_ins.py`` for what is not real in it.

A board is a folder ``boards/NAME`` in the cache, made as ``NAME.part`` and renamed; ``board.json`` in it says what it is, and
``server.py`` what else is there. Beside them lies ``.lock``, empty (one process makes, starts or ends boards at a time).
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from levit_mobile.bench import server
from levit_mobile.bench.binfmt import can_isolate, register, require_linux, require_programs
from levit_mobile.bench.root import EmulationError, Step, remove_templates, template
from levit_mobile.bench.stand_ins import MACHINES, cpuinfo, dress, machine_for
from levit_mobile.download import default_cache
from levit_mobile.errors import UsageError

__all__ = ["Board", "down", "down_all", "find", "purge", "status", "up"]

_QEMU = {"arm64": "aarch64", "armhf": "arm"}
_UNAME = {"arm64": "aarch64", "armhf": "armv7l"}
_ATTEMPTS = 3  # another program may take the port before sshd does
_PATIENCE = 120  # seconds for the first program on the board; it takes a third of one


@dataclass(frozen=True)
class Board:
    """A board that was made.

    Attributes:
        name: that it was given.
        folder: with all that belongs to it.
        port: of its SSH server, on 127.0.0.1.
        user: who logs in; on the board that is root.
        cpu: QEMU's name of the core.
        architecture: Debian's name: ``arm64``, ``armhf``.
        release: of Debian.
        isolated: it runs in namespaces of its own; else under proot.
    """

    name: str
    folder: Path
    port: int
    user: str
    cpu: str
    architecture: str
    release: str
    isolated: bool

    host = "127.0.0.1"

    @property
    def root(self) -> Path:
        """Its file system. ``proc`` and ``dev`` are empty as seen from here."""
        return self.folder / "root"

    @property
    def key(self) -> Path:
        """The private key to log in with."""
        return self.folder / "key"

    @property
    def known_hosts(self) -> Path:
        """The server's key, as ssh wants it."""
        return self.folder / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        """For ``ssh -F``, ``scp -F`` and ``sftp -F``: all of the above."""
        return self.folder / "ssh_config"

    @property
    def pid(self) -> int | None:
        """The number of its SSH server's process; None if that does not run."""
        return server.server_pid(self.folder)

    @property
    def running(self) -> bool:
        """Whether its SSH server runs."""
        return self.pid is not None

    def ssh(self, *words: str) -> list[str]:
        """The command that runs a command line on it (words are joined by spaces, as ssh does), or a shell."""
        return ["ssh", "-F", str(self.ssh_config), self.name, *words]

    def to_dict(self) -> dict[str, Any]:
        """For machines: paths as text, and whether it runs."""
        return {
            "name": self.name,
            "emulated": True,
            "running": self.running,
            "pid": self.pid,
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "key": str(self.key),
            "known_hosts": str(self.known_hosts),
            "ssh_config": str(self.ssh_config),
            "root": str(self.root),
            "cpu": self.cpu,
            "architecture": self.architecture,
            "release": self.release,
            "isolated": self.isolated,
        }


def up(
    cpu: str | None = None,
    *,
    name: str = "emulated",
    architecture: str | None = None,
    release: str | None = None,
    step: Step = lambda _: nullcontext(),
    tell: Callable[[str], None] = lambda _: None,
) -> Board:
    """The board of a name: as it is if it runs, started again if its server has ended, made if there is none.

    Args:
        cpu: ``cortex-a76`` (Raspberry Pi 5), ``cortex-a72`` (4), ``cortex-a7`` (2, armhf). None: as the board is, or for a new
            one what fits the architecture.
        name: small letters, digits and hyphens.
        architecture: ``arm64``, ``armhf``; None as above.
        release: ``bookworm`` (Python 3.11), ``trixie`` (3.13); None: as the board is, or bookworm.
        step: is called with what is about to happen; the work is done inside the context it returns.
        tell: is called with what was changed on this machine outside of the board's folder.

    Raises:
        UsageError: no such kind of board, or there is one of that name that is of another kind.
        RuntimeMissingError: this machine lacks something, with what to type.
        EmulationError: it could not be made or does not answer.
    """
    require_linux()
    _check_name(name)
    with _locked():
        board = find(name)
        if board is not None:
            _see_that_it_is(board, cpu, architecture, release)
            if board.running:
                return board
        machine = MACHINES[board.cpu] if board else machine_for(cpu, architecture)
        isolated = can_isolate()
        qemu = _QEMU[machine.architecture]
        if board is None:
            # All that is missing in one message, and before the download.
            require_programs(["mmdebstrap", *_needed(qemu, isolated)], "an emulated board")
        else:
            require_programs(_needed(qemu, isolated), "an emulated board")
        if isolated:
            register(qemu, tell)
        folder = _boards() / name
        made = board is None
        release = board.release if board else release or "bookworm"
        if made:
            source = template(machine.architecture, release, step=step)
            with step(f"making the board {name!r}"):
                _make(folder, source, machine.cpu)
        try:
            with step(f"starting the board {name!r}"):
                port = board.port if board else None
                board = Board(
                    name,
                    folder,
                    port or 0,
                    server.login_name(isolated),
                    machine.cpu,
                    machine.architecture,
                    release,
                    isolated,
                )
                return _start(board)
        except BaseException:
            server.stop(folder)
            if made:
                _remove(folder)
            raise


def down(name: str = "emulated") -> None:
    """End a board and all that runs on it, and remove what it was.

    Raises:
        UsageError: there is none of that name.
        EmulationError: something does not end, or is mounted in it.
    """
    _check_name(name)
    with _locked():
        folders = [path for path in (_boards() / name, _boards() / f"{name}.part") if path.exists()]
        if not folders:
            raise UsageError(f"there is no board {name!r}; levit board status lists them")
        for folder in folders:
            server.stop(folder)
            _remove(folder)


def down_all() -> list[str]:
    """``down`` for every board; gives their names. What an interrupted ``up`` left goes, too."""
    if not _boards().is_dir():
        return []
    names = sorted({path.name.removesuffix(".part") for path in _boards().iterdir() if path.is_dir()})
    for name in names:
        down(name)
    return names


def purge() -> list[Path]:
    """Remove the templates that boards are copied from; boards stay as they are. The next new one is fetched again."""
    return remove_templates()


def find(name: str = "emulated") -> Board | None:
    """The board of a name, running or not; None if there is none.

    Raises:
        UsageError: no board can have such a name.
        EmulationError: what is there cannot be read.
    """
    _check_name(name)
    folder = _boards() / name
    if not folder.exists():
        return None
    try:
        return Board(**{**json.loads((folder / "board.json").read_text("utf-8")), "folder": folder})
    except (OSError, ValueError, TypeError) as error:
        raise EmulationError(
            f"the board {name!r} in {folder} is damaged ({error}); type levit board down --name {name}"
        ) from error


def status() -> list[Board]:
    """All boards, running or not, by name."""
    if not _boards().is_dir():
        return []
    folders = [path for path in _boards().iterdir() if path.is_dir() and path.suffix != ".part"]
    return [board for path in sorted(folders) if (board := find(path.name)) is not None]


def _boards() -> Path:
    # As the kernel tells it of processes, and as sshd must be told.
    return Path(os.path.realpath(default_cache())) / "boards"


def _check_name(name: str) -> None:
    if not re.fullmatch("[a-z0-9][a-z0-9-]{0,31}", name):
        raise UsageError(f"a board's name is small letters, digits and hyphens, 32 at most, not {name!r}")


def _needed(qemu: str, isolated: bool) -> list[str]:
    return ["sshd", "ssh", "ssh-keygen", f"qemu-{qemu}-static", *([] if isolated else ["proot"])]


def _see_that_it_is(board: Board, cpu: str | None, architecture: str | None, release: str | None) -> None:
    wanted = {"cpu": cpu, "architecture": architecture, "release": release}
    other = [value for key, value in wanted.items() if value not in (None, getattr(board, key))]
    if other:
        raise UsageError(
            f"the board {board.name!r} is {board.cpu}, {board.architecture}, {board.release}, not {', '.join(map(str, other))}; "
            f"type levit board down --name {board.name} first, or --name with another name"
        )


@contextmanager
def _locked() -> Iterator[None]:
    try:
        _boards().mkdir(parents=True, exist_ok=True)
        lock = (_boards() / ".lock").open("ab")
    except OSError as error:
        raise EmulationError(
            f"cannot use {_boards()} ({error.strerror or error}); set LEVIT_MOBILE_CACHE to a folder that can be written to"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(folder: Path, source: Path, cpu: str) -> None:
    part = folder.with_name(f"{folder.name}.part")
    try:
        if part.exists():  # of a process that died
            server.stop(part)
            _remove(part)
        part.mkdir(mode=0o700)
        # A copy: what is written on a board must not be seen in the template.
        copied = subprocess.run(
            ["cp", "-a", "--reflink=auto", str(source), str(part / "root")], capture_output=True, text=True, check=False
        )
        if copied.returncode:
            raise EmulationError(f"the template cannot be copied: {copied.stderr.strip().splitlines()[-1]}")
        dress(part / "root", MACHINES[cpu])
        (part / "cpuinfo").write_text(cpuinfo(MACHINES[cpu]), "utf-8")
        (part / "root/proc/cpuinfo").touch()
        server.make_keys(part)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _start(board: Board) -> Board:
    server.stop(board.folder)  # what an ended server may have left
    for attempt in range(_ATTEMPTS):
        port = server.choose_port(board.port if attempt == 0 else None)
        board = Board(**{**vars(board), "port": port})
        server.write_settings(
            board.folder,
            name=board.name,
            port=port,
            qemu=f"qemu-{_QEMU[board.architecture]}-static",
            cpu=board.cpu,
            isolated=board.isolated,
        )
        _write(board)
        try:
            server.start(board.folder, port, isolated=board.isolated)
        except EmulationError as error:
            if attempt + 1 == _ATTEMPTS or "in use" not in str(error):
                raise
        else:
            break
    try:
        done = subprocess.run(
            board.ssh("uname", "-m"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EmulationError(f"the board {board.name!r} runs no program within {_PATIENCE} s") from error
    if done.stdout.strip() != _UNAME[board.architecture]:
        lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        said = "; ".join(lines[-3:]) or f"status {done.returncode}"
        raise EmulationError(f"the board {board.name!r} runs no program for {board.architecture}: {said}")
    return board


def _write(board: Board) -> None:
    path = board.folder / "board.json"
    part = path.with_name("board.json.part")
    part.write_text(json.dumps({**vars(board), "folder": str(board.folder)}, indent=1), "utf-8")
    part.replace(path)


def _remove(folder: Path) -> None:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), line.split()[4])
        if Path(place).is_relative_to(folder):
            raise EmulationError(
                f"something is mounted in {place}, so that {folder} is not removed; type umount {place}"
            )
    for parent, names, _ in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            if not path.is_symlink() and not os.access(path, os.R_OK | os.W_OK | os.X_OK):
                path.chmod(0o700)  # of a proot that was killed, which makes folders that nobody may enter
    shutil.rmtree(folder)
