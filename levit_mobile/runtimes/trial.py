"""Before this process opens a foreign artifact, another one does: parsers written in C may end theirs on a damaged file.

What went well once is noted in the user's cache, by the artifact's digest and the runtime's version, and not tried again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module, metadata
from pathlib import Path

import numpy as np

from levit_mobile.download import default_cache
from levit_mobile.errors import BundleError
from levit_mobile.preprocess import Preprocessing

__all__ = ["note_success", "survives"]

_SECONDS = 300  # the largest variant takes one of them on a slow board
# target -> packages that may run its artifacts; Core ML's reader is in Python, but for Apple's own.
_NATIVE: Mapping[str, tuple[str, ...]] = {
    "executorch": ("executorch",),
    "onnx": ("onnxruntime",),
    "tflite": ("ai-edge-litert", "tflite-runtime"),
    **({"coreml": ("coremltools",)} if sys.platform == "darwin" else {}),
}


def survives(target: str, module: str, artifact: Path, *, size: int, digest: str) -> None:
    """Open and run an artifact in a process of its own, unless that went well before.

    What that process finds wrong in a civil way is not told here: whoever opens the artifact next will find it too.

    Args:
        target: whose it is.
        module: with ``open_artifact``.
        artifact: file or folder.
        size: pixels a side of its input.
        digest: of all its bytes.

    Raises:
        BundleError: the process died of it, or did not come to an end.
    """
    note = _note(target, digest)
    if target not in _NATIVE or (note is not None and note.exists()):
        return
    command = [sys.executable, "-m", __name__, module, str(artifact), str(size)]
    try:
        # A session of its own: Ctrl-C is for the parent, which ends it.
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(f"{artifact}: the runtime did not come to an end with it in {_SECONDS} s") from error
    if done.returncode < 0:
        how = signal.Signals(-done.returncode).name
        raise BundleError(f"{artifact}: the runtime dies of it ({how}); it is damaged, or none of this toolkit's")
    if done.returncode == 0:
        note_success(target, digest)


def note_success(target: str, digest: str) -> None:
    """An artifact ran here, and need not be tried; a cache that cannot be written is no reason to stop."""
    note = _note(target, digest)
    if note is not None:
        with contextlib.suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True)
            note.touch()


def _note(target: str, digest: str) -> Path | None:
    versions = [digest]
    for package in _NATIVE.get(target, ()):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions.append(f"{package} {metadata.version(package)}")
    with contextlib.suppress(OSError, RuntimeError):  # no home folder
        return default_cache() / "ran" / hashlib.sha256("\n".join(versions).encode()).hexdigest()
    return None


def _main(module: str, artifact: str, size: str) -> int:
    """0 if it ran, 1 if it was refused."""
    pixels = int(size)
    spec = Preprocessing(resize=pixels, crop=pixels)
    try:
        runtime = import_module(module).open_artifact(Path(artifact), size=pixels, spec=spec)
        runtime.logits(np.zeros((1, pixels, pixels, 3), np.uint8))
        runtime.anatomy()
    except Exception:  # the parent will see it in its own process
        return 1
    return 0


if __name__ == "__main__":
    os._exit(_main(*sys.argv[1:]))  # the destructors of half-loaded models are not on trial
