"""Opening an artifact in whatever runs it, and its input."""

from __future__ import annotations

import hashlib
import os
import time
from importlib import import_module
from typing import Any

from .events import RefusedError

__all__ = ["check", "feed", "open_model"]

# target -> (module here, class)
_RUNTIMES = {"tflite": ("tflite", "Tflite"), "executorch": ("executorch", "Executorch"), "onnx": ("onnx", "Onnx")}


def check(path: str, digest: str) -> None:
    """That a file is what was sent.

    Raises:
        RefusedError: it is not.
    """
    total = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                total.update(block)
    except OSError as error:
        raise RefusedError("corrupt", f"{path}: {error.strerror}") from error
    if total.hexdigest() != digest:
        raise RefusedError("corrupt", f"{path} is not what was sent: its sha256 is {total.hexdigest()}")


def open_model(about: dict[str, Any], job: dict[str, Any]) -> Any:
    """An artifact, loaded in whatever runs it.

    Raises:
        RefusedError: it is not what was sent, its runtime is not here, or will not have it.
    """
    path = os.path.expanduser(about["path"])
    check(path, about["sha256"])
    module, name = _RUNTIMES[about["target"]]
    if about["target"] == "executorch" and job.get("etrun"):
        name = "ExecutorchProgram"
    kind = getattr(import_module(f"{__package__}.{module}"), name)
    try:
        model = kind(path, job["threads"], job)
    except ImportError as error:
        raise RefusedError("runtime", str(error)) from error
    except (RuntimeError, ValueError, TypeError) as error:
        raise RefusedError("artifact", f"the runtime cannot load it: {' '.join(str(error).split())}") from error
    if not hasattr(model, "load_ms"):
        model.load_ms = 1000 * (time.perf_counter() - model.begun)  # without Python's imports
    return model


def feed(pixels: Any, model: Any, spec: dict[str, Any]) -> Any:
    """uint8 (S, S, 3) -> what the model takes: (1, S, S, 3) or (1, 3, S, S), whole numbers or normalised."""
    import numpy as np

    if model.dtype == "float32":
        x = pixels[None].astype(np.float32) / np.float32(255)
        x = (x - np.array(spec["mean"], np.float32)) / np.array(spec["std"], np.float32)
    else:
        x = pixels[None] if model.dtype == "uint8" else (pixels[None].astype(np.int16) - 128).astype(np.int8)
    return np.ascontiguousarray(x if model.shape[-1] == 3 else x.transpose(0, 3, 1, 2))
