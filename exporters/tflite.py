"""Program -> ``model.tflite``: litert-torch translates, ai-edge-quantizer quantises, and the result is tidied and labelled."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from exporters.tflite_graph import name_output, name_tensors, pack_constants, read_graph, write_graph
from exporters.tflite_metadata import attach_metadata, check_labels
from exporters.tflite_quantize import quantize
from levit_mobile import __version__
from levit_mobile.errors import ExportError
from levit_mobile.fuse import DeployLeViT
from levit_mobile.preprocess import Preprocessing
from levit_mobile.program import Layout, Program

__all__ = ["export"]

FILE = "model.tflite"


def export(program: Program, folder: Path) -> Path:
    """Write ``model.tflite`` into ``folder``.

    Input ``image``: (1, S, S, 3), or (1, 3, S, S) with layout nchw. Output ``logits``: (1, classes).

    Raises:
        ExportError: a converter failed.
        UsageError: a label that cannot be written; found before the long part.
    """
    check_labels(program.labels, program.checkpoint.num_classes)
    model = name_tensors(read_graph(_translate(program)), program.model)
    model = quantize(model, program.precision, program.ranges, program.io_dtype)
    if program.precision.name.startswith("int8"):
        model = pack_constants(model)
    path = folder / FILE
    path.write_bytes(_describe(write_graph(name_output(model)), program))
    return path


class _Entry(nn.Module):
    """The deploy form behind the input that the artifact shall have."""

    def __init__(self, model: DeployLeViT, layout: Layout, normalise: Preprocessing | None) -> None:
        super().__init__()
        self.model, self.layout = model, layout
        self.scale: Tensor | None = None
        if normalise is not None:
            # (pixel / 255 - mean) / std as one product and one sum.
            mean, std = torch.tensor(normalise.mean).double(), torch.tensor(normalise.std).double()
            shape = (1, 1, 3) if layout == "nhwc" else (3, 1, 1)
            self.scale = (1 / (255 * std)).float().view(shape)
            self.shift = (-mean / std).float().view(shape)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        if self.scale is not None:
            image = image * self.scale + self.shift
        if self.layout == "nhwc":
            image = image.permute(0, 3, 1, 2)
        return {"logits": self.model(image)}


_translated: dict[tuple[str, str, Preprocessing | None], bytes] = {}


def _translate(program: Program) -> bytes:
    """The float model, as litert-torch makes it; kept, since all precisions of one model start from it."""
    key = (program.fingerprint, program.layout, _inside(program))
    if key not in _translated:
        _translated.clear()
        _translated[key] = _run_converter(program)
    return _translated[key]


def _inside(program: Program) -> Preprocessing | None:
    """The normalisation, where it is part of the artifact."""
    return None if program.io_dtype == "float32" else program.preprocessing


def _run_converter(program: Program) -> bytes:
    import litert_torch

    size = program.image_size
    shape = (1, size, size, 3) if program.layout == "nhwc" else (1, 3, size, size)
    entry = _Entry(program.model, program.layout, _inside(program))
    try:
        converted = litert_torch.convert(entry.eval(), sample_kwargs={"image": torch.zeros(shape)})
        return bytes(converted.model_content())
    except Exception as error:  # whatever a converter raises, the user needs to know which step it was
        raise ExportError(
            f"litert-torch could not translate the model: {error} (--verbose shows what it printed)"
        ) from error


def _describe(model: bytes, program: Program) -> bytes:
    spec, checkpoint = program.preprocessing, program.checkpoint
    raw = program.io_dtype != "float32"
    return attach_metadata(
        model,
        name=f"LeViT {checkpoint.variant.name}",
        description=(
            f"{checkpoint.variant.name}, {checkpoint.num_classes} classes, {program.precision.name}; "
            f"from {checkpoint.name}, sha256 {checkpoint.sha256}"
        ),
        version=__version__,
        author="levit-mobile",
        license="of the weights: see their source",
        labels=program.labels,
        mean=(0.0, 0.0, 0.0) if raw else tuple(255 * v for v in spec.mean),
        std=(1.0, 1.0, 1.0) if raw else tuple(255 * v for v in spec.std),
    )
