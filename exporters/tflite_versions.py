"""The version that each operator is marked with. A runtime refuses a file with a version that it does not know.

Converters and quantisers leave the version that an operator had before its weights became int8. An older runtime then takes
the file and computes something else: tflite-runtime 2.14 reads weights with one scale a channel as if they all had the
first one's, wherever the input is float.
"""

from __future__ import annotations

from typing import Any

from ai_edge_litert import schema_py_generated as schema

from exporters.tflite_graph import Graph, operators

__all__ = ["mark_versions"]

_FLOAT, _HALF, _INT8 = schema.TensorType.FLOAT32, schema.TensorType.FLOAT16, schema.TensorType.INT8
# (operator, type of its first input, whether a constant has a scale for each channel) -> the version that has this;
# TFLite's own list is op_version.cc. What is not here keeps the version that it came with.
_VERSIONS = {
    ("CONV_2D", _FLOAT, True): 5,
    ("CONV_2D", _INT8, True): 3,
    ("DEQUANTIZE", _HALF, False): 3,
    ("DEQUANTIZE", _INT8, False): 2,
    ("DEQUANTIZE", _INT8, True): 5,
    ("FULLY_CONNECTED", _FLOAT, True): 12,
    ("FULLY_CONNECTED", _INT8, True): 4,
    ("PAD", _INT8, False): 2,
    ("TRANSPOSE", _INT8, False): 2,
}


def mark_versions(graph: Graph) -> Graph:
    """Raise every operator's version to the one that it needs; in place.

    An operator code stands for all operators of its kind, so the most demanding of them decides.
    """
    tensors = graph.subgraphs[0].tensors
    for kind, op in operators(graph):
        inputs = [tensors[index] for index in op.inputs if index != -1]
        needed = _VERSIONS.get((kind, inputs[0].type, any(map(_per_channel, inputs))), 1)
        code = graph.operatorCodes[op.opcodeIndex]
        code.version = max(code.version, needed)
    return graph


def _per_channel(tensor: Any) -> bool:
    """Whether an int8 constant has several scales. (One channel with one scale is the same either way.)"""
    found = tensor.quantization
    return tensor.type == _INT8 and found is not None and found.scale is not None and len(found.scale) > 1
