"""Versions of operators, on graphs of one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from graphs import GraphMaker

from exporters.tflite_versions import mark_versions


def dense(first: str, scales: int) -> Any:
    """A FULLY_CONNECTED with an input of this type and int8 weights with so many scales."""
    made = GraphMaker()
    image = made.tensor(1, 4)
    made.graph.tensors[image].type = getattr(schema.TensorType, first)
    out = made.linear(image, np.ones((3, 4), np.float32), None)
    weight = made.graph.tensors[made.graph.operators[0].inputs[1]]
    weight.type = schema.TensorType.INT8
    weight.quantization = schema.QuantizationParametersT(scale=[0.5] * scales, zeroPoint=[0] * scales)
    return made.finish([image], [out])


@pytest.mark.parametrize(("first", "scales", "version"), [("FLOAT32", 3, 12), ("FLOAT32", 1, 1), ("INT8", 3, 4)])
def test_per_channel_weights(first: str, scales: int, version: int) -> None:
    (code,) = mark_versions(dense(first, scales)).operatorCodes
    assert code.version == version


def test_what_came_higher_stays() -> None:
    graph = dense("INT8", 3)
    graph.operatorCodes[0].version = 9
    assert mark_versions(graph).operatorCodes[0].version == 9


def test_an_operator_that_needs_nothing() -> None:
    made = GraphMaker()
    image = made.tensor(1, 4)
    graph = made.finish([image], [made.hardswish(image)])
    assert mark_versions(graph).operatorCodes[0].version == 1
