"""How close an artifact is to PyTorch, and how often it is right."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from levit_mobile.errors import CheckError
from levit_mobile.quantize import Tolerance

__all__ = [
    "Accuracy",
    "Model",
    "Parity",
    "columns_of",
    "compare",
    "count_right",
    "count_several",
    "judge",
    "sum_up",
    "top_k",
    "wilson_interval",
    "worst",
]

_Logits = npt.NDArray[np.floating[Any]]
_WORST = 1e9  # JSON has no infinity


class Model(Protocol):
    """Anything that turns pictures into logits."""

    def __call__(self, pixels: npt.NDArray[np.uint8], /) -> _Logits:
        """uint8 (B, S, S, 3) -> (B, classes)."""
        ...


@dataclass(frozen=True)
class Parity:
    """An artifact's logits beside the reference's.

    Attributes:
        max_abs: greatest difference, as a share of the reference's range (greatest less smallest logit of all).
        cosine: mean cosine between the logits of an input, each with its mean taken off.
        agreement: share of inputs with the same first class.
        samples: inputs.
        passed: whether it is within the tolerance.
    """

    max_abs: float
    cosine: float
    agreement: float
    samples: int
    passed: bool

    def to_dict(self) -> dict[str, Any]:
        """For the manifest; rounded, so that the last bits of a sum cannot change a bundle. Infinity becomes 1e9."""
        return {
            "max_abs": float(f"{min(self.max_abs, _WORST):.2e}"),
            "cosine": round(self.cosine, 5),
            "agreement": round(self.agreement, 4),
            "samples": self.samples,
            "passed": self.passed,
        }

    def __str__(self) -> str:
        return (
            f"greatest difference {self.max_abs:.2e} of the logit range, cosine {self.cosine:.5f}, "
            f"same first class {self.agreement:.1%} of {self.samples}"
        )


def compare(reference: _Logits, got: _Logits, tolerance: Tolerance) -> Parity:
    """Measure ``got`` against ``reference``, both (N, classes). NaN or infinity in either fails.

    Raises:
        CheckError: they differ in shape.
    """
    if reference.shape != got.shape:
        raise CheckError(f"the artifact gives logits of shape {got.shape}, expected {reference.shape}")
    if not len(got) or not (np.isfinite(got).all() and np.isfinite(reference).all()):
        return Parity(math.inf, 0.0, 0.0, len(got), False)
    ref, out = reference.astype(np.float64), got.astype(np.float64)
    span = max(float(ref.max() - ref.min()), 1e-12)
    max_abs = float(np.abs(ref - out).max()) / span
    a, b = ref - ref.mean(1, keepdims=True), out - out.mean(1, keepdims=True)
    a_norm, b_norm = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    flat = np.maximum(a_norm, b_norm) <= 1e-12 * np.abs(ref).max()  # all logits alike in both: the same direction, none
    norms = np.where(a_norm * b_norm > 0, a_norm * b_norm, 1)
    cosine = float(np.mean(np.where(flat, 1.0, (a * b).sum(1) / norms)))
    rows = np.arange(len(ref))
    short = ref.max(1) - ref[rows, out.argmax(1)]  # how far the artifact's first class is behind the reference's
    agreement = float(np.mean(short == 0))
    fair = float(np.mean(short <= tolerance.max_abs * span))
    passed = max_abs <= tolerance.max_abs and cosine >= tolerance.cosine and fair >= tolerance.agreement
    return Parity(max_abs, cosine, agreement, len(ref), passed)


def worst(parities: Iterable[Parity]) -> Parity:
    """One that failed, if any did; else the one with the greatest difference."""
    return max(parities, key=lambda parity: (not parity.passed, parity.max_abs))


@dataclass(frozen=True)
class Accuracy:
    """Counts of right answers over a set of pictures.

    Attributes:
        samples: pictures.
        top1: right in the first place.
        top5: right among the first five.
        agree: same first class as the reference; None where there was none.
        reference_top1: how often the reference was right.
    """

    samples: int
    top1: int
    top5: int
    agree: int | None = None
    reference_top1: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Shares, each with its 95 % interval; none of no samples."""
        named = {"top1": self.top1, "top5": self.top5, "agreement": self.agree, "reference_top1": self.reference_top1}
        shares: dict[str, Any] = {"samples": self.samples}
        for name, count in named.items():
            if count is not None and self.samples:
                low, high = wilson_interval(count, self.samples)
                shares[name] = {"share": round(count / self.samples, 5), "interval95": [round(low, 5), round(high, 5)]}
        return shares


