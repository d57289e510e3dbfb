"""Packages that say more than their users' users can do something about."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator

__all__ = ["quiet", "unlogged"]


@contextlib.contextmanager
def unlogged() -> Iterator[None]:
    """Nothing is logged, no warning is shown, and what the work does to the root logger is undone."""
    before, level = logging.root.manager.disable, logging.root.level
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        logging.root.setLevel(level)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The same, and standard error leads nowhere, also for what is printed below Python."""
    sys.stderr.flush()
    saved, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        with unlogged():
            yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)
