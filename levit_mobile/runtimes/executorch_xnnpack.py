"""The graph that XNNPACK got; its format is the package's ``backends/xnnpack/serialization/schema.fbs``."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from levit_mobile.runtimes.executorch_graph import DelegateGraph

__all__ = ["read_graph"]


def read_graph(payload: bytes, constants: Mapping[str, bytes]) -> DelegateGraph:
    """Operators and constants, each constant by the name that the program keeps it under; no interpreter."""
    graph = _decompiled(payload)
    return DelegateGraph(
        operators=Counter(node["xnode_union_type"].removeprefix("XNN") for node in graph["xnodes"]),
        constants=[
            (row["named_key"] or f"constant {index}", int(row["size"]))
            for index, row in enumerate(graph["constant_data"])
        ],
    )


def _decompiled(payload: bytes) -> dict[str, Any]:
    from executorch.backends.xnnpack import serialization
    from executorch.backends.xnnpack.serialization.xnnpack_graph_serialize import XNNHeader
    from executorch.exir._serialize._flatbuffer import _flatc_decompile

    header = XNNHeader.from_bytes(payload[: XNNHeader.EXPECTED_LENGTH])
    start = header.flatbuffer_offset
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "graph.bin"
        binary.write_bytes(payload[start : start + header.flatbuffer_size])
        schema = Path(folder) / "schema.fbs"
        schema.write_bytes(resources.files(serialization).joinpath("schema.fbs").read_bytes())
        _flatc_decompile(folder, str(schema), str(binary))
        graph: dict[str, Any] = json.loads((Path(folder) / "graph.json").read_text("utf-8"))
    return graph
