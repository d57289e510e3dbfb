from __future__ import annotations

import numpy as np
import pytest

from levit_mobile.bench.statistics import drift_of, ratio_of, summarise


def test_summary_of_known_numbers() -> None:
    found = summarise([1.0, 2.0, 3.0, 4.0, 10.0])
    assert (found.count, found.p50, found.min, found.mean) == (5, 3.0, 1.0, 4.0)
    assert found.p90 == pytest.approx(7.6)
    assert found.p99 == pytest.approx(9.76)
    assert found.cv == pytest.approx(np.sqrt(10) / 4)


def test_summary_of_one() -> None:
    found = summarise([2.5])
    assert (found.count, found.p50, found.p99, found.cv) == (1, 2.5, 2.5, 0.0)
    assert found.to_dict()["p90"] == 2.5


@pytest.mark.parametrize("count", [1, 8, 26, 44])
def test_too_few_for_drift(count: int) -> None:
    assert drift_of([1.0] * count) is None


def test_a_steady_run_has_no_drift() -> None:
    rng = np.random.default_rng(0)
    drifted = [drift_of(rng.normal(10, 0.5, 300)).drifted for _ in range(200)]  # type: ignore[union-attr]
    assert sum(drifted) <= 2


def test_a_board_that_gets_hot_drifts() -> None:
    rng = np.random.default_rng(0)
    found = drift_of(np.linspace(10, 12, 300) + rng.normal(0, 0.2, 300))
    assert found is not None
    assert found.drifted
    assert found.ratio == pytest.approx(1.14, abs=0.02)
    assert found.p < 0.001


def test_the_fewest_in_which_it_is_seen() -> None:
    found = drift_of([10.0 + at / 100 for at in range(15)] + [12.0] * 15 + [15.0 + at / 100 for at in range(15)])
    assert found is not None
    assert found.drifted


def test_a_change_of_one_percent_is_none() -> None:
    found = drift_of(np.r_[np.full(100, 10.0), np.full(100, 10.05), np.full(100, 10.1)])
    assert found is not None
    assert found.p < 0.001
    assert not found.drifted


def test_drift_of_neighbours_that_belong_together() -> None:
    """A slow spell in the middle is none."""
    samples = np.full(300, 10.0) + np.tile([0.0, 0.01], 150)
    samples[140:160] = 30
    found = drift_of(samples)
    assert found is not None
    assert not found.drifted


def test_ratio_of_known_numbers() -> None:
    found = ratio_of([10.0] * 50, [5.0] * 50)
    assert (found.ratio, found.low, found.high, found.rounds) == (0.5, 0.5, 0.5, 50)
    assert found.to_dict() == {"ratio": 0.5, "interval95": [0.5, 0.5], "rounds": 50}


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng, hits = np.random.default_rng(1), 0
    noise = rng.gamma(2, 0.3, 1_000_000)
    truth = np.median(6 + noise + rng.normal(0, 0.2, len(noise))) / np.median(
        10 + noise + rng.normal(0, 0.2, len(noise))
    )
    for _ in range(100):
        noise = rng.gamma(2, 0.3, 120)  # what slows both
        found = ratio_of(10 + noise + rng.normal(0, 0.2, 120), 6 + noise + rng.normal(0, 0.2, 120))
        hits += found.low <= truth <= found.high
    assert hits >= 90


def test_the_interval_of_few_rounds_is_wide() -> None:
    rng = np.random.default_rng(2)
    few, many = (ratio_of(rng.normal(10, 1, n), rng.normal(9, 1, n)) for n in (10, 1000))
    assert few.high - few.low > 3 * (many.high - many.low)
