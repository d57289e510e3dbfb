"""Ranges beside a Hardswish: cutting off what it makes 0 anyway, and its lowest value as a step of int8."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from calib.hardswish import LOWEST, fit_hardswish, on_grid
from calib.ranges import Ranges
from levit_mobile.scales import affine


def ranges(values: dict[str, tuple[float, float]]) -> Ranges:
    return Ranges("a" * 64, values, "min-max", 1, "b" * 64)


def test_low_ends_before_a_hardswish_are_raised_and_no_others() -> None:
    wide = (-19.0, 12.0)
    names = [
        *("stem.0.in", "stem.0.out", "stem.1.in", "stem.1.out", "stem.6.out"),
        *(
            "blocks.0.q.out",
            "blocks.0.act.in",
            "blocks.0.proj.in",
            "blocks.1.up.in",
            "blocks.1.up.out",
            "blocks.1.act.in",
        ),
    ]
    cut = fit_hardswish(ranges(dict.fromkeys(names, wide))).values
    raised = {name for name in names if cut[name] != wide}
    assert raised == {"stem.0.out", "stem.1.in", "blocks.0.act.in", "blocks.1.up.out", "blocks.1.act.in"}
    for name in raised:
        assert cut[name] == (pytest.approx(-3 - 15 / 255), 12.0)


def test_what_is_narrow_or_dead_stays() -> None:
    values = {"blocks.1.act.in": (-2.5, 4.0), "blocks.1.up.out": (-2.5, 4.0), "blocks.3.act.in": (-9.0, -5.0)}
    assert fit_hardswish(ranges(values)).values == values


def test_twice_is_once() -> None:
    once = fit_hardswish(ranges({"blocks.1.act.in": (-19.0, 7.0)}))
    assert fit_hardswish(once) == once


def test_the_function_stays_the_same() -> None:
    """Clamped at the new low end and rounded to int8, Hardswish is nearer to the truth than with the whole range."""
    x = torch.linspace(-19, 12, 100_001)
    truth = torch.nn.functional.hardswish(x).numpy()

    def error(low: float, high: float) -> float:
        step = (high - low) / 255
        zero = np.rint(-128 - low / step)
        whole = np.clip(np.rint(x.numpy() / step) + zero, -128, 127)
        back = torch.nn.functional.hardswish(torch.from_numpy((whole - zero) * step).float()).numpy()
        return float(np.sqrt(np.mean((back - truth) ** 2)))

    low, high = fit_hardswish(ranges({"blocks.1.act.in": (-19.0, 12.0)})).values["blocks.1.act.in"]
    clamped = torch.nn.functional.hardswish(x.clamp(low, high)).numpy()
    assert np.array_equal(clamped, truth)
    assert error(low, high) < 0.6 * error(-19.0, 12.0)


@pytest.mark.parametrize("high", [1.0, 2.7, 9.0, 12.3, 22.5, 43.2, 80.0])
def test_the_lowest_value_becomes_a_step(high: float) -> None:
    low, top = on_grid(-0.3749, high)
    assert low == LOWEST
    assert 0.96 * high < top < 1.6 * high + 0.4  # hardly anything is cut off
    scale, zero_point = affine(low, top)
    assert round(LOWEST / scale) * scale == pytest.approx(LOWEST, rel=1e-6)
    assert -128 <= round(LOWEST / scale) + zero_point <= 127
    assert on_grid(low, top) == (low, top)


@pytest.mark.parametrize("ends", [(-0.2, 9.0), (0.0, 9.0), (-2.0, 9.0), (-0.375, 200.0), (0.0, 0.0)])
def test_other_ranges_stay(ends: tuple[float, float]) -> None:
    """What Hardswish did not give, what does not reach down to its lowest, and what is too wide for a step there."""
    assert on_grid(*ends) == ends


def test_where_hardswish_is_read() -> None:
    pair = (-0.375, 9.1)
    readers = ["stem.2.in", "stem.4.in", "stem.6.in", "blocks.0.proj.in", "blocks.3.down.in"]
    others = ["stem.0.in", "stem.2.out", "blocks.0.q.in", "blocks.0.proj.out", "blocks.3.up.in", "head.in"]
    found = fit_hardswish(ranges(dict.fromkeys(readers + others, pair))).values
    assert {name for name in found if found[name] != pair} == set(readers)


def test_many_values_at_the_lowest_are_exact() -> None:
    """Three quarters of the values lie where Hardswish is flat: their common error is gone."""
    x = torch.cat([torch.full((3000,), -1.5), torch.linspace(-6, 9, 1000)])
    y = torch.nn.functional.hardswish(x)

    def error(low: float, high: float) -> float:
        scale, zero_point = affine(low, high)
        return float((torch.fake_quantize_per_tensor_affine(y, scale, zero_point, -128, 127) - y).mean().abs())

    plain = (float(y.min()), float(y.max()))
    assert error(*plain) > 0.005
    assert error(*on_grid(*plain)) < 0.0005
