"""Memory that an artifact takes on this host: the most while it is loaded and run twice, and what stays after that.

    python benchmarks/memory.py

LeViT-128S with 1000 classes and random weights, and the official form of the same model through each converter as it comes
(``instructions.py`` makes them). Each in a process of its own, on one thread; a ``.pte`` in the C++ program that
``levit bench`` sends to boards, so that torch is not counted. What the process has before it loads is taken off.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import instructions
import numpy as np
from process_memory import mapped, resident
from results import add_results_option, write

from levit_mobile.bench.cross import build_etrun, etrun_version
from levit_mobile.bench.onboard.memory import peak_of
from levit_mobile.bench.onboard.models import open_model
from levit_mobile.bundle import file_digest
from levit_mobile.cli.console import guarded
from levit_mobile.errors import CheckError
from levit_mobile.runtimes.executorch_program import read_method
from levit_mobile.weights import resolve_weights

_RUNS = 3


def taken(artifact: Path, target: str) -> dict[str, float]:
    """MB in this process or in the one that it starts: ``peak`` as ``levit bench`` counts it, ``after``, ``mapped`` of that."""
    job: dict[str, Any] = {"threads": 1}
    if target == "executorch":
        job |= {"etrun": str(build_etrun(platform.machine())), "etrun_version": etrun_version()}
    model = open_model({"path": str(artifact), "target": target, "sha256": file_digest(artifact)}, job)
    model.put(np.zeros(model.shape, model.dtype))
    for _ in range(2):
        model.run()
    processes = model.pids or ["self"]
    return {
        "peak": peak_of(model) - model.before,
        "after": sum(map(resident, processes)) / 1e6 - model.before,
        "mapped": sum(mapped(process, artifact) for process in processes) / 1e6,
    }


def measure(artifact: Path, target: str) -> dict[str, Any]:
    """Of several processes, one after the other.

    Raises:
        CheckError: one failed.
    """
    found = []
    for _ in range(_RUNS):
        command = [sys.executable, __file__, "--one", str(artifact), target]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CheckError(f"{artifact.name}: {done.stderr[-800:]}")
        found.append(json.loads(done.stdout.splitlines()[-1]))
    row: dict[str, Any] = {
        **{f"{what}_mb": round(statistics.median(run[what] for run in found), 1) for what in found[0]},
        "runs_mb": [{what: round(count, 1) for what, count in run.items()} for run in found],
        "artifact_mb": round(artifact.stat().st_size / 1e6, 2),
    }
    if target == "executorch":
        row["parts"] = len(read_method(artifact.read_bytes(), "forward").calls)
    return row


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--one", nargs=2, metavar=("FILE", "TARGET"), help="only this file, in this process")
    add_results_option(options)
    return options


def main() -> None:
    args = parser().parse_args()
    if args.one:
        print(json.dumps(taken(Path(args.one[0]), args.one[1])))
        return
    rows = {}
    chosen = [*instructions.own_rows(), *instructions.OTHERS]
    with tempfile.TemporaryDirectory() as name:
        for title, target, file in instructions.made(Path(name), chosen):
            rows[title] = measure(file, target)
            print(title, rows[title], flush=True)
    about = {"weights": "random, 1000 classes", "variant": "levit_128s", "threads": 1}
    write(args.results, "memory.json", resolve_weights("demo").sha256, {**about, "rows": rows})


if __name__ == "__main__":
    with guarded():
        main()
