"""Medians, ratios and their intervals, from times that are made up."""

from __future__ import annotations

import numpy as np
import pytest


def test_compared() -> None:
    from latency import compared

    rng = np.random.default_rng(1)
    base = rng.normal(10, 0.1, 400)
    rows = compared(np.stack([base / 2, base, rng.normal(12, 0.1, 400)], axis=1), ["half", "base", "more"], "base")
    assert list(rows) == ["half", "base", "more"]
    assert rows["base"]["interval95"] == [1, 1]
    assert rows["half"]["interval95"] == [0.5, 0.5]
    assert rows["half"]["ratio_of_p50"] == 0.5
    assert rows["base"]["p50_ms"] == pytest.approx(10, abs=0.02)
    low, high = rows["more"]["interval95"]
    assert 1.19 < low < rows["more"]["ratio_of_p50"] < high < 1.21


def test_interleaved() -> None:
    from latency import interleaved

    ran: list[int] = []

    class Clock:
        def __init__(self, number: int) -> None:
            self.number = number

        def profile(self, runs: int) -> list[tuple[str, float]]:
            if runs == 1:
                ran.append(self.number)
            return [("inference", 10.0 * self.number)] * runs

    times = interleaved([Clock(1), Clock(2)], 3)  # type: ignore[list-item]
    assert ran == [1, 2, 1, 2, 1, 2]
    assert times.tolist() == [[10, 20]] * 3
