"""Parity, accuracy and intervals: numbers that were worked out by hand, or by somebody else's code."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levit_mobile.errors import CheckError
from levit_mobile.evaluate import Accuracy, Parity, compare, count_right, top_k, wilson_interval, worst
from levit_mobile.quantize import Tolerance

WIDE = Tolerance(10.0, -1.0, 0.0)


def logits(*rows: list[float]) -> npt.NDArray[np.float32]:
    return np.array(rows, np.float32)


# Parity


def test_the_same_logits() -> None:
    a = logits([1, 2, 4], [0, -1, 1])
    assert compare(a, a.copy(), Tolerance(0.0, 1.0 - 1e-12, 1.0)) == Parity(0.0, pytest.approx(1.0), 1.0, 2, True)


def test_numbers_by_hand() -> None:
    """Range 4 - (-4) = 8; the greatest difference, 2, is in the second row.

    Cosines: (-1, 0, 1) and (-1, -1, 2) give 3 / sqrt(12); (-4, 0, 4) and (-2, 0, 2) give 1.
    """
    reference = logits([1, 2, 3], [-4, 0, 4])
    got = logits([1, 1, 4], [-2, 0, 2])
    parity = compare(reference, got, WIDE)
    assert parity.max_abs == 2 / 8
    assert parity.cosine == pytest.approx((3 / math.sqrt(12) + 1) / 2, abs=1e-15)
    assert parity.agreement == 1.0
    assert parity.samples == 2
    assert (
        str(parity) == "greatest difference 2.50e-01 of the logit range, cosine 0.93301, same first class 100.0% of 2"
    )


def test_a_shift_of_all_logits_turns_no_cosine() -> None:
    parity = compare(logits([0, 1, 2]), logits([5, 6, 7]), WIDE)
    assert parity.cosine == pytest.approx(1.0)
    assert parity.max_abs == 2.5


def test_the_opposite() -> None:
    parity = compare(logits([0, 1]), logits([1, 0]), WIDE)
    assert (parity.max_abs, parity.cosine, parity.agreement) == (1.0, pytest.approx(-1.0), 0.0)


def test_the_scale_of_the_logits_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((4, 5)), rng.standard_normal((4, 5))
    one, tiny = compare(a, b, WIDE), compare(a * 2.0**-30, b * 2.0**-30, WIDE)
    assert tiny.max_abs == one.max_abs
    assert tiny.cosine == pytest.approx(one.cosine, abs=1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("side", ["reference", "got"])
def test_not_finite_fails_whatever_is_allowed(side: str, bad: float) -> None:
    fine, broken = logits([1, 2], [3, 4]), logits([1, 2], [3, bad])
    pair = (broken, fine) if side == "reference" else (fine, broken)
    parity = compare(*pair, WIDE)
    assert parity == Parity(math.inf, 0.0, 0.0, 2, False)
    assert json.loads(json.dumps(parity.to_dict(), allow_nan=False))["max_abs"] == 1e9


def test_the_worst_has_failed_or_is_farthest() -> None:
    near, far = Parity(0.01, 1.0, 1.0, 8, True), Parity(0.02, 1.0, 1.0, 8, True)
    failed = Parity(0.001, 0.1, 1.0, 8, False)
    assert worst([near, far]) == worst(iter([far, near])) == far
    assert worst([near, failed, far]) == failed


def test_no_inputs_prove_nothing() -> None:
    assert compare(np.zeros((0, 3)), np.zeros((0, 3)), WIDE) == Parity(math.inf, 0.0, 0.0, 0, False)


@pytest.mark.parametrize("shape", [(2, 1), (2, 4), (1, 3), (3,), (2, 3, 1)])
def test_other_shapes_are_refused_not_broadcast(shape: tuple[int, ...]) -> None:
    with pytest.raises(CheckError) as raised:
        compare(np.ones((2, 3)), np.ones(shape), WIDE)
    assert str(raised.value) == f"the artifact gives logits of shape {shape}, expected (2, 3)"
    assert raised.value.exit_code == 1


@pytest.mark.parametrize(
    ("tolerance", "passed"),
    [
        (Tolerance(0.25, 0.5, 1.0), True),
        (Tolerance(math.nextafter(0.25, 0), 0.5, 1.0), False),
        (Tolerance(0.25, 0.9330, 1.0), True),
        (Tolerance(0.25, 0.9331, 1.0), False),
    ],
)
def test_the_border_belongs_to_what_is_allowed(tolerance: Tolerance, passed: bool) -> None:
    assert compare(logits([1, 2, 3], [-4, 0, 4]), logits([1, 1, 4], [-2, 0, 2]), tolerance).passed is passed


@pytest.mark.parametrize(("share", "passed"), [(0.5, True), (0.51, False)])
def test_the_border_of_agreement(share: float, passed: bool) -> None:
    """One of two inputs gets another class, far from a toss-up; it alone decides."""
    reference, got = logits([0, 8], [8, 0]), logits([0, 8], [3, 5])
    parity = compare(reference, got, Tolerance(0.7, -1.0, share))
    assert (parity.agreement, parity.max_abs) == (0.5, 5 / 8)
    assert parity.passed is passed


@pytest.mark.parametrize(("behind", "passed"), [(0.5, True), (1.0, True), (1.01, False)])
def test_a_toss_up_counts_as_the_same(behind: float, passed: bool) -> None:
    """Range 10, tolerance 0.1: what the reference holds within 1.0 of its first class is as good as that."""
    reference, got = logits([10, 10 - behind, 0]), logits([9.5, 9.6, 0])
    parity = compare(reference, got, Tolerance(0.1, 0.5, 1.0))
    assert parity.agreement == 0.0  # what is told is the plain share all the same
    assert parity.max_abs <= 0.1
    assert parity.passed is passed


def test_a_tie_in_the_reference_is_agreement_with_either() -> None:
    reference = logits([3, 3, 0])
    assert compare(reference, logits([3, 2.9, 0]), WIDE).agreement == 1.0
    assert compare(reference, logits([2.9, 3, 0]), WIDE).agreement == 1.0
    assert compare(reference, logits([0, 2.9, 3]), WIDE).agreement == 0.0


STRICT = Tolerance(1e-4, 0.999999, 1.0)


@pytest.mark.parametrize("rows", [[[2.5, 2.5, 2.5], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]], [[7], [-3]], [[5]]])
def test_constant_logits_are_met_by_the_same_ones(rows: list[list[float]]) -> None:
    """A dead head, or a single class: no direction to compare, and none that differs."""
    assert compare(logits(*rows), logits(*rows), STRICT) == Parity(0.0, 1.0, 1.0, len(rows), True)


def test_constant_logits_are_not_met_by_others() -> None:
    assert not compare(logits([0, 0, 0]), logits([0, 0, 1]), STRICT).passed
    assert not compare(logits([1, 1, 1]), logits([2, 2, 2]), STRICT).passed
    dead = compare(logits([1, 2, 3]), logits([2, 2, 2]), WIDE)
    assert (dead.max_abs, dead.cosine) == (0.5, 0.0)


def test_the_manifest_has_rounded_numbers() -> None:
    parity = Parity(0.0123456, 0.98765432, 2 / 3, 3, False)
    expected = {"max_abs": 0.0123, "cosine": 0.98765, "agreement": 0.6667, "samples": 3, "passed": False}
    assert parity.to_dict() == expected


# Accuracy


class Said:
    """A model that answers picture by picture what it was given; a picture's first byte says which."""

    def __init__(self, answers: npt.NDArray[Any]) -> None:
        self.answers = answers

    def __call__(self, pixels: npt.NDArray[np.uint8], /) -> npt.NDArray[Any]:
        return self.answers[pixels[:, 0, 0, 0]]


