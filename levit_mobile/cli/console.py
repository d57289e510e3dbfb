"""What commands share: where to print, progress, and how errors end."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
)

from levit_mobile.errors import LevitMobileError, RuntimeMissingError, cannot_load, install_hint

__all__ = ["Output", "Steps", "guarded", "json_option", "levit_command", "needing", "verbose_option"]

_NO_MEMORY = re.compile("can't allocate memory|not enough memory|bad_alloc|bad allocation")  # as PyTorch and C++ say it

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
verbose_option = click.option("--verbose", is_flag=True, help="Show what converters print while they work.")


class Output:
    """Standard output for results: text for people, or one JSON object for machines.

    Lines are never folded or cut, so that what is piped into another program is whole.
    """

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json

    def say(self, text: str = "") -> None:
        """Print a line for people; ``click.style`` welcome."""
        if not self.as_json:
            _echo(text)

    def table(self, rows: Sequence[Sequence[str]], align: str = "") -> None:
        """Print columns for people; ``align`` has < or > for each column, the rest go left."""
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = zip(row, align.ljust(len(row), "<"), widths, strict=True)
            self.say("  ".join(f"{cell:{side}{width}}" for cell, side, width in cells).rstrip())

    def data(self, result: dict[str, Any]) -> None:
        """Print for machines."""
        if self.as_json:
            _echo(json.dumps(result, indent=1, ensure_ascii=False))


def _echo(text: str) -> None:
    try:
        click.echo(text, color=False if os.environ.get("NO_COLOR") else bool(os.environ.get("FORCE_COLOR")) or None)
    except BrokenPipeError as error:
        # Whoever read has gone (levit models | head): end without a word, as other programs do.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise SystemExit(128 + signal.SIGPIPE) from error


class Steps:
    """Progress on standard error, and converters' chatter kept away from it.

    Each step is a line with a spinner; on a terminal it moves, in a log (and among chatter) it is a line at its start and
    one with its time at its end. Close it, or use it as a context manager.
    """

    def __init__(self, *, verbose: bool = False) -> None:
        self._verbose = verbose
        # A copy of the descriptor, so that progress is seen while the real one leads elsewhere.
        self._own = os.fdopen(os.dup(2), "w", errors="replace") if _has_descriptor() else None
        self._console = Console(file=self._own or sys.stderr, highlight=False)

    def __enter__(self) -> Steps:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptor back."""
        if self._own is not None:
            self._own.close()

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Show ``text`` while the work inside goes on, and how long it took if it went well."""
        start = time.monotonic()
        if self._console.is_terminal and not self._verbose:
            with self._progress(SpinnerColumn(), TextColumn("{task.description}")) as progress, self._hushed():
                progress.add_task(text, total=None)
                yield
        else:
            self._begin(text)
            with self._hushed():
                yield
        self._done(text, start)

    @contextlib.contextmanager
    def counter(self, text: str, total: int | None, *, shown: bool = True) -> Iterator[Callable[[int], None]]:
        """A bar; the function given advances it. Nothing is seen of it if it is not ``shown``: for what is soon done."""
        if not shown:
            yield lambda count: None
            return
        start = time.monotonic()
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        if not self._console.is_terminal:
            self._begin(text)
        with self._progress(*columns) as progress:
            task = progress.add_task(text, total=total)
            yield lambda count: progress.advance(task, count)
        self._done(text, start)

    @contextlib.contextmanager
    def download(self, text: str) -> Iterator[Callable[[int, int | None, str], None]]:
        """A bar of bytes; the function given takes (done, of how many, what is waited for: "" while bytes come).

        It is seen from the first call on. In a log, each wait is a line.
        """
        start, told = time.monotonic(), ""
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
        with self._progress(*columns) as progress:
            task = progress.add_task(text, total=None, visible=False)

            def advance(done: int, total: int | None, waiting: str) -> None:
                nonlocal told
                if waiting not in ("", told) and not self._console.is_terminal:
                    self._console.print(f"  {waiting}", markup=False)
                told = waiting or told or text
                progress.update(task, description=waiting or text, completed=done, total=total, visible=True)

            yield advance
        if told:
            self._done(text, start)

    def _progress(self, *columns: ProgressColumn) -> Progress:
        return Progress(
            *columns,
            console=self._console,
            redirect_stdout=False,
            redirect_stderr=False,
            transient=True,
            disable=not self._console.is_terminal,
        )

    def _begin(self, text: str) -> None:
        self._console.print(f"  {text} ...")

    def _done(self, text: str, start: float) -> None:
        self._console.print(f"  {text} [dim]({time.monotonic() - start:.1f} s)[/dim]")

    @contextlib.contextmanager
    def _hushed(self) -> Iterator[None]:
        """Keep off standard output what anybody writes, also below Python: with --verbose it goes to standard error."""
        if not _has_descriptor():
            yield
            return
        saved = os.dup(1), os.dup(2)
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            _flush()
            os.dup2(2 if self._verbose else null, 1)
            os.dup2(2 if self._verbose else null, 2)
            yield
        finally:
            _flush()
            for number, copy in enumerate(saved, start=1):
                os.dup2(copy, number)
                os.close(copy)
            os.close(null)


def _flush() -> None:
    with contextlib.suppress(ValueError):
        sys.stdout.flush()
        sys.stderr.flush()


def _has_descriptor() -> bool:
    try:
        return sys.stderr.fileno() == 2
    except (AttributeError, OSError, ValueError):
        return False


def levit_command() -> str:
    """How to call ``levit`` from this shell: by its name, by its path beside this program, or as a module."""
    if shutil.which("levit"):
        return "levit"
    beside = Path(sys.argv[0]).with_name("levit")
    return shlex.quote(str(beside)) if beside.is_file() else f"{shlex.quote(sys.executable)} -m levit_mobile"


@contextlib.contextmanager
def needing(*extras: str) -> Iterator[None]:
    """Say of an import that fails inside what to install; without extras: what the toolkit itself stands on.

    Raises:
        RuntimeMissingError: a package is not there, or cannot be loaded.
    """
    try:
        yield
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("levit_mobile", "exporters", "calib"):
            raise
        if not isinstance(error, ModuleNotFoundError) or error.name != package:
            raise cannot_load(package or "a package that this needs", error) from error
        raise RuntimeMissingError(
            f"this needs the package {package}, which is not installed; {install_hint(*extras)}"
        ) from error


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Turn what users can do something about into one sentence and an exit code; a traceback is for our mistakes."""
    try:
        with needing():
            yield
    except LevitMobileError as error:
        click.echo(f"error: {error}", err=True)
        raise SystemExit(error.exit_code) from error
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not _NO_MEMORY.search(str(error)):
            raise
        click.echo(
            "error: there is not enough memory for this; close other programs, or type a smaller --model", err=True
        )
        raise SystemExit(2) from error
    except OSError as error:  # a full disk behind standard output, a folder that may not be read
        click.echo(f"error: {error}", err=True)
        raise SystemExit(2) from error
    except KeyboardInterrupt as error:
        click.echo("interrupted; no half-written bundle is left, and a download goes on where it stopped", err=True)
        raise SystemExit(130) from error
