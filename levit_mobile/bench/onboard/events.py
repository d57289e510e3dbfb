"""Lines for the host, and why a job is refused."""

from __future__ import annotations

import json
import os
import threading
from typing import Any

__all__ = ["RefusedError", "emit", "keep_apart"]


class RefusedError(Exception):
    """What cannot be done, by a word that the host knows, and in words."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


_out = threading.Lock()
_descriptor = 1


def emit(event: str, **more: Any) -> None:
    """One line for the host."""
    data = (json.dumps({"event": event, **more}) + "\n").encode()
    with _out:
        while data:
            data = data[os.write(_descriptor, data) :]


def keep_apart() -> None:
    """What others print goes to standard error from now on, so that events stay whole."""
    global _descriptor
    _descriptor = os.dup(1)
    os.dup2(2, 1)