def batches(labels: list[int], size: int) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]]:
    for first in range(0, len(labels), size):
        part = labels[first : first + size]
        pixels = np.zeros((len(part), 2, 2, 3), np.uint8)
        pixels[:, 0, 0, 0] = np.arange(first, first + len(part))
        yield pixels, np.array(part)


ANSWERS = logits(
    [9, 8, 7, 6, 5, 4, 3],  # first: 0; the first five: 0 to 4
    [3, 4, 5, 6, 7, 8, 9],  # first: 6; the first five: 2 to 6
    [0, 0, 1, 0, 0, 0, 0],  # first: 2; ties go to the lower class: 2, 0, 1, 3, 4
    [1, 1, 1, 1, 1, 1, 1],  # first: 0; the first five: 0 to 4
)


@pytest.mark.parametrize("size", [1, 3, 4])
@pytest.mark.parametrize(
    ("labels", "top1", "top5"),
    [([0, 6, 2, 0], 4, 4), ([4, 2, 4, 4], 0, 4), ([5, 1, 5, 5], 0, 0), ([0, 5, 3, 6], 1, 3)],
)
def test_count_right(labels: list[int], top1: int, top5: int, size: int) -> None:
    told: list[int] = []
    accuracy = count_right(Said(ANSWERS), batches(labels, size), progress=told.append)
    assert accuracy == Accuracy(4, top1, top5, None, None)
    assert sum(told) == 4
    assert len(told) == -(-4 // size)


def test_count_right_beside_a_reference() -> None:
    reference = ANSWERS[[0, 0, 2, 1]]  # first: 0, 0, 2, 6
    accuracy = count_right(Said(ANSWERS), batches([0, 0, 2, 6], 2), reference=Said(reference))
    assert accuracy == Accuracy(samples=4, top1=2, top5=2, agree=2, reference_top1=4)


def test_fewer_than_five_classes() -> None:
    two = Said(logits([1, 0], [1, 0]))
    assert count_right(two, batches([0, 1], 2)) == Accuracy(2, 1, 2)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_an_answer_that_is_not_finite_is_wrong(bad: float) -> None:
    answers = logits([bad, 0, 0], [0, bad, 0], [bad, bad, bad], [0, 0, 5])
    accuracy = count_right(Said(answers), batches([0, 1, 0, 2], 4), reference=Said(logits(*[[1, 0, 0]] * 4)))
    assert accuracy == Accuracy(samples=4, top1=1, top5=1, agree=0, reference_top1=2)


def test_shares_with_intervals() -> None:
    shares = Accuracy(100, 81, 99, 100, 80).to_dict()
    assert list(shares) == ["samples", "top1", "top5", "agreement", "reference_top1"]
    assert shares["top1"] == {"share": 0.81, "interval95": [0.72221, 0.87485]}
    assert shares["agreement"] == {"share": 1.0, "interval95": [0.96301, 1.0]}
    assert list(Accuracy(3, 1, 2).to_dict()) == ["samples", "top1", "top5"]


def test_no_samples_have_no_shares() -> None:
    assert count_right(Said(ANSWERS), batches([], 1)).to_dict() == {"samples": 0}


@pytest.mark.parametrize("samples", [1, 2, 7, 100, 3925, 50_000])
def test_wilson_interval(samples: int) -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is the oracle here")
    for count in sorted({0, 1, samples // 3, samples // 2, samples - 1, samples}):
        expected = stats.binomtest(count, samples).proportion_ci(0.95, method="wilson")
        low, high = wilson_interval(count, samples)
        assert low == pytest.approx(expected.low, abs=1e-8)
        assert high == pytest.approx(expected.high, abs=1e-8)
        assert 0 <= low <= count / samples <= high <= 1
        assert (low == 0) == (count == 0)
        assert (high == 1) == (count == samples)


def test_wilson_interval_of_nothing() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


# The likeliest classes


def test_top_k_by_hand() -> None:
    """exp of log 1, 2, 5 over their sum."""
    best = top_k(logits([math.log(1), math.log(5), math.log(2)])[0], 2)
    assert [index for index, _ in best] == [1, 2]
    assert [share for _, share in best] == pytest.approx([5 / 8, 2 / 8], rel=1e-6)


@settings(deadline=None)
@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=20), st.integers(1, 25))
def test_top_k(values: list[float], k: int) -> None:
    row = np.array(values, np.float32)
    best = top_k(row, k)
    assert len(best) == min(k, len(values))
    chosen, shares = [index for index, _ in best], [share for _, share in best]
    assert len(set(chosen)) == len(chosen)
    assert shares == sorted(shares, reverse=True)
    # As the logits say, and where they are equal, the lower class first.
    assert chosen == sorted(range(len(values)), key=lambda i: (-row[i], i))[:k]
    assert sum(share for _, share in top_k(row, len(values))) == pytest.approx(1.0)


def test_top_k_far_apart() -> None:
    """No overflow, and what is too unlikely for a float still comes in its order."""
    best = top_k(logits([-5000, 3e38, 0])[0], 3)
    assert best == [(1, 1.0), (2, 0.0), (0, 0.0)]
