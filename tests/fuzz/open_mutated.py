"""Open damaged copies of an artifact, one after the other, and tell what came of each; runs in a process of its own.

python open_mutated.py TARGET ARTIFACT FIRST LAST

Prints "@seed" before a copy is opened and "@seed: outcome" after, so that the seed that ended the process is known.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import numpy as np

from levit_mobile.errors import LevitMobileError
from levit_mobile.preprocess import IMAGENET
from levit_mobile.runtimes import RUNTIMES

SECONDS = 60
GIBIBYTES = 12
KINDS = ("cut", "bits", "structure", "block", "inserted")


def mutated(data: bytes, seed: int) -> bytes:
    """Bytes damaged in one of five ways; ``structure`` is the first and last 64 KiB, where tables and headers lie."""
    r, found = random.Random(seed), bytearray(data)
    kind = KINDS[seed % len(KINDS)]
    if kind == "cut":
        return data[: r.randrange(len(data))]
    if kind == "bits":
        for _ in range(r.choice((1, 4, 64))):
            found[r.randrange(len(data))] ^= 1 << r.randrange(8)
    elif kind == "structure":
        reach = min(65536, len(data))
        for _ in range(r.choice((1, 8, 64))):
            at = r.randrange(reach)
            found[at if r.random() < 0.5 else -1 - at] = r.randrange(256)
    elif kind == "block":
        at, length = r.randrange(len(data)), r.randrange(1, 4096)
        found[at : at + length] = bytes([r.choice((0, 255))]) * len(found[at : at + length])
    else:
        at = r.randrange(len(data))
        found[at:at] = r.randbytes(r.randrange(1, 64))
    return bytes(found)


def damage(artifact: Path, copy: Path, seed: int) -> Path:
    """A copy of a file, or of a folder with one of its files, damaged."""
    if artifact.is_dir():
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(artifact, copy)
    else:
        copy.parent.mkdir(parents=True, exist_ok=True)
    files = sorted(p.relative_to(artifact) for p in artifact.rglob("*") if p.is_file()) or [Path()]
    victim = files[seed % len(files)]
    (copy / victim).write_bytes(mutated((artifact / victim).read_bytes(), seed))
    return copy


def main() -> None:
    target, artifact, first, last = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    runtime = import_module(RUNTIMES[target])
    resource.setrlimit(resource.RLIMIT_AS, (GIBIBYTES << 30, GIBIBYTES << 30))
    blank = np.zeros((1, 224, 224, 3), np.uint8)
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / artifact.name
        for seed in range(first, last):
            print(f"\n@{seed}", flush=True)  # runtimes print too, and may leave a line open
            damage(artifact, copy, seed)
            signal.alarm(SECONDS)
            try:
                opened = runtime.open_artifact(copy, size=224, spec=IMAGENET)
                logits = opened.logits(blank)
                opened.anatomy()
                outcome = f"ran {logits.shape[1]}"
            except LevitMobileError as error:
                outcome = "refused" if str(copy) in str(error) else f"refused without its name: {error}"
            except Exception as error:  # what a user would see as a traceback
                outcome = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            signal.alarm(0)
            print(f"\n@{seed}: {outcome}", flush=True)
    os._exit(0)  # without the destructors of half-loaded models


if __name__ == "__main__":
    main()
