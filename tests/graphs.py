"""Small .tflite graphs made by hand, one operator after the other, and an interpreter for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int32": schema.TensorType.INT32,
    "int8": schema.TensorType.INT8,
}
TYPE_NAMES = {value: name for name, value in vars(schema.TensorType).items() if not name.startswith("_")}
_OPTIONS = {
    "FULLY_CONNECTED": (schema.BuiltinOptions.FullyConnectedOptions, schema.FullyConnectedOptionsT),
    "ADD": (schema.BuiltinOptions.AddOptions, schema.AddOptionsT),
}


class GraphMaker:
    """A graph under construction; tensors are known by their index."""

    def __init__(self) -> None:
        self.model = schema.ModelT(version=3, operatorCodes=[], buffers=[schema.BufferT()], metadata=[])
        self.graph = schema.SubGraphT(tensors=[], operators=[], inputs=[], outputs=[])
        self.model.subgraphs = [self.graph]

    def tensor(self, *shape: int, name: str = "") -> int:
        """A float32 tensor that is computed or fed."""
        label = name or f"x{len(self.graph.tensors)}"
        self.graph.tensors.append(
            schema.TensorT(name=label.encode(), shape=list(shape), type=TYPES["float32"], buffer=0)
        )
        return len(self.graph.tensors) - 1

    def constant(self, values: npt.NDArray[Any], name: str = "") -> int:
        """A tensor with values, in their dtype."""
        index = self.tensor(*values.shape, name=name)
        self.graph.tensors[index].type = TYPES[values.dtype.name]
        self.graph.tensors[index].buffer = len(self.model.buffers)
        self.model.buffers.append(schema.BufferT(data=np.frombuffer(values.tobytes(), np.uint8)))
        return index

    def operator(self, kind: str, inputs: Sequence[int], *outputs: int) -> int:
        """An operator; its first output."""
        code = getattr(schema.BuiltinOperator, kind)
        known = [c.builtinCode for c in self.model.operatorCodes]
        if code not in known:
            known.append(code)
            self.model.operatorCodes.append(
                schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=code, version=1)
            )
        op = schema.OperatorT(opcodeIndex=known.index(code), inputs=list(inputs), outputs=list(outputs))
        if kind in _OPTIONS:
            op.builtinOptionsType, op.builtinOptions = _OPTIONS[kind][0], _OPTIONS[kind][1]()
        self.graph.operators.append(op)
        return outputs[0]

    def linear(self, x: int, weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32] | None) -> int:
        """FULLY_CONNECTED; its output."""
        rows = self.graph.tensors[x].shape[0]
        wired = [x, self.constant(weight), -1 if bias is None else self.constant(bias)]
        return self.operator("FULLY_CONNECTED", wired, self.tensor(rows, len(weight)))

    def add(self, a: int, b: int) -> int:
        """ADD; its output, of the first one's shape."""
        return self.operator("ADD", [a, b], self.tensor(*self.graph.tensors[a].shape))

    def hardswish(self, x: int) -> int:
        """HARD_SWISH; its output."""
        return self.operator("HARD_SWISH", [x], self.tensor(*self.graph.tensors[x].shape))

    def finish(self, inputs: Sequence[int], outputs: Sequence[int]) -> Any:
        """The whole model, as an object; with the signature that quantisers ask for."""
        self.graph.inputs, self.graph.outputs = list(inputs), list(outputs)
        named = [schema.TensorMapT(name=f"in{n}", tensorIndex=i) for n, i in enumerate(inputs)]
        given = [schema.TensorMapT(name=f"out{n}", tensorIndex=i) for n, i in enumerate(outputs)]
        signature = schema.SignatureDefT(signatureKey="serving_default", subgraphIndex=0, inputs=named, outputs=given)
        self.model.signatureDefs = [signature]
        return self.model


def pack(model: Any) -> bytes:
    """The flatbuffer, by the generated code alone."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def run(model: bytes, x: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """The outputs for one input."""
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]).copy() for detail in interpreter.get_output_details()]
