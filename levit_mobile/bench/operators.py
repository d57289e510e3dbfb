"""Where the time of an inference goes, and where its instructions: operator by operator, XNNPACK's included.

Both come from the runtime's own profiler: of LiteRT through ``litert_profile``, of ExecuTorch through the runner's
``--profile``. It reads the clock behind every operator. Under QEMU each reading is a system call that the counting plugin
sees, so what was executed between two of them is an operator's.
"""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from levit_mobile.bench import litert_profile
from levit_mobile.bench.cross import build_etrun
from levit_mobile.bench.guest import Border, Program, between, guest
from levit_mobile.bench.instructions import ask, feed, feed_etrun, marks, requirements, start_etrun
from levit_mobile.bench.root import EmulationError
from levit_mobile.errors import BundleError, RuntimeMissingError, UsageError, install_hint
from levit_mobile.golden import golden_pictures
from levit_mobile.preprocess import Preprocessing

__all__ = ["TARGETS", "OperatorCounts", "OperatorTimes", "Share", "count_operators", "time_operators"]

TARGETS = ("executorch", "tflite")
_SURE = 0.8  # least rank correlation between operators' counts and their times under emulation; elsewhere it is near 0


@dataclass(frozen=True)
class Share:
    """All operators of a kind together.

    Attributes:
        name: as the runtime calls it.
        times: that it runs in an inference.
        amount: instructions or milliseconds of an inference.
        part: of what all operators take, 0 to 1.
    """

    name: str
    times: int
    amount: float
    part: float


@dataclass(frozen=True)
class OperatorTimes:
    """Milliseconds by operator.

    Attributes:
        names: of the operators, in the order in which they ran.
        ms: of each, the median over the inferences; the profilers tell whole microseconds.
        whole_ms: of an inference, the profiler's work included.
    """

    names: tuple[str, ...]
    ms: tuple[float, ...]
    whole_ms: float

    def by_kind(self) -> list[Share]:
        """The most first."""
        return _shares(self.names, self.ms)

    def to_dict(self) -> dict[str, Any]:
        """As results have it."""
        return asdict(self)


@dataclass(frozen=True)
class OperatorCounts:
    """Instructions by operator.

    Attributes:
        names: of the operators, in the order in which they ran.
        classes: of each, instructions by class (see ``Counts``), in a steady inference; reading the clock included, some 50.
        outside: instructions of the inference that are no operator's: the runtime's, and mostly the profiler's own.
        repeatability: the greatest difference of one operator's total between two inferences, in instructions.
    """

    names: tuple[str, ...]
    classes: tuple[Mapping[str, int], ...]
    outside: int
    repeatability: int

    @property
    def totals(self) -> tuple[int, ...]:
        """Of each operator."""
        return tuple(sum(row.values()) for row in self.classes)

    def by_kind(self) -> list[Share]:
        """The most first."""
        return _shares(self.names, self.totals)

    def to_dict(self) -> dict[str, Any]:
        """As results have it."""
        return asdict(self)


