"""A folder is written under a hidden name beside its own, and takes its place in one step; killed in between, it leaves that
hidden folder, which the next writer of the same name removes."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from levit_mobile.exchange import exchange

__all__ = ["hidden_folder", "put_in_place", "sweep"]

_GRACE = 60  # seconds; a hidden folder that was just made may not have been locked yet
_ENDING = "[a-z0-9_]{8}"  # as tempfile names folders


@contextmanager
def hidden_folder(folder: Path) -> Iterator[Path]:
    """A new folder beside ``folder``, removed at the end; while it is in use it is locked, which the system undoes if we die."""
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        with _locked(scratch):
            yield scratch
    finally:
        _remove(scratch)


def put_in_place(new: Path, folder: Path, *, replace: bool) -> None:
    """``new`` takes the name ``folder``; what had it is removed, if it may be replaced.

    Where the two cannot be exchanged in one step, the old one steps aside first, and comes back if that fails or is
    interrupted; if we are killed in between, ``sweep`` brings it back.

    Raises:
        OSError: somebody has put a folder there meanwhile that may not be replaced, or what the system says.
    """
    if not replace or not os.path.lexists(folder):
        try:
            new.rename(folder)
            return
        except OSError as error:
            if not replace or error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    if not exchange(new, folder):
        _step_aside(new, folder)


def sweep(folder: Path) -> None:
    """Remove what killed writers of ``folder`` left beside it; an old one that stepped aside comes back first."""
    with contextlib.suppress(OSError):
        for path in sorted(folder.parent.iterdir()):
            if re.fullmatch(rf"\.{re.escape(folder.name)}\.(old\.)?{_ENDING}", path.name) and not path.is_symlink():
                with contextlib.suppress(OSError):  # somebody is at work in it, or it is not ours
                    _sweep_one(path, folder)


def _sweep_one(path: Path, folder: Path) -> None:
    with _locked(path, must=True):
        old, aged = path / folder.name, time.time() - path.stat().st_mtime > _GRACE
        back = os.path.lexists(old) and not os.path.lexists(folder) and path.name.startswith(f".{folder.name}.old.")
        if back:
            old.rename(folder)
        if aged or back:  # whoever had put it there is gone
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _locked(path: Path, *, must: bool = False) -> Iterator[None]:
    """Hold a folder's lock; where there are no locks, go on without, unless it ``must`` be ours."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if must:
                raise
        yield
    finally:
        os.close(descriptor)


def _step_aside(new: Path, folder: Path) -> None:
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
    old = aside / folder.name
    with _locked(aside):
        try:
            folder.rename(old)
            new.rename(folder)
        finally:
            if os.path.lexists(old) and not os.path.lexists(folder):
                old.rename(folder)
            shutil.rmtree(aside, ignore_errors=True)


def _remove(path: Path) -> None:
    """Also what a link had been exchanged for."""
    if path.is_symlink():
        with contextlib.suppress(OSError):
            path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)
