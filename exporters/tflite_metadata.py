"""Write what a model's input and output mean into a .tflite, and read it back.

The standard TensorFlow Lite metadata: a ``TFLITE_METADATA`` buffer, and ``labels.txt`` in an archive behind the model.
Android Studio's ML Model Binding, the TensorFlow Lite Task and Support libraries and MediaPipe Tasks read it. MediaPipe
normalises all channels alike: it refuses a float model whose ``mean`` or ``std`` differ between channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from exporters.tflite_container import attach, open_model, read_files, read_record
from exporters.tflite_flatbuffer import Node, Table, decode_root, encode
from exporters.tflite_metadata_schema import (
    METADATA_IDENTIFIER,
    MIN_PARSER_VERSION,
    AssociatedFile,
    AssociatedFileType,
    ColorSpaceType,
    Content,
    ContentProperties,
    ImageProperties,
    Model,
    ModelMetadata,
    NormalizationOptions,
    ProcessUnit,
    ProcessUnitOptions,
    Stats,
    SubGraph,
    SubGraphMetadata,
    Tensor,
    TensorMetadata,
    TensorType,
)
from levit_mobile.errors import BundleError, UsageError

__all__ = ["LABELS_FILE", "attach_metadata", "check_labels", "read_metadata"]

LABELS_FILE = "labels.txt"
_TEXTS = {
    "name": ModelMetadata.NAME,
    "description": ModelMetadata.DESCRIPTION,
    "version": ModelMetadata.VERSION,
    "author": ModelMetadata.AUTHOR,
    "license": ModelMetadata.LICENSE,
    "min_parser_version": ModelMetadata.MIN_PARSER_VERSION,
}


def attach_metadata(
    model: bytes,
    *,
    name: str,
    description: str,
    version: str,
    author: str,
    license: str,
    labels: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
) -> bytes:
    """The same model with metadata; metadata and archive that it had are replaced.

    The same arguments give the same bytes. No tensor is touched or loses its alignment.

    Args:
        model: a .tflite with one image input, (B, H, W, 3) or (B, 3, H, W), and one output (B, classes).
        labels: one a class, in the order of the output.
        mean: of red, green and blue, in units of pixels from 0 to 255.
        std: the same. The model wants (pixel - mean) / std.

    Raises:
        BundleError: ``model`` is not such a .tflite, or is damaged.
        UsageError: labels, mean or std do not fit the model or make no sense.
    """
    image, scores = _image_and_scores(model)
    check_labels(labels, _classes(scores))
    _check_normalization(mean, std)
    texts = {"name": name, "description": description, "version": version, "author": author, "license": license}
    root: Node = {
        **{_TEXTS[key]: text for key, text in texts.items()},
        ModelMetadata.SUBGRAPH_METADATA: [
            {
                SubGraphMetadata.INPUT_TENSOR_METADATA: [_describe_image(image, mean, std)],
                SubGraphMetadata.OUTPUT_TENSOR_METADATA: [_describe_scores()],
            }
        ],
        ModelMetadata.MIN_PARSER_VERSION: MIN_PARSER_VERSION,
    }
    lines = "".join(f"{label}\n" for label in labels)
    return attach(model, encode(root, METADATA_IDENTIFIER), {LABELS_FILE: lines.encode()})


def read_metadata(model: bytes) -> dict[str, Any]:
    """What ``attach_metadata`` or another writer said about an image classifier.

    Returns:
        name, description, version, author, license, min_parser_version: texts, empty where the writer gave none.
        labels: list of texts. mean, std: three numbers each, in units of pixels from 0 to 255.

    Raises:
        BundleError: no .tflite, no metadata, or metadata that is damaged or does not fit the model.
    """
    _, scores = _image_and_scores(model)
    record = read_record(model)
    if record is None:
        raise BundleError("the model carries no metadata; export it again with `levit-export --target tflite`")
    root = decode_root(record, METADATA_IDENTIFIER, "TensorFlow Lite metadata")
    graph = _only(root.tables(ModelMetadata.SUBGRAPH_METADATA), "graph in the metadata")
    image_notes = _only(graph.tables(SubGraphMetadata.INPUT_TENSOR_METADATA), "input in the metadata")
    scores_notes = _only(graph.tables(SubGraphMetadata.OUTPUT_TENSOR_METADATA), "output in the metadata")
    mean, std = _read_normalization(image_notes)
    labels = _read_labels(scores_notes, read_files(model))
    if len(labels) != _classes(scores):
        raise BundleError(f"the model has {_classes(scores)} classes, its metadata {len(labels)} labels")
    texts = {key: root.text(slot) for key, slot in _TEXTS.items()}
    return {**texts, "labels": labels, "mean": mean, "std": std}


def check_labels(labels: Sequence[str], classes: int) -> None:
    """Refuse labels that readers of the metadata would not read as they are meant.

    Raises:
        UsageError: another number of labels than of classes, or one that is blank or more than a line of text.
    """
    if len(labels) != classes:
        raise UsageError(f"{len(labels)} labels for a model with {classes} classes; give one label a class")
    for number, label in enumerate(labels):
        # Readers split at line ends and some skip blank lines: every later class would get its neighbour's name.
        if not label.strip() or label.splitlines() != [label] or label.encode(errors="ignore").decode() != label:
            raise UsageError(f"label {number} is {label!r}; a label is one line of Unicode text that is not blank")


def _only(tables: list[Table], what: str) -> Table:
    if len(tables) != 1:
        raise BundleError(f"expected one {what}, found {len(tables)}")
    return tables[0]


def _image_and_scores(model: bytes) -> tuple[Table, Table]:
    """The model's input and output tensor, if they are those of an image classifier."""
    graphs = open_model(model).tables(Model.SUBGRAPHS)
    if not graphs:
        raise BundleError("the model has no graph")
    tensors = graphs[0].tables(SubGraph.TENSORS)
    ends = []
    for slot, what in ((SubGraph.INPUTS, "input"), (SubGraph.OUTPUTS, "output")):
        indices = [int(index) for index in graphs[0].numbers(slot, "i")]
        if len(indices) != 1 or not 0 <= indices[0] < len(tensors):
            raise BundleError(f"expected a model with one {what}, found {len(indices)}")
        ends.append(tensors[indices[0]])
    image, scores = ends
    if len(_shape(image)) != 4 or 3 not in (_shape(image)[1], _shape(image)[3]):
        raise BundleError(f"the model's input is {_shape(image)}, not an RGB image (1, height, width, 3)")
    if len(_shape(scores)) != 2:
        raise BundleError(f"the model's output is {_shape(scores)}, not scores (1, classes)")
    return image, scores


