"""How the board is: what may spoil a measurement."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from .facts import GOVERNORS, ask, read

__all__ = ["Health"]


class Health:
    """Readings of what may spoil a measurement, since the last one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # one thread reads now and then, another around each job
        self.start = time.monotonic()
        self.pids: list[int] = []
        self.busy, self.own, self.at, self.swap = self._busy(), self._own(), time.monotonic(), self._swapped()

    def reading(self) -> dict[str, Any]:
        """Temperature in degrees Celsius, clock in MHz, firmware's flags, cores that others kept busy, pages swapped.

        Over less than half a second nothing is told of others: processors' time is counted in hundredths.
        """
        with self.lock:
            return self._reading()

    def _reading(self) -> dict[str, Any]:
        now, busy, own, swap = time.monotonic(), self._busy(), self._own(), self._swapped()
        span = max(now - self.at, 1e-3) * os.sysconf("SC_CLK_TCK")
        long = now - self.at >= 0.5
        foreign = None
        if busy is not None and long:
            foreign = max(0.0, (busy - (self.busy or 0) - max(0, own - self.own)) / span)
        temperature = read("sys/class/thermal/thermal_zone0/temp")
        clock = read(f"{GOVERNORS}/cpu0/cpufreq/scaling_cur_freq")
        throttled = ask("vcgencmd", "get_throttled").partition("=")[2]
        found = {
            "seconds": round(now - self.start, 2),
            "temperature_c": int(temperature) / 1000 if temperature.lstrip("-").isdigit() else None,
            "mhz": int(clock) // 1000 if clock.isdigit() else None,
            "throttled": _number(throttled),
            "foreign_cores": None if foreign is None else round(foreign, 2),
            "swapped": swap - self.swap,
        }
        self.swap = swap
        if long:
            self.busy, self.own, self.at = busy, own, now
        return found

    @staticmethod
    def _busy() -> int | None:
        """Ticks that all processors have worked."""
        first = read("proc/stat").partition("\n")[0].split()
        if len(first) < 6 or first[0] != "cpu":
            return None
        ticks = [int(v) for v in first[1:9]]
        return sum(ticks) - ticks[3] - ticks[4]  # idle, and waiting for the disk

    def _ours(self) -> set[int]:
        """This process, the job's, and what that has started."""
        children = (int(v) for pid in self.pids for v in read(f"proc/{pid}/task/{pid}/children").split())
        return {os.getpid(), *self.pids, *children}

    def _own(self) -> int:
        total = 0
        for pid in self._ours():
            fields = read(f"proc/{pid}/stat").rpartition(")")[2].split()
            if len(fields) > 14:
                total += sum(int(v) for v in fields[11:15])
        return total

    @staticmethod
    def _swapped() -> int:
        lines = (line.split() for line in read("proc/vmstat").splitlines())
        return sum(int(v[1]) for v in lines if len(v) == 2 and v[0] in ("pswpin", "pswpout"))


def _number(text: str) -> int | None:
    try:
        return int(text, 0)
    except ValueError:
        return None
