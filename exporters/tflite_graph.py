"""A .tflite as objects: reading, writing, short tensor names that tell the layer, and small constants.

The classes are those of the TFLite schema (``schema.fbs``), generated, as ai-edge-litert ships them.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from torch import nn

from levit_mobile.errors import ExportError
from levit_mobile.fuse import DeployLeViT
from levit_mobile.scales import PACKED_FROM, pack_table

__all__ = [
    "Graph",
    "constant",
    "name_output",
    "name_tensors",
    "operator_code",
    "operators",
    "pack_constants",
    "read_graph",
    "set_constant",
    "tensor_name",
    "write_graph",
]

Graph = Any  # schema.ModelT, which has no types
_OPERATOR_NAMES = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}


def read_graph(model: bytes) -> Graph:
    """Parse a flatbuffer."""
    graph = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
    for buffer in graph.buffers:
        if buffer.data is not None:  # as an array it is written in one piece, otherwise byte by byte in Python
            buffer.data = np.frombuffer(bytes(buffer.data), np.uint8)
    return graph


class _SharedZeros(schema.QuantizationParametersT):  # type: ignore[misc]
    """Quantisation parameters of symmetric channels; all that have as many channels share one vector of zeros.

    The format wants eight bytes of zero point for every channel of every weight and bias: 260 kB in LeViT-128S.
    """

    pool: dict[int, int]  # number of channels -> where in the file its zeros are

    def Pack(self, builder: Any) -> Any:  # noqa: N802  (the generated code's name)
        count = len(self.zeroPoint)
        if count not in self.pool:
            self.pool[count] = builder.CreateNumpyVector(np.zeros(count, np.int64))
        scale = builder.CreateNumpyVector(np.asarray(self.scale, np.float32))
        schema.QuantizationParametersStart(builder)
        schema.QuantizationParametersAddScale(builder, scale)
        schema.QuantizationParametersAddZeroPoint(builder, self.pool[count])
        schema.QuantizationParametersAddQuantizedDimension(builder, self.quantizedDimension)
        return schema.QuantizationParametersEnd(builder)


def write_graph(graph: Graph) -> bytes:
    """Serialise a flatbuffer."""
    pool: dict[int, int] = {}
    for tensor in graph.subgraphs[0].tensors:
        if (found := tensor.quantization) is not None and found.zeroPoint is not None and len(found.zeroPoint) > 1:
            if np.any(found.zeroPoint):
                continue
            shared = _SharedZeros()
            shared.pool = pool
            shared.scale, shared.zeroPoint = found.scale, found.zeroPoint
            shared.quantizedDimension = found.quantizedDimension
            tensor.quantization = shared
    return bytes(flatbuffer_utils.convert_object_to_bytearray(graph))


def operators(graph: Graph) -> Iterator[tuple[str, Any]]:
    """(name, operator) of the main subgraph, in order of execution."""
    for op in graph.subgraphs[0].operators:
        code = graph.operatorCodes[op.opcodeIndex]
        yield _OPERATOR_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)], op


def tensor_name(graph: Graph, index: int) -> str:
    """Name of a tensor of the main subgraph."""
    name = graph.subgraphs[0].tensors[index].name
    return name.decode() if isinstance(name, bytes) else str(name)


def constant(graph: Graph, index: int) -> npt.NDArray[Any] | None:
    """The values of a float32 constant, or None if the tensor is computed or of another type."""
    tensor = graph.subgraphs[0].tensors[index]
    data = graph.buffers[tensor.buffer].data
    if data is None or len(data) == 0 or tensor.type != schema.TensorType.FLOAT32:
        return None
    return np.frombuffer(bytes(data), np.float32).reshape(tensor.shape)


def set_constant(graph: Graph, index: int, values: npt.NDArray[Any]) -> None:
    """Give a float32 constant other values of the same shape."""
    buffer = graph.buffers[graph.subgraphs[0].tensors[index].buffer]
    buffer.data = np.frombuffer(values.astype(np.float32).tobytes(), np.uint8)


def name_tensors(graph: Graph, model: DeployLeViT) -> Graph:
    """Call every tensor after the layer that makes it; in place.

    ``blocks.0.q.in`` and ``.out`` are a layer's input and output, ``blocks.0.q.weight`` its constant, ``blocks.0.bias`` an
    attention's bias table; the rest are numbered. The converter's names are long paths that it cuts and repeats; layers
    are found by their weights instead.

    Raises:
        ExportError: a convolution or Linear of the model is not in the graph, or the other way round.
    """
    layers = _find_layers(graph, model)
    _restore_biases(graph, model, layers)
    sub = graph.subgraphs[0]
    names: dict[int, str] = {}
    for layer, op in layers:
        # Layers with the same input (q, k and v) keep the first one's name for it.
        for index, part in zip((*op.inputs[:3], op.outputs[0]), ("in", "weight", "bias", "out"), strict=True):
            names.setdefault(index, f"{layer}.{part}")
    tables = {table.numpy().tobytes(): name for name, table in model.named_buffers()}
    for index in (index for kind, op in operators(graph) if kind == "ADD" for index in op.inputs):
        values = constant(graph, index)
        if values is not None and (table := tables.get(values.tobytes())):
            names[index] = table
    names |= dict.fromkeys(sub.inputs, "image") | dict.fromkeys(sub.outputs, "logits")
    for index, tensor in enumerate(sub.tensors):
        tensor.name = names.get(index, f"t{index}").encode()
    return graph


def _find_layers(graph: Graph, model: DeployLeViT) -> list[tuple[str, Any]]:
    """(layer, operator) of every convolution and Linear, in order of execution."""
    wanted: defaultdict[bytes, deque[str]] = defaultdict(deque)
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            wanted[module.weight.detach().permute(0, 2, 3, 1).contiguous().numpy().tobytes()].append(name)
        elif isinstance(module, nn.Linear):
            wanted[module.weight.detach().contiguous().numpy().tobytes()].append(name)
    layers = []
    for kind, op in operators(graph):
        if kind in ("CONV_2D", "FULLY_CONNECTED"):
            weight = constant(graph, op.inputs[1])
            found = wanted.get(weight.tobytes()) if weight is not None else None
            if not found:
                raise ExportError(f"the converter changed the weights before {tensor_name(graph, op.outputs[0])}")
            layers.append((found.popleft(), op))
    left = [name for queue in wanted.values() for name in queue]
    if left:
        raise ExportError(f"the converter dropped the layer {left[0]}")
    return layers


def _restore_biases(graph: Graph, model: DeployLeViT, layers: list[tuple[str, Any]]) -> None:
    """Undo what the converter does to a Linear that a Linear follows and no residual comes between.

    It takes the first one's bias b out, adds it on its own for who else needs it, and adds W b to the second one's bias:
    one operator more, and activations that nobody has measured.
    """
    sub = graph.subgraphs[0]
    gone = []
    for _, op in layers:
        if op.inputs[2] != -1:
            continue
        bare = op.outputs[0]
        adds = [o for kind, o in operators(graph) if kind == "ADD" and o.inputs[0] == bare]
        bias = constant(graph, adds[0].inputs[1]) if len(adds) == 1 else None
        if bias is None or bias.ndim != 1:
            raise ExportError(f"the converter lost the bias of {tensor_name(graph, bare)}")
        op.inputs[2], op.outputs[0] = adds[0].inputs[1], adds[0].outputs[0]
        sub.tensors[op.outputs[0]].shape = sub.tensors[bare].shape
        gone.append(adds[0])
        for layer, other in layers:
            if other.inputs[0] == bare:
                other.inputs[0] = op.outputs[0]
                set_constant(graph, other.inputs[2], model.get_submodule(layer).bias.detach().numpy())  # type: ignore[operator]
    sub.operators = [op for op in sub.operators if not any(op is old for old in gone)]


def name_output(graph: Graph) -> Graph:
    """Call the output ``logits`` again, and what was so called before quantisation ``head.out``; in place."""
    sub = graph.subgraphs[0]
    for tensor in sub.tensors:
        if tensor.name == b"logits":
            tensor.name = b"head.out"
    sub.tensors[sub.outputs[0]].name = b"logits"
    return graph


def pack_constants(graph: Graph) -> Graph:
    """Store large float constants (the attention-bias tables) as int8 with one scale a head; in place.

    The delegate unpacks them once, when the model is loaded, so that they cost bytes in the file and nothing at run time.
    """
    sub = graph.subgraphs[0]
    unpack: list[Any] = []
    done: dict[int, None] = {}
    for kind, op in list(operators(graph)):
        if kind != "ADD":
            continue
        for index in op.inputs:
            values = constant(graph, index)
            if values is None or values.size < PACKED_FROM or index in done:
                continue
            done[index] = None
            unpack.append(_unpacking(graph, index, values))
    sub.operators = unpack + list(sub.operators)
    return graph


def operator_code(graph: Graph, builtin: int) -> int:
    """Where the file lists an operator; it is added if need be, with version 1 (see ``mark_versions``)."""
    for index, code in enumerate(graph.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == builtin:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    code.version = 1
    graph.operatorCodes.append(code)
    return len(graph.operatorCodes) - 1


def _unpacking(graph: Graph, index: int, values: npt.NDArray[Any]) -> Any:
    """Move a constant into a packed tensor of its own; the operator that fills the old one from it."""
    sub = graph.subgraphs[0]
    integers, scale = pack_table(values)
    packed = schema.TensorT()
    old = sub.tensors[index]
    packed.name, packed.shape, packed.type = old.name + b".packed", old.shape, schema.TensorType.INT8
    packed.quantization = schema.QuantizationParametersT()
    packed.quantization.scale = scale.ravel().tolist()
    packed.quantization.zeroPoint = [0] * scale.size
    packed.quantization.quantizedDimension = 0
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(integers.tobytes(), np.uint8)
    packed.buffer = len(graph.buffers)
    graph.buffers.append(buffer)
    sub.tensors.append(packed)
    if sum(tensor.buffer == old.buffer for tensor in sub.tensors) == 1:
        graph.buffers[old.buffer].data = None
    old.buffer = 0
    op = schema.OperatorT()
    op.opcodeIndex = operator_code(graph, schema.BuiltinOperator.DEQUANTIZE)
    op.inputs, op.outputs = [len(sub.tensors) - 1], [index]
    return op
