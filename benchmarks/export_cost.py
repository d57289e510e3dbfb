"""Wall time and peak memory of levit-export, a process of its own for each bundle, and what came out.

    python benchmarks/export_cost.py

It measures the 10-class checkpoint in the package for every target and precision, and for the artifact's size LeViT-128S
with 1000 classes and random weights too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results import add_results_option, write

from levit_mobile.cli.console import guarded
from levit_mobile.errors import ExportError, UsageError
from levit_mobile.targets import TARGETS

# torch is not imported here: Linux counts the peak of this process, carried over fork and exec, as its children's least.
_THOUSAND_TARGETS = ("tflite", "executorch")
_SHA256 = "from levit_mobile.weights import resolve_weights; print(resolve_weights('demo').sha256)"
_THOUSAND = ["--weights", "thousand.safetensors", "--calib-data", "thousand.json"]


@dataclass(frozen=True)
class Cost:
    """Of one process, and of those that it waited for.

    Attributes:
        seconds: from start to end.
        processor_seconds: of all cores; other work on the machine hardly changes it.
        peak_mb: resident memory, of whichever had most.
    """

    seconds: float
    processor_seconds: float
    peak_mb: float


def run(command: list[str], folder: Path) -> Cost:
    """Run one process to its end.

    Raises:
        ExportError: it failed; with the last line that it printed.
    """
    with tempfile.TemporaryFile() as printed:
        start = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=printed)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            printed.seek(0)
            *_, last = ["", *printed.read().decode(errors="replace").split("\n")[:-1]]
            raise ExportError(f"{' '.join(command)}: ended with {process.returncode}: {last}")
    peak = usage.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)
    return Cost(seconds, usage.ru_utime + usage.ru_stime, peak)


def measure(target: str, precision: str, options: list[str], folder: Path) -> dict[str, Any]:
    """Export into a bundle below ``folder``, and read from its manifest what came out."""
    out = Path(tempfile.mkdtemp(dir=folder)) / "bundle"
    command = [sys.executable, "-m", "levit_mobile", "export", "--target", target, "--precision", precision]
    cost = run([*command, "--out", str(out), *options], folder)
    manifest = json.loads((out / "manifest.json").read_text())
    artifact = manifest["artifact"]["file"]
    sizes = {name: about["bytes"] for name, about in manifest["files"].items()}
    return {
        "seconds": round(cost.seconds, 1),
        "processor_seconds": round(cost.processor_seconds, 1),
        "peak_mb": round(cost.peak_mb),
        # Core ML's artifact is a folder.
        "artifact_bytes": sum(n for name, n in sizes.items() if name == artifact or name.startswith(f"{artifact}/")),
        "operators": sum(manifest["operators"].values()),
        "parts": manifest["delegate"]["parts"],
        "operators_outside": sum(manifest["delegate"]["outside"].values()),
        "parity": manifest["parity"],
    }


def stored(results: Path, checkpoint: str) -> dict[str, Any]:
    """The rows of an earlier run.

    Raises:
        UsageError: they are of other weights.
    """
    path = results / "export_cost.json"
    if not path.exists():
        return {}
    earlier: dict[str, Any] = json.loads(path.read_text())
    if earlier.get("checkpoint") != checkpoint:
        raise UsageError(f"{path} is of other weights than the package has now; leave --only out")
    rows: dict[str, Any] = earlier["rows"]
    return rows


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", default="", help="measure anew only the rows whose name has this in it")
    add_results_option(options)
    return options


def main() -> None:
    args = parser().parse_args()
    cases = [(f"{target} {name}", target, name) for target in TARGETS for name in TARGETS[target].precisions]
    cases += [(f"{target} int8, 1000 classes", target, "int8") for target in _THOUSAND_TARGETS]
    chosen = [case for case in cases if args.only in case[0]]
    if not chosen:
        raise UsageError(f"--only {args.only!r} is in no row's name; the rows are: {'; '.join(c[0] for c in cases)}")
    checkpoint = subprocess.check_output([sys.executable, "-c", _SHA256], text=True).strip()
    rows = stored(args.results, checkpoint) if args.only else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([sys.executable, Path(__file__).with_name("thousand.py"), folder], check=True)
        for title, target, precision in chosen:
            rows[title] = measure(target, precision, _THOUSAND if "1000" in title else [], folder)
            print(title, rows[title], flush=True)
    write(
        args.results, "export_cost.json", checkpoint, {"rows": {name: rows[name] for name, *_ in cases if name in rows}}
    )


if __name__ == "__main__":
    with guarded():
        main()
