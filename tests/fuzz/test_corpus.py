"""What fuzzing with coverage kept, tried again; and more of the same kind, drawn by hypothesis.

``cover.py`` made the corpus; ``benchmarks/results/fuzz.json`` has what was tried.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fuzzed import READERS, attempt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CORPUS = Path(__file__).with_name("corpus")
RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "fuzz.json"
SLOW = ("mlpackage", "pte")  # need a converter to make a valid input, and milliseconds for each other
QUICK = [name for name in READERS if name not in SLOW]
ENOUGH = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def kept(name: str) -> list[bytes]:
    """The corpus of a reader: inputs that each reach something the others do not."""
    return [bytes.fromhex(line) for line in (CORPUS / f"{name}.txt").read_text().split()]


@pytest.mark.parametrize("name", READERS)
def test_the_corpus(name: str) -> None:
    inputs = kept(name)
    assert len(inputs) >= 3, "run tests/fuzz/cover.py and keep.py"
    assert {attempt(name, data) for data in inputs} <= {"read", "refused"}


@pytest.mark.filterwarnings("ignore")  # converters
@pytest.mark.parametrize("name", READERS)
def test_a_seed_is_read(name: str) -> None:
    """Or fuzzing would not get past the first check."""
    assert "read" in [attempt(name, data) for data in READERS[name].seeds()]


def test_every_reader_was_fuzzed() -> None:
    results = json.loads(RESULTS.read_text())
    assert set(results["readers"]) == set(READERS)
    for name, row in results["readers"].items():
        assert row["tried"] > 1000, name
        assert row["read"] > 40, name
        assert row["unrepaired"] == 0, name


@st.composite
def damaged(draw: st.DrawFn, name: str) -> bytes:
    """A valid input with some bytes exchanged, taken out, put in or repeated."""
    data = bytearray(draw(st.sampled_from(READERS[name].seeds())))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        kind = draw(st.sampled_from(("exchange", "cut", "insert", "repeat", "number")))
        if kind == "exchange" and data:
            data[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del data[at : at + draw(st.integers(1, 16))]
        elif kind == "insert":
            data[at:at] = draw(st.binary(max_size=8))
        elif kind == "repeat":
            data[at:at] = data[at : at + draw(st.integers(1, 64))]
        else:  # sizes and offsets are four or eight of them
            data[at : at + 4] = draw(st.sampled_from((0, 1, 2**31 - 1, 2**31, 2**32 - 1))).to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize("name", QUICK)
def test_damaged_inputs(name: str) -> None:
    @ENOUGH
    @given(damaged(name))
    def holds(data: bytes) -> None:
        assert attempt(name, data) in ("read", "refused")

    holds()


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=8), inside, max_size=4),
    max_leaves=12,
)


@st.composite
def with_another_value(draw: st.DrawFn, name: str) -> bytes:
    """A valid JSON text in which one value, wherever, is another."""
    whole = json.loads(draw(st.sampled_from(READERS[name].seeds())))
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
            places.append((value, key))
            walk(value[key])

    walk(whole)
    holder, key = draw(st.sampled_from(places))
    holder[key] = draw(JSON)
    return json.dumps(whole).encode()


@pytest.mark.parametrize("name", ["calibration", "manifest", "processor", "results"])
def test_values_of_another_kind(name: str) -> None:
    @ENOUGH
    @given(with_another_value(name))
    def holds(data: bytes) -> None:
        assert attempt(name, data) in ("read", "refused")

    holds()
