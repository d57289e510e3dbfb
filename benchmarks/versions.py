"""Export and verify with the oldest and the newest packages that pyproject.toml allows, each set in a fresh environment.

    python benchmarks/versions.py                  # all of them: an hour, 10 GB of packages
    python benchmarks/versions.py --only newest    # what make latest does

pip takes the packages from the user's own index. A set that does not work makes the exit code 1.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results import add_results_option

from levit_mobile.cli.console import guarded
from levit_mobile.errors import CheckError, UsageError

ROOT = Path(__file__).parent.parent
NAME = "versions.json"
SHOWN = ("torch", "numpy", "litert-torch", "ai-edge-litert", "ai-edge-quantizer", "executorch", "coremltools", "onnx")
SHOWN += ("onnxruntime", "onnxscript", "pillow", "safetensors", "cyclonedx-python-lib")


@dataclass(frozen=True)
class Set:
    """What is installed beside each other.

    Attributes:
        extras: of this toolkit.
        pins: for pip; what is not pinned is the newest that the others allow.
        exports: (target, precision).
    """

    extras: str
    pins: tuple[str, ...]
    exports: tuple[tuple[str, str], ...]


_ALL = (("tflite", "int8"), ("executorch", "int8"), ("coreml", "fp16"), ("onnx", "int8"))
SETS = {
    "newest": Set("tflite,executorch,coreml,onnx", (), _ALL),
    "oldest for onnx and coreml": Set(
        "coreml,onnx",
        (
            *("torch==2.9.*", "coremltools==9.0", "onnx==1.18.*", "onnxruntime==1.22.*", "onnxscript==0.7.1"),
            *("safetensors==0.5.*", "cyclonedx-python-lib==9.*", "pillow==11.*", "numpy==2.0.*", "scikit-learn==1.6.*"),
        ),
        (("coreml", "fp16"), ("onnx", "int8")),
    ),
    "oldest for tflite": Set("tflite", ("litert-torch==0.10.0", "torch==2.10.*"), (("tflite", "int8"),)),
    "oldest for executorch": Set("executorch", ("executorch==1.4.0", "torch==2.13.0"), (("executorch", "int8"),)),
}


def run(command: list[str | Path], folder: Path) -> str | None:
    """None, or of what a program printed that failed the line with the error, else the last one."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, env=settings, capture_output=True, text=True, check=False
    )
    lines = [line for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
    told = next(
        (line for line in lines if line.startswith("error: ")), lines[-1] if lines else f"status {done.returncode}"
    )
    return None if done.returncode == 0 else told.strip()[:300]


def attempt(tried: Set, folder: Path) -> dict[str, Any]:
    """Make the environment, export and verify."""
    venv.create(folder / "env", with_pip=True)
    python, levit = folder / "env" / "bin" / "python", folder / "env" / "bin" / "levit"
    problem = run(
        [python, "-m", "pip", "install", "-q", "--no-compile", f"{ROOT}[{tried.extras}]", *tried.pins], folder
    )
    if problem:
        return {"installed": False, "problem": problem}
    listing = subprocess.check_output([str(python), "-m", "pip", "list", "--format", "json"], text=True)
    versions = {row["name"].lower(): row["version"] for row in json.loads(listing)}
    outcomes = {}
    for target, precision in tried.exports:
        out = folder / f"{target}-{precision}"
        problem = run([levit, "export", "--target", target, "--precision", precision, "--out", out], folder)
        problem = problem or run([levit, "verify", out], folder)
        outcomes[f"{target} {precision}"] = problem or "works"
    return {
        "installed": True,
        "python": ".".join(map(str, sys.version_info[:3])),
        "versions": {name: versions[name] for name in SHOWN if name in versions},
        "outcomes": outcomes,
    }


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--only", default="", help="only the sets whose name has this in it; the others stay as they are"
    )
    add_results_option(options)
    return options


def main() -> None:
    args = parser().parse_args()
    chosen = {name: tried for name, tried in SETS.items() if args.only in name}
    if not chosen:
        raise UsageError(f"--only {args.only!r} is in no set's name; the sets are: {'; '.join(SETS)}")
    path = args.results / NAME  # other rows of the file stay: what was tried once and is below the bounds now
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for name, tried in chosen.items():
        with tempfile.TemporaryDirectory() as folder:
            found[name] = attempt(tried, Path(folder))
        print(name, found[name], flush=True)
        args.results.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n")
    bad = [name for name in chosen if not works(found[name])]
    if bad:
        raise CheckError(f"does not work: {'; '.join(bad)}; see {path}")


def works(row: dict[str, Any]) -> bool:
    """Whether all that was exported was verified."""
    return bool(row["installed"]) and set(row["outcomes"].values()) == {"works"}


if __name__ == "__main__":
    with guarded():
        main()
