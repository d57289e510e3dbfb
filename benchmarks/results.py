"""Where results go: JSON, with the weights that they are of and what they were measured on."""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"
_DOT_PRODUCTS = ("avx512_vnni", "avx_vnni", "asimddp")  # as Linux calls what int8 is much faster with
_PACKAGES = (
    *("torch", "litert-torch", "ai-edge-litert", "ai-edge-quantizer", "executorch", "coremltools"),
    *("onnx", "onnxruntime", "onnxscript"),
)


def add_results_option(parser: argparse.ArgumentParser) -> None:
    """``--results DIR``, the same in every script here."""
    parser.add_argument(
        "--results", type=Path, default=FOLDER, metavar="DIR", help="where the figures are kept (benchmarks/results)"
    )


def write(folder: Path, name: str, checkpoint: str, result: dict[str, Any]) -> None:
    """Store a result together with its weights' sha256 and what it was measured on."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"checkpoint": checkpoint, **measured_on(), **result}
    (folder / name).write_text(json.dumps(whole, indent=1) + "\n")


def measured_on() -> dict[str, Any]:
    """The machine's kind and the packages' versions."""
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "packages": {package: metadata.version(package) for package in _PACKAGES},
    }


def _processor() -> str:
    """Its kind, and where Linux tells, whether it has int8 dot products; without a comma."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return platform.machine()
    found = next((name for name in _DOT_PRODUCTS if name in flags), None)
    return f"{platform.machine()} {f'with int8 dot products ({found})' if found else 'without int8 dot products'}"
