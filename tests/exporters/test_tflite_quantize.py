"""The policy in ai-edge-quantizer's terms, on graphs that are small enough to be checked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from ai_edge_quantizer import quantizer
from graphs import TYPE_NAMES, GraphMaker, pack, run
from torch import nn

from calib.ranges import Ranges
from exporters.tflite_graph import constant, name_tensors, operators, read_graph, write_graph
from exporters.tflite_quantize import _OPERATORS, activation_ranges, lift_weights, quantize
from levit_mobile.errors import ExportError
from levit_mobile.program import IoDtype
from levit_mobile.quantize import INT8_POLICY, PRECISIONS

LEVEL = np.array([[0, 64, 128, 255]], np.float32)  # pixels


def network(dead: float | None = None) -> nn.Sequential:
    """Linear, Hardswish, Linear; channel 2 of the first may have no weights, and this bias."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Hardswish(), nn.Linear(8, 3)).eval().requires_grad_(False)
    model[0].weight /= 64  # type: ignore[operator]
    if dead is not None:
        model[0].weight[2] = 0  # type: ignore[index]
        model[0].bias[2] = dead  # type: ignore[index]
    return model


def as_graph(model: nn.Sequential) -> Any:
    made = GraphMaker()
    first, last = model[0], model[2]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    image = made.tensor(1, 4)
    x = made.hardswish(made.linear(image, first.weight.numpy(), first.bias.numpy()))
    logits = made.linear(x, last.weight.numpy(), last.bias.numpy())
    return name_tensors(read_graph(pack(made.finish([image], [logits]))), model)


def measured(model: nn.Sequential) -> Ranges:
    values: dict[str, tuple[float, float]] = {}
    x = torch.linspace(0, 255, 64).reshape(16, 4)
    for name, layer in model.named_children():
        y = layer(x)
        values[f"{name}.in"] = (float(x.min()), float(x.max()))
        values[f"{name}.out"] = (float(y.min()), float(y.max()))
        x = y
    return Ranges("", values, "min-max", 16, "")


def types(graph: Any) -> list[tuple[str, list[str], str]]:
    """(operator, types of its inputs, type of its output)."""
    tensors = graph.subgraphs[0].tensors
    return [
        (kind, [TYPE_NAMES[tensors[i].type] for i in op.inputs], TYPE_NAMES[tensors[op.outputs[0]].type])
        for kind, op in operators(graph)
    ]


def expected(model: nn.Sequential, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    result: npt.NDArray[np.float32] = model(torch.from_numpy(x)).numpy()
    return result


def test_every_operator_of_the_policy_is_known() -> None:
    assert set(INT8_POLICY) - set(_OPERATORS) == {"residual_add", "bias_add"}
    assert INT8_POLICY["residual_add"] == INT8_POLICY["bias_add"] == "float"  # what the exporter takes for granted


def test_fp32_changes_nothing() -> None:
    graph = as_graph(network())
    assert quantize(graph, PRECISIONS["fp32"], None, "float32") is graph


@pytest.mark.parametrize(
    ("precision", "linear", "hardswish", "error"),
    [
        ("fp16", (["FLOAT32", "FLOAT32", "FLOAT32"], "FLOAT32"), (["FLOAT32"], "FLOAT32"), 2e-3),
        ("int8-dynamic", (["FLOAT32", "INT8", "FLOAT32"], "FLOAT32"), (["FLOAT32"], "FLOAT32"), 3e-2),
        ("int8", (["INT8", "INT8", "INT32"], "INT8"), (["FLOAT32"], "FLOAT32"), 3e-2),
    ],
)
def test_precisions(precision: str, linear: Any, hardswish: Any, error: float) -> None:
    model = network()
    ranges = measured(model) if precision == "int8" else None
    graph = quantize(as_graph(model), PRECISIONS[precision], ranges, "float32")
    found = types(graph)
    assert [row[1:] for row in found if row[0] == "FULLY_CONNECTED"] == [linear, linear]
    assert [row[1:] for row in found if row[0] == "HARD_SWISH"] == [hardswish]
    unpacked = [row[1:] for row in found if row[0] == "DEQUANTIZE"]
    assert (unpacked == [(["FLOAT16"], "FLOAT32")] * 2) == (precision == "fp16")
    got, want = run(write_graph(graph), LEVEL)[0], expected(model, LEVEL)
    assert np.abs(got - want).max() <= error * np.ptp(want)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "int8-dynamic"])