def time_operators(
    artifact: Path,
    target: str,
    *,
    pixels: npt.NDArray[np.uint8] | None = None,
    spec: Preprocessing | None = None,
    runs: int = 50,
    threads: int = 1,
) -> OperatorTimes:
    """Milliseconds of each operator on this machine.

    Args:
        artifact: a ``.tflite`` or ``.pte`` file.
        target: one of ``TARGETS``.
        pixels: uint8 (S, S, 3), the input; None takes the first golden picture.
        spec: how pixels are normalised, where the artifact does not do it itself.
        runs: inferences, after one that is not told of.
        threads: that XNNPACK may use.

    Raises:
        BundleError: the runtime cannot run the artifact, or its profiler does not tell of operators.
        RuntimeMissingError: the runtime is not here, or no compiler (for ExecuTorch).
        UsageError: there is no such target.
    """
    picture, spec = _input(target, pixels, spec)
    executorch = target == "executorch"
    if not executorch and find_spec("ai_edge_litert") is None:
        raise RuntimeMissingError(f"the profile of a .tflite needs LiteRT; {install_hint('tflite-runtime')}")
    if executorch:
        command = [str(build_etrun(platform.machine())), str(artifact), str(threads), "--profile"]
    else:
        command = [sys.executable, "-P", litert_profile.__file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        program = Program(process)
        try:
            if executorch:
                feed_etrun(artifact, program, picture, spec)
                told = ask(artifact, program, f"profile {runs}\n".encode())
            else:
                told = _ask_litert(artifact, str(artifact), program, picture, spec, runs, threads)
        except BrokenPipeError:
            raise BundleError(
                f"{artifact}: the runtime ended early; levit verify tells whether it can run it"
            ) from None
        finally:
            process.kill()
    names = _names(artifact, told)
    return OperatorTimes(
        names=names,
        ms=tuple(float(v) for v in np.median(np.array(told["us"]), axis=0) / 1000),
        whole_ms=float(np.median(told["whole_us"]) / 1000),
    )


def count_operators(
    artifact: Path,
    target: str,
    cpu: str,
    *,
    pixels: npt.NDArray[np.uint8] | None = None,
    spec: Preprocessing | None = None,
    runs: int = 2,
    qemu: str = "qemu-aarch64",
    root: Path | None = None,
) -> OperatorCounts:
    """Count the instructions of each operator, on an emulated processor and one thread.

    Args:
        artifact: a ``.tflite`` or ``.pte`` file.
        target: one of ``TARGETS``.
        cpu: one of ``guest.CPUS``.
        pixels: uint8 (S, S, 3), the input; None takes the first golden picture.
        spec: how pixels are normalised, where the artifact does not do it itself.
        runs: steady inferences.
        qemu: the program, of a build that takes plugins.
        root: a Debian for ARM; None takes the cached one.

    Raises:
        BundleError: the runtime cannot run the artifact, or its profiler does not tell of operators.
        EmulationError: the emulated program failed, or the clock is not read where it should be.
        Others: see ``instructions.count``.
    """
    picture, spec = _input(target, pixels, spec)
    with guest(cpu, requirements(target), qemu=qemu, root=root) as machine:
        if target == "executorch":
            with start_etrun(machine, artifact, picture, spec, profile=True) as program:
                told = ask(artifact, program, f"profile {runs + 1}\n".encode())
        else:
            path = machine.put(artifact, "model.tflite")
            script = machine.put(Path(litert_profile.__file__), "litert_profile.py")
            with machine.start([*machine.python, script], clock=True) as program:
                told = _ask_litert(artifact, path, program, picture, spec, runs + 1, 1)
    names = _names(artifact, told)
    drawn = [at for at, border in enumerate(program.borders) if border.kind == "mark"]
    marks(program.borders, runs + 1)
    times = np.array(told["us"]).min(axis=0)  # whatever else the machine did only added to them
    steady = [_located(names, program.borders[first : last + 1], times) for first, last in pairwise(drawn[1:])]
    totals = np.array([[sum(row.values()) for row in rows] for rows, _ in steady])
    rows, outside = steady[-1]
    return OperatorCounts(names, tuple(rows), outside, int(np.ptp(totals, axis=0).max()))


def _input(
    target: str, pixels: npt.NDArray[np.uint8] | None, spec: Preprocessing | None
) -> tuple[npt.NDArray[np.uint8], Preprocessing]:
    if target not in TARGETS:
        raise UsageError(
            f"the runtime for {target!r} does not tell of its operators; those for {', '.join(TARGETS)} do"
        )
    return golden_pictures(224, 1)[0] if pixels is None else pixels, spec or Preprocessing()


def _ask_litert(
    artifact: Path,
    path: str,
    program: Program,
    picture: npt.NDArray[np.uint8],
    spec: Preprocessing,
    runs: int,
    threads: int,
) -> dict[str, Any]:
    """What LiteRT's profiler tells; ``path`` is the artifact's where the program runs."""
    request = json.dumps({"model": path, "runs": runs, "threads": threads}) + "\n"
    takes = ask(artifact, program, request.encode())["input"]
    return ask(artifact, program, feed(picture, takes, spec))


def _names(artifact: Path, told: Mapping[str, Any]) -> tuple[str, ...]:
    """ExecuTorch numbers operators of a name."""
    names = tuple(re.sub(r" #\d+$", "", name) for name in told["operators"])
    if not names:
        raise BundleError(f"{artifact}: no delegate told of operators; an artifact for XNNPACK does")
    return names


def _located(
    names: Sequence[str], inside: Sequence[Border], times: npt.NDArray[np.float64]
) -> tuple[list[dict[str, int]], int]:
    """The operators' instructions by class, and what is outside, of the borders of one inference.

    The clock is read behind each operator, and a few times before the first and after the last, by the runtime. Where the
    operators begin is where counts go with times: emulation takes longer for more instructions.
    """
    clock = [border for border in inside if border.kind == "clock"]
    gaps = [between(first, second) for first, second in pairwise(clock)]
    totals = np.array([sum(gap.values()) for gap in gaps], float)
    many = len(names)
    fits = [_correlation(totals[at : at + many], times) for at in range(len(gaps) - many + 1)]
    at = int(np.argmax(fits)) if fits else 0
    if not fits or fits[at] < _SURE:
        raise EmulationError(
            f"the clock was read {len(clock)} times in an inference of {many} operators, and not behind each of them in turn; "
            "their instructions cannot be told apart"
        )
    return gaps[at : at + many], inside[-1].total - inside[0].total - int(totals[at : at + many].sum())


def _correlation(counts: npt.NDArray[np.float64], times: npt.NDArray[np.float64]) -> float:
    if len(counts) < 3 or np.ptp(counts) == 0 or np.ptp(times) == 0:
        return 0.0
    ranks = [np.argsort(np.argsort(values, kind="stable"), kind="stable") for values in (counts, times)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _shares(names: Sequence[str], amounts: Sequence[float]) -> list[Share]:
    whole = sum(amounts) or 1
    kinds: dict[str, list[float]] = {}
    for name, amount in zip(names, amounts, strict=True):
        kinds.setdefault(name, []).append(amount)
    rows = [Share(name, len(found), sum(found), sum(found) / whole) for name, found in kinds.items()]
    return sorted(rows, key=lambda row: (-row.amount, row.name))
