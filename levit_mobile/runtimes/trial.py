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
from levit_mobile.errors import BundleError, LevitMobileError
from levit_mobile.preprocess import Preprocessing
from levit_mobile.runtimes.base import every_way

__all__ = ["child", "note_success", "survives"]

_SECONDS = 600  # ExecuTorch without a delegate takes minutes for the largest variant on a slow board
# Not -m: the package has imported this module by then, which Python warns of, and warnings may be errors.
_CHILD = f"import sys; from {__name__} import child; child(*sys.argv[1:])"
_RAN, _REFUSED = 0, 3  # statuses of the child; Python itself ends with 1 and 2
# target -> packages that may run its artifacts.
_NATIVE: Mapping[str, tuple[str, ...]] = {
    "coreml": ("coremltools",),
    "executorch": ("executorch",),
    "onnx": ("onnxruntime",),
    "tflite": ("ai-edge-litert", "tflite-runtime"),
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
        LevitMobileError: it could not be tried at all.
    """
    note = _note(target, digest)
    if target not in _NATIVE or (note is not None and os.path.exists(note)):
        return
    # -P: else Python would look for modules in the current folder first, which may be the bundle's.
    command = [sys.executable, "-P", "-c", _CHILD, module, str(artifact), str(size), str(_SECONDS)]
    package = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))
    try:
        # A session of its own: Ctrl-C is for the parent, which ends it.
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": paths},
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(f"{artifact}: the runtime did not come to an end with it in {_SECONDS} s") from error
    if done.returncode < 0:
        raise BundleError(f"{artifact}: {_cause(-done.returncode)}")
    if done.returncode == _RAN:
        note_success(target, digest)
    elif done.returncode != _REFUSED:
        words = " ".join(done.stderr.decode(errors="replace").split())[-300:]
        raise LevitMobileError(f"{artifact}: could not be tried in a process of its own: {words or done.returncode}")


def _cause(number: int) -> str:
    if number == signal.SIGALRM:
        return f"the runtime did not come to an end with it in {_SECONDS} s"
    if number == signal.SIGKILL:
        return "the system ended the runtime (SIGKILL), for want of memory as a rule"
    names = {int(known): known.name for known in signal.Signals}
    how = names.get(number, f"signal {number}")
    return f"the runtime dies of it ({how}); it is damaged, or none of this toolkit's"


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


def _main(module: str, artifact: str, size: str, seconds: str) -> int:
    """``_RAN`` or ``_REFUSED``."""
    pixels = int(size)
    signal.alarm(int(seconds))  # also if the parent is gone by then
    spec = Preprocessing(resize=pixels, crop=pixels)
    try:
        runtime = import_module(module).open_artifact(Path(artifact), size=pixels, spec=spec)
        for way in every_way(runtime):
            way.logits(np.zeros((1, pixels, pixels, 3), np.uint8))
        runtime.anatomy()
    except Exception:  # the parent will see it in its own process
        return _REFUSED
    return _RAN


def child(module: str, artifact: str, size: str, seconds: str) -> None:
    """What the other process does; it ends there, without the destructors of half-loaded models."""
    os._exit(_main(module, artifact, size, seconds))
