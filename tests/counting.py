"""Whether a real count can be made here."""

from __future__ import annotations

import shutil

from levit_mobile.bench.plugin import find_qemu
from levit_mobile.errors import RuntimeMissingError


def missing_for_counting(*more: str) -> str | None:
    """What a real count lacks here, as a sentence; None if nothing."""
    absent = [name for name in ("qemu-aarch64", "cc", "mmdebstrap", *more) if shutil.which(name) is None]
    if absent:
        return f"{', '.join(absent)} not here: nothing is counted"
    try:
        find_qemu("qemu-aarch64", "cortex-a76")
    except RuntimeMissingError as error:
        return str(error)
    return None
