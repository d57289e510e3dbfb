"""The int8 policy with one thing changed at a time, each from the same float artifact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.tools import flatbuffer_utils
from ai_edge_quantizer import qtyping, quantizer, recipe_manager

from calib.calibration import Calibration
from calib.ranges import Ranges
from exporters.tflite import float_graph
from exporters.tflite_graph import Graph, name_output, pack_constants, read_graph, write_graph
from exporters.tflite_quantize import activation_ranges, lift_weights, quantize
from exporters.tflite_versions import mark_versions
from levit_mobile.checkpoints import Checkpoint
from levit_mobile.program import build_program
from levit_mobile.quantize import PRECISIONS
from levit_mobile.quiet import quiet
from levit_mobile.targets import check_request

_Name = qtyping.TFLOperationName
_LAYERS = (_Name.CONV_2D, _Name.FULLY_CONNECTED)
_MOVEMENT = (_Name.RESHAPE, _Name.TRANSPOSE, _Name.PAD)
_Seen = dict[str, dict[str, Any]]  # ai-edge-quantizer's: {tensor: {"min": ..., "max": ...}}


def float_artifact(checkpoint: Checkpoint, calibration: Calibration) -> bytes:
    """What int8 is made of: the float32 graph of the weights that a calibration prepares."""
    options = check_request("tflite", "int8").options
    return write_graph(float_graph(build_program(checkpoint, "int8", calibration=calibration, options=options)))


class Ablations:
    """What the policy could have been.

    Args:
        artifact: from ``float_artifact``.
        ranges: of its activations, as shipped.
        inputs: calibration pictures as the artifact takes them, (1, S, S, 3) each; for what ``ranges`` do not cover.
    """

    def __init__(self, artifact: bytes, ranges: Ranges, inputs: Iterable[npt.NDArray[np.float32]]) -> None:
        self._artifact, self._ranges, self._inputs = artifact, ranges, inputs
        self._calibrated: _Seen = {}

    def all(self) -> Mapping[str, Callable[[], bytes]]:
        """{what was changed: makes the artifact, without the quantiser's bars and warnings}."""
        makers = {
            "bias tables and zero points not packed": lambda: _plain(self._by_policy()),
            "reshape, transpose, pad in float": self._movement_in_float,
            "residual and bias adds in int8 too": self._adds_too,
            "everything in int8": self._everything,
        }
        return {change: quiet()(make) for change, make in makers.items()}

    def shipped(self) -> bytes:
        """Nothing changed: what the exporter makes, but for the metadata."""
        return _packed(self._by_policy())

    def _by_policy(self) -> Graph:
        return quantize(read_graph(self._artifact), PRECISIONS["int8"], self._ranges, "float32")

    def _lifted(self) -> tuple[Graph, _Seen]:
        """The float graph, whose dead channels would else overflow, and the ranges that the policy goes by."""
        graph = _without_loose_tensors(read_graph(self._artifact))
        known = activation_ranges(graph, self._ranges)
        lift_weights(graph, known)
        return graph, {
            name: {"min": np.array([[low]], np.float32), "max": np.array([[high]], np.float32)}
            for name, (low, high) in known.items()
        }

    def _movement_in_float(self) -> bytes:
        graph, known = self._lifted()
        return _packed(_static(graph, _LAYERS, known))

    def _adds_too(self) -> bytes:
        graph, known = self._lifted()
        return _packed(_static(graph, (*_LAYERS, *_MOVEMENT, _Name.ADD), {**self._seen(graph), **known}))

    def _everything(self) -> bytes:
        """ai-edge-quantizer's static recipe for every operator that it knows, with its own calibration."""
        graph, _ = self._lifted()
        return _packed(_static(graph, (_Name.ALL_SUPPORTED,), self._seen(graph)))

    def _seen(self, graph: Graph) -> _Seen:
        """The range of every tensor, by ai-edge-quantizer's calibration; measured once."""
        if not self._calibrated:
            tool = _tool(graph, (_Name.ALL_SUPPORTED,))
            data = {"serving_default": [{"image": x} for x in self._inputs]}
            self._calibrated = tool.calibrate(data, num_threads=2)
        return self._calibrated


def _tool(graph: Graph, operators: Iterable[Any]) -> Any:
    recipe = recipe_manager.RecipeManager()
    for name in operators:
        recipe.add_static_config(".*", name, activation_num_bits=8, weight_num_bits=8)
    return quantizer.Quantizer(bytearray(write_graph(graph)), recipe.get_quantization_recipe())


def _static(graph: Graph, operators: Iterable[Any], seen: _Seen) -> Graph:
    result = _tool(graph, operators).quantize(seen, enable_progress_bar=False, enable_progress_report=False)
    return read_graph(bytes(result.quantized_model))


def _packed(graph: Graph) -> bytes:
    return write_graph(mark_versions(name_output(pack_constants(graph))))


def _plain(graph: Graph) -> bytes:
    return bytes(flatbuffer_utils.convert_object_to_bytearray(name_output(graph)))


def _without_loose_tensors(graph: Graph) -> Graph:
    """Drop the tensors that no operator reads or writes, in place; the calibration would ask for their values."""
    sub = graph.subgraphs[0]
    used = {int(i) for op in sub.operators for i in (*op.inputs, *op.outputs)} | {*sub.inputs, *sub.outputs}
    kept = sorted(used - {-1})
    place = {-1: -1, **{old: new for new, old in enumerate(kept)}}
    sub.tensors = [sub.tensors[index] for index in kept]
    for part in (*sub.operators, sub):
        part.inputs, part.outputs = [place[i] for i in part.inputs], [place[i] for i in part.outputs]
    for signature in graph.signatureDefs:
        for port in (*signature.inputs, *signature.outputs):
            port.tensorIndex = place[port.tensorIndex]
    return graph
