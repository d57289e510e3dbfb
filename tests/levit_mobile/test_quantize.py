"""The table of precisions and the policy: complete, and consistent with each other."""

from __future__ import annotations

from typing import get_args

import pytest

from levit_mobile.errors import UsageError
from levit_mobile.quantize import INT8_POLICY, PRECISIONS, Operator, get_precision, tolerance_for


def test_the_table_is_indexed_by_name() -> None:
    assert list(PRECISIONS) == [row.name for row in PRECISIONS.values()]
    assert {"fp32", "fp16", "int8", "int8-dynamic"} <= PRECISIONS.keys()
    assert len({row.scheme for row in PRECISIONS.values()}) == len(PRECISIONS)


def test_get_precision() -> None:
    assert get_precision("int8").needs_ranges
    assert not any(get_precision(name).needs_ranges for name in ("fp32", "fp16", "int8-dynamic"))


@pytest.mark.parametrize("name", ["int4", "INT8", "", "float32"])
def test_an_unknown_precision(name: str) -> None:
    with pytest.raises(UsageError) as raised:
        get_precision(name)
    assert str(raised.value) == f"unknown precision {name!r}; type one of: {', '.join(PRECISIONS)}"


def test_every_gate_can_be_passed_and_failed() -> None:
    for row in PRECISIONS.values():
        assert 0 < row.tolerance.max_abs < 0.5, row.name
        assert 0.9 < row.tolerance.cosine < 1, row.name
        assert row.tolerance.agreement == 1.0, row.name  # but for toss-ups


def test_fewer_bits_are_never_held_to_more() -> None:
    gates = [PRECISIONS[name].tolerance for name in ("fp32", "fp16", "int8")]
    assert [gate.max_abs for gate in gates] == sorted(gate.max_abs for gate in gates)
    assert [gate.cosine for gate in gates] == sorted((gate.cosine for gate in gates), reverse=True)
    assert gates[0].max_abs <= 1e-4  # float32 is float32


@pytest.mark.parametrize("name", PRECISIONS)
def test_whole_numbers_at_the_end_are_held_to_what_they_can_say(name: str) -> None:
    assert tolerance_for(name) == tolerance_for(name, "float32") == PRECISIONS[name].tolerance
    for io_dtype in ("int8", "uint8"):
        assert tolerance_for(name, io_dtype) == PRECISIONS["int8"].tolerance


def test_the_tolerance_of_an_unknown_precision() -> None:
    with pytest.raises(UsageError, match="unknown precision 'int4'"):
        tolerance_for("int4", "uint8")


def test_the_policy_says_something_of_every_operator() -> None:
    assert set(INT8_POLICY) == set(get_args(Operator))
    assert set(INT8_POLICY.values()) == {"int8", "float"}


def test_int8_is_where_the_multiplications_are() -> None:
    assert {name for name, dtype in INT8_POLICY.items() if dtype == "int8"} == {"convolution", "linear", "movement"}
