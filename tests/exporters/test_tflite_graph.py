"""Names, biases and packed constants, on graphs that are small enough to be checked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from graphs import GraphMaker, pack, run
from torch import nn

from exporters.tflite_graph import (
    constant,
    name_output,
    name_tensors,
    operators,
    pack_constants,
    read_graph,
    set_constant,
    tensor_name,
    write_graph,
)
from levit_mobile.errors import ExportError

Floats = npt.NDArray[np.float32]
X = np.array([[0.5, -1.0, 2.0, 0.25]], np.float32)


def two_linears(bias: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6, bias=bias), nn.Hardswish(), nn.Linear(6, 3)).eval().requires_grad_(False)


def weights(model: nn.Sequential, index: int) -> tuple[Floats, Floats]:
    layer = model[index]
    assert isinstance(layer, nn.Linear)
    return layer.weight.numpy(), layer.bias.numpy()


def as_graph(model: nn.Sequential) -> Any:
    made = GraphMaker()
    image = made.tensor(1, 4)
    logits = made.linear(made.hardswish(made.linear(image, *weights(model, 0))), *weights(model, 2))
    return made.finish([image], [logits])


def kinds(graph: Any) -> list[str]:
    return [kind for kind, _ in operators(graph)]


def names(graph: Any) -> list[str]:
    return [tensor_name(graph, index) for index in range(len(graph.subgraphs[0].tensors))]


def test_what_is_written_is_what_was_read() -> None:
    model = two_linears()
    before = pack(as_graph(model))
    after = write_graph(read_graph(before))
    assert run(after, X)[0].tobytes() == run(before, X)[0].tobytes()
    np.testing.assert_allclose(run(after, X)[0], model(torch.from_numpy(X)).numpy(), atol=1e-6)
    assert write_graph(read_graph(after)) == after


def test_contents_behind_the_flatbuffer_are_read_as_arrays() -> None:
    """Converters put large weights there; anything but an array is written byte by byte, which takes ten seconds."""
    model = as_graph(two_linears())
    near = pack(model)
    contents = {n: buffer.data.tobytes() for n, buffer in enumerate(model.buffers) if buffer.data is not None}
    place, tail = 1 << 12, b""
    for number, content in contents.items():
        buffer = model.buffers[number]
        buffer.data, buffer.offset, buffer.size = None, place + len(tail), len(content)
        tail += content.ljust(-len(content) % 16 + len(content), b"\0")
    data = pack(model)
    assert len(data) < place
    graph = read_graph(data.ljust(place, b"\0") + tail)
    found = [buffer.data for buffer in graph.buffers if buffer.data is not None]
    assert [type(content) for content in found] == [np.ndarray] * len(contents)
    assert {content.tobytes() for content in found} == set(contents.values())
    assert run(write_graph(graph), X)[0].tobytes() == run(near, X)[0].tobytes()


def test_symmetric_channels_share_one_vector_of_zeros() -> None:
    made = GraphMaker()
    image = made.tensor(1, 4)
    rng = np.random.default_rng(0)
    outputs = []
    for zero_points in ([0] * 300, [0] * 300, [7] + [0] * 299):
        packed = made.constant(rng.integers(-127, 128, (300, 1), np.int8))
        made.graph.tensors[packed].quantization = schema.QuantizationParametersT(
            scale=[0.5] * 300, zeroPoint=zero_points, quantizedDimension=0
        )
        outputs.append(packed)
    before = pack(made.finish([image], outputs))
    after = write_graph(read_graph(before))
    assert len(before) - len(after) == pytest.approx(8 * 300, abs=32)

    graph = schema.Model.GetRootAs(after, 0).Subgraphs(0)
    found = [graph.Tensors(index).Quantization() for index in outputs]
    places = [q._tab.Vector(q._tab.Offset(10)) for q in found]
    assert places[0] == places[1] != places[2]
    assert [q.ZeroPoint(0) for q in found] == [0, 0, 7]
    assert {(q.ZeroPointLength(), q.ScaleLength(), q.Scale(299), q.QuantizedDimension()) for q in found} == {
        (300, 300, 0.5, 0)
    }


def test_constants() -> None:
    made = GraphMaker()
    fed, held = made.tensor(1, 4), made.constant(X)
    whole = made.constant(np.arange(4, dtype=np.int32))
    graph = read_graph(pack(made.finish([fed], [held, whole])))
    assert constant(graph, fed) is None
    assert constant(graph, whole) is None
    found = constant(graph, held)
    assert found is not None
    assert found.tolist() == X.tolist()
    set_constant(graph, held, 2 * X.astype(np.float64))
    again = constant(read_graph(write_graph(graph)), held)
    assert again is not None
    assert again.dtype == np.float32
    assert again.tolist() == (2 * X).tolist()


def test_tensors_are_called_after_their_layers() -> None:
    model = two_linears()
    graph = name_tensors(read_graph(pack(as_graph(model))), model)
    assert names(graph) == [
        "image", "0.weight", "0.bias", "0.out", "2.in", "2.weight", "2.bias", "logits",
    ]  # fmt: skip


def test_layers_that_share_an_input() -> None:
    """q, k and v: the input is called after the first."""
    torch.manual_seed(1)
    model = nn.ModuleDict({name: nn.Linear(4, 4) for name in "qkv"}).requires_grad_(False)
    made = GraphMaker()
    image = made.tensor(1, 4)
    x = made.hardswish(image)
    # Not in the module's order: layers are found by their weights.
    outputs = [made.linear(x, model[n].weight.numpy(), model[n].bias.numpy()) for n in "vqk"]
    graph = name_tensors(made.finish([image], [made.add(made.add(outputs[0], outputs[1]), outputs[2])]), model)
    assert [names(graph)[index] for index in (x, *outputs)] == ["v.in", "v.out", "q.out", "k.out"]


def test_two_layers_with_the_same_weights() -> None:
    model = two_linears()
    twins = nn.ModuleDict({"a": model[0], "b": nn.Linear(4, 6)}).requires_grad_(False)
    twins["b"].load_state_dict(model[0].state_dict())
    made = GraphMaker()
    image = made.tensor(1, 4)
    outputs = [made.linear(image, *weights(model, 0)) for _ in range(2)]
    graph = name_tensors(made.finish([image], [made.add(*outputs)]), twins)
    assert [names(graph)[index] for index in outputs] == ["a.out", "b.out"]


def test_bias_tables_are_called_after_their_attention() -> None:
    model = two_linears()
    table = torch.linspace(-1, 1, 6).reshape(1, 6)
    model.register_buffer("bias", table)
    made = GraphMaker()
    image = made.tensor(1, 4)
    scores = made.linear(image, *weights(model, 0))
    held = made.constant(table.numpy())
    logits = made.linear(made.hardswish(made.add(scores, held)), *weights(model, 2))
    assert names(name_tensors(made.finish([image], [logits]), model))[held] == "bias"


def test_weights_that_the_converter_changed() -> None:
    model = two_linears()
    graph = as_graph(model)
    model[2].weight.mul_(1.001)
    with pytest.raises(ExportError, match=r"the converter changed the weights before x7$"):
        name_tensors(graph, model)


def test_a_layer_that_the_converter_dropped() -> None:
    model = two_linears()
    graph = as_graph(model)
    model.append(nn.Linear(3, 3))
    with pytest.raises(ExportError, match=r"the converter dropped the layer 3$"):
        name_tensors(graph, model)


def moved_bias(model: nn.Sequential, adds: int = 1) -> Any:
    """What the converter makes of Linear, Linear (the first one's output is wanted elsewhere too): the first bias stands
    alone, and is folded into the second one's, here with the rest of its own on top."""
    (w0, b0), (w1, b1) = weights(model, 0), weights(model, 1)
    made = GraphMaker()
    image = made.tensor(1, 4)
    bare = made.linear(image, w0, None)
    elsewhere = [made.hardswish(made.add(bare, made.constant(b0))) for _ in range(adds)]
    return made.finish([image], [*elsewhere, made.linear(bare, w1, w1 @ b0 + b1)])


def straight() -> nn.Sequential:
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 3)).eval().requires_grad_(False)


