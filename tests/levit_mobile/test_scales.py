"""Steps, zero points, and weights too small for their bias."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from levit_mobile.scales import affine, lift_dead_channels, pack_table, step_of

ENDS = st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)).map(lambda pair: (min(pair), max(pair)))


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero_point"),
    [
        (0.0, 255.0, 1.0, -128),
        (-128.0, 127.0, 1.0, 0),
        (-255.0, 0.0, 1.0, 127),
        (2.0, 25.5, 0.1, -128),  # 0 is always in the range, or padding could not be told
        (-25.5, -2.0, 0.1, 127),
        (0.0, 0.0, 1e-12, -128),
    ],
)
def test_affine(low: float, high: float, scale: float, zero_point: int) -> None:
    assert affine(low, high) == (pytest.approx(scale), zero_point)


def test_a_step_is_a_float32() -> None:
    """The number that a file holds and the number that PyTorch computes with are the same."""
    assert step_of(0.0, 1.0) == float(np.float32(1 / 255)) != 1 / 255
    assert affine(-1.0, 2.0)[0] == float(np.float32(3 / 255))


@given(ENDS)
def test_a_value_in_the_range_comes_back_to_half_a_step(ends: tuple[float, float]) -> None:
    scale, zero_point = affine(*ends)
    assert -128 <= zero_point <= 127
    x = np.linspace(min(ends[0], 0.0), max(ends[1], 0.0), 41)
    back = (np.clip(np.rint(x / scale) + zero_point, -128, 127) - zero_point) * scale
    assert np.abs(back - x).max() <= 1.001 * scale  # half for rounding, half for the zero point's
    assert (np.clip(np.rint(0 / scale) + zero_point, -128, 127) - zero_point) * scale == 0


def test_a_dead_channel_is_lifted_until_its_bias_fits() -> None:
    weight = np.array([[1e-9, -2e-9, 0.0], [0.5, -0.25, 0.1]], np.float32)
    bias = np.array([3.0, 3.0], np.float32)
    lifted = lift_dead_channels(weight, bias, (-1.0, 2.0))
    np.testing.assert_array_equal(lifted[1], weight[1])
    changed = np.flatnonzero(lifted[0] != weight[0])
    assert changed.tolist() == [1]  # the largest of the channel
    steps = 3.0 / (step_of(-1.0, 2.0) * lifted[0, 1] / 127)
    assert steps == pytest.approx(2.0**30, rel=1e-5)
    # What it moves the output by, at the most: the weight times the largest input.
    assert 2.0 * lifted[0, 1] < 3.0 / 30_000
    assert weight[0, 1] == np.float32(-2e-9)  # the caller's array is as it was


def test_a_channel_without_bias_may_be_zero() -> None:
    weight = np.zeros((2, 3), np.float32)
    np.testing.assert_array_equal(lift_dead_channels(weight, np.zeros(2, np.float32), (0.0, 1.0)), weight)


def test_a_table_has_a_scale_a_head() -> None:
    table = np.random.default_rng(0).standard_normal((3, 5, 7)).astype(np.float32)
    table[1] *= 100
    table[2] = 0
    integers, scale = pack_table(table)
    assert (integers.dtype, integers.shape, scale.dtype, scale.shape) == (np.int8, table.shape, np.float32, (3, 1, 1))
    assert np.abs(integers[:2]).max(axis=(1, 2)).tolist() == [127, 127]
    assert (np.abs(integers * scale - table) <= scale / 2 * 1.0001).all()
    assert not integers[2].any()
