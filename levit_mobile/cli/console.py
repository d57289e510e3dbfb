"""What commands share: where to print, progress, and how errors end."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from levit_mobile.errors import LevitMobileError

__all__ = ["Output", "Steps", "guarded", "json_option", "verbose_option"]

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
verbose_option = click.option("--verbose", is_flag=True, help="Show what converters print while they work.")


class Output:
    """Standard output for results: text for people, or one JSON object for machines."""

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json
        self.console = Console(highlight=False, soft_wrap=True)

    def say(self, *parts: Any) -> None:
        """Print for people; rich markup and tables welcome."""
        if not self.as_json:
            self.console.print(*parts)

    def data(self, result: dict[str, Any]) -> None:
        """Print for machines."""
        if self.as_json:
            click.echo(json.dumps(result, indent=1, ensure_ascii=False))


class Steps:
    """Progress on standard error, and converters' chatter kept away from it.

    Each step is a line with a spinner; on a terminal it moves, in a log it is printed once, with its time.
    """

    def __init__(self, *, verbose: bool = False, silent: bool = False) -> None:
        self._verbose = verbose
        # A copy of the descriptor, so that progress is seen while the real one leads into a file.
        self._file = os.fdopen(
            os.dup(sys.stderr.fileno()) if _has_descriptor() else os.open(os.devnull, os.O_WRONLY), "w"
        )
        self._console = Console(file=self._file, quiet=silent, highlight=False)

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Show ``text`` while the work inside goes on."""
        start = time.monotonic()
        if self._console.is_terminal and not self._verbose:
            with self._console.status(text), self._hushed():
                yield
        else:
            with self._hushed():
                yield
        self._console.print(f"  {text} [dim]({time.monotonic() - start:.1f} s)[/dim]")

    @contextlib.contextmanager
    def counter(self, text: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """A bar; the function given advances it."""
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(text, total=total)
            yield lambda count: progress.advance(task, count)

    @contextlib.contextmanager
    def download(self, text: str) -> Iterator[Callable[[int, int | None], None]]:
        """A bar of bytes; the function given takes (done, of how many)."""
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(text, total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)

    @contextlib.contextmanager
    def _hushed(self) -> Iterator[None]:
        """Send what anybody writes to standard output and error, also below Python, into a file; show it if things fail."""
        if self._verbose or not _has_descriptor():
            yield
            return
        sys.stdout.flush()
        sys.stderr.flush()
        saved = os.dup(1), os.dup(2)
        with tempfile.TemporaryFile() as sink:
            os.dup2(sink.fileno(), 1)
            os.dup2(sink.fileno(), 2)
            try:
                yield
            finally:
                with contextlib.suppress(ValueError):
                    sys.stdout.flush()
                    sys.stderr.flush()
                os.dup2(saved[0], 1)
                os.dup2(saved[1], 2)
                os.close(saved[0])
                os.close(saved[1])


def _has_descriptor() -> bool:
    try:
        return sys.stderr.fileno() == 2
    except (AttributeError, OSError, ValueError):
        return False


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Turn the toolkit's errors into one sentence and an exit code; no traceback for a user's mistake."""
    try:
        yield
    except LevitMobileError as error:
        click.echo(f"error: {error}", err=True)
        raise SystemExit(error.exit_code) from error
    except KeyboardInterrupt as error:
        click.echo("interrupted; nothing was written", err=True)
        raise SystemExit(130) from error
