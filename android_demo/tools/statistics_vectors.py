"""Write what NumPy and SciPy make of samples of latency; the tests of core hold Kotlin to it.

python android_demo/tools/statistics_vectors.py
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from levit_mobile.bench.statistics import drift_of, summarise

FILE = Path(__file__).parents[1] / "core" / "src" / "test" / "resources" / "statistics.json"
COUNTS = (1, 2, 10, 44, 45, 50, 63, 72, 81, 90, 100, 333)  # 45: five blocks a third, the least; 81 and 90: nine and ten


def cases() -> list[dict[str, Any]]:
    """Steady, drifting and coarse samples of each length."""
    found = []
    for count in COUNTS:
        for kind in ("steady", "drifting", "coarse"):
            rng = np.random.default_rng((count, len(kind)))
            ms = 6 * rng.normal(1, 0.01, count) + rng.exponential(0.05, count)
            if kind == "drifting":
                ms *= np.linspace(1, 1.2, count)
            if kind == "coarse":  # a clock with long ticks: many are alike
                ms = np.maximum(np.round(ms * 4) / 4, 0.25)
            samples = [round(float(v), 6) for v in ms]
            drift = drift_of(samples)
            row = {"samples_ms": samples, "summary": summarise(samples).to_dict(), "drift": drift and drift.to_dict()}
            found.append(row)
    return found


def text() -> str:
    """The file as it should be."""
    return json.dumps(cases(), indent=None, separators=(",", ":")).replace("},{", "},\n{") + "\n"


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(text())
    print(f"wrote {len(cases())} cases into {FILE.name}")


if __name__ == "__main__":
    main()
