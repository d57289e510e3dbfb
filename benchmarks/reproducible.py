"""Export everything twice, in processes that agree in nothing that should not matter, and compare every byte.

    python benchmarks/reproducible.py

All rows of a target are made by one process, and then by another, in the opposite order. That one has another hash seed, time
zone, language (Turkish, made by localedef: other letters, a decimal comma), number of threads, working folder, home, folder for
temporary files, umask and date for archives. A third is told to compute with the oldest instructions of the processor: there
the artifact must be the same, and what was measured with it may differ in its last digits.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, TypeAlias

from results import add_results_option, write

from levit_mobile.bundle import file_digest
from levit_mobile.cli.console import guarded
from levit_mobile.download import default_cache
from levit_mobile.errors import ExportError, UsageError
from levit_mobile.targets import TARGETS

Row: TypeAlias = tuple[str, ...]  # target, precision, option and value, if any
NAME = "reproducible.json"
OPTIONS = (  # what changes how an artifact is made, beside precision: one row each
    ("tflite", "int8", "--via", "onnx2tf"),
    ("tflite", "int8", "--activations", "float32"),
    ("tflite", "int8", "--io-dtype", "uint8"),
    ("tflite", "fp32", "--layout", "nchw"),
    ("executorch", "int8", "--activations", "float16"),
    ("executorch", "int8", "--delegate", "coreml"),
    ("executorch", "int8", "--delegate", "vulkan"),
    ("executorch", "fp32", "--delegate", "none"),
    ("coreml", "fp16", "--deployment-target", "ios15"),
    ("coreml", "palettised-4bit", "--deployment-target", "ios18"),
    ("onnx", "int8", "--batch", "dynamic"),
)
_SHA256 = "from levit_mobile.weights import resolve_weights; print(resolve_weights('demo').sha256)"
_SEVERAL = """
import json, sys
from levit_mobile.cli.main import cli
for words in json.loads(sys.argv[1]):
    cli.main(["export", *words], prog_name="levit", standalone_mode=False)
"""
_OLDEST = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}


def cases() -> list[Row]:
    """All that is compared."""
    plain = [(target, name) for target, row in TARGETS.items() for name in row.precisions]
    return [*plain, *OPTIONS]


def make_locale(folder: Path) -> str:
    """A Turkish locale below ``folder`` if this system has what it is made of; its name, or ``C``."""
    if shutil.which("localedef") is None:
        return "C"
    command = ["localedef", "-i", "tr_TR", "-f", "UTF-8", str(folder / "tr_TR.UTF-8")]
    done = subprocess.run(command, capture_output=True, check=False)
    return "tr_TR.UTF-8" if done.returncode == 0 else "C"


def places(folder: Path) -> dict[str, tuple[dict[str, str], Path, int]]:
    """{name: (variables, working folder, umask)}; the folders are made."""
    near, far = folder / "near", folder / "else where ü"
    for place in (near, far, near / "tmp", far / "tmp", folder / "locales"):
        place.mkdir(parents=True)
    language = make_locale(folder / "locales")
    first = {
        "PYTHONHASHSEED": "1",
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(near / "tmp"),
    }
    second = {
        "PYTHONHASHSEED": "4242",
        "TZ": "Pacific/Kiritimati",
        "LC_ALL": language,
        "LANGUAGE": "tr",
        "LOCPATH": str(folder / "locales"),
        "OMP_NUM_THREADS": "2",
        "TMPDIR": str(far / "tmp"),
        "HOME": str(far),
        "SOURCE_DATE_EPOCH": "1",
    }
    cache = {"LEVIT_MOBILE_CACHE": str(default_cache())}  # where onnx2tf's environment is
    return {
        "first": ({**first, **cache}, near, 0o022),
        "second": ({**second, **cache}, far, 0o077),
        "oldest": ({**first, **cache, **_OLDEST}, near, 0o022),
    }


def export(rows: list[Row], where: tuple[dict[str, str], Path, int]) -> dict[Row, dict[str, str]]:
    """{row: {file of the bundle: sha256}}, made by one process in this order; the bundles are removed.

    Raises:
        ExportError: the process failed.
    """
    variables, folder, umask = where
    out = folder / "bundles"
    out.mkdir()
    words = [
        ["--target", target, "--precision", precision, *options, "--out", str(out / str(at))]
        for at, (target, precision, *options) in enumerate(rows)
    ]
    try:
        done = subprocess.run(
            [sys.executable, "-c", _SEVERAL, json.dumps(words)],
            cwd=folder,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            errors="replace",
            umask=umask,
            check=False,
        )
        if done.returncode:
            raise ExportError(f"{rows[0][0]}: ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        return {row: _digests(out / str(at)) for at, row in enumerate(rows)}
    finally:
        shutil.rmtree(out)


def _digests(bundle: Path) -> dict[str, str]:
    files = sorted(path for path in bundle.rglob("*") if path.is_file())
    return {path.relative_to(bundle).as_posix(): file_digest(path) for path in files}


def apart(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """Files that are not the same in both, or only in one."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def compare(rows: list[Row], where: dict[str, tuple[dict[str, str], Path, int]], *, oldest: bool) -> dict[str, Any]:
    """{name: what came of it} of a target's rows."""
    first = export(rows, where["first"])
    others = {"differs": export(rows[::-1], where["second"])}
    if oldest:
        others["differs_with_oldest_instructions"] = export(rows, where["oldest"])
    return {
        " ".join(row): {
            "files": len(first[row]),
            "manifest": first[row]["manifest.json"],
            **{key: apart(first[row], made[row]) for key, made in others.items()},
        }
        for row in rows
    }


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--only", default="", help="only the rows whose name has this in it; the others stay as they are"
    )
    options.add_argument("--missing", action="store_true", help="only the rows that are not there yet")
    options.add_argument("--quick", action="store_true", help="without the third process")
    add_results_option(options)
    return options


def main() -> None:
    args = parser().parse_args()
    chosen = [case for case in cases() if args.only in " ".join(case)]
    if not chosen:
        raise UsageError(f"--only {args.only!r} is in no row's name; the rows are: {'; '.join(map(' '.join, cases()))}")
    checkpoint = subprocess.check_output([sys.executable, "-c", _SHA256], text=True).strip()
    path = args.results / NAME
    rows = json.loads(path.read_text())["rows"] if (args.only or args.missing) and path.exists() else {}
    if args.missing:
        chosen = [case for case in chosen if " ".join(case) not in rows]
    with tempfile.TemporaryDirectory() as name:
        where = places(Path(name))
        language = where["second"][0]["LC_ALL"]
        for target in dict.fromkeys(case[0] for case in chosen):
            found = compare([case for case in chosen if case[0] == target], where, oldest=not args.quick)
            rows |= found
            print(target, found, flush=True)
            ordered = {key: rows[key] for key in map(" ".join, cases()) if key in rows}
            write(args.results, NAME, checkpoint, {"language": language, "rows": ordered})
    different = [name for name, found in rows.items() if found["differs"]]
    if different:
        raise ExportError(f"not the same bytes: {'; '.join(different)}")


if __name__ == "__main__":
    with guarded():
        main()
