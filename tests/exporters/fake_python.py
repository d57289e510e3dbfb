"""A Python that is a shell script: it makes environments and installs into them without doing either, and does as it is told.

``FAKE_LOG``: a file to which each call adds a line: venv, pip, proof, worker. ``FAKE_PIP`` and ``FAKE_WORKER`` are shell
commands that pip and a program do instead of their work, ``FAKE_PROOF`` is for the imports that prove an environment good.
"""

from __future__ import annotations

from pathlib import Path

import pytest

__all__ = ["FakePython"]

_SCRIPT = """#!/bin/sh
say() { echo "$1" >> "$FAKE_LOG"; }
[ "$1" = -I ] || exit 97
case "$2 $3" in
  "-m venv") say venv; mkdir -p "$4/bin" && cp "$0" "$4/bin/python"; eval "$FAKE_VENV" ;;
  "-m pip") say pip; for listing; do :; done; eval "$FAKE_PIP" ;;
  "-c import sys;"*) echo "$FAKE_VERSION" ;;
  "-c "*) say proof; eval "$FAKE_PROOF" ;;
  *) say worker; eval "$FAKE_WORKER" ;;
esac
"""


class FakePython:
    """The script in ``folder``, and what it was called for.

    Args:
        folder: for the script and its log.
        monkeypatch: sets the variables that the script reads.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.mkdir()
        self.path, self._log, self._monkeypatch = folder / "python", folder / "log", monkeypatch
        self.path.write_text(_SCRIPT)
        self.path.chmod(0o755)
        monkeypatch.setenv("FAKE_LOG", str(self._log))

    def tell(self, **commands: str) -> None:
        """``pip="exit 1"``: what it shall do when it is called for that."""
        for what, command in commands.items():
            self._monkeypatch.setenv(f"FAKE_{what.upper()}", command)

    @property
    def calls(self) -> list[str]:
        """What it was called for, in order."""
        return self._log.read_text().split() if self._log.exists() else []
