"""Write samples and what Python's statistics say of them, for the Swift tests to meet.

python ios_demo/tools/statistics_fixture.py
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from levit_mobile.bench.statistics import drift_of, summarise

FILE = Path(__file__).parents[1] / "LeViTCore/Tests/LeViTCoreTests/Fixtures/statistics.json"


def fixtures() -> list[dict[str, Any]]:
    """Runs that are steady, that drift, that are too short to tell, and that a coarse clock measured."""
    rng = np.random.default_rng(7)
    steady = rng.normal(5, 0.05, 120)
    samples = {
        "one": np.array([3.5]),
        "two": np.array([3.0, 4.0]),
        "too short to tell": rng.normal(5, 0.05, 44),
        "five blocks": rng.normal(5, 0.05, 45),
        "eight blocks, slower": rng.normal(5, 0.05, 72) * np.linspace(1, 1.2, 72),
        "steady": steady,
        "slower": steady * np.linspace(1, 1.1, 120),
        "faster": steady * np.linspace(1.1, 1, 120),
        "slower, and it does not matter": rng.normal(5, 0.001, 120) * np.linspace(1, 1.02, 120),
        "a coarse clock": np.rint(rng.normal(5, 1, 200)),
        "always the same": np.full(90, 2.0),
        "late ones": steady + 4 * (rng.random(120) < 0.05),
    }
    found = []
    for name, values in samples.items():
        kept = [round(float(v), 6) for v in values]
        drift = drift_of(kept)
        summary = summarise(kept).to_dict()
        found.append({"name": name, "samples": kept, "summary": summary, "drift": drift and drift.to_dict()})
    return found


def text() -> str:
    """As the file has it."""
    return json.dumps(fixtures(), separators=(",", ":")).replace("},{", "},\n{") + "\n"


def main() -> None:
    """Write the file."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    FILE.write_text(text())
    print(f"wrote {FILE.name}")


if __name__ == "__main__":
    main()
