"""Cutting off what a Hardswish makes 0 anyway."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from calib.ranges import Ranges
from calib.saturation import cut_before_hardswish


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
    cut = cut_before_hardswish(ranges(dict.fromkeys(names, wide))).values
    raised = {name for name in names if cut[name] != wide}
    assert raised == {"stem.0.out", "stem.1.in", "blocks.0.act.in", "blocks.1.up.out", "blocks.1.act.in"}
    for name in raised:
        assert cut[name] == (pytest.approx(-3 - 15 / 255), 12.0)


def test_what_is_narrow_or_dead_stays() -> None:
    values = {"blocks.1.act.in": (-2.5, 4.0), "blocks.1.up.out": (-2.5, 4.0), "blocks.3.act.in": (-9.0, -5.0)}
    assert cut_before_hardswish(ranges(values)).values == values


def test_twice_is_once() -> None:
    once = cut_before_hardswish(ranges({"blocks.1.act.in": (-19.0, 7.0)}))
    assert cut_before_hardswish(once) == once


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

    low, high = cut_before_hardswish(ranges({"blocks.1.act.in": (-19.0, 12.0)})).values["blocks.1.act.in"]
    clamped = torch.nn.functional.hardswish(x.clamp(low, high)).numpy()
    assert np.array_equal(clamped, truth)
    assert error(low, high) < 0.6 * error(-19.0, 12.0)
