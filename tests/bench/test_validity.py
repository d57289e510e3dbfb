from __future__ import annotations

from typing import Any

import pytest

from levit_mobile.bench.validity import doubts, firmware_says, notes

FINE: dict[str, Any] = {"throttled": 0, "swapped": 0, "foreign_cores": 0.05, "temperature_c": 50.0}


def test_nothing_is_doubtful() -> None:
    assert doubts([FINE, FINE]) == []
    assert doubts([]) == []
    assert doubts([{"throttled": None, "swapped": None, "foreign_cores": None}]) == []


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (0x1, ["under-voltage"]),
        (0x2, ["its clock is capped"]),
        (0x5, ["under-voltage", "it is throttled"]),
        (0x50000, []),
    ],
)
def test_the_firmwares_bits(bits: int, words: list[str]) -> None:
    assert firmware_says(bits) == words


def test_throttled_in_the_middle() -> None:
    (said,) = doubts([FINE, {**FINE, "throttled": 0x50005}, FINE])
    assert said == ("the board was throttled: it is throttled, under-voltage; mind its power supply and cooling")


def test_throttled_between_two_readings() -> None:
    (said,) = doubts([FINE, {**FINE, "throttled": 0x40000}])
    assert "between two readings" in said


def test_throttled_long_before_is_no_matter() -> None:
    before = {**FINE, "throttled": 0x50000}
    assert doubts([before, before, before]) == []


def test_a_clock_that_was_set_is_only_noted() -> None:
    assert notes(0.4) == []
    assert notes(-86400.0) == ["the board's clock was set by -86400 s meanwhile; times come from another clock"]


def test_swapping_and_other_programs() -> None:
    said = doubts([FINE, {**FINE, "swapped": 12}, {**FINE, "foreign_cores": 1.26}])
    assert len(said) == 2
    assert "swapping (12 pages)" in said[0]
    assert "up to 1.3 cores busy" in said[1]
