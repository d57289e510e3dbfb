"""Fuzz one reader with coverage as the guide, for some seconds, and say what was tried (needs atheris; Linux, x86-64).

python tests/fuzz/cover.py READER SECONDS WORKING_FOLDER

What reached new code is kept in ``WORKING_FOLDER/corpus``, what broke the reader as ``WORKING_FOLDER/crash-*``; after a
finding it goes on, until the time is up. ``WORKING_FOLDER/report.json`` has the count.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[2]
GIBIBYTES = 8
PLACES = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]
SLOW = 20  # seconds for one input


def _settings() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*PLACES, os.environ.get("PYTHONPATH", "")])}


def main() -> None:
    name, seconds, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]).resolve()
    sys.path[:0] = PLACES
    # In a process of their own: converters break when their imports are watched.
    code = f"import fuzzed; print(*(data.hex() for data in fuzzed.READERS[{name!r}].seeds()), sep='\\n')"
    made = subprocess.run(
        [sys.executable, "-c", code], env=_settings(), capture_output=True, text=True, check=True
    ).stdout
    seeds = [bytes.fromhex(line) for line in made.split() if re.fullmatch("([0-9a-f]{2})+", line)]
    # zipfile and numpy.lib are parsers behind several readers; what is in C shows no coverage.
    watched = ["levit_mobile", "exporters", "calib", "zipfile", "numpy.lib", "torch._weights_only_unpickler"]
    with atheris.instrument_imports(include=watched):
        import fuzzed

        for data in seeds:
            fuzzed.attempt(name, data)  # imports what it needs while imports are watched
    resource.setrlimit(resource.RLIMIT_DATA, (GIBIBYTES << 30, GIBIBYTES << 30))
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for data in seeds:
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    outcomes: Counter[str] = Counter()
    start, slowest = time.monotonic(), 0.0
    report = folder / "report.json"
    kinds: dict[str, str] = {}
    last = [start]

    def write() -> None:
        rows = {"reader": name, "seconds": round(time.monotonic() - start, 1), "slowest_s": round(slowest, 2)}
        report.write_text(json.dumps({**rows, "outcomes": dict(sorted(outcomes.items())), "findings": kinds}, indent=1))

    def once(data: bytes) -> None:
        nonlocal slowest
        begun = time.monotonic()
        try:
            outcomes[fuzzed.attempt(name, data)] += 1
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            where = next((f for f in reversed(frames) if str(ROOT) in f.filename), frames[-1])
            kind = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
            outcomes["broke"] += 1
            if kind not in kinds:
                kinds[kind] = str(error)[:200]
                (folder / f"crash-{hashlib.sha256(kind.encode()).hexdigest()[:12]}").write_bytes(data)
        took = time.monotonic() - begun
        if took > slowest:
            slowest = took
            (folder / "slowest").write_bytes(data)
        if time.monotonic() - last[0] > 5:
            last[0] = time.monotonic()
            write()
        if time.monotonic() - start > seconds:
            write()
            with contextlib.suppress(OSError):
                sys.stdout.flush()
            os._exit(0)

    options = [f"-timeout={SLOW}", "-rss_limit_mb=6000", f"-artifact_prefix={folder}/native-", "-max_len=131072"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
