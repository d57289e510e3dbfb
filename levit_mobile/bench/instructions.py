"""What an inference costs in instructions: a figure that repeats, on processors that are not here.

An emulated ARM processor executes the artifact's own runtime, on one thread, and a plugin counts. Times under emulation mean
nothing and are not told.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from statistics import median_low
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from levit_mobile.bench.archive import runner_archive
from levit_mobile.bench.cross import build_etrun, etrun_version
from levit_mobile.bench.guest import Border, Guest, Program, between, guest
from levit_mobile.bench.onboard import models
from levit_mobile.bench.root import EmulationError
from levit_mobile.errors import BundleError, UsageError
from levit_mobile.golden import golden_pictures
from levit_mobile.preprocess import Preprocessing

__all__ = ["TARGETS", "Counts", "ask", "count", "feed", "feed_etrun", "marks", "requirements", "start_etrun"]

TARGETS = ("executorch", "onnx", "tflite")
_PACKAGES = {"onnx": "onnxruntime", "tflite": "ai-edge-litert"}  # what runs a target's artifacts
_PINNED = {"onnxruntime": "1.22.1", "ai-edge-litert": "2.3.0"}  # where they are not installed here
_NUMPY = "numpy==2.3.5"


@dataclass(frozen=True)
class Counts:
    """Executed instructions of one inference.

    Attributes:
        target: what the artifact was made for.
        cpu: QEMU's name of the core.
        total: instructions of a steady inference, the median of several.
        classes: the same by class: ``simd`` (and floating point), ``dot`` (int8 dot and matrix products), ``simd_memory``
            and ``memory`` (loads and stores), ``branch``, ``other``.
        runs: totals of the steady inferences, in order.
        first: total of the inference before them.
        repeatability: (largest - smallest) / median of ``runs``.
        runtime: its ``name`` and ``version``.
        qemu: its version.
    """

    target: str
    cpu: str
    total: int
    classes: Mapping[str, int]
    runs: tuple[int, ...]
    first: int
    repeatability: float
    runtime: Mapping[str, str]
    qemu: str

    def to_dict(self) -> dict[str, Any]:
        """As results have it."""
        return asdict(self)


def count(
    artifact: Path,
    target: str,
    cpu: str,
    *,
    pixels: npt.NDArray[np.uint8] | None = None,
    spec: Preprocessing | None = None,
    runs: int = 3,
    qemu: str = "qemu-aarch64",
    root: Path | None = None,
) -> Counts:
    """Count the instructions of one steady inference.

    Args:
        artifact: a ``.tflite``, ``.pte`` or ``.onnx`` file.
        target: one of ``TARGETS``.
        cpu: one of ``guest.CPUS``.
        pixels: uint8 (S, S, 3), the input; None takes the first golden picture.
        spec: how pixels are normalised, where the artifact does not do it itself.
        runs: steady inferences.
        qemu: the program, of a build that takes plugins.
        root: a Debian for ARM; None takes the cached one.

    Raises:
        BundleError: the runtime cannot run the artifact.
        DownloadError: a package for ARM could not be fetched.
        EmulationError: the emulated program failed, or worked on more than one thread.
        RuntimeMissingError: QEMU, a compiler or ExecuTorch is not here.
        UsageError: there is no such target or processor.
    """
    if target not in TARGETS:
        raise UsageError(f"instructions of {target!r} cannot be counted; those of {', '.join(TARGETS)} can")
    picture = golden_pictures(224, 1)[0] if pixels is None else pixels
    run = _run_program if target == "executorch" else _run_script
    with guest(cpu, requirements(target), qemu=qemu, root=root) as machine:
        borders, runtime = run(machine, artifact, target, picture, spec or Preprocessing(), runs + 1)
    drawn = marks(borders, runs + 1)
    steps = [between(first, last) for first, last in pairwise(drawn)]
    totals = [sum(step.values()) for step in steps]
    steady = totals[1:]
    total = median_low(steady)
    return Counts(
        target=target,
        cpu=cpu,
        total=total,
        classes=steps[1 + steady.index(total)],
        runs=tuple(steady),
        first=totals[0],
        repeatability=(max(steady) - min(steady)) / total,
        runtime=runtime,
        qemu=machine.qemu,
    )


def requirements(target: str) -> list[str]:
    """What the guest's Python needs to run artifacts of a target: the version that is installed here, if one is."""
    if target not in _PACKAGES:
        return []
    package = _PACKAGES[target]
    try:
        version = metadata.version(package)
    except metadata.PackageNotFoundError:
        version = _PINNED[package]
    return [f"{package}=={version}", _NUMPY]


