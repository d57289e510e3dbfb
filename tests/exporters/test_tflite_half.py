"""Half precision in a .tflite: which files allow it, that the graph made for it computes the same, and what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exports import PRECISIONS, Exported
from graphs import TYPE_NAMES, GraphMaker, pack, run

from exporters.tflite_container import detach
from exporters.tflite_graph import operators, read_graph, tensor_name, write_graph
from exporters.tflite_half import allow_half, allows_half, pad_rows
from levit_mobile.bench.instructions import count
from levit_mobile.bundle import open_bundle


def graph_of(exported: Exported, precision: str) -> Any:
    return read_graph(detach((exported.bundle(f"levit_128s-{precision}-tflite") / "model.tflite").read_bytes()))


def padded(amounts: Sequence[Sequence[int]], kind: str = "int32") -> GraphMaker:
    """A picture of 3 by 4 pixels and 2 channels behind a PAD."""
    made = GraphMaker()
    x = made.tensor(1, 3, 4, 2)
    (_, top), (_, left) = amounts[1:3]
    out = made.tensor(1 + sum(amounts[0]), 3 + sum(amounts[1]), 4 + sum(amounts[2]), 2 + sum(amounts[3]))
    assert top >= 0 <= left
    made.operator("PAD", [x, made.constant(np.array(amounts, kind))], out)
    made.finish([x], [out])
    return made


@pytest.mark.parametrize("precision", PRECISIONS)
def test_which_files_allow_it(exported: Exported, precision: str) -> None:
    allowed = precision != "fp32"
    graph = graph_of(exported, precision)
    assert allows_half(graph) is allowed
    entries = {e.name: bytes(graph.buffers[e.buffer].data) for e in graph.metadata or []}
    assert entries.get(b"reduced_precision_support") == (b"fp16accfp16" if allowed else None)
    artifact = open_bundle(exported.bundle(f"levit_128s-{precision}-tflite")).manifest["artifact"]
    assert artifact["half_precision"] is allowed
    assert artifact["options"]["activations"] == ("auto" if allowed else "float32")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_float_pads_are_of_rows_where_it_is_allowed(exported: Exported, precision: str) -> None:
    graph = graph_of(exported, precision)
    found = [graph.subgraphs[0].tensors[op.inputs[0]] for kind, op in operators(graph) if kind == "PAD"]
    shapes, kinds = [list(tensor.shape) for tensor in found], {TYPE_NAMES[tensor.type] for tensor in found}
    if precision in ("fp16", "int8-dynamic"):
        assert (shapes, kinds) == ([[1, 224, 672], [1, 112, 1792], [1, 56, 1792], [1, 28, 1792]], {"FLOAT32"})
    else:  # XNNPACK takes these into the convolutions
        assert [len(shape) for shape in shapes] == [4] * 4
        assert kinds == {"FLOAT32" if precision == "fp32" else "INT8"}


@pytest.mark.parametrize(
    "amounts", [((0, 0), (1, 1), (1, 1), (0, 0)), ((0, 0), (1, 0), (2, 3), (0, 0)), ((0, 0), (0, 2), (0, 0), (0, 0))]
)
def test_rows_are_padded_as_pixels_were(amounts: Sequence[Sequence[int]]) -> None:
    x = np.arange(24, dtype=np.float32).reshape(1, 3, 4, 2) + 1
    made = padded(amounts)
    (before,) = run(pack(made.model), x)
    assert np.array_equal(before, np.pad(x, amounts))

    graph = pad_rows(made.model)
    assert [kind for kind, _ in operators(graph)] == ["RESHAPE", "PAD", "RESHAPE"]
    (after,) = run(pack(graph), x)
    assert np.array_equal(after, before)
    assert len({tensor_name(graph, at) for at in range(len(graph.subgraphs[0].tensors))}) == len(
        graph.subgraphs[0].tensors
    )


@pytest.mark.parametrize("amounts", [((0, 0), (1, 1), (1, 1), (1, 0)), ((1, 0), (1, 1), (1, 1), (0, 0))])
def test_other_pads_stay(amounts: Sequence[Sequence[int]]) -> None:
    made = padded(amounts)
    before = write_graph(made.model)
    assert write_graph(pad_rows(made.model)) == before


def test_the_entry_is_added_to_what_is_there() -> None:
    made = padded(((0, 0), (1, 1), (1, 1), (0, 0)))
    assert not allows_half(made.model)
    made.model.metadata = None
    graph = read_graph(write_graph(allow_half(made.model)))
    assert allows_half(graph)
    assert len(graph.metadata) == 1


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    ("precision", "cpu", "least", "most"),
    [
        ("int8", "cortex-a76", 30, 38),  # has half precision; 43.7 without
        ("fp16", "cortex-a76", 55, 64),  # 117 without
        ("int8", "cortex-a72", 90, 101),  # has none: as before
    ],
)
@pytest.mark.usefixtures("counts")
def test_what_it_is_worth(exported: Exported, precision: str, cpu: str, least: int, most: int) -> None:
    """In millions of instructions."""
    file = exported.bundle(f"levit_128s-{precision}-tflite") / "model.tflite"
    assert least < count(Path(file), "tflite", cpu, runs=1).total / 1e6 < most
