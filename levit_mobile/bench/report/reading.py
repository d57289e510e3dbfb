"""Values of JSON that somebody may have written by hand: each as it is needed, or None."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Share", "flag", "items", "number", "record", "share", "text", "texts", "whole"]

_LONGEST = 300  # letters; more is no sentence
# What no document can hold, and what turns the direction of all that follows.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff\ud800-\udfff]+")


@dataclass(frozen=True)
class Share:
    """A share of pictures, with its 95 % interval where there is one."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends, or nothing."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def record(value: Any) -> Mapping[str, Any]:
    """An object; an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """A list; an empty one in place of anything else."""
    return value if isinstance(value, list) else []


def number(value: Any, least: float = -math.inf) -> float | None:
    """A finite number that is not below ``least``."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:  # an int of a thousand digits
        return None
    return found if math.isfinite(found) and found >= least else None


def whole(value: Any, least: int = 0) -> int | None:
    """A number of things."""
    found = number(value, least)
    return None if found is None else round(found)


def flag(value: Any) -> bool:
    """True, and nothing that only looks like it."""
    return value is True


def text(value: Any, most: int = _LONGEST) -> str:
    """One line that any document can hold, of ``most`` letters; "" in place of what is no text or number."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int):
        return str(value) if abs(value) < 10**18 else ""
    if not isinstance(value, str):
        return ""
    line = " ".join(_UNSEEN.sub(" ", value[: 4 * most]).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def texts(value: Any) -> tuple[str, ...]:
    """The lines of a list; a single line counts as a list of it."""
    return tuple(filter(None, map(text, items(value) or [value])))


def share(value: Any) -> Share | None:
    """``{"share": 0.9, "interval95": [0.88, 0.92]}``, or the bare number; None of what is no share."""
    found = number(record(value).get("share", value), 0)
    if found is None or found > 1:
        return None
    ends = [number(v, 0) for v in items(record(value).get("interval95"))]
    if len(ends) == 2 and ends[0] is not None and ends[1] is not None and ends[0] <= found <= ends[1] <= 1:
        return Share(found, ends[0], ends[1])
    return Share(found)
