"""Half precision in a .tflite: a processor that computes in float16 may do so, and the graph is one that gains by it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from exporters.tflite_graph import Graph, operator_code, operators

__all__ = ["allow_half", "allows_half", "pad_rows"]

_NAME, _ALLOWED = b"reduced_precision_support", b"fp16accfp16"


def allow_half(graph: Graph) -> Graph:
    """Let XNNPACK compute in float16 what is float32, where the processor has instructions for it; in place.

    That is ARMv8.2 and newer with half precision: Cortex-A55, A75, A76 and later, Apple's since A11. Others compute as
    before. TFLite's own entry for it (``tensorflow/lite/tools/optimize/reduced_precision_metadata.h``).
    """
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(_ALLOWED, np.uint8)
    entry.name, entry.buffer = _NAME, len(graph.buffers)
    graph.buffers.append(buffer)
    graph.metadata = [*(graph.metadata or []), entry]
    return graph


def allows_half(graph: Graph) -> bool:
    """Whether a file has that entry."""
    return any(entry.name == _NAME for entry in graph.metadata or [])


def pad_rows(graph: Graph) -> Graph:
    """Pad each row of a float picture as one run of numbers, (B, H, W, C) as (B, H, W*C); in place.

    XNNPACK takes a pad into the convolution behind it, but not in float16. Left alone it copies pixel by pixel, at 100
    instructions each; a row costs hardly more than that.
    """
    sub = graph.subgraphs[0]
    done: list[Any] = []
    for kind, op in list(operators(graph)):
        rows = _Rows.of(graph, op) if kind == "PAD" else None
        done += [op] if rows is None else rows.instead(op)
    sub.operators = done
    return graph


class _Rows:
    """A pad of pictures, seen as one of rows."""

    def __init__(self, graph: Graph, amounts: npt.NDArray[np.int32], before: Any, after: Any) -> None:
        self._graph, self._amounts, self._before, self._after = graph, amounts, before, after

    @classmethod
    def of(cls, graph: Graph, op: Any) -> _Rows | None:
        """None where the numbers are not float, or something other than the two sides of a picture is padded."""
        tensors = graph.subgraphs[0].tensors
        before, table, after = tensors[op.inputs[0]], tensors[op.inputs[1]], tensors[op.outputs[0]]
        data = graph.buffers[table.buffer].data
        if before.type != schema.TensorType.FLOAT32 or len(before.shape) != 4 or data is None:
            return None
        kind = {schema.TensorType.INT32: np.int32, schema.TensorType.INT64: np.int64}[table.type]
        amounts = np.frombuffer(bytes(data), kind).reshape(4, 2).astype(np.int32)
        return None if amounts[[0, 3]].any() else cls(graph, amounts, before, after)

    def instead(self, op: Any) -> list[Any]:
        """The three operators in place of the one."""
        (b, h, w, c), (_, high, wide, _) = self._before.shape, self._after.shape
        rows, padded = (self._tensor(shape, self._before.type) for shape in ((b, h, w * c), (b, high, wide * c)))
        amounts = np.array([[0, 0], self._amounts[1], c * self._amounts[2]], np.int32)
        first = self._reshape(op.inputs[0], rows, (b, h, w * c))
        last = self._reshape(padded, op.outputs[0], (b, high, wide, c))
        sub, table = self._graph.subgraphs[0], op.inputs[1]
        tensor = sub.tensors[table]
        op.inputs, op.outputs = [rows, -1], [padded]
        wanted = any(table in other.inputs for other in sub.operators)
        if wanted or sum(other.buffer == tensor.buffer for other in sub.tensors) > 1:
            op.inputs[1] = self._constant(amounts)
        else:  # this pad was the last that it was for
            op.inputs[1] = table
            tensor.shape, tensor.type = list(amounts.shape), schema.TensorType.INT32
            self._graph.buffers[tensor.buffer].data = np.frombuffer(amounts.tobytes(), np.uint8)
        return [first, op, last]

    def _reshape(self, source: int, result: int, shape: tuple[int, ...]) -> Any:
        op = schema.OperatorT()
        op.opcodeIndex = operator_code(self._graph, schema.BuiltinOperator.RESHAPE)
        op.inputs, op.outputs = [source, self._constant(np.array(shape, np.int32))], [result]
        op.builtinOptionsType, op.builtinOptions = schema.BuiltinOptions.ReshapeOptions, schema.ReshapeOptionsT()
        op.builtinOptions.newShape = list(shape)
        return op

    def _constant(self, values: npt.NDArray[np.int32]) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self._graph.buffers.append(buffer)
        return self._tensor(values.shape, schema.TensorType.INT32, len(self._graph.buffers) - 1)

    def _tensor(self, shape: tuple[int, ...], kind: int, buffer: int = 0) -> int:
        tensors = self._graph.subgraphs[0].tensors
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = f"t{len(tensors)}".encode(), list(shape), kind, buffer
        tensors.append(tensor)
        return len(tensors) - 1
