"""The governor of the clock, and putting it back whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess

from .events import emit
from .facts import GOVERNORS, governor_files, read, under_root

__all__ = ["Governor"]


class Governor:
    """Sets the clock's governor and puts it back; a note on the disk lets the next bench do so if this one could not."""

    def __init__(self, home: str) -> None:
        self.note = os.path.join(home, "governor.json")

    def put_back(self) -> None:
        """As it was before, if there is a note."""
        before = self._noted()
        wrong = {path: value for path, value in before.items() if not _set(path, value)}
        if wrong:
            text = f"the governor could not be put back; type on the board: {_command(next(iter(wrong.values())))}"
            emit("warning", text=text)
        elif os.path.exists(self.note):
            os.unlink(self.note)

    def choose(self, name: str) -> None:
        """Set it on all processors."""
        files = governor_files()
        if not files:
            emit("warning", text="the board has no governor to set")
            return
        able = read(files[0].replace("scaling_governor", "scaling_available_governors")).split()
        if able and name not in able:
            emit("warning", text=f"the board has no governor {name!r}; it has {', '.join(able)}")
            return
        # What could not be put back yet is what it was before, not what it is now.
        before = {**{path: read(path) for path in files}, **self._noted()}
        with open(self.note, "w", encoding="utf-8") as file:
            json.dump(before, file)
        put = [_set(path, name) for path in files]  # each of them, also after one that would not
        if not all(put):
            emit("warning", text=f"the governor stays {read(files[put.index(False)])}: setting it needs root or sudo")

    def _noted(self) -> dict[str, str]:
        try:
            with open(self.note, encoding="utf-8") as file:
                found = json.load(file)
        except (OSError, ValueError):
            return {}
        return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def _command(name: str) -> str:
    return f"echo {name} | sudo tee /{GOVERNORS}/cpu*/cpufreq/scaling_governor"


def _set(path: str, value: str) -> bool:
    full = under_root(path)
    try:
        with open(full, "w", encoding="ascii") as file:
            file.write(value)
    except OSError:
        if shutil.which("sudo"):
            command = ["sudo", "-n", "tee", full]
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(command, input=value.encode(), capture_output=True, timeout=20, check=False)
    return read(path) == value
