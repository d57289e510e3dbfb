"""LeViT by this toolkit beside the same by others, and beside other networks: instructions of an inference on emulated ARM.

    python benchmarks/peers.py
    python benchmarks/peers.py --only 'ONNX Runtime' --only ncnn

1000 classes and random weights, whose values cost nothing. Latency on this host is a ratio to this toolkit's LeViT-128S
TFLite fp32, in turn with it. Each row is kept when it is there; started again, it goes on with what is missing. It needs what
`levit bench --emulate` needs and timm, and makes two environments, 2 GB together, in the cache. All of it takes some hours.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peers_convert import OtherPython, exported, made
from peers_count import PYTHON, instructions, latency
from peers_inside import PACKAGES
from peers_networks import NETWORKS
from peers_rows import OWN, Row, rows
from results import add_results_option, write

from levit_mobile.bench.guest import CPUS as MODELS
from levit_mobile.cli.console import guarded
from levit_mobile.errors import ExportError, LevitMobileError, UsageError
from levit_mobile.variants import VARIANTS

NAME = "peers.json"
CPUS = ("cortex-a76", "cortex-a72")
BASE = Row("levit_128s", f"{OWN}, TFLite", "fp32", "tflite")


class Work:
    """A folder of artifacts, a network a folder, each made when it is first asked for.

    Attributes:
        old: networks whose artifacts are from before, and are made anew.
    """

    def __init__(self, folder: Path, mobilenet: Path | None, *, anew: bool) -> None:
        self.folder, self.mobilenet, self.others = folder, mobilenet, OtherPython()
        self.old = set(NETWORKS) if anew else set()

    def artifact(self, row: Row) -> Path:
        """A row's file.

        Raises:
            ExportError: its maker failed.
            UsageError: it has to be given, and is not.
        """
        folder = self.folder / row.network
        if row.network in self.old:
            self.old.remove(row.network)
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        if row.network in VARIANTS and not (folder / "thousand.json").exists():
            script = Path(__file__).with_name("thousand.py")
            subprocess.run([PYTHON, script, folder, "--model", row.network], check=True)
        if row.maker:
            return made(row.maker, row.network, folder, self.others)
        if row.network in VARIANTS:
            return exported(row.network, row.runtime, row.precision, folder)
        if self.mobilenet is None:
            raise UsageError(f"{NETWORKS[row.network].title} is a file of others; type --mobilenet FILE")
        return self.mobilenet.resolve()

    def python(self, row: Row) -> Path:
        """The one that has the row's runtime and the base's."""
        return PYTHON if row.runtime in ("tflite", "executorch", "onnx") else self.others.python


def measure(row: Row, work: Work, cpus: Sequence[str], runs: int, rounds: int) -> dict[str, Any]:
    """A row's figures, or the reason why there are none."""
    network = NETWORKS[row.network]
    found: dict[str, Any] = {}
    try:
        artifact = work.artifact(row)
        version = "" if row.runtime in ("tflite", "executorch") else work.others.version(PACKAGES[row.runtime])
        for cpu in cpus:
            found[cpu] = instructions(artifact, row.runtime, cpu, network.size, version, runs)
    except UsageError as error:
        return {"missing": str(error)}
    except LevitMobileError as error:
        return {"failed": without_folders(str(error))}
    if rounds:
        try:
            base = ("tflite", work.artifact(BASE))
            found["host"] = latency(work.python(row), base, (row.runtime, artifact), rounds)
        except ExportError as error:
            found["host"] = {"failed": without_folders(str(error))}
    return found


def without_folders(text: str) -> str:
    """What went wrong, without where this machine keeps its files."""
    return re.sub(r"(?<![\w.:/])/(?:[\w.+~-]+/)+", "", text)


def about(row: Row) -> dict[str, Any]:
    """What a row says without being measured."""
    network = NETWORKS[row.network]
    told = {
        "network": network.title,
        "tool": row.tool,
        "precision": row.precision,
        "runtime": row.runtime,
        "pixels": network.size,
        "top1": network.top1,
        "top1_source": network.source,
    }
    return {**told, "note": row.note} if row.note else told


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", action="append", default=[], help="only the rows whose name has this in it; repeats")
    options.add_argument("--again", action="store_true", help="make and measure anew what is there already")
    options.add_argument("--mobilenet", type=Path, metavar="FILE", help="MobileNetV2 int8, TensorFlow's .tflite")
    options.add_argument(
        "--work", type=Path, metavar="DIR", help="where artifacts are kept (a temporary folder); --again renews"
    )
    options.add_argument("--runs", type=int, default=2, help="steady inferences that are counted (%(default)s)")
    options.add_argument("--rounds", type=int, default=100, help="of the latency on this host; 0: none (%(default)s)")
    add_results_option(options)
    return options


def main() -> None:
    args = parser().parse_args()
    everything = list(rows())
    chosen = [row for row in everything if not args.only or any(part in row.name for part in args.only)]
    if not chosen:
        raise UsageError(f"--only {args.only[0]!r} is in no row's name; one is: {everything[0].name}")
    path = args.results / NAME
    kept: dict[str, Any] = json.loads(path.read_text())["rows"] if path.exists() else {}
    with tempfile.TemporaryDirectory() as name:
        work = Work((args.work or Path(name)).resolve(), args.mobilenet, anew=args.again)
        for row in chosen:
            if args.again or "cortex-a76" not in kept.get(row.name, {}):
                kept[row.name] = {**about(row), **measure(row, work, CPUS, args.runs, args.rounds)}
                print(
                    row.name, {key: kept[row.name].get(key) for key in (*CPUS, "host", "failed", "missing")}, flush=True
                )
            keep(args.results, kept)


def keep(results: Path, kept: dict[str, Any]) -> None:
    """Store all rows in the page's order; those that were not measured yet say so."""
    ordered = {row.name: {**about(row), **kept.get(row.name, {"missing": "not measured yet"})} for row in rows()}
    cpus = {cpu: MODELS[cpu].model for cpu in CPUS}
    result = {"cpus": cpus, "weights": "random, 1000 classes", "base": BASE.name, "rows": ordered}
    write(results, NAME, "random", result)


if __name__ == "__main__":
    with guarded():
        main()
