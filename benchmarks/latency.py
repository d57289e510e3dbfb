"""Ratio of one bundle's latency to another's on this host, from interleaved runs (A B A B ...).

    python benchmarks/latency.py levit_128s-fp32-tflite levit_128s-int8-tflite

Single times of a shared machine mean little; the ratio of neighbours in time means more. The interval is a bootstrap's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from bundles import open_bundles
from results import add_results_option, write

from levit_mobile.cli.console import guarded
from levit_mobile.errors import UsageError
from levit_mobile.runtimes import Runtime, open_runtime
from levit_mobile.weights import resolve_weights

_WARM_UP = 20


def interleaved(runtimes: Sequence[Runtime], rounds: int) -> npt.NDArray[np.float64]:
    """Milliseconds (rounds, runtimes); in each round, each runs once."""
    for runtime in runtimes:
        runtime.profile(_WARM_UP)
    times = np.empty((rounds, len(runtimes)))
    for turn in range(rounds):
        for at, runtime in enumerate(runtimes):
            times[turn, at] = runtime.profile(1)[0][1]
        if turn % 50 == 49:
            time.sleep(0.2)
    return times


def compared(times: npt.NDArray[np.float64], names: Sequence[str], base: str) -> dict[str, dict[str, Any]]:
    """{name: medians, their ratio to the base's and its interval}; a column of ``times`` is a name's."""
    rounds, first = len(times), times[:, list(names).index(base)]
    rng = np.random.default_rng(0)
    rows = {}
    for name, own in zip(names, times.T, strict=True):
        picks = rng.integers(rounds, size=(2000, rounds))
        ratios = np.median(own[picks], axis=1) / np.median(first[picks], axis=1)
        rows[name] = {
            "p50_ms": round(float(np.median(own)), 3),
            "p90_ms": round(float(np.quantile(own, 0.9)), 3),
            "ratio_of_p50": round(float(np.median(own) / np.median(first)), 4),
            "interval95": [round(float(v), 4) for v in np.quantile(ratios, [0.025, 0.975])],
        }
    return rows


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("bundles", type=Path, nargs="+", help="made from the demo weights")
    options.add_argument("--base", default="tflite fp32", help="whose latency is 1 (%(default)s)")
    options.add_argument("--rounds", type=int, default=400, help="inferences of each (%(default)s)")
    options.add_argument("--threads", type=int, default=1, help="threads to run on (%(default)s)")
    add_results_option(options)
    return options


def main() -> None:
    args = parser().parse_args()
    checkpoint = resolve_weights("demo")
    bundles = open_bundles(args.bundles, checkpoint)
    if args.base not in bundles:
        raise UsageError(f"--base {args.base!r} is none of these bundles; type one of: {', '.join(bundles)}")
    times = interleaved([open_runtime(bundle, threads=args.threads) for bundle in bundles.values()], args.rounds)
    rows = compared(times, list(bundles), args.base)
    for name, row in rows.items():
        print(name, row)
    about = {"rounds": args.rounds, "threads": args.threads, "base": args.base}
    write(args.results, "latency.json", checkpoint.sha256, {**about, "rows": rows})


if __name__ == "__main__":
    with guarded():
        main()
