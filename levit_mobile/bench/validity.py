"""What makes a measurement doubtful: read from the place's own readings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

__all__ = ["doubts", "firmware_says", "notes"]

# ``vcgencmd get_throttled`` of a Raspberry Pi: what is now. The same 16 bits higher: what was since it was started.
_FLAGS = {0: "under-voltage", 1: "its clock is capped", 2: "it is throttled", 3: "it is at the soft temperature limit"}
_SINCE = 16
_OTHERS = 0.25  # of a core: more, and other programs disturb
_JUMP_S = 1.0


def firmware_says(throttled: int) -> list[str]:
    """What the lower bits of a Raspberry Pi's ``get_throttled`` mean."""
    return [text for bit, text in _FLAGS.items() if throttled >> bit & 1]


def notes(clock_jump_s: float) -> list[str]:
    """What is worth knowing of a run and does no harm: by how much the wall clock was set meanwhile, in seconds."""
    if abs(clock_jump_s) <= _JUMP_S:
        return []
    return [f"the board's clock was set by {clock_jump_s:+.0f} s meanwhile; times come from another clock"]


def doubts(health: Sequence[Mapping[str, Any]]) -> list[str]:
    """Reasons not to believe a run's times: readings before, during and after it, as ``Results.runs`` has them."""
    found = []
    flags = [int(row["throttled"]) for row in health if row.get("throttled") is not None]
    now = sorted({text for value in flags for text in firmware_says(value)})
    if now:
        found.append(f"the board was throttled: {', '.join(now)}; mind its power supply and cooling")
    elif flags and any(last & ~first for first, last in pairwise(flags) if last >> _SINCE):
        found.append("the board was throttled between two readings; mind its power supply and cooling")
    swapped = sum(int(row["swapped"]) for row in health if row.get("swapped"))
    if swapped:
        found.append(f"the board was swapping ({swapped} pages); close other programs, or use a smaller variant")
    others = [float(row["foreign_cores"]) for row in health if row.get("foreign_cores") is not None]
    if others and max(others) > _OTHERS:
        found.append(f"other programs kept up to {max(others):.1f} cores busy; stop them, or measure later")
    return found