@pytest.mark.parametrize(("io_dtype", "zero"), [("uint8", 0), ("int8", 128)])
def test_whole_numbers_in_and_out(precision: str, io_dtype: IoDtype, zero: int) -> None:
    """One step of the input is one level of a pixel, whatever pixels the calibration happened to see."""
    model = network()
    ranges = measured(model)
    ranges.values["0.in"] = (3.0, 200.0)  # type: ignore[index]
    graph = quantize(as_graph(model), PRECISIONS[precision], ranges, io_dtype)
    sub = graph.subgraphs[0]
    image, logits = sub.tensors[sub.inputs[0]], sub.tensors[sub.outputs[0]]
    assert TYPE_NAMES[image.type] == TYPE_NAMES[logits.type] == io_dtype.upper()
    assert (image.quantization.scale, image.quantization.zeroPoint) == ([1.0], [-zero])
    step = logits.quantization.scale[0]
    low, high = ranges.values["2.out"]
    assert step == pytest.approx((max(high, 0) - min(low, 0)) / 255, rel=1e-5)
    raw = run(write_graph(graph), (LEVEL - zero).astype(io_dtype))[0].astype(np.float32)
    got, want = (raw - logits.quantization.zeroPoint[0]) * step, expected(model, LEVEL)
    assert np.abs(got - want).max() <= step / 2 + 3e-2 * np.ptp(want)


def test_dead_channels_get_one_weight_that_carries_the_bias() -> None:
    model = network(dead=40.0)
    graph = as_graph(model)
    low, high = 0.0, 255.0
    assert lift_weights(graph, {"image": (low, high), "2.in": (-0.375, 40.0)}) == 1
    (_, first), *_ = operators(graph)
    weight = constant(graph, first.inputs[1])
    before = model[0].weight.numpy()  # type: ignore[operator]
    assert weight is not None
    alive = [0, 1, 3, 4, 5, 6, 7]
    assert weight[alive].tolist() == before[alive].tolist()
    assert np.count_nonzero(weight[2]) == 1
    largest = float(weight[2].max())
    stored = 40.0 / ((high - low) / 255 * largest / 127)  # the bias as int32
    assert 2**29 < stored <= 2**30 * 1.0001
    assert largest * max(abs(low), abs(high)) < 40.0 / 30_000
    assert lift_weights(graph, {"image": (low, high), "2.in": (-0.375, 40.0)}) == 0


def test_a_channel_without_weights_keeps_its_bias_in_int8() -> None:
    """As BatchNorm with a scale of 0 leaves it: the output is the bias, a constant."""
    for bias in (40.0, -2.5, 0.0):
        model = network(dead=bias)
        got = run(write_graph(quantize(as_graph(model), PRECISIONS["int8"], measured(model), "float32")), LEVEL)[0]
        want = expected(model, LEVEL)
        assert np.abs(got - want).max() <= 3e-2 * np.ptp(want), bias


def test_layers_with_small_weights_that_are_alive_are_left_alone() -> None:
    model = network()
    graph = as_graph(model)
    before = write_graph(graph)
    assert lift_weights(graph, activation_ranges(graph, measured(model))) == 0
    assert write_graph(graph) == before


class Attention(nn.Module):
    """Only its names matter: the end of an attention, as the converter lays it out."""

    def __init__(self) -> None:
        super().__init__()
        self.v, self.proj = nn.Linear(4, 4), nn.Linear(4, 4)
        self.requires_grad_(False)


VALUES = {
    "a.v.in": (-1.0, 1.0),
    "a.v.out": (-2.0, 2.0),
    "a.proj.in": (-0.375, 3.0),
    "a.proj.out": (-5.0, 5.0),
}


def reshape(made: GraphMaker, x: int, *shape: int) -> int:
    return made.operator("RESHAPE", [x, made.constant(np.array(shape, np.int32))], made.tensor(*shape))


def attention(*, between: bool = False) -> tuple[Any, dict[str, int]]:
    """image - RESHAPE - v - RESHAPE - ADD - Hardswish - RESHAPE - proj - RESHAPE, and the tensors that have no layer."""
    inner = Attention()
    model = nn.ModuleDict({"a": inner})
    made = GraphMaker()
    at: dict[str, int] = {}
    image = made.tensor(2, 2)
    out = made.linear(reshape(made, image, 1, 4), inner.v.weight.numpy(), inner.v.bias.numpy())
    at["moved"] = reshape(made, out, 2, 2)
    at["sum"] = made.add(at["moved"], made.constant(np.ones((2, 2), np.float32)))
    at["act"] = made.hardswish(at["sum"])
    x = reshape(made, at["act"], 1, 4)
    if between:
        x = made.add(x, made.constant(np.ones((1, 4), np.float32)))
    logits = reshape(made, made.linear(x, inner.proj.weight.numpy(), inner.proj.bias.numpy()), 2, 2)
    return name_tensors(made.finish([image], [logits]), model), at


