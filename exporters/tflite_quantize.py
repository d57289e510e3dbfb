"""The quantisation policy, in ai-edge-quantizer's terms."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection
from itertools import product
from typing import Any

import numpy as np
from ai_edge_quantizer import qtyping, quantizer, recipe_manager
from ai_edge_quantizer.algorithm_manager import AlgorithmName

from calib.ranges import Ranges
from exporters.tflite_graph import Graph, constant, operators, read_graph, set_constant, tensor_name, write_graph
from levit_mobile.errors import ExportError
from levit_mobile.program import IoDtype
from levit_mobile.quantize import INT8_POLICY, Operator, Precision
from levit_mobile.scales import lift_dead_channels

__all__ = ["activation_ranges", "lift_weights", "quantize"]

_Name = qtyping.TFLOperationName
_Ranges = dict[str, tuple[float, float]]
# The policy's operators, in TFLite's terms. ADD is not among them: float ADDs cannot be told apart there by kind.
_OPERATORS: dict[Operator, tuple[Any, ...]] = {
    "convolution": (_Name.CONV_2D,),
    "linear": (_Name.FULLY_CONNECTED,),
    "movement": (_Name.RESHAPE, _Name.TRANSPOSE, _Name.PAD),
    "mean": (_Name.MEAN,),
    "softmax": (_Name.SOFTMAX,),
    "hardswish": (_Name.HARD_SWISH,),
    "attention_product": (_Name.BATCH_MATMUL,),
}
_LAYERS = ("CONV_2D", "FULLY_CONNECTED")
_MOVES = ("RESHAPE", "TRANSPOSE", "PAD")


def quantize(
    graph: Graph, precision: Precision, ranges: Ranges | None, io_dtype: IoDtype, kept: Collection[str] = ()
) -> Graph:
    """The float graph, with ``name_tensors``' names, in another precision.

    Args:
        graph: is used up.
        precision: fp32 changes nothing inside.
        ranges: of the activations; int8 needs them, and so does an ``io_dtype`` other than float32.
        io_dtype: of input and output.
        kept: layers that stay float in int8.

    Raises:
        ExportError: the quantiser refused, or a range is missing.
    """
    recipe = recipe_manager.RecipeManager()
    if precision.name == "int8":
        for operator, names in _OPERATORS.items():
            if INT8_POLICY[operator] == "int8":
                for name in names:
                    recipe.add_static_config(".*", name, activation_num_bits=8, weight_num_bits=8)
        float_layers = [op for kind, op in operators(graph) if kind in _LAYERS and _layer_name(graph, op) in kept]
        outputs = [tensor_name(graph, op.outputs[0]) for op in (*_float_moves(graph, kept), *float_layers)]
        kinds = [name for operator in ("movement", "linear", "convolution") for name in _OPERATORS[operator]]
        for output, kind in product(outputs, kinds):
            recipe.add_quantization_config(f"^{re.escape(output)};$", kind, algorithm_key=AlgorithmName.NO_QUANTIZE)
    elif precision.name == "int8-dynamic":
        for name in (_Name.CONV_2D, _Name.FULLY_CONNECTED):
            recipe.add_dynamic_config(".*", name, num_bits=8)
    elif precision.name == "fp16":
        for name in (_Name.CONV_2D, _Name.FULLY_CONNECTED):
            recipe.add_quantization_config(".*", name, _half(), AlgorithmName.FLOAT_CASTING)
    if io_dtype != "float32":
        for name in (_Name.INPUT, _Name.OUTPUT):
            recipe.add_quantization_config(".*", name, _whole(io_dtype))
    if not recipe.get_quantization_recipe():
        return graph
    known: _Ranges | None = None
    if ranges is not None:
        known = activation_ranges(graph, ranges)
        if io_dtype != "float32":
            known["image"] = (0.0, 255.0)  # so that the scale is 1: one step is one level of a pixel
        if precision.name == "int8":
            lift_weights(graph, known, kept)
    return _run(graph, recipe, known)


def _half() -> Any:
    """float16 weights, which the delegate unpacks, or computes with where the processor can."""
    return qtyping.OpQuantizationConfig(
        weight_tensor_config=qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT),
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )


def _whole(io_dtype: IoDtype) -> Any:
    unsigned = io_dtype == "uint8"
    dtype = qtyping.TensorDataType.UINT if unsigned else qtyping.TensorDataType.INT
    return qtyping.OpQuantizationConfig(
        activation_tensor_config=qtyping.TensorQuantizationConfig(num_bits=8, symmetric=False, dtype=dtype),
        weight_tensor_config=qtyping.TensorQuantizationConfig(num_bits=8, symmetric=True),
        compute_precision=qtyping.ComputePrecision.INTEGER,
        explicit_dequantize=False,
    )


def activation_ranges(graph: Graph, ranges: Ranges) -> _Ranges:
    """{tensor: (low, high)}.

    Layers' inputs and outputs are known by name; a tensor that is only moved (reshape, transpose, pad) has the range of
    what it was moved from.

    Raises:
        ExportError: a range is missing.
    """

    def measured(name: str) -> tuple[float, float]:
        if name not in ranges.values:
            raise ExportError(f"the activation ranges lack {name}; measure them anew with --calib-data DIR")
        return ranges.values[name]

    known: dict[int, tuple[float, float]] = {}
    ops = list(operators(graph))
    for kind, op in ops:
        if kind in _LAYERS:
            layer = _layer_name(graph, op)
            known[op.inputs[0]], known[op.outputs[0]] = measured(f"{layer}.in"), measured(f"{layer}.out")
    moves = [op for kind, op in ops if kind in _MOVES]
    for op in moves + moves[::-1]:  # with the flow, then against it
        a, b = op.inputs[0], op.outputs[0]
        if a in known or b in known:
            known[b] = known[a] = known[a] if a in known else known[b]
    return {tensor_name(graph, index): pair for index, pair in known.items()}


def _float_moves(graph: Graph, kept: Collection[str]) -> list[Any]:
    """The moves that carry floats: the residual stream between two ADDs, what float layers read and write, and what no layer
    in int8 has to do with."""
    ops = list(operators(graph))
    sums = {index for kind, op in ops if kind == "ADD" for index in op.outputs}
    summed = {index for kind, op in ops if kind == "ADD" for index in op.inputs}
    moves = [op for kind, op in ops if kind in _MOVES]
    layers = [op for kind, op in ops if kind in _LAYERS]
    float_chains = _chains(moves, [op for op in layers if _layer_name(graph, op) in kept])
    int8_chains = _chains(moves, [op for op in layers if _layer_name(graph, op) not in kept])

    def carries_floats(op: Any) -> bool:
        in_stream = op.inputs[0] in sums and op.outputs[0] in summed
        return in_stream or id(op) in float_chains or id(op) not in int8_chains

    return [op for op in moves if carries_floats(op)]


def _chains(moves: list[Any], layers: list[Any]) -> set[int]:
    """The ids of the moves, in order, that end at what one of these layers reads, or begin at what one writes."""
    read, written, found = {op.inputs[0] for op in layers}, {op.outputs[0] for op in layers}, set[int]()
    for op in moves:
        if op.inputs[0] in written:
            written.add(op.outputs[0])
            found.add(id(op))
    for op in moves[::-1]:
        if op.outputs[0] in read:
            read.add(op.inputs[0])
            found.add(id(op))
    return found


def _layer_name(graph: Graph, op: Any) -> str:
    return tensor_name(graph, op.inputs[1]).removesuffix(".weight")


def lift_weights(graph: Graph, ranges: _Ranges, kept: Collection[str] = ()) -> int:
    """``lift_dead_channels`` for every layer that is not kept in float, in place; how many channels it changed."""
    lifted = 0
    for kind, op in operators(graph):
        if kind not in _LAYERS or _layer_name(graph, op) in kept:
            continue
        weight, bias = constant(graph, op.inputs[1]), constant(graph, op.inputs[2])
        assert weight is not None
        assert bias is not None
        flat = weight.reshape(len(weight), -1)
        new = lift_dead_channels(flat, bias, ranges[tensor_name(graph, op.inputs[0])])
        lifted += int((new != flat).any(axis=1).sum())
        set_constant(graph, op.inputs[1], new.reshape(weight.shape))
    return lifted


def _run(graph: Graph, recipe: Any, ranges: _Ranges | None) -> Graph:
    values = None
    if ranges is not None:
        values = {
            name: {"min": np.array([[low]], np.float32), "max": np.array([[high]], np.float32)}
            for name, (low, high) in ranges.items()
        }
    try:
        with warnings.catch_warnings():
            # It opens an interpreter in debugging mode just to list the tensors, and is warned of the memory.
            warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors.*")
            tool = quantizer.Quantizer(bytearray(write_graph(graph)), recipe.get_quantization_recipe())
            result = tool.quantize(values, enable_progress_bar=False, enable_progress_report=False)
    except (ValueError, RuntimeError, KeyError) as error:
        raise ExportError(f"ai-edge-quantizer could not quantise the model: {error}") from error
    return read_graph(bytes(result.quantized_model))
