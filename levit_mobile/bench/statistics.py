"""What samples of latency say: percentiles, drift, and the ratio of two artifacts that ran in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Drift", "Ratio", "Summary", "drift_of", "ratio_of", "summarise"]

_BLOCKS = 10  # that a third is cut into for the test of drift: neighbours in time are not independent
_CERTAIN = 0.01  # of the test; and only a change that matters counts:
_MATTERS = 0.03
_RESAMPLES = 4000


@dataclass(frozen=True)
class Summary:
    """Latency in milliseconds of ``count`` inferences; ``cv`` is standard deviation over mean."""

    count: int
    p50: float
    p90: float
    p99: float
    min: float
    mean: float
    cv: float

    def to_dict(self) -> dict[str, Any]:
        """As results have it, rounded to nanoseconds."""
        return {key: round(value, 6) for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Drift:
    """Whether the last third of a run was slower than the first.

    Attributes:
        ratio: of the medians, last to first.
        p: chance of such a difference, either way, without drift.
        drifted: unlikely by chance and more than 3 %.
    """

    ratio: float
    p: float
    drifted: bool

    def to_dict(self) -> dict[str, Any]:
        """As results have it."""
        return {"ratio": round(self.ratio, 4), "p": round(self.p, 4), "drifted": self.drifted}


@dataclass(frozen=True)
class Ratio:
    """Median latency of one artifact over that of another; ``low`` and ``high`` are a 95 % interval."""

    ratio: float
    low: float
    high: float
    rounds: int

    def to_dict(self) -> dict[str, Any]:
        """As results have it."""
        return {
            "ratio": round(self.ratio, 4),
            "interval95": [round(self.low, 4), round(self.high, 4)],
            "rounds": self.rounds,
        }


def summarise(samples: Sequence[float] | npt.NDArray[np.float64]) -> Summary:
    """Milliseconds of single inferences, at least one."""
    ms = np.asarray(samples, np.float64)
    p50, p90, p99 = np.quantile(ms, [0.5, 0.9, 0.99])
    mean = float(ms.mean())
    return Summary(len(ms), float(p50), float(p90), float(p99), float(ms.min()), mean, float(ms.std() / mean))


def drift_of(samples: Sequence[float] | npt.NDArray[np.float64]) -> Drift | None:
    """Compare the first third of a run with its last, by medians of blocks and Mann and Whitney's test.

    None where there are fewer than five blocks of three samples in each third: nothing could be certain.
    """
    from scipy.stats import mannwhitneyu

    ms = np.asarray(samples, np.float64)
    third = len(ms) // 3
    blocks = min(_BLOCKS, third // 3)
    if blocks < 5:
        return None
    first, last = ([float(np.median(b)) for b in np.array_split(part, blocks)] for part in (ms[:third], ms[-third:]))
    ratio = float(np.median(ms[-third:]) / np.median(ms[:third]))
    p = float(mannwhitneyu(first, last).pvalue)
    return Drift(ratio, p, p < _CERTAIN and abs(ratio - 1) > _MATTERS)


def ratio_of(
    first: Sequence[float] | npt.NDArray[np.float64], second: Sequence[float] | npt.NDArray[np.float64]
) -> Ratio:
    """How long ``second`` takes, in units of ``first``, from rounds in which each ran once; the interval is a bootstrap's.

    Rounds are drawn in blocks of neighbours, so that what slows several rounds in a row widens the interval.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    rounds = len(a)
    length = max(1, round(rounds ** (1 / 3)))
    rng = np.random.default_rng(0)
    ratios = np.empty(_RESAMPLES)
    together = max(1, 1_000_000 // rounds)  # all at once would take gigabytes after a night of rounds
    for at in range(0, _RESAMPLES, together):
        many = min(together, _RESAMPLES - at)
        starts = rng.integers(rounds, size=(many, -(-rounds // length)))
        picks = ((starts[:, :, None] + np.arange(length)) % rounds).reshape(many, -1)[:, :rounds]
        ratios[at : at + many] = np.median(b[picks], axis=1) / np.median(a[picks], axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return Ratio(float(np.median(b) / np.median(a)), float(low), float(high), rounds)