def test_ranges_follow_what_is_only_moved() -> None:
    graph, at = attention()
    found = activation_ranges(graph, Ranges("", VALUES, "min-max", 1, ""))
    assert found == {
        "image": (-1.0, 1.0),  # against the flow, from v's input
        "a.v.in": (-1.0, 1.0),
        "a.v.out": (-2.0, 2.0),
        f"t{at['moved']}": (-2.0, 2.0),  # with it
        f"t{at['act']}": (-0.375, 3.0),  # against it, from what the projection was seen to get
        "a.proj.in": (-0.375, 3.0),
        "a.proj.out": (-5.0, 5.0),
        "logits": (-5.0, 5.0),
    }


@pytest.mark.parametrize("missing", VALUES)
def test_a_range_that_is_missing(missing: str) -> None:
    values = {name: pair for name, pair in VALUES.items() if name != missing}
    with pytest.raises(
        ExportError, match=rf"^the activation ranges lack {missing}; measure them anew with --calib-data"
    ):
        activation_ranges(attention()[0], Ranges("", values, "min-max", 1, ""))


def test_what_no_layer_reads_is_moved_in_float() -> None:
    """Something comes between a move and the projection, so nobody knows the range of what is moved."""
    graph, _ = attention(between=True)
    found = types(quantize(graph, PRECISIONS["int8"], Ranges("", VALUES, "min-max", 1, ""), "float32"))
    moved = [(inputs[0], output) for kind, inputs, output in found if kind == "RESHAPE"]
    assert moved == [("INT8", "INT8"), ("INT8", "INT8"), ("FLOAT32", "FLOAT32"), ("INT8", "INT8")]


@pytest.mark.parametrize("kept", [("a.v",), ("a.proj",), ("a.v", "a.proj")])
def test_what_float_layers_read_and_write_is_moved_in_float(kept: tuple[str, ...]) -> None:
    graph, _ = attention()
    found = types(quantize(graph, PRECISIONS["int8"], Ranges("", VALUES, "min-max", 1, ""), "float32", kept))
    moved = [(inputs[0], output) for kind, inputs, output in found if kind == "RESHAPE"]
    by = ["a.v", "a.v", "a.proj", "a.proj"]
    assert moved == [("FLOAT32", "FLOAT32") if layer in kept else ("INT8", "INT8") for layer in by]
    layers = [inputs[1] for kind, inputs, _ in found if kind == "FULLY_CONNECTED"]
    assert layers == ["FLOAT32" if layer in kept else "INT8" for layer in ("a.v", "a.proj")]
    formats = [kind for kind, _, _ in found if kind in ("QUANTIZE", "DEQUANTIZE")]
    assert formats == ["QUANTIZE", "DEQUANTIZE"] * (2 - len(kept))


def test_the_residual_stream_is_moved_in_float() -> None:
    """v - ADD - RESHAPE - ADD - proj, as at the start of a stage; what the RESHAPE gives is summed, so it stays as it is."""
    inner = Attention()
    made = GraphMaker()
    image = made.tensor(1, 4)
    out = made.linear(image, inner.v.weight.numpy(), inner.v.bias.numpy())
    first = reshape(made, made.add(image, out), 1, 2, 2)
    second = reshape(made, made.add(first, made.constant(np.ones((1, 2, 2), np.float32))), 1, 4)
    logits = made.linear(second, inner.proj.weight.numpy(), inner.proj.bias.numpy())
    graph = name_tensors(made.finish([image], [logits]), nn.ModuleDict({"a": inner}))
    found = types(quantize(graph, PRECISIONS["int8"], Ranges("", VALUES, "min-max", 1, ""), "float32"))
    moved = [(inputs[0], output) for kind, inputs, output in found if kind == "RESHAPE"]
    assert moved == [("FLOAT32", "FLOAT32"), ("INT8", "INT8")]
    assert {output for kind, _, output in found if kind == "ADD"} == {"FLOAT32"}


def test_a_quantiser_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refuses:
        def __init__(self, *_: object) -> None:
            raise ValueError("no such op")

    monkeypatch.setattr(quantizer, "Quantizer", Refuses)
    with pytest.raises(ExportError, match=r"^ai-edge-quantizer could not quantise the model: no such op$"):
        quantize(as_graph(network()), PRECISIONS["fp16"], None, "float32")


def test_a_bias_without_lifting_overflows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Why there is ``lift_weights``: without it the bias does not fit into an int32."""
    monkeypatch.setattr("exporters.tflite_quantize.lift_weights", lambda graph, ranges, kept: 0)
    model = network(dead=40.0)
    with pytest.raises(RuntimeWarning, match="invalid value encountered in cast"):
        quantize(as_graph(model), PRECISIONS["int8"], measured(model), "float32")
