"""A row's figures: instructions on emulated ARM cores, and latency on this host in turn with a base."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median_low
from typing import Any

from peers_inside import PACKAGES

from levit_mobile.bench.guest import Border, Guest, between, guest
from levit_mobile.bench.instructions import count
from levit_mobile.bench.root import EmulationError
from levit_mobile.bench.statistics import ratio_of
from levit_mobile.errors import ExportError
from levit_mobile.golden import golden_pictures

PYTHON = Path(sys.executable)  # the project's
_INSIDE = Path(__file__).with_name("peers_inside.py")
_NUMPY = "numpy==2.3.5"


def instructions(artifact: Path, runtime: str, cpu: str, size: int, version: str, runs: int) -> dict[str, Any]:
    """Executed instructions of one inference on an emulated core: ``total``, ``runs``, the runtime, a ``note`` at need.

    Raises:
        LevitMobileError: as ``levit_mobile.bench.instructions.count``.
    """
    if runtime in ("tflite", "executorch"):
        counts = count(artifact, runtime, cpu, pixels=golden_pictures(size, 1)[0], runs=runs)
        return {"total": counts.total, "runs": list(counts.runs), "runtime": dict(counts.runtime), "qemu": counts.qemu}
    with guest(cpu, [f"{PACKAGES[runtime]}=={version}", _NUMPY]) as machine:
        _describe_cores(machine)
        machine.put(artifact.parent, "models")
        script = machine.put(_INSIDE, "inside.py")
        inside = f"{Path(script).parent}/models/{artifact.name}"
        with machine.start([*machine.python, script, "count", runtime, inside, str(runs)]) as program:
            said = program.rest()
    drawn = [border for border in program.borders if border.kind == "mark"]
    if len(drawn) != runs + 2:
        raise EmulationError(
            f"{len(drawn)} marks were drawn and not {runs + 2}: {said[-1] if said else 'it said nothing'}"
        )
    return {**steady(drawn[1:]), "runtime": json.loads(said[-1]), "qemu": machine.qemu}


def _describe_cores(machine: Guest) -> None:
    """What Linux tells of four equal cores; OpenVINO does not look whether it is there."""
    system = machine._folder / "sys" / "devices" / "system"
    files = {"node/online": "0", "node/node0/cpulist": "0-3"}
    for core in range(4):
        own, every = str(core), "0-3"
        shared = {
            "core_siblings_list": every,
            "package_cpus_list": every,
            "physical_package_id": "0",
            "cluster_id": "0",
        }
        topology = {**shared, "core_id": own, "thread_siblings_list": own, "core_cpus_list": own}
        files |= {f"cpu/cpu{core}/topology/{name}": text for name, text in topology.items()}
        files[f"cpu/cpu{core}/cpufreq/cpuinfo_max_freq"] = "2400000"
        for at, (level, cores) in enumerate((("1", own), ("1", own), ("2", own), ("3", every))):
            cache = {"level": level, "shared_cpu_list": cores, "size": "64K"}
            files |= {f"cpu/cpu{core}/cache/index{at}/{name}": text for name, text in cache.items()}
    for name, text in files.items():
        file = system / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")


def steady(drawn: Sequence[Border]) -> dict[str, Any]:
    """Of the inferences between marks: those during which no other thread did anything, if there are any; or all threads' sum."""
    steps = [(sum(between(a, b).values()), a.others == b.others) for a, b in pairwise(drawn)]
    alone = [total for total, quiet in steps if quiet]
    if alone:
        return {"total": median_low(alone), "runs": alone}
    totals = [total for total, _ in steps]
    return {"total": median_low(totals), "runs": totals, "note": f"the sum of {drawn[-1].threads} threads"}


def latency(python: Path, base: tuple[str, Path], row: tuple[str, Path], rounds: int) -> dict[str, Any]:
    """p50 in units of the base's, from rounds in which each ran once, with a 95 % interval.

    Raises:
        ExportError: the runtime cannot run one of them here.
    """
    models = [str(part) for runtime, path in (base, row) for part in (runtime, path)]
    command = [str(python), str(_INSIDE), "turns", str(rounds), *models]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ExportError(f"not run on this host: {last_line(done.stderr) or f'status {done.returncode}'}")
    first, second = json.loads(done.stdout.splitlines()[-1])
    return ratio_of(first, second).to_dict()


def last_line(printed: str) -> str:
    """What a program gave as the reason."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return lines[-1][-200:] if lines else ""
