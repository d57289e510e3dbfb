"""End an export with SIGKILL at random points, and see what is left: an earlier bundle, and an export that works.

    python benchmarks/kills.py

Each export replaces an earlier bundle, in a process of its own that was forked when everything heavy had been imported, so that
the points lie in the work and not in the loading of libraries; it is killed with all that it has started. Then the bundle that
is there must be whole, the earlier or the new one, and after the last the next export must succeed and leave nothing else.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from results import add_results_option, write

from levit_mobile.bundle import open_bundle
from levit_mobile.cli.console import guarded
from levit_mobile.errors import BundleError, LevitMobileError
from levit_mobile.targets import TARGETS
from levit_mobile.weights import resolve_weights

NAME = "kills.json"
WHAT = ("onnx", "fp32")


def start(words: list[str]) -> int:
    """The process number of an export."""
    child = os.fork()
    if child == 0:
        os.setsid()  # it and all that it starts are one group
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(nothing, number)
        status = 70
        try:
            from levit_mobile.cli.main import cli

            cli.main(["export", *words], prog_name="levit", standalone_mode=False)
            status = 0
        finally:
            os._exit(status)
    return child


def finish(child: int) -> float:
    """Seconds until it has ended by itself.

    Raises:
        LevitMobileError: it failed.
    """
    begun = time.monotonic()
    _, status = os.waitpid(child, 0)
    if status:
        raise LevitMobileError(f"an export that nobody disturbed ended with {os.waitstatus_to_exitcode(status)}")
    return time.monotonic() - begun


def seen(out: Path, known: set[str]) -> str:
    """The digest of the bundle that is there.

    Raises:
        BundleError: it is damaged, or neither the earlier nor the new one, or there is something beside it.
    """
    bundle = open_bundle(out)
    visible = [name for name in os.listdir(out.parent) if not name.startswith(".")]
    digest = str(bundle.manifest["digest"])
    if bundle.damage() or visible != [out.name] or digest not in known:
        raise BundleError(f"{out}: after a kill: {bundle.damage()}, {visible}, {digest}")
    return digest


def try_points(count: int, seed: int, folder: Path) -> dict[str, Any]:
    """Kill ``count`` exports.

    Raises:
        LevitMobileError: something was lost.
    """
    for module in (*(row.module for row in TARGETS.values() if row.module.endswith(WHAT[0])), "levit_mobile.pipeline"):
        import_module(module)
    out = folder / "bundle"
    words = ["--target", WHAT[0], "--precision", WHAT[1], "--overwrite", "--out", str(out)]
    finish(start([*words, "--author", "earlier"]))  # told in the command, and so another manifest
    earlier = str(open_bundle(out).manifest["digest"])
    seconds = finish(start(words))
    new = str(open_bundle(out).manifest["digest"])
    if earlier == new:
        raise LevitMobileError("the two bundles cannot be told apart")
    finish(start([*words, "--author", "earlier"]))
    chance, found, alive = random.Random(seed), {"earlier": 0, "new": 0}, 0
    for _ in range(count):
        child = start(words)
        time.sleep(chance.uniform(0, seconds))
        os.killpg(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        alive += os.WIFSIGNALED(status)
        there = seen(out, {earlier, new})
        found["earlier" if there == earlier else "new"] += 1
        if there == new:
            finish(start([*words, "--author", "earlier"]))
    hidden = [name for name in os.listdir(folder) if name.startswith(".")]
    for name in hidden:  # as if a minute had gone by
        os.utime(folder / name, (time.time() - 100,) * 2)
    finish(start(words))
    if os.listdir(folder) != [out.name] or seen(out, {new}) != new:
        raise LevitMobileError(f"the next export left {os.listdir(folder)}")
    return {
        "points": count,
        "killed": alive,
        **found,
        "hidden_folders_left": len(hidden),
        "export_s": round(seconds, 1),
    }


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--points", type=int, default=50, help="how many exports are killed")
    options.add_argument("--seed", type=int, default=0, help="of the points")
    add_results_option(options)
    return options


def main() -> None:
    args = parser().parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    checkpoint = resolve_weights("demo").sha256
    with tempfile.TemporaryDirectory() as name:
        found = try_points(args.points, args.seed, Path(name))
    print(found)
    write(args.results, NAME, checkpoint, {"export": " ".join(WHAT), **found})


if __name__ == "__main__":
    with guarded():
        main()
        sys.stdout.flush()
