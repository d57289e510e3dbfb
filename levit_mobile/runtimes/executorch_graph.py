"""What one call of an ExecuTorch delegate computes, whichever delegate it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["DelegateGraph"]


@dataclass(frozen=True)
class DelegateGraph:
    """What one delegate call computes.

    Attributes:
        operators: how often each occurs.
        constants: (name, bytes) of each.
        run: a reference interpreter: torch tensors in, torch tensors out, in the order of the call; None where there is none.
    """

    operators: Counter[str]
    constants: list[tuple[str, int]]
    run: Callable[[list[Any]], list[Any]] | None = None
