"""What every runtime can do."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from levit_mobile.errors import BundleError, LevitMobileError

__all__ = ["Anatomy", "Port", "Runtime", "every_way", "refusing", "stand_in", "takes_nhwc", "time_inferences"]


@dataclass(frozen=True)
class Port:
    """An input or output of an artifact: name, shape and number format; scale is 0 where the numbers are float.

    A batch of any size is -1.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float = 0.0
    zero_point: int = 0


@dataclass(frozen=True)
class Anatomy:
    """What is inside an artifact.

    Attributes:
        operators: how often each occurs.
        delegate: who computes them.
        parts: pieces that the delegate took; each border costs a copy.
        outside: operators that the delegate left to slower kernels.
        largest: the largest constants, (name, bytes), largest first.
    """

    operators: dict[str, int]
    delegate: str
    parts: int
    outside: dict[str, int]
    largest: list[tuple[str, int]] = field(default_factory=list)


class Runtime(Protocol):
    """A loaded artifact."""

    @property
    def input(self) -> Port:
        """Its one input."""
        ...

    @property
    def output(self) -> Port:
        """Its one output."""
        ...

    def logits(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Run pictures: uint8 (B, S, S, 3), RGB, resized and cropped -> float32 (B, classes)."""
        ...

    def anatomy(self) -> Anatomy:
        """What is inside."""
        ...

    def profile(self, runs: int) -> list[tuple[str, float]]:
        """(what, milliseconds) of ``runs`` inferences, for each of them: at least the whole."""
        ...


def stand_in(runtime: Runtime) -> str | None:
    """What runs in the artifact's place on a host that cannot run it; None, as nearly always, where the artifact itself runs.

    A runtime says so with an attribute of this name. Its logits are then the artifact's, its times are not.
    """
    return getattr(runtime, "stand_in", None)


def every_way(runtime: Runtime) -> list[Runtime]:
    """The runtime, and the same artifact by each other way through it that this host can take.

    A runtime says so with a method ``others``. Which way is taken depends on the processor, so all must be checked.
    """
    others: Callable[[], list[Runtime]] = getattr(runtime, "others", list)
    return [runtime, *others()]


def takes_nhwc(path: Path, port: Port, size: int) -> bool:
    """Whether an artifact's input is (1, S, S, 3); otherwise it is (1, 3, S, S). A batch of -1 is any.

    Raises:
        BundleError: it is neither.
    """
    nhwc, nchw = (1, size, size, 3), (1, 3, size, size)
    if port.shape[:1] not in ((1,), (-1,)) or port.shape[1:] not in (nhwc[1:], nchw[1:]):
        raise BundleError(f"{path}: takes {port.shape}, expected {nhwc} or {nchw}")
    return port.shape[1:] == nhwc[1:]


@contextlib.contextmanager
def refusing(path: Path, runtime: str) -> Iterator[None]:
    """Whatever a runtime raises over a damaged file becomes an error of ours that names the file.

    Raises:
        BundleError: in place of anything else.
    """
    try:
        yield
    except LevitMobileError:
        raise
    except Exception as error:  # each parser and kernel has its own
        raise BundleError(f"{path}: {runtime} cannot run it ({' '.join(str(error).split())})") from error


def time_inferences(path: Path, runtime: str, infer: Callable[[], object], runs: int) -> list[tuple[str, float]]:
    """``Runtime.profile`` of a runtime that tells no more than when it has ended.

    Raises:
        BundleError: as ``refusing``.
    """
    times = []
    for _ in range(runs):
        with refusing(path, runtime):
            start = time.perf_counter()
            infer()
            times.append(("inference", 1000 * (time.perf_counter() - start)))
    return times
