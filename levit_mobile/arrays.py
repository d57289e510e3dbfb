"""Read an ``.npz`` that somebody else may have made: no pickles, and no more of it than is sensible."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["read_arrays"]


def read_arrays(path: Path, *, most: int) -> dict[str, npt.NDArray[Any]]:
    """{name: array} of an ``.npz``; members that are no arrays are left out.

    Args:
        path: the file.
        most: bytes that it may unpack to. A zip archive can hold a thousand times its own size.

    Raises:
        Exception: zip, zlib and numpy each raise their own on a damaged file; ``ValueError`` on one that is too large, holds
            pickled objects, or is no ``.npz``.
    """
    # Opened here, because numpy forgets to close what turns out to be damaged.
    with path.open("rb") as file:
        with zipfile.ZipFile(file) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > most:
            raise ValueError(f"it unpacks to {size} bytes, and {most} are the most that make sense here")
        file.seek(0)
        with np.load(file, allow_pickle=False) as opened:
            found = {name: opened[name] for name in opened.files}
    return {name: array for name, array in found.items() if isinstance(array, np.ndarray)}
