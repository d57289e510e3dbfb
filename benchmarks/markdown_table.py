"""Tables as Markdown has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["table"]


def table(header: Iterable[Any], rows: Iterable[Iterable[Any]]) -> str:
    """A header, and rows of as many cells."""
    head = list(header)
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in (head, ["---"] * len(head), *rows))
