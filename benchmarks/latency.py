"""Ratio of one bundle's latency to another's on this host, from interleaved runs (A B A B ...).

    python benchmarks/latency.py levit_128s-fp32-tflite levit_128s-int8-tflite

Single times of a shared machine mean little; the ratio of neighbours in time means more. The interval is a bootstrap's.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from results import write

from levit_mobile.bundle import open_bundle
from levit_mobile.runtimes import open_runtime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", type=Path, nargs="+", help="the first is the base of all ratios")
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()

    bundles = [open_bundle(path) for path in args.bundles]
    runtimes = [open_runtime(bundle, threads=args.threads) for bundle in bundles]
    for runtime in runtimes:
        runtime.profile(20)
    times = np.empty((args.rounds, len(runtimes)))
    for turn in range(args.rounds):
        for at, runtime in enumerate(runtimes):
            times[turn, at] = runtime.profile(1)[0][1]
        if turn % 50 == 49:
            time.sleep(0.2)
    names = [b.manifest["artifact"]["precision"] for b in bundles]
    rng = np.random.default_rng(0)
    rows = {}
    for at, name in enumerate(names):
        picks = rng.integers(args.rounds, size=(2000, args.rounds))
        ratios = np.median(times[picks, at], axis=1) / np.median(times[picks, 0], axis=1)
        rows[name] = {
            "p50_ms": round(float(np.median(times[:, at])), 3),
            "p90_ms": round(float(np.quantile(times[:, at], 0.9)), 3),
            "ratio_of_p50": round(float(np.median(times[:, at]) / np.median(times[:, 0])), 4),
            "interval95": [round(float(v), 4) for v in np.quantile(ratios, [0.025, 0.975])],
        }
        print(name, rows[name])
    write("latency.json", {"rounds": args.rounds, "threads": args.threads, "base": names[0], "rows": rows})


if __name__ == "__main__":
    main()
