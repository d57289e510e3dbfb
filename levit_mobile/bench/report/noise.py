"""Which differences between two separate runs are more than noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from levit_mobile.bench.report.reading import Share

__all__ = ["SAME", "difference_of_shares", "median_interval", "ratio_of_medians"]

SAME = 0.03  # separate runs of one artifact differ by as much: memory is laid out anew, the clock settles elsewhere
_BLOCKS = 30  # neighbours in time are not independent, so medians of blocks are what is counted
_FEWEST = 5
_STUDENT = (2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.2, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.1)  # 97.5 %, from 4 on


def _error_of_log_median(samples: Sequence[float]) -> float | None:
    """Half of a 95 % interval of the median's logarithm; None of too few samples."""
    blocks = min(_BLOCKS, len(samples) // 3)
    if blocks < _FEWEST:
        return None
    medians = [float(np.median(part)) for part in np.array_split(np.log(np.asarray(samples, np.float64)), blocks)]
    student = _STUDENT[blocks - _FEWEST] if blocks - _FEWEST < len(_STUDENT) else 2.05
    return student * float(np.std(medians, ddof=1)) / math.sqrt(blocks)


def median_interval(samples: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of the median within one run."""
    error = _error_of_log_median(samples)
    if error is None:
        return None
    middle = float(np.median(samples))
    return middle * math.exp(-error), middle * math.exp(error)


def ratio_of_medians(before: Sequence[float], after: Sequence[float]) -> tuple[float, tuple[float, float] | None]:
    """``after`` in units of ``before``, with a 95 % interval, from runs that had nothing to do with each other."""
    ratio = float(np.median(after) / np.median(before))
    errors = _error_of_log_median(before), _error_of_log_median(after)
    if errors[0] is None or errors[1] is None:
        return ratio, None
    error = math.hypot(errors[0], errors[1])
    return ratio, (ratio * math.exp(-error), ratio * math.exp(error))


def difference_of_shares(before: Share, after: Share) -> tuple[float, tuple[float, float] | None]:
    """``after`` less ``before``, with a 95 % interval from theirs (Newcombe 1998, method 10)."""
    difference = after.value - before.value
    if before.interval is None or after.interval is None:
        return difference, None
    low = math.hypot(after.value - after.interval[0], before.interval[1] - before.value)
    high = math.hypot(after.interval[1] - after.value, before.value - before.interval[0])
    return difference, (difference - low, difference + high)
