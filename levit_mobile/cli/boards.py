"""What commands that use boards share: the options that name them, and having them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from levit_mobile.cli.console import needing
from levit_mobile.cli.loop import run_to_end
from levit_mobile.errors import UsageError

if TYPE_CHECKING:
    from levit_mobile.bench.address import Address
    from levit_mobile.bench.farm import Farm

__all__ = ["board_options", "boards_of"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--board", "boards", multiple=True, help="Run there: USER@HOST[:PORT], or emulated; repeats.", metavar="BOARD"
    ),
    click.option(
        "--labgrid",
        "selectors",
        multiple=True,
        help="Run on a board of a labgrid farm, or with TAG=VALUE on all free ones with that tag; repeats.",
        metavar="PLACE",
    ),
    click.option(
        "--coordinator",
        help="Of the farm: HOST:PORT.  [default: LG_COORDINATOR, or 127.0.0.1:20408]",
        metavar="HOST:PORT",
    ),
)


def board_options(command: _Command) -> _Command:
    """``--board``, ``--labgrid`` and ``--coordinator``, as ``boards``, ``selectors`` and ``coordinator``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def boards_of(
    boards: Sequence[str], selectors: Sequence[str], coordinator: str | None
) -> AbstractContextManager[list[Address]]:
    """The addresses of boards, for as long as a ``with`` lasts; places of a farm are acquired at its start, released at its end.

    What was mistyped is said by the call, before anything is done; what is wrong with a farm, at the start.

    Raises:
        BoardError: a place cannot be had, or an emulated board is not up.
        RuntimeMissingError: a package is missing.
        UsageError: something is no board, or two have the same name.
    """
    if coordinator is not None and not selectors:
        raise UsageError("--coordinator is about a farm's boards; type --labgrid PLACE too, or --labgrid TAG=VALUE")
    with needing("bench"):
        from levit_mobile.bench.address import address_of

    named = [address_of(board) for board in dict.fromkeys(boards)]
    if not selectors:
        return contextlib.nullcontext(named)
    from levit_mobile.bench.farm import Farm

    return _had(named, Farm(selectors, coordinator, tell=lambda text: click.echo(f"note: {text}", err=True)))


@contextlib.contextmanager
def _had(named: list[Address], farm: Farm) -> Iterator[list[Address]]:
    try:
        acquired = run_to_end(farm.acquire())
        if both := {address.name for address in named} & {address.name for address in acquired}:
            raise UsageError(f"--board and --labgrid both name {', '.join(sorted(both))}; leave one out")
        yield named + acquired
    finally:
        with _undisturbed():
            asyncio.run(farm.release())


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C has to wait: a place that is not released is lost to everybody. It is a matter of seconds at most."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
