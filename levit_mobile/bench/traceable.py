"""Run a program that cannot hide from its tracer: ``python traceable.py PROGRAM ARGUMENT...``. A script; imports nothing of ours.

proot traces what it runs. Debian's sftp-server forbids that (``prctl(PR_SET_DUMPABLE, 0)``), after which a proot without
root (5.1) sees nothing of it and every path ends in "Permission denied". A seccomp filter, which is handed down to all that the
program starts, answers this one call with success and does not carry it out. On another processor than x86-64 the numbers
differ: there the program is run as it is.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

__all__ = ["main"]

_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # places in struct seccomp_data
_X86_64, _PRCTL, _SET_DUMPABLE = 0xC000003E, 157, 4
_SUCCEED, _ALLOW = 0x00050000, 0x7FFF0000  # SECCOMP_RET_ERRNO with errno 0, SECCOMP_RET_ALLOW
# (operation, how many to skip if equal, if not, operand)
_FILTER = (
    (_LOAD, 0, 0, _ARCHITECTURE),
    (_IF_EQUAL, 0, 5, _X86_64),
    (_LOAD, 0, 0, _NUMBER),
    (_IF_EQUAL, 0, 3, _PRCTL),
    (_LOAD, 0, 0, _FIRST_ARGUMENT),
    (_IF_EQUAL, 0, 1, _SET_DUMPABLE),
    (_RETURN, 0, 0, _SUCCEED),
    (_RETURN, 0, 0, _ALLOW),
)


def main(command: list[str]) -> None:
    """Become the program; where the kernel knows no filters, without one."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *row) for row in _FILTER))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(_FILTER), ctypes.addressof(code)))
    libc = ctypes.CDLL(None)
    word = ctypes.c_ulong
    libc.prctl(38, word(1), word(0), word(0), word(0))  # PR_SET_NO_NEW_PRIVS, without which there are no filters
    libc.prctl(22, word(2), program)  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
