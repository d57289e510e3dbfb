"""What the board is: what stays as it is while a bench runs."""

from __future__ import annotations

import os
import platform
import shutil
import struct
import subprocess
from typing import Any

__all__ = ["GOVERNORS", "ask", "facts", "governor_files", "midr", "read", "under_root"]

ROOT = "/"  # of /proc and /sys; tests have another
GOVERNORS = "sys/devices/system/cpu"


def under_root(path: str) -> str:
    """A path of the system."""
    return os.path.join(ROOT, path)


def read(path: str) -> str:
    """A small file of the system, or nothing."""
    try:
        with open(under_root(path), "rb") as file:
            return file.read(1 << 20).decode("utf-8", "replace").replace("\0", "").strip()
    except OSError:
        return ""


def ask(*command: str) -> str:
    """What a small program prints, or nothing."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _cpuinfo() -> dict[str, str]:
    """The first processor's lines in /proc/cpuinfo, and those that are about all."""
    found: dict[str, str] = {}
    for line in read("proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    return found


def midr(info: dict[str, str]) -> str | None:
    """ARM's number of a core, put together from what /proc/cpuinfo tells of it."""
    keys = ("CPU implementer", "CPU variant", "CPU part", "CPU revision")
    try:
        maker, variant, part, revision = (int(info[key], 0) for key in keys)
    except (KeyError, ValueError):
        return None
    return f"0x{maker << 24 | variant << 20 | 0xF << 16 | part << 4 | revision:016x}"


def governor_files() -> list[str]:
    """One a processor that has a say."""
    folder = under_root(GOVERNORS)
    try:
        names = sorted(n for n in os.listdir(folder) if n[:3] == "cpu" and n[3:].isdigit())
    except OSError:
        return []
    paths = [os.path.join(GOVERNORS, name, "cpufreq", "scaling_governor") for name in names]
    return [path for path in paths if os.path.exists(under_root(path))]


def facts() -> dict[str, Any]:
    """What stays as it is while a bench runs."""
    info, system = _cpuinfo(), platform.uname()
    about = dict(line.partition("=")[::2] for line in read("etc/os-release").splitlines())
    model = read("proc/device-tree/model") or read("sys/firmware/devicetree/base/model") or info.get("Model")
    memory = read("proc/meminfo").partition("MemTotal:")[2].split()
    governors = governor_files()
    return {
        "model": model or read("sys/devices/virtual/dmi/id/product_name") or info.get("model name") or system.machine,
        "machine": system.machine,
        "bits": 8 * struct.calcsize("P"),
        "midr": read("sys/devices/system/cpu/cpu0/regs/identification/midr_el1") or midr(info),
        "cpu": info.get("model name"),
        "revision": info.get("Revision"),
        "features": (info.get("Features") or info.get("flags") or "").split(),
        "cores": os.cpu_count(),
        "system": system.system,
        "kernel": system.release,
        "os": about.get("PRETTY_NAME", "").strip('"') or system.system,
        "memory_mb": int(memory[0]) // 1024 if memory else None,
        "governor": read(governors[0]) if governors else None,
        "python": platform.python_version(),
        "libc": " ".join(platform.libc_ver()).strip() or None,
        "vcgencmd": shutil.which("vcgencmd") is not None,
        "emulated": os.path.exists(under_root("etc/levit-emulated")),
    }
