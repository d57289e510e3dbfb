"""ARM cores by their number (MIDR), as ARM's technical reference manuals give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["core_name", "with_core"]

_ARM = 0x41
_PARTS = {
    0xC07: "Cortex-A7",
    0xD03: "Cortex-A53",
    0xD04: "Cortex-A35",
    0xD05: "Cortex-A55",
    0xD07: "Cortex-A57",
    0xD08: "Cortex-A72",
    0xD09: "Cortex-A73",
    0xD0A: "Cortex-A75",
    0xD0B: "Cortex-A76",
    0xD0C: "Neoverse-N1",
    0xD0D: "Cortex-A77",
    0xD40: "Neoverse-V1",
    0xD41: "Cortex-A78",
    0xD49: "Neoverse-N2",
    0xD4F: "Neoverse-V2",
}


def core_name(midr: str) -> str | None:
    """The core of a number such as ``0x00000000414fd0b1``; None where it is not known."""
    try:
        value = int(midr, 0)
    except ValueError:
        return None
    return _PARTS.get(value >> 4 & 0xFFF) if value >> 24 & 0xFF == _ARM else None


def with_core(facts: Mapping[str, Any]) -> dict[str, Any]:
    """A runner's facts with the core's name, where it is an ARM."""
    name = core_name(str(facts.get("midr"))) if facts.get("midr") else None
    return {**facts, "cpu": name or facts.get("cpu")}
