"""ARM programs under user-mode QEMU with a plugin that counts their instructions; needs neither root nor a board.

The program sees a view: a folder of links into a Debian for ARM (see ``root``), with what counts must not depend on put in
its place. Every path that it is told is one inside the view, its variables are few and always the same, and the processor's
description is the emulated one's, for runtimes choose their kernels by that.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import IO

from levit_mobile.bench.plugin import build_plugin, find_qemu, fresh
from levit_mobile.bench.root import EmulationError, template
from levit_mobile.bench.stand_ins import CORES, MACHINES, Machine, cpuinfo, put_cores
from levit_mobile.bench.wheels import unpack, wheels_for
from levit_mobile.download import default_cache
from levit_mobile.errors import UsageError

__all__ = ["CPUS", "PYTHON", "Border", "Guest", "Program", "between", "guest"]

_PI_3 = "Raspberry Pi 3 Model B Plus Rev 1.3"
CPUS = {
    **{name: machine for name, machine in MACHINES.items() if machine.architecture == "arm64"},
    "cortex-a53": Machine(
        "cortex-a53", "arm64", _PI_3, "fp asimd evtstrm crc32 cpuid", 0, 0xD03, 4, 600_000, 1_400_000, 512, True
    ),
}
PYTHON = "3.11"  # of the Debian in the view
_INSIDE = "/opt/levit"  # in the view
_VARIABLES = {
    "HOME": "/",
    "LC_ALL": "C.UTF-8",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONHOME": "/usr",
    "PYTHONPATH": f"{_INSIDE}/packages",
}
_SECONDS = 900  # that an emulated program may take


@dataclass(frozen=True)
class Border:
    """A moment of the guest's, and what it had executed by then.

    Attributes:
        kind: ``mark``, ``clock`` (it read the clock) or ``exit``.
        index: the mark's number, or the clock's.
        threads: that there were.
        others: system calls that threads other than the first had made.
        counts: instructions since the start, by class.
    """

    kind: str
    index: int
    threads: int
    others: int
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """Instructions since the start."""
        return sum(self.counts.values())


def between(first: Border, last: Border) -> dict[str, int]:
    """Instructions from one border to a later one, by class."""
    return {name: many - first.counts[name] for name, many in last.counts.items()}


class Program:
    """A started program of the guest's.

    Attributes:
        borders: all that it drew, once it has ended.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.borders: list[Border] = []
        self._process = process

    def send(self, data: bytes) -> None:
        """To its standard input.

        Raises:
            BrokenPipeError: it is gone.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def line(self) -> str:
        """The next line that it prints, without its end; empty when there is none."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().decode(errors="replace").rstrip("\n")

    def rest(self) -> list[str]:
        """The lines that it prints from now on; its input ends."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return list(iter(self.line, ""))


class Guest:
    """A view, and QEMU to run programs in it. Made by ``guest``.

    Attributes:
        qemu: its version.
        cpu: QEMU's name of the core.
        python: the command of its Python, without arguments.
    """

    python = ("/usr/bin/python3.11",)

    def __init__(self, folder: Path, program: str, version: str, plugin: Path, cpu: str) -> None:
        self.qemu, self.cpu = version, cpu
        self._folder, self._program, self._plugin = folder, program, plugin

    def put(self, file: Path, name: str) -> str:
        """Show a file or folder inside the view; its path there."""
        (self._folder / _INSIDE[1:] / name).symlink_to(file.resolve())
        return f"{_INSIDE}/{name}"

    def put_bytes(self, data: bytes, name: str) -> str:
        """A new file inside the view; its path there."""
        (self._folder / _INSIDE[1:] / name).write_bytes(data)
        return f"{_INSIDE}/{name}"

    @contextmanager
    def start(self, command: Sequence[str], *, clock: bool = False) -> Iterator[Program]:
        """Run a program by its path in the view. Leaving the context ends its input, and waits; if the body raises, it is ended.

        Args:
            command: the program and its arguments.
            clock: whether reading the clock is a border.

        Raises:
            EmulationError: QEMU, or the program, ended with another status than 0, or took too long.
        """
        told = self._folder / "borders"
        options = f"{self._plugin},out={told},clock={'on' if clock else 'off'}"
        full = [
            *(self._program, "-L", str(self._folder), "-cpu", self.cpu, "-plugin", options),
            *("-0", command[0], str(self._folder / command[0][1:]), *command[1:]),
        ]
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                full, cwd="/", env=_VARIABLES, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
            )
            watch = Timer(_SECONDS, process.kill)
            watch.start()
            program = Program(process)
            try:
                with process, suppress(BrokenPipeError):  # what became of it, its status tells
                    yield program
                    program.rest()
            finally:
                watch.cancel()
                process.kill()
            if process.returncode:
                raise EmulationError(_ended(process.returncode, errors))
        program.borders += _read(told)


@contextmanager
def guest(
    cpu: str, packages: Sequence[str] = (), *, qemu: str = "qemu-aarch64", root: Path | None = None
) -> Iterator[Guest]:
    """A view of a Debian for ARM on a processor, with Python packages; gone when the context is left.

    Args:
        cpu: one of ``CPUS``.
        packages: requirements with exact versions.
        qemu: the program.
        root: the Debian, with Python ``PYTHON``; None takes the cached one, which is made if it is not there.

    Raises:
        DownloadError: the packages could not be fetched.
        EmulationError: the Debian could not be made.
        RuntimeMissingError: no QEMU that takes plugins, or no C compiler.
        UsageError: there is no such processor.
    """
    if cpu not in CPUS:
        raise UsageError(f"there is no CPU {cpu!r} to count on; type one of {', '.join(CPUS)}")
    program, version = find_qemu(qemu, cpu)
    plugin = build_plugin(version)
    root = root or template("arm64", "bookworm")
    with tempfile.TemporaryDirectory(prefix="levit-guest-") as name:
        folder = Path(name)
        for entry in root.iterdir():
            if entry.name not in ("opt", "proc", "sys"):
                (folder / entry.name).symlink_to(entry.resolve())
        (folder / "proc").mkdir()
        (folder / "proc" / "cpuinfo").write_text(cpuinfo(CPUS[cpu]))
        put_cores(folder / CORES, CPUS[cpu])
        (folder / _INSIDE[1:]).mkdir(parents=True)
        made = Guest(folder, program, version, plugin, cpu)
        if packages:
            made.put(_packages(packages), "packages")
        yield made


def _ended(status: int, errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = [line.strip() for line in errors.read().decode(errors="replace").splitlines() if line.strip()]
    how = f"signal {-status}" if status < 0 else f"status {status}"
    return f"the emulated program ended with {how}: {lines[-1] if lines else 'it said nothing'}"


def _read(file: Path) -> list[Border]:
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    classes = lines[0]["classes"]
    return [
        Border(
            row["border"], row["index"], row["threads"], row["others"], dict(zip(classes, row["counts"], strict=True))
        )
        for row in lines[1:]
    ]


def _packages(requirements: Sequence[str]) -> Path:
    """A folder with wheels unpacked, in the cache."""
    wheels = wheels_for(requirements, python=PYTHON)
    digest = hashlib.sha256("\n".join(wheel.name for wheel in wheels).encode()).hexdigest()[:12]
    folder = default_cache() / "guests" / digest
    if not folder.exists():
        with fresh(folder) as part:
            unpack(wheels, part)
    return folder
