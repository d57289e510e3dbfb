"""Figures in words: three digits, the unit behind them."""

from __future__ import annotations

from levit_mobile.bench.report.reading import Share

__all__ = [
    "change_of",
    "interval",
    "listed",
    "megabytes",
    "millions",
    "ms",
    "percent",
    "plural",
    "points",
    "share_of",
    "times",
]

MISSING = "\N{EN DASH}"
_MANY = 1e5
_TIMES = "\N{MULTIPLICATION SIGN}"


def _three(value: float) -> str:
    """Three digits that count, or all before the point."""
    size = abs(value)
    if not size:
        return "0"
    digits = 0 if size >= 99.95 else 1 if size >= 9.995 else 2 if size >= 0.9995 else 3
    return f"{value:,.{digits}f}"


def ms(value: float | None) -> str:
    """Milliseconds; seconds where they are very many."""
    if value is None:
        return MISSING
    return f"{_three(value)} ms" if value < _MANY else f"{_three(value / 1000)} s"


def megabytes(value: float | None) -> str:
    """Of a number of bytes."""
    return MISSING if value is None else f"{_three(value / 1e6)} MB"


def millions(value: float | None) -> str:
    """Of a number of instructions."""
    return MISSING if value is None else f"{_three(value / 1e6)} M"


def times(value: float | None, digits: int = 2) -> str:
    """A ratio."""
    return MISSING if value is None else f"{value:.{digits if value >= 0.1 else 3}f}{_TIMES}"


def percent(value: float | None, digits: int = 1) -> str:
    """Of a share."""
    return MISSING if value is None else f"{value * 100:.{digits}f} %"


def change_of(ratio: float, digits: int = 1) -> str:
    """A ratio as what was added or taken away."""
    return f"{(ratio - 1) * 100:+.{digits}f} %".replace("-", "\N{MINUS SIGN}")


def points(value: float) -> str:
    """Of a difference of shares."""
    return f"{value * 100:+.1f} points".replace("-", "\N{MINUS SIGN}")


def share_of(value: Share | None) -> str:
    """A share with its interval."""
    if value is None:
        return MISSING
    ends = value.interval
    return percent(value.value) + ("" if ends is None else f" ({ends[0] * 100:.1f} to {ends[1] * 100:.1f})")


def interval(ends: tuple[float, float] | None, digits: int = 2) -> str:
    """Both ends of a 95 % interval."""
    return MISSING if ends is None else f"{ends[0]:.{digits}f} to {ends[1]:.{digits}f}"


def plural(count: int, thing: str, more: str = "") -> str:
    """``1 run``, ``2 runs``."""
    return f"{count:,} {thing if count == 1 else more or thing + 's'}"


def listed(names: list[str]) -> str:
    """``a, b and c``."""
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1] if names else ""
