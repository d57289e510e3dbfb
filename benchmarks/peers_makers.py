"""Converters as they come, nothing set but what their own guides set; in this project's environment.

python benchmarks/peers_makers.py MAKER NETWORK FOLDER

The artifact is FOLDER/MAKER.tflite, .pte, .onnx or .pt; what a maker starts from is made first, where it is not there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from peers_networks import NETWORKS, build

CALIBRATION = 32  # pictures


def pictures(size: int) -> Any:
    """Normalised calibration pictures, float32 (N, 3, S, S)."""
    from levit_mobile.golden import golden_pictures
    from levit_mobile.preprocess import Preprocessing, normalise

    return np.ascontiguousarray(normalise(golden_pictures(size, CALIBRATION), Preprocessing()))


def _input(name: str) -> Any:
    import torch

    size = NETWORKS[name].size
    return torch.zeros(1, 3, size, size)


def litert(name: str, folder: Path, file: Path) -> None:
    """litert-torch."""
    import litert_torch

    litert_torch.convert(build(name, folder), (_input(name),)).export(str(file))


def quantised(recipe: str) -> Callable[[str, Path, Path], None]:
    """ai-edge-quantizer with one of its own recipes, on what litert-torch gave."""

    def make(name: str, folder: Path, file: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter
        from ai_edge_quantizer import quantizer
        from ai_edge_quantizer import recipe as recipes

        source = made("litert-torch", name, folder)
        worker = quantizer.Quantizer(str(source), getattr(recipes, recipe)())
        ranges = None
        if worker.need_calibration:
            ((signature, about),) = Interpreter(str(source)).get_signature_list().items()
            batches = [{about["inputs"][0]: picture[None]} for picture in pictures(NETWORKS[name].size)]
            ranges = worker.calibrate({signature: batches})
        file.write_bytes(worker.quantize(ranges).quantized_model)

    return make


def executorch(name: str, folder: Path, file: Path) -> None:
    """ExecuTorch's XNNPACK partitioner."""
    import torch

    _lower(torch.export.export(build(name, folder), (_input(name),)), file)


def executorch_int8(name: str, folder: Path, file: Path) -> None:
    """ExecuTorch's XNNPACKQuantizer, static and per channel, as in its guide."""
    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    graph = torch.export.export(build(name, folder), (_input(name),)).module()
    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(graph, quantizer)
    for picture in pictures(NETWORKS[name].size)[:8]:
        prepared(torch.from_numpy(picture[None]))
    _lower(torch.export.export(convert_pt2e(prepared), (_input(name),)), file)


def _lower(exported: Any, file: Path) -> None:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    file.write_bytes(to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()]).to_executorch().buffer)


def onnx(name: str, folder: Path, file: Path) -> None:
    """PyTorch's ONNX exporter."""
    import torch

    torch.onnx.export(
        build(name, folder),
        (_input(name),),
        str(file),
        dynamo=True,
        external_data=False,
        verbose=False,
        opset_version=18,
    )


def onnx_static(name: str, folder: Path, file: Path) -> None:
    """ONNX Runtime's quantize_static: QDQ, int8 both ways, weights per channel."""
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, entry: str, rows: Any) -> None:
            self.rows: Iterator[Any] = iter({entry: row[None]} for row in rows)

        def get_next(self) -> Any:
            return next(self.rows, None)

    source = _prepared(name, folder)
    quantization.quantize_static(
        str(source),
        str(file),
        Reader(_entry(source), pictures(NETWORKS[name].size)),
        quant_format=quantization.QuantFormat.QDQ,
        activation_type=quantization.QuantType.QInt8,
        weight_type=quantization.QuantType.QInt8,
        per_channel=True,
    )


def onnx_dynamic(name: str, folder: Path, file: Path) -> None:
    """ONNX Runtime's quantize_dynamic."""
    from onnxruntime import quantization

    quantization.quantize_dynamic(str(_prepared(name, folder)), str(file))


def _prepared(name: str, folder: Path) -> Path:
    from onnxruntime.quantization.shape_inference import quant_pre_process

    source, file = made("onnx", name, folder), folder / "prepared.onnx"
    quant_pre_process(str(source), str(file))
    return file


def _entry(file: Path) -> str:
    import onnx as package

    return str(package.load(file, load_external_data=False).graph.input[0].name)


def traced(name: str, folder: Path, file: Path) -> None:
    """TorchScript for pnnx, which knows no slice with a step: every other token by a 1x1 max-pool of stride 2 instead."""
    import torch
    from torch import Tensor, nn

    from levit_mobile.model import _Subsample

    class Pooled(nn.Module):
        def __init__(self, side: int) -> None:
            super().__init__()
            self.side = side

        def forward(self, x: Tensor) -> Tensor:
            grid = x.transpose(1, 2).unflatten(2, (self.side, self.side))
            return nn.functional.max_pool2d(grid, 1, stride=2).flatten(2).transpose(1, 2)

    model = build(name, folder)
    for module in model.modules():
        for title, child in module.named_children():
            if isinstance(child, _Subsample):
                setattr(module, title, Pooled(child.resolution))
    torch.jit.trace(model, _input(name)).save(str(file))


MAKERS: dict[str, tuple[str, Callable[[str, Path, Path], None]]] = {
    "litert-torch": (".tflite", litert),
    "static_wi8_ai8": (".tflite", quantised("static_wi8_ai8")),
    "dynamic_wi8_afp32": (".tflite", quantised("dynamic_wi8_afp32")),
    "executorch": (".pte", executorch),
    "executorch-int8": (".pte", executorch_int8),
    "onnx": (".onnx", onnx),
    "onnx-static": (".onnx", onnx_static),
    "onnx-dynamic": (".onnx", onnx_dynamic),
    "traced": (".pt", traced),
}


def made(maker: str, name: str, folder: Path) -> Path:
    """The artifact, made where it is not there."""
    suffix, make = MAKERS[maker]
    file = folder / f"{maker}{suffix}"
    if not file.exists():
        part = file.with_name(f"part-{file.name}")
        make(name, folder, part)
        part.rename(file)
    return file


if __name__ == "__main__":
    made(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
