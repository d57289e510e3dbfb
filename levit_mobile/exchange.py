"""Two names in one folder change places in one step, so that whoever is killed meanwhile leaves either all of it or nothing."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

__all__ = ["exchange"]

_HERE = -100  # AT_FDCWD: paths are as they are
_SWAP = 2  # Linux's RENAME_EXCHANGE, and macOS's RENAME_SWAP
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)


def exchange(one: Path, other: Path) -> bool:
    """Swap two files or folders of one file system; links are not followed.

    Returns:
        False if this system or file system has no such thing; then nothing has changed.

    Raises:
        OSError: one of them is not there, or may not be renamed.
    """
    library = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(one), os.fsencode(other)
    try:
        if sys.platform == "darwin":
            status = library.renamex_np(*names, ctypes.c_uint(_SWAP))
        else:
            status = library.renameat2(_HERE, names[0], _HERE, names[1], ctypes.c_uint(_SWAP))
    except AttributeError:  # a C library before 2018
        return False
    number = ctypes.get_errno()
    if status == 0:
        return True
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(other))
