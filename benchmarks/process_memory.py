"""What of a process is in memory now (Linux), where its peak is not what is asked."""

from __future__ import annotations

import os
import re
from pathlib import Path


def resident(process: int | str = "self") -> int:
    """Bytes of a process in memory."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def mapped(process: int | str, file: Path) -> int:
    """Bytes in memory of a file that the process has mapped; resident, and the system takes them back when it is short."""
    count, ours = 0, False
    for line in Path(f"/proc/{process}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            ours = line.endswith(f" {file.resolve()}")
        elif ours and line.startswith("Rss:"):
            count += int(line.split()[1]) * 1024
    return count