def _shape(tensor: Table) -> tuple[int, ...]:
    return tuple(int(size) for size in tensor.numbers(Tensor.SHAPE, "i"))


def _classes(scores: Table) -> int:
    return _shape(scores)[1]


def _check_normalization(mean: Sequence[float], std: Sequence[float]) -> None:
    if len(mean) != 3 or len(std) != 3:
        raise UsageError(f"mean has {len(mean)} numbers and std {len(std)}; both need three: red, green, blue")
    if not all(map(math.isfinite, [*mean, *std])) or min(std) <= 0:
        raise UsageError(f"mean {list(mean)} and std {list(std)} must be finite, and std positive")


def _describe_image(tensor: Table, mean: Sequence[float], std: Sequence[float]) -> Node:
    shape = _shape(tensor)
    last = shape[3] == 3
    height, width = shape[1:3] if last else shape[2:4]
    notes: dict[int, Any] = {
        TensorMetadata.NAME: "image",
        TensorMetadata.DESCRIPTION: (
            f"RGB image, {width} x {height} pixels, {'' if last else 'channels first, '}normalised: (pixel - mean) / std."
        ),
        TensorMetadata.CONTENT: {
            Content.CONTENT_PROPERTIES_TYPE: ContentProperties.IMAGE_PROPERTIES,
            Content.CONTENT_PROPERTIES: {ImageProperties.COLOR_SPACE: ColorSpaceType.RGB},
        },
        TensorMetadata.PROCESS_UNITS: [
            {
                ProcessUnit.OPTIONS_TYPE: ProcessUnitOptions.NORMALIZATION_OPTIONS,
                ProcessUnit.OPTIONS: {
                    NormalizationOptions.MEAN: [float(m) for m in mean],
                    NormalizationOptions.STD: [float(s) for s in std],
                },
            }
        ],
    }
    # What the tensor holds for pixels 0 and 255. The schema's own writers leave other types out.
    kind = tensor.number(Tensor.TYPE, "<B")
    if kind == TensorType.FLOAT32:
        top, bottom = ([(pixel - m) / s for m, s in zip(mean, std, strict=True)] for pixel in (255.0, 0.0))
        notes[TensorMetadata.STATS] = {Stats.MAX: top, Stats.MIN: bottom}
    elif kind == TensorType.UINT8:
        notes[TensorMetadata.STATS] = {Stats.MAX: [255.0], Stats.MIN: [0.0]}
    return notes


def _describe_scores() -> Node:
    # No Stats: scores before a softmax have no bounds.
    return {
        TensorMetadata.NAME: "scores",
        TensorMetadata.DESCRIPTION: "One score a class, in the order of the labels; the highest wins.",
        TensorMetadata.CONTENT: {
            Content.CONTENT_PROPERTIES_TYPE: ContentProperties.FEATURE_PROPERTIES,
            Content.CONTENT_PROPERTIES: {},
        },
        TensorMetadata.ASSOCIATED_FILES: [
            {
                AssociatedFile.NAME: LABELS_FILE,
                AssociatedFile.DESCRIPTION: "Class labels, one a line, in the order of the scores.",
                AssociatedFile.TYPE: AssociatedFileType.TENSOR_AXIS_LABELS,
            }
        ],
    }


def _read_normalization(image: Table) -> tuple[list[float], list[float]]:
    for unit in image.tables(TensorMetadata.PROCESS_UNITS):
        options = unit.table(ProcessUnit.OPTIONS)
        if unit.number(ProcessUnit.OPTIONS_TYPE, "<B") == ProcessUnitOptions.NORMALIZATION_OPTIONS and options:
            # The shortest decimals that name the stored float32: 123.675, not 123.67500305175781.
            mean, std = (
                [float(str(np.float32(v))) for v in options.numbers(slot, "f")]
                for slot in (NormalizationOptions.MEAN, NormalizationOptions.STD)
            )
            # One value stands for all channels.
            mean, std = (values * 3 if len(values) == 1 else values for values in (mean, std))
            try:
                _check_normalization(mean, std)
            except UsageError as error:
                raise BundleError(f"the metadata makes no sense: {error}") from error
            return mean, std
    raise BundleError("the metadata does not say how to normalise an image")


def _read_labels(scores: Table, files: dict[str, bytes]) -> list[str]:
    for file in scores.tables(TensorMetadata.ASSOCIATED_FILES):
        if file.number(AssociatedFile.TYPE, "<B") == AssociatedFileType.TENSOR_AXIS_LABELS:
            name = file.text(AssociatedFile.NAME)
            if name not in files:
                raise BundleError(f"the metadata names {name!r}, which is not in the file")
            try:
                return files[name].decode().removesuffix("\n").replace("\r\n", "\n").split("\n")
            except UnicodeDecodeError as error:
                raise BundleError(f"{name} in the model is not UTF-8") from error
    raise BundleError("the metadata names no file with labels")
