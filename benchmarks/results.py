"""Where results go: JSON beside the scripts, with what they were measured on."""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"


def write(name: str, result: dict[str, Any]) -> None:
    """Store a result together with the machine's kind and the packages' versions."""
    packages = ("torch", "litert-torch", "ai-edge-litert", "ai-edge-quantizer")
    about = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "packages": {package: metadata.version(package) for package in packages},
    }
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / name).write_text(json.dumps({**about, **result}, indent=1) + "\n")
