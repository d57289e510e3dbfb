"""What is measured: a bundle's artifact, as a runner is told of it and as results name it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from levit_mobile.bench.place import Place, Prepared
from levit_mobile.bench.settings import Settings
from levit_mobile.bundle import Bundle, open_bundle
from levit_mobile.errors import UsageError

__all__ = ["RUNNABLE", "Subject", "open_subjects", "put_pixels", "shared_job"]

RUNNABLE = ("executorch", "onnx", "tflite")  # targets that a runner can run
_DELEGATES = ("xnnpack", "none")  # that a processor has


class Subject:
    """An opened bundle whose artifact can be measured.

    Attributes:
        bundle: it.
        name: of its folder.
        target: what it was made for.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle, self.name = bundle, bundle.folder.resolve().name
        self.target = str(bundle.manifest["artifact"]["target"])

    @property
    def sha256(self) -> str:
        """Of the artifact's file."""
        return str(self.bundle.manifest["files"][self.bundle.artifact.name]["sha256"])

    def about(self) -> dict[str, Any]:
        """As results name it."""
        manifest = self.bundle.manifest
        artifact = manifest["artifact"]
        return {
            "bundle": self.name,
            "target": self.target,
            "variant": manifest["model"]["variant"],
            "precision": artifact["precision"],
            "options": artifact.get("options", {}),
            "sha256": self.sha256,
            "bytes": self.bundle.artifact_bytes,
            "classes": len(self.bundle.labels),
            "accuracy": manifest.get("accuracy"),
            "parity": manifest.get("parity"),
        }

    def told(self, path: str) -> dict[str, Any]:
        """As a runner is told of it, with the artifact at ``path`` on its side."""
        spec = self.bundle.preprocessing
        return {
            "path": path,
            "target": self.target,
            "sha256": self.sha256,
            "mean": list(spec.mean),
            "std": list(spec.std),
        }

    async def put(self, place: Place) -> str:
        """Bring the artifact to a place; its path there."""
        return await place.put(self.bundle.artifact, f"{self.sha256[:16]}{self.bundle.artifact.suffix}")

    async def put_picture(self, place: Place, folder: Path) -> str:
        """Bring the first golden picture; its path there. ``folder`` is for the file that is made of it."""
        return await put_pixels(place, folder, self.bundle.golden().pixels[0])


async def put_pixels(place: Place, folder: Path, pixels: Any) -> str:
    """Bring pictures, uint8 (S, S, 3) or (N, S, S, 3), as ``.npy``; their path there."""
    file = folder / f"{hashlib.sha256(pixels.tobytes()).hexdigest()[:16]}.npy"
    np.save(file, pixels)
    return await place.put(file, file.name)


def open_subjects(folders: Sequence[Path]) -> list[Subject]:
    """Bundles, whole and of a kind that a runner can run.

    Raises:
        BundleError: not there, not whole.
        UsageError: of another kind; the same one twice; names that are the same.
    """
    subjects: list[Subject] = []
    for folder in folders:
        bundle = open_bundle(folder)
        bundle.check_artifact()
        subject = Subject(bundle)
        _check(folder, subject)
        if any(subject.name == other.name for other in subjects):
            raise UsageError(f"{folder}: two bundles are called {subject.name}; rename one, or name each once")
        subjects.append(subject)
    return subjects


def _check(folder: Path, subject: Subject) -> None:
    if subject.target not in RUNNABLE:
        raise UsageError(
            f"{folder}: made for {subject.target}, whose times only its own devices have; bench runs {', '.join(RUNNABLE)}"
        )
    delegate = subject.bundle.manifest["artifact"].get("options", {}).get("delegate", "xnnpack")
    if subject.target == "executorch" and delegate not in _DELEGATES:
        raise UsageError(
            f"{folder}: made for the {delegate} delegate, which is not a processor's; export with --delegate xnnpack to bench"
        )


def shared_job(prepared: Prepared, settings: Settings, threads: int) -> dict[str, Any]:
    """What every job of a place is told."""
    etrun = {} if prepared.etrun is None else {"etrun": prepared.etrun[0], "etrun_version": prepared.etrun[1]}
    return {**settings.job(), **etrun, "threads": threads}
