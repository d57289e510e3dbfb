"""Whether an APK's native libraries can be loaded by phones with pages of 16 KB, as Android 15 and newer may have.

python android_demo/tools/alignment.py app.apk

Each library has to lie at a multiple of 16 KB in the APK, or compressed, and its segments have to be made for that.
"""

from __future__ import annotations

import argparse
import struct
import sys
import zipfile
from pathlib import Path

from toolchain import FailedError

__all__ = ["check_alignment"]

PAGE = 1 << 14
_WIDE = ("arm64-v8a", "x86_64")  # phones of 32 bits have pages of 4 KB


def check_alignment(apk: Path) -> str:
    """What was found.

    Raises:
        FailedError: a library is not aligned.
    """
    bad, seen = [], 0
    with zipfile.ZipFile(apk) as archive, apk.open("rb") as raw:
        for info in archive.infolist():
            parts = info.filename.split("/")
            if parts[0] != "lib" or len(parts) != 3 or parts[1] not in _WIDE:
                continue
            seen += 1
            if info.compress_type == zipfile.ZIP_STORED and _start(raw.read, raw.seek, info) % PAGE:
                bad.append(f"{info.filename} does not lie at a multiple of 16 KB in the APK")
            if _alignment(archive.read(info)) % PAGE:
                bad.append(f"{info.filename} is linked for pages of 4 KB")
    if bad:
        raise FailedError("\n".join(bad))
    return f"{seen} libraries" if seen else "there is none in this APK"


def _start(read, seek, info: zipfile.ZipInfo) -> int:  # type: ignore[no-untyped-def]
    """Where a file's bytes begin: behind its local header, whose length only itself tells."""
    seek(info.header_offset)
    name, extra = struct.unpack("<26xHH", read(30))
    return int(info.header_offset + 30 + name + extra)


def _alignment(library: bytes) -> int:
    """The least alignment of an ELF's segments that are loaded, of 64 bits; 0 if that is no ELF."""
    if library[:5] != b"\x7fELF\x02":
        return 1
    table, size, count = struct.unpack_from("<Q14xHH", library, 32)
    headers = [struct.unpack_from("<I44xQ", library, table + size * at) for at in range(count)]
    return min((align for kind, align in headers if kind == 1), default=1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("apk", type=Path)
    try:
        print(check_alignment(parser.parse_args().apk))
    except (FailedError, OSError, zipfile.BadZipFile) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
