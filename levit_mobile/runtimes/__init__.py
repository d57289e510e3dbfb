"""Open an artifact on this host and run it. One file a runtime; each is imported only when it is needed."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from levit_mobile.errors import BundleError
from levit_mobile.runtimes.base import Runtime
from levit_mobile.runtimes.trial import survives

if TYPE_CHECKING:
    from levit_mobile.bundle import Bundle

__all__ = ["RUNTIMES", "Runtime", "open_runtime"]

# target -> module with a function open_artifact(path, *, size, spec, threads)
RUNTIMES: dict[str, str] = {
    "coreml": "levit_mobile.runtimes.coreml",
    "executorch": "levit_mobile.runtimes.executorch",
    "onnx": "levit_mobile.runtimes.onnx",
    "tflite": "levit_mobile.runtimes.tflite",
}


def open_runtime(bundle: Bundle, *, threads: int = 1) -> Runtime:
    """The bundle's artifact, loaded.

    Raises:
        BundleError: made for a target that this version cannot run, changed since it was exported, or not the model that
            the manifest describes.
        RuntimeMissingError: the target's package is not installed, or cannot be loaded.
    """
    target = bundle.manifest["artifact"]["target"]
    if target not in RUNTIMES:
        raise BundleError(f"{bundle.folder}: made for {target!r}; this version runs {', '.join(RUNTIMES)}")
    bundle.check_artifact()
    survives(target, RUNTIMES[target], bundle.artifact, size=bundle.image_size, digest=bundle.artifact_digest)
    runtime: Runtime = import_module(RUNTIMES[target]).open_artifact(
        bundle.artifact, size=bundle.image_size, spec=bundle.preprocessing, threads=threads
    )
    shapes = list(runtime.input.shape), list(runtime.output.shape)
    told = bundle.manifest["input"]["shape"], bundle.manifest["output"]["shape"]
    if shapes != told or shapes[1][1:] != [len(bundle.labels)]:
        raise BundleError(
            f"{bundle.artifact}: goes from {shapes[0]} to {shapes[1]}, the manifest says {told[0]} to {told[1]}"
        )
    return runtime
