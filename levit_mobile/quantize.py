"""Precisions, and which operator runs in which: one policy for all targets.

The figures behind the policy are in docs/quantisation.md. In short: int8 where the multiplications are, float where a
delegate has no int8 kernel (softmax, Hardswish, the attention products) or where the residual stream would lose accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from levit_mobile.errors import UsageError

__all__ = [
    "HALF_METHOD",
    "INT8_POLICY",
    "PRECISIONS",
    "Operator",
    "Precision",
    "Tolerance",
    "get_precision",
    "tolerance_for",
]

HALF_METHOD = "forward_float16"  # of a .pte: what forward does, for ARM processors with half-precision arithmetic

Operator = Literal[
    "convolution", "linear", "movement", "mean", "residual_add", "bias_add", "attention_product", "softmax", "hardswish"
]


@dataclass(frozen=True)
class Tolerance:
    """How far an artifact may be from PyTorch on the golden inputs.

    Attributes:
        max_abs: greatest difference of a logit, as a share of the reference's range (greatest less smallest logit).
        cosine: least mean cosine between the logits, each with its mean taken off.
        agreement: least share of inputs with the same first class. A class counts as the same if the reference holds it
            within ``max_abs`` of its own first: two classes that close are a toss-up at this precision.
    """

    max_abs: float
    cosine: float
    agreement: float


@dataclass(frozen=True)
class Precision:
    """One row of the table.

    Attributes:
        name: what users type.
        scheme: what is done to weights and activations, for the manifest.
        needs_ranges: whether activation ranges must be known beforehand.
        tolerance: the parity gate.
    """

    name: str
    scheme: str
    needs_ranges: bool
    tolerance: Tolerance


PRECISIONS: dict[str, Precision] = {
    row.name: row
    for row in (
        Precision("fp32", "float32 weights and activations", False, Tolerance(1e-4, 0.999999, 1.0)),
        Precision("fp16", "float16 weights; activations in the runtime's float", False, Tolerance(1e-2, 0.9999, 1.0)),
        Precision(
            "int8",
            "int8 weights per output channel, symmetric; int8 activations per tensor, static ranges; see the policy",
            True,
            Tolerance(0.15, 0.98, 1.0),
        ),
        Precision(
            "int8-weights",
            "int8 weights per output channel, symmetric; float16 activations",
            False,
            Tolerance(0.05, 0.99, 1.0),
        ),
        Precision(
            "palettised-4bit",
            "weights as 4-bit indices into palettes of 16 values; float16 activations",
            False,
            Tolerance(0.15, 0.98, 1.0),
        ),
        Precision(
            "int8-dynamic",
            "int8 weights per output channel, symmetric; activations quantised while running",
            False,
            Tolerance(0.15, 0.98, 1.0),
        ),
    )
}

# What is computed in which number format under ``int8``. "movement" is reshape, transpose and pad: they take the format
# of what they move, and a byte moves faster than a float.
INT8_POLICY: Mapping[Operator, Literal["int8", "float"]] = {
    "convolution": "int8",
    "linear": "int8",
    "movement": "int8",
    "mean": "float",
    "residual_add": "float",
    "bias_add": "float",
    "attention_product": "float",
    "softmax": "float",
    "hardswish": "float",
}


def get_precision(name: str) -> Precision:
    """The row called ``name``.

    Raises:
        UsageError: there is no such precision.
    """
    if name not in PRECISIONS:
        raise UsageError(f"unknown precision {name!r}; type one of: {', '.join(PRECISIONS)}")
    return PRECISIONS[name]


def tolerance_for(precision: str, io_dtype: str = "float32") -> Tolerance:
    """The parity gate of an artifact: its precision's, or int8's where the logits come as whole numbers.

    Raises:
        UsageError: there is no such precision.
    """
    row = get_precision(precision)
    return row.tolerance if io_dtype == "float32" else PRECISIONS["int8"].tolerance
