"""The part that runs on the board, as one file: an archive that Python starts."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from pathlib import Path

from levit_mobile.bench import onboard
from levit_mobile.download import default_cache
from levit_mobile.errors import LevitMobileError

__all__ = ["runner_archive"]

_MAIN = """\
import os, sys
from onboard.jobs import work
from onboard.watch import main
status = work() if sys.argv[1:] == ["--work"] else main()
sys.stderr.flush()
os._exit(status)  # a thread still reads standard input, which Python would wait for, or abort over
"""
_THEN = (1980, 1, 1, 0, 0, 0)  # the same sources give the same bytes


def runner_archive(*, cache: Path | None = None) -> Path:
    """``runner-DIGEST.pyz`` in the cache, made if it is not there.

    Raises:
        LevitMobileError: the cache cannot be written to.
    """
    data = _pack()
    folder = (cache or default_cache()) / "bench"
    path = folder / f"runner-{hashlib.sha256(data).hexdigest()[:16]}.pyz"
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        if not path.exists() or path.read_bytes() != data:
            folder.mkdir(parents=True, exist_ok=True)
            part.write_bytes(data)
            part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise LevitMobileError(
            f"cannot use {folder} ({error.strerror or error}); set LEVIT_MOBILE_CACHE to a folder that can be written to"
        ) from error
    return path


def _pack() -> bytes:
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(Path(onboard.__file__).parent.glob("*.py")):
            archive.writestr(_entry(f"onboard/{path.name}"), path.read_bytes())
        archive.writestr(_entry("__main__.py"), _MAIN)
    return stored.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _THEN)
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    return entry
