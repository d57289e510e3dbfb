"""Program -> ``model.onnx``: PyTorch's own exporter writes the graph; int8 as pairs of QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from exporters.torch_to_onnx import OPSET, to_onnx
from levit_mobile.errors import ExportError
from levit_mobile.fuse import DeployLeViT
from levit_mobile.program import Layout, Program
from levit_mobile.qdq import quantize_static

__all__ = ["OPSET", "export"]

FILE = "model.onnx"


def export(program: Program, folder: Path) -> Path:
    """Write ``model.onnx`` into ``folder``.

    Input ``image``: float32 (1, 3, S, S), normalised, or (1, S, S, 3) with layout nhwc. Output ``logits``: float32
    (1, classes). With the option ``batch`` dynamic, (batch, ...) in both. ``metadata_props`` hold ``labels``,
    ``preprocessing`` and ``layout`` as JSON, and ``model_id``.

    Raises:
        ExportError: PyTorch's exporter failed, or wrote what ONNX's checker refuses.
    """
    import onnx

    size, dynamic = program.image_size, program.options.get("batch") == "dynamic"
    batch = 2 if dynamic else 1  # PyTorch takes a dimension of 1 for one that stays 1
    shape = (batch, size, size, 3) if program.layout == "nhwc" else (batch, 3, size, size)
    model = program.model
    if program.precision.name == "int8":
        assert program.ranges is not None
        model = quantize_static(model, program.ranges, kept=program.kept)
    try:
        graph = to_onnx(_Entry(model, program.layout).eval(), torch.zeros(shape), dynamic=dynamic)
        _describe(graph, program)
        onnx.checker.check_model(graph, full_check=True)
    except Exception as error:  # the exporter, its passes and the checker each raise their own
        raise ExportError(f"PyTorch could not write the model as ONNX: {error}") from error
    path = folder / FILE
    path.write_bytes(graph.SerializeToString(deterministic=True))
    return path


class _Entry(nn.Module):
    """The deploy form behind the input that the artifact shall have."""

    def __init__(self, model: DeployLeViT, layout: Layout) -> None:
        super().__init__()
        self.model, self.layout = model, layout

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.model(image.permute(0, 3, 1, 2) if self.layout == "nhwc" else image)
        return logits


def _describe(model: Any, program: Program) -> None:
    from onnx import helper

    graph = model.graph
    # Where in somebody's source an operator came from: of no use to an app, and not everybody's business.
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    graph.name = "levit"
    model.producer_name, model.producer_version = "levit-mobile", ""
    told = {
        "labels": json.dumps(list(program.labels), ensure_ascii=False),
        "layout": json.dumps(program.layout),
        "model_id": program.fingerprint,
        "preprocessing": json.dumps(program.preprocessing.to_dict()),
    }
    helper.set_model_props(model, told)