def marks(borders: Sequence[Border], last: int) -> list[Border]:
    """The marks 0 to ``last`` among borders.

    Raises:
        EmulationError: they are not all there, or another thread may have worked between them.
    """
    drawn = [border for border in borders if border.kind == "mark"]
    if [border.index for border in drawn] != list(range(last + 1)):
        raise EmulationError(
            f"the emulated program drew {len(drawn)} marks and not {last + 1}; QEMU may not have seen them"
        )
    if any(border.others != drawn[0].others for border in drawn):
        raise EmulationError(
            f"the runtime worked on several of {drawn[-1].threads} threads; counts are exact on one only"
        )
    return drawn


def _run_script(
    machine: Guest, artifact: Path, target: str, picture: npt.NDArray[np.uint8], spec: Preprocessing, runs: int
) -> tuple[list[Border], dict[str, str]]:
    """The board's runner in the guest's Python."""
    stored = io.BytesIO()
    np.save(stored, picture)
    job = {
        "do": "marked",
        "artifact": {
            "path": machine.put(artifact, "model"),
            "target": target,
            "sha256": hashlib.sha256(artifact.read_bytes()).hexdigest(),
            "mean": list(spec.mean),
            "std": list(spec.std),
        },
        "pixels": machine.put_bytes(stored.getvalue(), "picture.npy"),
        "threads": 1,
        "min_runs": runs,
    }
    script = machine.put(runner_archive(), "runner.pyz")
    with machine.start([*machine.python, script, "--work"]) as program:
        program.send(json.dumps(job).encode() + b"\n")
        runtime = _done(artifact, program.rest())
    return program.borders, runtime


def _done(artifact: Path, lines: Sequence[str]) -> dict[str, str]:
    """The runtime, of the runner's events; none where it did not come to its end, of which its status tells."""
    for event in map(json.loads, lines):
        if event["event"] == "refused":
            raise BundleError(f"{artifact}: {event['text']}")
        if event["event"] == "done":
            return dict(event["runtime"])
    return {}


def _run_program(
    machine: Guest, artifact: Path, target: str, picture: npt.NDArray[np.uint8], spec: Preprocessing, runs: int
) -> tuple[list[Border], dict[str, str]]:
    """The ExecuTorch runner, without any Python."""
    with start_etrun(machine, artifact, picture, spec) as program:
        ask(artifact, program, f"marked {runs}\n".encode())
    return program.borders, {"name": "executorch", "version": etrun_version()}


@contextmanager
def start_etrun(
    machine: Guest, artifact: Path, picture: npt.NDArray[np.uint8], spec: Preprocessing, *, profile: bool = False
) -> Iterator[Program]:
    """The ExecuTorch runner with a ``.pte`` and its input; see ``Guest.start``. With ``profile`` clocks are borders."""
    folder = machine.put(build_etrun("aarch64").parent, "etrun")
    options = ["--profile"] if profile else []
    command = [f"{folder}/etrun", machine.put(artifact, "model.pte"), "1", *options]
    with machine.start(command, clock=profile) as program:
        feed_etrun(artifact, program, picture, spec)
        yield program


def feed_etrun(artifact: Path, program: Program, picture: npt.NDArray[np.uint8], spec: Preprocessing) -> None:
    """Give the ExecuTorch runner its input."""
    data = feed(picture, ask(artifact, program, b"describe\n")["input"], spec)
    ask(artifact, program, f"input {len(data)}\n".encode() + data)


def feed(picture: npt.NDArray[np.uint8], takes: Mapping[str, Any], spec: Preprocessing) -> bytes:
    """A picture as an input's bytes; ``takes`` is its ``shape`` and ``dtype``."""
    fed = models.feed(picture, SimpleNamespace(**takes), {"mean": spec.mean, "std": spec.std})
    return bytes(fed.tobytes())


def ask(artifact: Path, program: Program, data: bytes) -> dict[str, Any]:
    """Send a program something, and read its line; "ok" is nothing.

    Raises:
        BrokenPipeError: the program is gone.
        BundleError: it refused.
    """
    program.send(data)
    said = program.line()
    if not said:
        raise BrokenPipeError
    answer: dict[str, Any] = {} if said == "ok" else json.loads(said)
    if "error" in answer:
        raise BundleError(f"{artifact}: the runtime cannot run it ({answer['error']})")
    return answer
