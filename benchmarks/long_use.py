"""Long use: a thousand predictions in one process of each runtime, and a long validation that is interrupted and gone on with.

    python benchmarks/long_use.py --data imagenette/val \
        levit_128s-int8-tflite levit_128s-int8-executorch levit_128s-int8-coreml levit_128s-int8-onnx

The first bundle is also validated on ``--pictures`` files, hard links to those in ``--data``: once from beginning to end; once
ended by Ctrl-C after a third and after two thirds of that time, and started again; and once on a twentieth of them, to see
whether memory grows with their number.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bundles import open_bundles
from process_memory import resident
from results import add_results_option, write

from calib.pictures import find_pictures
from levit_mobile.all_cores import count_cores
from levit_mobile.bundle import open_bundle
from levit_mobile.cli.console import guarded
from levit_mobile.errors import CheckError
from levit_mobile.preprocess import load_picture, resize_and_crop
from levit_mobile.runtimes import open_runtime
from levit_mobile.weights import resolve_weights

NAME = "long_use.json"
SETTLED = 100  # predictions after which allocators and caches have what they want
_LEVIT = "from levit_mobile.cli.main import main; main()"


def predict_often(bundle: Path, pictures: list[Path], count: int) -> dict[str, Any]:
    """Predict in this process: MB of it after ``SETTLED`` predictions and after all, and whether answers stay the same."""
    opened = open_bundle(bundle)
    runtime = open_runtime(opened)
    sizes, answers = {}, {}
    for at in range(1, count + 1):
        path = pictures[at % len(pictures)]
        logits = runtime.logits(resize_and_crop(load_picture(path), opened.preprocessing)[None])
        if answers.setdefault(path, logits.tobytes()) != logits.tobytes():
            raise CheckError(f"{bundle}: prediction {at} of {path.name} differs from an earlier one")
        if at in (SETTLED, count):
            sizes[at] = resident()
    return {
        "predictions": count,
        "mb_settled": round(sizes[SETTLED] / 1e6, 1),
        "mb_at_the_end": round(sizes[count] / 1e6, 1),
        "grew_mb": round((sizes[count] - sizes[SETTLED]) / 1e6, 2),
    }


def validate(bundle: Path, data: Path, cache: Path, stop_after: float | None = None) -> dict[str, Any]:
    """``levit validate`` in another process, ended by Ctrl-C after some seconds if it is to be.

    Raises:
        CheckError: it failed, or was not in time to be interrupted.
    """
    command = [sys.executable, "-c", _LEVIT, "validate", str(bundle), "--data", str(data), "--json"]
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with subprocess.Popen(
        command,
        env={**os.environ, "LEVIT_MOBILE_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=stop_after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
    seconds, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if (stop_after is None) != (process.returncode == 0):
        raise CheckError(f"levit validate ended with {process.returncode} after {seconds:.0f} s: {err[-500:]}")
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "seconds": seconds,
        "cores": spent / seconds,
        "peak_mb": after.ru_maxrss / 1024,  # of the largest child so far
        "answer": json.loads(out) if out else None,
        "said": err,
    }


def link(data: Path, folder: Path, count: int) -> None:
    """A folder of so many pictures, a class at a time in turn."""
    groups = find_pictures(data)
    names = sorted(groups)
    for name in names:
        (folder / name).mkdir(parents=True)
    for at in range(count):
        name = names[at % len(names)]
        source = groups[name][at // len(names) % len(groups[name])]
        target = folder / name / f"{at:06}{source.suffix}"
        try:
            target.hardlink_to(source)
        except OSError:  # another disk
            target.symlink_to(source)


def validations(bundle: Path, data: Path, count: int, folder: Path) -> dict[str, Any]:
    """The whole, the interrupted and the short one.

    Raises:
        CheckError: they do not agree.
    """
    link(data, folder / "few", count // 20)
    link(data, folder / "many", count)
    validate(bundle, folder / "few", folder / "first")  # the artifact is tried in another process once; not timed
    few = validate(bundle, folder / "few", folder / "first")
    whole = validate(bundle, folder / "many", folder / "first")
    print(
        f"{count} pictures: {whole['seconds']:.0f} s, {whole['cores']:.2f} cores, {whole['peak_mb']:.0f} MB", flush=True
    )
    parts = [validate(bundle, folder / "many", folder / "second", whole["seconds"] / 3) for _ in range(2)]
    last = validate(bundle, folder / "many", folder / "second")
    done = [int(part["said"].rpartition(" of ")[0].split()[-1]) for part in parts]
    if last["answer"] != whole["answer"] or f"going on after {done[-1]} of {count}" not in last["said"]:
        raise CheckError(f"the interrupted validation does not agree: {last['answer']}, {last['said'][-500:]}")
    return {
        "pictures": count,
        "cores": count_cores(),
        "cores_used": round(whole["cores"], 2),
        "seconds": round(whole["seconds"]),
        "peak_mb": round(whole["peak_mb"]),
        "peak_mb_of_a_twentieth": round(few["peak_mb"]),
        "interrupted_after": done,
        "seconds_with_interruptions": round(sum(part["seconds"] for part in (*parts, last))),
        "top1": whole["answer"]["accuracy"]["top1"]["share"],
    }


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("bundles", type=Path, nargs="+")
    options.add_argument("--data", type=Path, required=True, help="labelled pictures")
    options.add_argument("--predictions", type=int, default=1000)
    options.add_argument("--pictures", type=int, default=20_000)
    options.add_argument(
        "--one", action="store_true", help="predict with the first bundle in this process; nothing else"
    )
    add_results_option(options)
    return options


def main() -> None:
    args = parser().parse_args()
    if args.one:
        pictures = [group[0] for group in find_pictures(args.data).values()]
        print(json.dumps(predict_often(args.bundles[0], pictures, args.predictions)))
        return
    # A shell's background jobs ignore Ctrl-C, and so would what they start; not what is started by one who handles it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    checkpoint = resolve_weights("demo")
    rows = {}
    for name, bundle in open_bundles(args.bundles, checkpoint).items():
        command = [sys.executable, __file__, str(bundle.folder), "--one", "--data", str(args.data)]
        done = subprocess.run(
            [*command, "--predictions", str(args.predictions)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CheckError(f"{bundle.folder.name}: {done.stderr[-800:]}")
        rows[name] = json.loads(done.stdout)
        print(name, done.stdout.strip(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        found = validations(args.bundles[0], args.data, args.pictures, Path(folder))
    write(args.results, NAME, checkpoint.sha256, {"predictions": rows, "validation": found})


if __name__ == "__main__":
    with guarded():
        main()