def count_right(
    model: Model,
    batches: Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]],
    *,
    reference: Model | None = None,
    progress: Callable[[int], None] | None = None,
) -> Accuracy:
    """Run labelled pictures, (pixels, labels) a batch, through a model and, if there is one, a reference.

    An answer with NaN or infinity in it is wrong, and agrees with nothing.
    """
    return count_several({"": model}, batches, reference=reference, progress=progress)[""]


def count_several(
    models: Mapping[str, Model],
    batches: Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]],
    *,
    reference: Model | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Accuracy]:
    """``count_right`` of several models, on the same pictures, each read once and shown to the reference once."""
    counts, samples = np.zeros(columns_of(models), np.int64), 0
    for pixels, labels in batches:
        counts += judge(models, pixels, labels, reference=reference).sum(axis=0, dtype=np.int64)
        samples += len(labels)
        if progress is not None:
            progress(len(labels))
    return sum_up(list(models), counts, samples, compared=reference is not None)


def columns_of(models: Collection[str]) -> int:
    """Of what ``judge`` gives."""
    return 3 * len(models) + 1


def judge(
    models: Mapping[str, Model],
    pixels: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    *,
    reference: Model | None = None,
) -> npt.NDArray[np.uint8]:
    """What each answer was worth, 0 or 1: uint8 (B, ``columns_of(models)``).

    Columns: of each of M models whether its first class was right, whether one of its first five was, and whether its first
    was the reference's; then whether the reference's was right.
    """
    first = None if reference is None else reference(pixels).argmax(1)
    columns = []
    for model in models.values():
        logits = model(pixels)
        order = np.argsort(-logits, axis=1, kind="stable")
        order[~np.isfinite(logits).all(axis=1)] = -1
        columns.append(order[:, 0] == labels)
        columns.append((order[:, :5] == labels[:, None]).any(axis=1))
        columns.append(np.zeros(len(labels), np.bool_) if first is None else order[:, 0] == first)
    columns.append(np.zeros(len(labels), np.bool_) if first is None else first == labels)
    return np.stack(columns, axis=1).astype(np.uint8)


def sum_up(
    names: Sequence[str], counts: npt.NDArray[np.integer[Any]], samples: int, *, compared: bool
) -> dict[str, Accuracy]:
    """The accuracy of models, in the order of ``judge``, from the sums of its columns; ``compared``: there was a reference."""
    right = int(counts[-1]) if compared else None
    found = {}
    for name, (top1, top5, agree) in zip(names, counts[:-1].reshape(-1, 3), strict=True):
        found[name] = Accuracy(samples, int(top1), int(top5), int(agree) if compared else None, right)
    return found


def wilson_interval(count: int, samples: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927): honest near 0 and 1, where the usual one is not."""
    if samples == 0:
        return 0.0, 1.0
    share, square = count / samples, z * z
    middle = (share + square / (2 * samples)) / (1 + square / samples)
    half = z * math.sqrt(share * (1 - share) / samples + square / (4 * samples**2)) / (1 + square / samples)
    # The ends are exact; the sums above need not be.
    return (max(0.0, middle - half) if count else 0.0), (min(1.0, middle + half) if count < samples else 1.0)


def top_k(logits: npt.NDArray[np.float32], k: int) -> list[tuple[int, float]]:
    """(class, probability) of the k likeliest, likeliest first; logits (classes,)."""
    shifted = np.exp(logits.astype(np.float64) - float(logits.max()))
    shares = shifted / shifted.sum()
    order = np.argsort(-logits, kind="stable")[:k]  # of the logits: far behind the first, shares are all 0
    return [(int(i), float(shares[i])) for i in order]
