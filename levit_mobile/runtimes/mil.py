"""Core ML's operators (MIL) in numpy: the reference that runs a saved package where Core ML itself does not exist.

Only those operators that the toolkit writes. Each one computes in float32 and is rounded to the number format that the
program declares for its result, as a processor with float16 registers and wider sums does it. Products are summed in float64,
so that neither threads nor the order of a sum can be seen in a result. The definitions are those of Apple's "Model
Intermediate Language" operator reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from levit_mobile.errors import BundleError

__all__ = ["OPERATORS", "run_operator"]

_Array = npt.NDArray[Any]
_Inputs = Mapping[str, Any]
_FLOATS = {"fp16": np.float16, "fp32": np.float32}
_INTEGERS = {"int8": np.int8, "uint8": np.uint8, "int32": np.int32}


def run_operator(kind: str, name: str, given: _Inputs) -> _Array:
    """The result of one operator, in float32 (or whole numbers) and not yet rounded to its declared format.

    Args:
        kind: as MIL calls it, for example ``conv``.
        name: of its result, for messages.
        given: its inputs, None where an optional one is absent.

    Raises:
        BundleError: there is no such operator here, or its inputs ask for what is not done here.
    """
    if kind not in OPERATORS:
        raise BundleError(
            f"{name}: the operator {kind} is not one that this toolkit writes, so it cannot be run here; "
            f"it runs {', '.join(OPERATORS)}"
        )
    return OPERATORS[kind](given)


def _float(value: Any) -> _Array:
    return np.asarray(value, np.float32)


def _product(a: _Array, b: _Array) -> _Array:
    product: _Array = np.matmul(a, b, dtype=np.float64).astype(np.float32)
    return product


def _conv(given: _Inputs) -> _Array:
    """(B, C, H, W) -> (B, C', H', W'): one group, no dilation; one product for all pixels."""
    x, weight = _float(given["x"]), _float(given["weight"])
    if int(given["groups"]) != 1 or any(int(d) != 1 for d in given["dilations"]):
        raise BundleError("a convolution with groups or dilation cannot be run here")
    padding = {"custom": given["pad"], "valid": [0, 0, 0, 0]}.get(given["pad_type"])
    if padding is None:
        raise BundleError(f"a convolution padded as {given['pad_type']!r} cannot be run here")
    top, bottom, left, right = (int(v) for v in padding)
    down, across = (int(v) for v in given["strides"])
    if any((top, bottom, left, right)):
        x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    out, c, high, wide = weight.shape
    h, w = (x.shape[2] - high) // down + 1, (x.shape[3] - wide) // across + 1
    # Column i is what output pixel i sees; a 1x1 kernel sees the pixels themselves.
    seen = [x[:, :, i : i + down * h : down, j : j + across * w : across] for i in range(high) for j in range(wide)]
    columns = (seen[0] if len(seen) == 1 else np.stack(seen, 2)).reshape(len(x), c * high * wide, h * w)
    y = _product(weight.reshape(out, -1), columns).reshape(len(x), out, h, w)
    return y if given.get("bias") is None else y + _float(given["bias"])[:, None, None]


def _linear(given: _Inputs) -> _Array:
    y = _product(given["x"], np.asarray(given["weight"]).T)
    return y if given.get("bias") is None else y + _float(given["bias"])


def _matmul(given: _Inputs) -> _Array:
    x, y = np.asarray(given["x"]), np.asarray(given["y"])
    return _product(
        x.swapaxes(-1, -2) if given["transpose_x"] else x, y.swapaxes(-1, -2) if given["transpose_y"] else y
    )


def _sigmoid_hard(given: _Inputs) -> _Array:
    y: _Array = np.clip(np.float32(given["alpha"]) * _float(given["x"]) + np.float32(given["beta"]), 0, 1)
    return y


def _softmax(given: _Inputs) -> _Array:
    x, axis = _float(given["x"]), int(given["axis"])
    shares = np.exp(x - x.max(axis=axis, keepdims=True))
    y: _Array = shares / shares.sum(axis=axis, keepdims=True)
    return y


def _reduce_mean(given: _Inputs) -> _Array:
    axes = tuple(int(v) for v in given["axes"])
    y: _Array = _float(given["x"]).mean(axis=axes, keepdims=bool(given["keep_dims"]))
    return y


def _reshape(given: _Inputs) -> _Array:
    y: _Array = np.asarray(given["x"]).reshape([int(v) for v in given["shape"]])
    return y


def _thresholded_relu(given: _Inputs) -> _Array:
    x = _float(given["x"])
    return np.where(x >= np.float32(given["alpha"]), x, np.float32(0))


def _transpose(given: _Inputs) -> _Array:
    return np.asarray(given["x"]).transpose([int(d) for d in given["perm"]])


def _cast(given: _Inputs) -> _Array:
    kinds: dict[str, Any] = _FLOATS | _INTEGERS
    if given["dtype"] not in kinds:
        raise BundleError(f"a cast to {given['dtype']} cannot be run here")
    return np.asarray(given["x"]).astype(kinds[given["dtype"]])


def _along(values: Any, axis: Any, dimensions: int) -> _Array:
    """A scale or zero point: one for all, or one for each index of ``axis``."""
    array = np.asarray(values)
    if array.ndim == 0:
        return array
    return array.reshape([-1 if d == int(axis) % dimensions else 1 for d in range(dimensions)])


def _quantize(given: _Inputs) -> _Array:
    x = _float(given["input"])
    kind: Any = _INTEGERS[given["output_dtype"]]
    scale = _along(given["scale"], given.get("axis"), x.ndim).astype(np.float32)
    zero = 0 if given.get("zero_point") is None else _along(given["zero_point"], given.get("axis"), x.ndim)
    whole = np.rint(x / scale) + np.asarray(zero, np.float32)
    limits = np.iinfo(kind)
    clipped: _Array = np.clip(whole, limits.min, limits.max).astype(kind)
    return clipped


def _dequantize(given: _Inputs) -> _Array:
    x = _float(given["input"])
    scale = _along(given["scale"], given.get("axis"), x.ndim).astype(np.float32)
    zero = 0 if given.get("zero_point") is None else _along(given["zero_point"], given.get("axis"), x.ndim)
    y: _Array = (x - np.asarray(zero, np.float32)) * scale
    return y


OPERATORS: Mapping[str, Callable[[_Inputs], _Array]] = {
    "add": lambda given: _float(given["x"]) + _float(given["y"]),
    "cast": _cast,
    "conv": _conv,
    "dequantize": _dequantize,
    "linear": _linear,
    "matmul": _matmul,
    "mul": lambda given: _float(given["x"]) * _float(given["y"]),
    "quantize": _quantize,
    "reduce_mean": _reduce_mean,
    "reshape": _reshape,
    "sigmoid_hard": _sigmoid_hard,
    "softmax": _softmax,
    "sub": lambda given: _float(given["x"]) - _float(given["y"]),
    "thresholded_relu": _thresholded_relu,
    "transpose": _transpose,
}
