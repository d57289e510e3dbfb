"""Several places that work at once: a table that moves on a terminal, lines in a log."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

__all__ = ["Places", "places"]


class Places:
    """What each place does; see ``levit_mobile.bench.everywhere.Told``."""

    def __init__(self, console: Console, live: Live | None) -> None:
        self._console, self._live = console, live
        self._rows: dict[str, tuple[str, str, str]] = {}

    def tell(self, place: str, what: str, count: int | None, median_ms: float | None) -> None:
        """A place has gone on."""
        before = self._rows.get(place, ("",))[0]
        told = "" if count is None else str(count)
        self._rows[place] = (what, told, "" if median_ms is None else f"{median_ms:.2f} ms")
        if self._live is not None:
            self._live.update(self._table())
        elif what != before:
            self._console.print(Text(f"  {place}: {what}"))

    def _table(self) -> Table:
        table = Table("place", "does", "inferences", "median", box=None)
        for place, row in self._rows.items():
            table.add_row(*map(Text, (place, *row)))
        return table


@contextlib.contextmanager
def places() -> Iterator[Places]:
    """On standard error, for as long as the block lasts."""
    console = Console(file=sys.stderr, highlight=False)
    if not console.is_terminal:
        yield Places(console, None)
        return
    with Live(console=console, transient=True, refresh_per_second=4) as live:
        yield Places(console, live)
