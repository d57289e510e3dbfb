"""How much memory a runtime takes, and which version it is."""

from __future__ import annotations

import resource
import sys
from typing import Any

from .facts import read

__all__ = ["peak_of", "resident", "version_of"]


def version_of(package: str) -> dict[str, str]:
    """Name and version of an installed package."""
    from importlib import metadata

    try:
        return {"name": package, "version": metadata.version(package)}
    except metadata.PackageNotFoundError:
        return {"name": package, "version": "unknown"}


def resident() -> float:
    """The most memory that this process has had, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1024)


def peak_of(model: Any) -> float:
    """Of whoever runs the model, in MB."""
    if not model.pids:
        return resident()
    lines = (read(f"proc/{pid}/status") for pid in model.pids)
    return sum(int(line.partition("VmHWM:")[2].split()[0]) for line in lines if "VmHWM:" in line) / 1024
