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
    """The most memory that this process has had, in MB (10^6 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # on Linux also what its parent had when it was started
    return _mark("self") or peak * (1 if sys.platform == "darwin" else 1024) / 1e6


def peak_of(model: Any) -> float:
    """Of whoever runs the model, in MB."""
    return sum(_mark(pid) for pid in model.pids) if model.pids else resident()


def _mark(process: Any) -> float:
    """The high-water mark of a process, in MB; 0 where the system does not tell."""
    told = read(f"proc/{process}/status").partition("VmHWM:")[2].split()
    return int(told[0]) * 1024 / 1e6 if told else 0.0
