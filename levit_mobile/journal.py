"""What is known of many pictures, a row each: kept on the disk as it comes, and gone on with later."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from levit_mobile.download import default_cache

__all__ = ["BATCH", "Journal", "open_journal", "stamp"]

BATCH = 16  # pictures: 2.4 MB, and a second of a Raspberry Pi 4
_SAVE = 20.0  # seconds between copies on the disk
# What reading a damaged file raises; nothing is taken over from it then.
_DAMAGED = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error)


def stamp(path: Path, also: object = "") -> str:
    """What changes when a picture does: its place, size and time."""
    about = path.stat()
    return f"{path.resolve()} {about.st_size} {about.st_mtime_ns} {also}"


class Journal:
    """Rows of numbers, one a picture.

    Args:
        path: ``.npz``; what it holds of the same pictures is taken over. None: it is kept nowhere.
        stamps: one a picture; the row of a picture whose stamp has changed is not taken over.
        columns: numbers in a row.
        key: whatever else a row depends on.
        dtype: of the numbers.

    Attributes:
        rows: (pictures, columns); NaN where float numbers have not come, else 0.
        done: (pictures,) bool.
    """

    def __init__(
        self, path: Path | None, stamps: Sequence[str], columns: int, key: str, dtype: type[np.generic] = np.float32
    ) -> None:
        self._path, self._key, self._saved = path or Path(os.devnull, "none"), key, time.monotonic()
        self._stamps = _digests(stamps)
        nothing = np.nan if np.issubdtype(dtype, np.floating) else 0
        self.rows: npt.NDArray[Any] = np.full((len(stamps), columns), nothing, dtype)
        self.done = np.zeros(len(stamps), np.bool_)
        with contextlib.suppress(*_DAMAGED), self._path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            if str(data["key"]) == key and data["rows"].dtype == dtype and data["rows"].shape[1:] == (columns,):
                self._take_over(data["stamps"][data["done"]], data["rows"][data["done"]])

    def _take_over(self, stamps: npt.NDArray[np.uint64], rows: npt.NDArray[Any]) -> None:
        known = {int(value): at for at, value in enumerate(stamps)}
        for at, value in enumerate(self._stamps):
            if (found := known.get(int(value))) is not None:
                self.rows[at], self.done[at] = rows[found], True

    def missing(self) -> list[int]:
        """First pictures of batches that have not come."""
        return [at for at in range(0, len(self.done), BATCH) if not self.done[at : at + BATCH].all()]

    def settled(self) -> int:
        """Pictures that need not be done again: a batch is done as a whole."""
        return len(self.done) - sum(len(self.done[at : at + BATCH]) for at in self.missing())

    def put(self, first: int, rows: npt.NDArray[Any]) -> None:
        """A batch has come."""
        self.rows[first : first + len(rows)] = rows
        self.done[first : first + len(rows)] = True

    def save(self, *, now: bool = True) -> None:
        """To go on from there; a disk that cannot be written to is no reason to stop.

        Unless it is to be ``now``, only where the last copy is old: it holds the rows of all pictures.
        """
        if not now and time.monotonic() - self._saved < _SAVE:
            return
        self._saved = time.monotonic()
        part = self._path.with_name(f"{self._path.name}.{os.getpid()}.part")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                np.savez(file, key=self._key, stamps=self._stamps, done=self.done, rows=self.rows)
            part.replace(self._path)

    def forget(self) -> None:
        """All is done; the next time begins anew."""
        with contextlib.suppress(OSError):
            self._path.unlink()


def open_journal(
    depends_on: Iterable[str], stamps: Sequence[str], columns: int, dtype: type[np.generic] = np.float32
) -> Journal:
    """The one in the user's cache of rows that depend on this; without a home folder it is kept nowhere."""
    key = hashlib.sha256("\n".join(depends_on).encode(errors="surrogateescape")).hexdigest()
    path = None
    with contextlib.suppress(OSError, RuntimeError):
        path = default_cache() / "validations" / f"{key[:16]}.npz"
    return Journal(path, stamps, columns, key, dtype)


def _digests(stamps: Iterable[str]) -> npt.NDArray[np.uint64]:
    values = [hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=8).digest() for text in stamps]
    return np.array([int.from_bytes(value, "little") for value in values], np.uint64)
