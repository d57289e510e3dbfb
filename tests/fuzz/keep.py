"""Keep what ``cover.py`` found: a small corpus of each reader, and how much was tried.

python tests/fuzz/keep.py FOLDER

FOLDER has a folder for each reader, with the working folders of its runs below. The inputs that break a reader are not kept by
this: they go into a test with a name, when the reader is repaired.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE.parents[1] / "benchmarks" / "results" / "fuzz.json"
LEAST_INPUTS, MOST_INPUTS, MOST_BYTES = 3, 40, 12_000


def keep(folder: Path, name: str) -> dict[str, Any]:
    """The row of a reader; its corpus is written."""
    runs = [json.loads(path.read_text()) for path in sorted(folder.glob("*/report.json"))]
    outcomes: Counter[str] = Counter()
    for run in runs:
        outcomes.update(run["outcomes"])
    inputs = sorted({path.read_bytes() for path in folder.glob("*/corpus/*")}, key=lambda data: (len(data), data))
    kept, room = [], MOST_BYTES
    step = max(1, len(inputs) // MOST_INPUTS)
    for data in inputs[::step]:
        if len(data) <= room:
            kept.append(data)
            room -= len(data)
    (HERE / "corpus").mkdir(exist_ok=True)
    if len(kept) >= LEAST_INPUTS:  # of a reader whose inputs are large, what was kept before is worth more
        (HERE / "corpus" / f"{name}.txt").write_text("".join(f"{data.hex() or '00'}\n" for data in kept))
    native = len(list(folder.glob("*/native-*")))
    return {
        "seconds": round(sum(run["seconds"] for run in runs)),
        "tried": sum(outcomes.values()) + native,
        "read": outcomes["read"],
        "refused": outcomes["refused"],
        "slowest_s": max(run["slowest_s"] for run in runs),
        "found": sorted({kind for run in runs for kind in run["findings"]}) + ["ended the process"] * native,
        "unrepaired": 0,
    }


def main() -> None:
    whole: dict[str, Any] = {
        "guide": "coverage of levit_mobile, exporters, calib, zipfile and numpy.lib, by atheris 3.0.0"
    }
    earlier = json.loads(RESULTS.read_text())["readers"] if RESULTS.exists() else {}
    done = sorted({report.parents[1] for report in Path(sys.argv[1]).glob("*/*/report.json")})
    rows = {folder.name: keep(folder, folder.name) for folder in done}
    RESULTS.write_text(json.dumps({**whole, "readers": dict(sorted({**earlier, **rows}.items()))}, indent=1) + "\n")


if __name__ == "__main__":
    main()
