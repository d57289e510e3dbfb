"""Core ML's operators in numpy, each beside PyTorch's or beside sums written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from levit_mobile.errors import BundleError
from levit_mobile.runtimes.mil import OPERATORS, run_operator

Array = npt.NDArray[Any]
POINTWISE = {"groups": 1, "dilations": [1, 1], "strides": [1, 1], "pad_type": "valid", "pad": None}


def drawn(*shape: int, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def apart(found: Array, expected: torch.Tensor) -> float:
    """Greatest difference; shapes and float32 must be the same."""
    assert (found.dtype, found.shape) == (np.float32, tuple(expected.shape))
    return float(np.abs(found - expected.double().numpy()).max())


def test_the_table() -> None:
    assert list(OPERATORS) == sorted(OPERATORS)
    assert len(OPERATORS) == 15


def test_an_operator_that_is_not_known() -> None:
    with pytest.raises(BundleError) as raised:
        run_operator("einsum", "y_7", {})
    assert str(raised.value) == (
        "y_7: the operator einsum is not one that this toolkit writes, so it cannot be run here; it runs add, cast, conv, "
        "dequantize, linear, matmul, mul, quantize, reduce_mean, reshape, sigmoid_hard, softmax, sub, thresholded_relu, transpose"
    )


def test_what_only_executorchs_core_ml_delegate_has() -> None:
    x = drawn(2, 3, 4)
    turned = run_operator("transpose", "y", {"x": x, "perm": np.int32([2, 0, 1])})
    assert np.array_equal(turned, torch.from_numpy(x).permute(2, 0, 1).numpy())
    cut = run_operator("thresholded_relu", "y", {"x": np.float32([-1, 0.5, 0.25, 2]), "alpha": np.float32(0.5)})
    assert cut.tolist() == [0, 0.5, 0, 2]


# Products


@settings(max_examples=60, deadline=None)
@given(
    batch=st.integers(1, 2),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 5)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 4)),
    size=st.tuples(st.integers(4, 9), st.integers(4, 9)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pad=st.tuples(*[st.integers(0, 2)] * 4),
    bias=st.booleans(),
)
def test_convolution(
    batch: int,
    channels: tuple[int, int],
    kernel: tuple[int, int],
    size: tuple[int, int],
    strides: tuple[int, int],
    pad: tuple[int, int, int, int],
    bias: bool,
) -> None:
    """Padding is (top, bottom, left, right), and may differ on all four sides."""
    x, weight = drawn(batch, channels[0], *size), drawn(channels[1], channels[0], *kernel, seed=1)
    b = drawn(channels[1], seed=2) if bias else None
    told = {**POINTWISE, "strides": strides, "pad_type": "custom", "pad": np.array(pad, np.int32)}
    found = run_operator("conv", "y", {"x": x, "weight": weight, "bias": b, **told})
    top, bottom, left, right = pad
    wide = F.pad(torch.from_numpy(x).double(), (left, right, top, bottom))
    offset = None if b is None else torch.from_numpy(b).double()
    assert apart(found, F.conv2d(wide, torch.from_numpy(weight).double(), offset, strides)) <= 5e-6


def test_a_valid_convolution_is_not_padded() -> None:
    x, weight = drawn(1, 3, 6, 6), drawn(2, 3, 3, 3, seed=1)
    found = run_operator("conv", "y", {"x": x, "weight": weight, **POINTWISE, "pad": [5, 5, 5, 5]})
    assert apart(found, F.conv2d(torch.from_numpy(x).double(), torch.from_numpy(weight).double())) <= 5e-6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": 2}, "a convolution with groups or dilation cannot be run here"),
        ({"dilations": [1, 2]}, "a convolution with groups or dilation cannot be run here"),
        ({"pad_type": "same"}, "a convolution padded as 'same' cannot be run here"),
        ({"pad_type": "same_lower"}, "a convolution padded as 'same_lower' cannot be run here"),
    ],
)
def test_convolutions_that_are_not_ours(change: dict[str, Any], message: str) -> None:
    told = {"x": drawn(1, 4, 4, 4), "weight": drawn(2, 4, 1, 1), **POINTWISE}
    assert run_operator("conv", "y", told).shape == (1, 2, 4, 4)
    with pytest.raises(BundleError) as raised:
        run_operator("conv", "y", {**told, **change})
    assert str(raised.value) == message


@pytest.mark.parametrize("bias", [True, False])
def test_linear(bias: bool) -> None:
    x, weight, b = drawn(3, 6), drawn(4, 6, seed=1), drawn(4, seed=2) if bias else None
    found = run_operator("linear", "y", {"x": x, "weight": weight, "bias": b})
    offset = None if b is None else torch.from_numpy(b).double()
    assert apart(found, F.linear(torch.from_numpy(x).double(), torch.from_numpy(weight).double(), offset)) <= 2e-6


@pytest.mark.parametrize("transpose_x", [True, False])
@pytest.mark.parametrize("transpose_y", [True, False])
def test_products(transpose_x: bool, transpose_y: bool) -> None:
    x = drawn(2, 3, *((6, 5) if transpose_x else (5, 6)))
    y = drawn(2, 3, *((7, 6) if transpose_y else (6, 7)), seed=1)
    found = run_operator("matmul", "y", {"x": x, "y": y, "transpose_x": transpose_x, "transpose_y": transpose_y})
    a, b = (torch.from_numpy(v).double() for v in (x, y))
    assert apart(found, (a.mT if transpose_x else a) @ (b.mT if transpose_y else b)) <= 3e-6


def test_a_sum_is_rounded_once() -> None:
    """In float32 from left to right, 2**24 and then 256 ones would stay 2**24."""
    row = np.ones((1, 257), np.float32)
    row[0, 0] = 2.0**24
    ones = np.ones((1, 257), np.float32)
    assert run_operator("linear", "y", {"x": row, "weight": ones}).item() == 2**24 + 256
    assert run_operator("matmul", "y", {"x": row, "y": ones, "transpose_x": False, "transpose_y": True}) == 2**24 + 256
    pixels, kernel = row.reshape(1, 257, 1, 1), ones.reshape(1, 257, 1, 1)
    assert run_operator("conv", "y", {"x": pixels, "weight": kernel, **POINTWISE}).item() == 2**24 + 256


# Element by element


@pytest.mark.parametrize(("kind", "function"), [("add", torch.add), ("sub", torch.sub), ("mul", torch.mul)])
def test_arithmetic_spreads(kind: str, function: Any) -> None:
    x, y = drawn(2, 3, 4, 5), drawn(3, 1, 1, seed=1)
    assert apart(run_operator(kind, "y", {"x": x, "y": y}), function(torch.from_numpy(x), torch.from_numpy(y))) == 0


def test_hard_sigmoid() -> None:
    x = np.linspace(-5, 5, 1001, dtype=np.float32)
    found = run_operator("sigmoid_hard", "y", {"x": x, "alpha": np.float32(1 / 6), "beta": np.float32(0.5)})
    assert apart(found, F.hardsigmoid(torch.from_numpy(x))) <= 1e-6
    other = run_operator("sigmoid_hard", "y", {"x": x, "alpha": np.float32(0.2), "beta": np.float32(-0.1)})
    assert apart(other, (0.2 * torch.from_numpy(x).double() - 0.1).clamp(0, 1)) <= 1e-6


@pytest.mark.parametrize("axis", [-1, 1])
def test_softmax(axis: int) -> None:
    x = 40 * drawn(2, 3, 5)  # exp(40 * 3) is no float32
    found = run_operator("softmax", "y", {"x": x, "axis": np.int32(axis)})
    assert apart(found, torch.from_numpy(x).double().softmax(axis)) <= 1e-6


@pytest.mark.parametrize("keep", [True, False])
def test_mean(keep: bool) -> None:
    x = drawn(2, 3, 4, 5)
    found = run_operator("reduce_mean", "y", {"x": x, "axes": np.array([2, 3], np.int32), "keep_dims": keep})
    assert apart(found, torch.from_numpy(x).double().mean((2, 3), keepdim=keep)) <= 1e-6


def test_reshape() -> None:
    x = np.arange(24, dtype=np.int8).reshape(2, 3, 4)
    found = run_operator("reshape", "y", {"x": x, "shape": np.array([4, -1], np.int32)})
    assert (found.dtype, found.tolist()) == (np.int8, [list(range(6 * n, 6 * n + 6)) for n in range(4)])


def test_cast() -> None:
    x = np.array([1 / 3, -2.75, 70000], np.float32)
    assert run_operator("cast", "y", {"x": x, "dtype": "fp32"}).dtype == np.float32
    assert run_operator("cast", "y", {"x": x, "dtype": "int32"}).tolist() == [0, -2, 70000]
    with np.errstate(over="ignore"):
        assert run_operator("cast", "y", {"x": x, "dtype": "fp16"}).tolist() == [0.333251953125, -2.75, np.inf]
    with pytest.raises(BundleError, match=r"^a cast to string cannot be run here$"):
        run_operator("cast", "y", {"x": x, "dtype": "string"})


# Whole numbers


def test_quantize_rounds_ties_to_even_and_clips() -> None:
    halves = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5], np.float32)
    told = {"scale": np.float32(1), "zero_point": np.int8(0), "output_dtype": "int8", "axis": None}
    assert run_operator("quantize", "y", {"input": halves, **told}).tolist() == [-2, -2, 0, 0, 2, 2, 4]
    # Rounded before the zero point is added: with an odd one, ties go to odd numbers.
    assert run_operator("quantize", "y", {"input": halves, **told, "zero_point": np.int8(3)}).tolist() == [
        1,
        1,
        3,
        3,
        5,
        5,
        7,
    ]
    wide = np.array([-1e9, -129, -128.4, 126.6, 127.4, 1e9, np.inf], np.float32)
    found = run_operator("quantize", "y", {"input": wide, **told})
    assert (found.dtype, found.tolist()) == (np.int8, [-128, -128, -128, 127, 127, 127, 127])
    unsigned = {**told, "zero_point": np.uint8(128), "output_dtype": "uint8"}
    found = run_operator("quantize", "y", {"input": wide, **unsigned})
    assert (found.dtype, found.tolist()) == (np.uint8, [0, 0, 0, 255, 255, 255, 255])


@settings(max_examples=40, deadline=None)
@given(
    scale=st.floats(2**-13, 8, width=32),
    zero_point=st.integers(-128, 127),
    values=st.lists(st.floats(-1000, 1000, width=32), min_size=1, max_size=20),
)
def test_quantize_is_pytorchs(scale: float, zero_point: int, values: list[float]) -> None:
    x = np.array(values, np.float32)
    told = {"scale": np.float32(scale), "zero_point": np.int8(zero_point), "axis": None}
    whole = run_operator("quantize", "y", {"input": x, **told, "output_dtype": "int8"})
    tensor = torch.from_numpy(x)
    expected = ((tensor / np.float32(scale)).round() + zero_point).clamp(-128, 127)  # torch.round: ties to even
    assert whole.tolist() == expected.int().tolist()
    back = run_operator("dequantize", "y", {"input": whole, **told})
    assert apart(back, (expected - zero_point) * np.float32(scale)) == 0


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_a_scale_for_each_channel(axis: int) -> None:
    x = 3 * drawn(3, 4, 5)
    count = x.shape[axis]
    scale = np.linspace(0.01, 0.05, count).astype(np.float32)
    zero = np.arange(count, dtype=np.int8) - 2
    told = {"scale": scale, "zero_point": zero, "axis": np.int32(axis)}
    whole = run_operator("quantize", "y", {"input": x, **told, "output_dtype": "int8"})
    back = run_operator("dequantize", "y", {"input": whole, **told})
    for index in range(count):
        part = np.take(x, index, axis)
        expected = np.clip(np.rint(part / scale[index]) + zero[index], -128, 127)
        assert np.array_equal(np.take(whole, index, axis), expected)
        assert np.array_equal(np.take(back, index, axis), (expected - np.float32(zero[index])) * scale[index])


def test_without_a_zero_point_it_is_0() -> None:
    x = np.array([-0.3, 0.2], np.float32)
    whole = run_operator(
        "quantize", "y", {"input": x, "scale": np.float32(0.1), "zero_point": None, "output_dtype": "int8"}
    )
    assert whole.tolist() == [-3, 2]
    back = run_operator("dequantize", "y", {"input": whole, "scale": np.float32(0.1), "zero_point": None})
    assert back == pytest.approx(x)
