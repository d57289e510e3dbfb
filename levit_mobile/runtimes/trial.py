"""Before this process opens a foreign artifact, another one does: parsers written in C may end theirs on a damaged file.

What went well once is noted in the user's cache, by the artifact's digest and the runtime's version, and not tried again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from importlib import import_module, metadata
from pathlib import Path

import numpy as np

from levit_mobile.download import default_cache
from levit_mobile.errors import BundleError
from levit_mobile.isolated import run_isolated
from levit_mobile.preprocess import Preprocessing
from levit_mobile.runtimes.base import every_way

__all__ = ["installed", "note_success", "open_and_run", "survives"]

_SECONDS = 600  # ExecuTorch without a delegate takes minutes for the largest variant on a slow board
# target -> packages that may run its artifacts.
_NATIVE: Mapping[str, tuple[str, ...]] = {
    "coreml": ("coremltools",),
    "executorch": ("executorch",),
    "onnx": ("onnxruntime",),
    "tflite": ("ai-edge-litert", "tflite-runtime"),
}


def survives(target: str, module: str, artifact: Path, *, size: int, digest: str) -> None:
    """Open and run an artifact in a process of its own, unless that went well before.

    Args:
        target: whose it is.
        module: with ``open_artifact``.
        artifact: file or folder.
        size: pixels a side of its input.
        digest: of all its bytes.

    Raises:
        LevitMobileError: what the runtime refused it with; ``BundleError`` if the process died of it, did not come to an
            end, or took too much memory.
    """
    note = _note(target, digest)
    if target not in _NATIVE or (note is not None and os.path.exists(note)):
        return
    words = [module, str(artifact), str(size)]
    run_isolated(
        __name__, "open_and_run", words, file=artifact, reader="the runtime", seconds=_SECONDS, error=BundleError
    )
    note_success(target, digest)


def note_success(target: str, digest: str) -> None:
    """An artifact ran here, and need not be tried; a cache that cannot be written is no reason to stop."""
    note = _note(target, digest)
    if note is not None:
        with contextlib.suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True)
            note.touch()


def installed(target: str) -> list[str]:
    """Which packages here run a target's artifacts, with their versions."""
    found = []
    for package in _NATIVE.get(target, ()):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append(f"{package} {metadata.version(package)}")
    return found


def _note(target: str, digest: str) -> Path | None:
    versions = [digest, *installed(target)]
    with contextlib.suppress(OSError, RuntimeError):  # no home folder
        return default_cache() / "ran" / hashlib.sha256("\n".join(versions).encode()).hexdigest()
    return None


def open_and_run(module: str, artifact: str, size: str) -> None:
    """All that this toolkit has the runtime's parsers do with an artifact, on a black picture.

    Raises:
        LevitMobileError: the runtime refuses it.
    """
    pixels = int(size)
    spec = Preprocessing(resize=pixels, crop=pixels)
    runtime = import_module(module).open_artifact(Path(artifact), size=pixels, spec=spec)
    for way in every_way(runtime):
        way.logits(np.zeros((1, pixels, pixels, 3), np.uint8))
    runtime.anatomy()
