"""Program -> ``model.tflite``: litert-torch (or onnx2tf) translates, ai-edge-quantizer quantises, the result is tidied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from calib.ranges import fingerprint
from exporters import tflite_onnx2tf
from exporters.environment import is_ready
from exporters.tflite_average_first import average_first
from exporters.tflite_container import detach
from exporters.tflite_entry import Entry, normalisation_inside
from exporters.tflite_graph import Graph, name_output, name_tensors, pack_constants, read_graph, write_graph
from exporters.tflite_half import allow_half, allows_half, pad_rows
from exporters.tflite_metadata import attach_metadata, check_labels
from exporters.tflite_quantize import quantize
from exporters.tflite_versions import mark_versions
from levit_mobile import __version__
from levit_mobile.errors import ExportError
from levit_mobile.half import fits_half
from levit_mobile.preprocess import Preprocessing
from levit_mobile.program import Program

__all__ = ["about", "check", "export", "float_graph", "foreign_packages", "foreign_tools", "preparations"]

FILE = "model.tflite"


def check(precision: str, options: Mapping[str, str]) -> None:
    """What the other converter needs is there, its Python among it.

    Raises:
        RuntimeMissingError: it is not.
    """
    if options["via"] == "onnx2tf":
        tflite_onnx2tf.check()


def export(program: Program, folder: Path) -> Path:
    """Write ``model.tflite`` into ``folder``.

    Input ``image``: (1, S, S, 3), or (1, 3, S, S) with layout nchw. Output ``logits``: (1, classes).

    Raises:
        ExportError: a converter failed.
        UsageError: a label that cannot be written; found before the long part.
    """
    check_labels(program.labels, program.checkpoint.num_classes)
    model = quantize(float_graph(program), program.precision, program.ranges, program.io_dtype, program.kept)
    if program.precision.name.startswith("int8"):
        model = pack_constants(model)
    if program.options.get("activations") == "auto" and fits_half(program.model, program.preprocessing):
        model = allow_half(pad_rows(model))
    path = folder / FILE
    path.write_bytes(_describe(write_graph(mark_versions(name_output(model))), program))
    return path


def float_graph(program: Program) -> Graph:
    """What the program's precision is made of: all float, with tensors named after layers.

    Raises:
        ExportError: a converter failed.
    """
    return name_tensors(read_graph(_translate(program)), program.model)


def preparations(program: Program) -> list[tuple[str, Callable[[], object]]]:
    """What has to be done once on a machine before ``export``: (what it is, the work), each a step of its own."""
    if program.options.get("via") != "onnx2tf" or is_ready(tflite_onnx2tf.ENVIRONMENT):
        return []
    return [("making an environment for onnx2tf, once", tflite_onnx2tf.prepare)]


def foreign_tools(program: Program) -> dict[str, str]:
    """Versions of what took part from another environment."""
    return {"onnx2tf": tflite_onnx2tf.VERSION} if program.options.get("via") == "onnx2tf" else {}


def foreign_packages(program: Program) -> dict[str, str]:
    """All that is in that environment: {name: version}."""
    return dict(tflite_onnx2tf.PACKAGES) if program.options.get("via") == "onnx2tf" else {}


def about(artifact: Path) -> dict[str, Any]:
    """What the manifest tells of a file beside what was asked for."""
    return {"half_precision": allows_half(read_graph(detach(artifact.read_bytes())))}


_translated: dict[tuple[str | Preprocessing | bool | None, ...], bytes] = {}


def _translate(program: Program) -> bytes:
    """The float model, as the converter makes it; kept, since several precisions of one model start from it."""
    via = program.options.get("via", "litert-torch")
    # Of these weights: a calibration prepares others.
    weights = fingerprint(program.model.state_dict())
    key = (weights, program.layout, normalisation_inside(program), via, _in_float(program))
    if key not in _translated:
        while len(_translated) > 2:  # in float, as int8's calibration prepared it, and as int8-dynamic takes it
            del _translated[next(iter(_translated))]
        _translated[key] = tflite_onnx2tf.translate(program) if via == "onnx2tf" else _run_converter(program)
    return _translated[key]


def _in_float(program: Program) -> bool:
    return program.precision.name in ("fp32", "fp16")


def _run_converter(program: Program) -> bytes:
    import litert_torch

    size = program.image_size
    shape = (1, size, size, 3) if program.layout == "nhwc" else (1, 3, size, size)
    model = average_first(program.model) if _in_float(program) else program.model
    entry = Entry(model, program.layout, normalisation_inside(program))
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
    by = f"; by onnx2tf {tflite_onnx2tf.VERSION}" if program.options.get("via") == "onnx2tf" else ""
    return attach_metadata(
        model,
        name=f"LeViT {checkpoint.variant.name}",
        description=(
            f"{checkpoint.variant.name}, {checkpoint.num_classes} classes, {program.precision.name}; "
            f"from {checkpoint.name}, sha256 {checkpoint.sha256}{by}"
        ),
        version=__version__,
        author=program.author or "levit-mobile",
        license=program.license or "of the weights: see their source",
        labels=program.labels,
        mean=(0.0, 0.0, 0.0) if raw else tuple(255 * v for v in spec.mean),
        std=(1.0, 1.0, 1.0) if raw else tuple(255 * v for v in spec.std),
    )