def test_biases_come_back() -> None:
    model = straight()
    raw = pack(moved_bias(model))
    graph = name_tensors(read_graph(raw), model)
    assert kinds(read_graph(raw)) == ["FULLY_CONNECTED", "ADD", "HARD_SWISH", "FULLY_CONNECTED"]
    assert kinds(graph) == ["FULLY_CONNECTED", "HARD_SWISH", "FULLY_CONNECTED"]
    first, second = (op for kind, op in operators(graph) if kind == "FULLY_CONNECTED")
    for op, index in ((first, 0), (second, 1)):
        bias = constant(graph, op.inputs[2])
        assert bias is not None
        assert bias.tolist() == weights(model, index)[1].tolist()
    assert second.inputs[0] == first.outputs[0]
    assert tensor_name(graph, first.outputs[0]) == "0.out"
    for before, after in zip(run(raw, X), run(write_graph(graph), X), strict=True):
        np.testing.assert_allclose(after, before, atol=1e-6)


@pytest.mark.parametrize("adds", [0, 2])
def test_a_bias_that_is_nowhere(adds: int) -> None:
    with pytest.raises(ExportError, match=r"the converter lost the bias of x2$"):
        name_tensors(moved_bias(straight(), adds), straight())


def test_the_output_is_called_logits_after_quantisation_too() -> None:
    model = two_linears()
    graph = name_tensors(as_graph(model), model)
    last = graph.subgraphs[0].outputs[0]
    graph.subgraphs[0].tensors.append(schema.TensorT(name=b"logits_quantized", shape=[1, 3], buffer=0))
    graph.subgraphs[0].outputs = [len(graph.subgraphs[0].tensors) - 1]
    found = names(name_output(graph))
    assert found[last] == "head.out"
    assert found[-1] == "logits"
    assert found.count("logits") == 1


