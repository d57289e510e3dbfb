"""A float ncnn model with int8 weights, as ncnn's own quantiser would write it; its wheel has none.

Gemm, InnerProduct and Convolution become int8: their weights by the greatest value (a scale a row; Gemm has one for all).
Gemm quantises its input while it runs. The others' input scales are not measured: they cost nothing, and this model is only
counted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

_INT8 = b"\x38\x4b\x0d\x00"  # what stands before int8 weights
_INPUT_SCALE = 127 / 8
_TERM = 2


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, many: int) -> bytes:
        self.at += many
        return self.data[self.at - many : self.at]


def _quantised(weights: Any, *, one: bool) -> tuple[bytes, Any]:
    """int8 with its tag, and its scales; weights are (rows, all else)."""
    greatest = np.abs(weights).max(axis=None if one else 1, keepdims=True)
    scales = (127 / np.maximum(greatest, 1e-9)).astype(np.float32)
    whole = np.rint(weights * scales).clip(-127, 127).astype(np.int8).tobytes()
    return _INT8 + whole + bytes(-len(whole) % 4), scales


def quantise(param: Path, weights: Path) -> tuple[str, bytes]:
    """The text and the weights of the int8 model."""
    source, lines, out = _Reader(weights.read_bytes()), [], []
    for line in param.read_text().splitlines():
        words = line.split()
        kind = words[0]
        values = dict(word.split("=", 1) for word in words if "=" in word)
        if kind == "MemoryData":
            size = int(np.prod([int(values[key]) for key in "012" if key in values]))
            out.append(source.take(4 * size))
        elif kind in ("Convolution", "InnerProduct", "Gemm"):
            gemm = kind == "Gemm"
            rows = int(values["8"] if gemm else values["0"])
            size = rows * int(values["9"]) if gemm else int(values["6"] if kind == "Convolution" else values["2"])
            source.take(4)  # the tag of float32
            table = np.frombuffer(source.take(4 * size), np.float32).reshape(rows, -1)
            data, scales = _quantised(table, one=gemm)
            bias = source.take(4 * rows + 4 * gemm)  # Gemm's has a tag
            out += [data, bias, scales.tobytes()]
            if not gemm:
                out.append(np.float32(_INPUT_SCALE).tobytes())
            line = f"{line} {18 if gemm else 8}={_TERM}"
        lines.append(line)
    if source.at != len(source.data):
        raise SystemExit(f"{len(source.data) - source.at} bytes of {weights.name} belong to no layer")
    return "\n".join(lines) + "\n", b"".join(out)