def biased(tables: list[Floats], uses: list[int]) -> Any:
    """image, with the tables added one after the other."""
    made = GraphMaker()
    x = image = made.tensor(*tables[0].shape)
    held = [made.constant(table, f"table{number}") for number, table in enumerate(tables)]
    for use in uses:
        x = made.add(x, held[use])
    return made.finish([image], [x])


def test_large_constants_become_int8_with_a_scale_a_head() -> None:
    rng = np.random.default_rng(0)
    table = (rng.standard_normal((4, 16, 17)) * np.array([0.01, 1, 30, 0])[:, None, None]).astype(np.float32)
    raw = pack(biased([table], [0, 0]))
    graph = pack_constants(read_graph(raw))
    assert kinds(graph) == ["DEQUANTIZE", "ADD", "ADD"]  # unpacked once, used twice
    assert len(write_graph(graph)) < len(raw) - 2.75 * table.size
    (index,) = [n for n, name in enumerate(names(graph)) if name == "table0.packed"]
    packed = graph.subgraphs[0].tensors[index]
    assert packed.type == schema.TensorType.INT8
    assert packed.quantization.quantizedDimension == 0
    assert len(packed.quantization.scale) == 4
    step = np.array(packed.quantization.scale)[:, None, None]
    np.testing.assert_allclose(step.ravel()[:3], np.abs(table).max(axis=(1, 2))[:3] / 127, rtol=1e-6)

    again = write_graph(graph)
    found = run(again, np.zeros_like(table))[0] / 2
    assert (np.abs(found - table) <= step / 2 * 1.0001).all()
    assert not found[3].any()
    assert write_graph(pack_constants(read_graph(raw))) == again


def test_small_constants_and_those_of_other_operators_stay() -> None:
    model = two_linears()
    for graph in (biased([np.ones((4, 15, 17), np.float32)], [0]), as_graph(model)):
        raw = pack(graph)
        assert write_graph(pack_constants(read_graph(raw))) == write_graph(read_graph(raw))


def test_tensors_that_share_a_buffer_are_packed_apart() -> None:
    table = np.random.default_rng(3).standard_normal((2, 32, 32)).astype(np.float32)
    graph = biased([table, table], [0, 1])
    tensors = graph.subgraphs[0].tensors
    tensors[2].buffer = tensors[1].buffer
    packed = pack_constants(read_graph(pack(graph)))
    assert kinds(packed) == ["DEQUANTIZE", "DEQUANTIZE", "ADD", "ADD"]
    found = run(write_graph(packed), np.zeros_like(table))[0]
    np.testing.assert_allclose(found, 2 * table, atol=2 * np.abs(table).max() / 127)
