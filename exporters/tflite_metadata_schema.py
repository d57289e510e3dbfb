"""Slots and values of two flatbuffer schemas, as far as metadata needs them.

The model: ``schema.fbs`` of TensorFlow Lite, version 3, identifier TFL3. The metadata: ``metadata_schema.fbs`` of
TensorFlow Lite Support and MediaPipe, version 1.5.0, identifier M001. A class is a table, its members are the table's
fields and their values are slots; classes whose names end in Type, ContentProperties and ProcessUnitOptions are enums.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = [
    "METADATA_IDENTIFIER",
    "MIN_PARSER_VERSION",
    "MODEL_IDENTIFIER",
    "RECORD_NAME",
    "AssociatedFile",
    "AssociatedFileType",
    "Buffer",
    "ColorSpaceType",
    "Content",
    "ContentProperties",
    "ImageProperties",
    "Metadata",
    "Model",
    "ModelMetadata",
    "NormalizationOptions",
    "Operator",
    "ProcessUnit",
    "ProcessUnitOptions",
    "Stats",
    "SubGraph",
    "SubGraphMetadata",
    "Tensor",
    "TensorMetadata",
    "TensorType",
]

MODEL_IDENTIFIER = b"TFL3"
METADATA_IDENTIFIER = b"M001"
RECORD_NAME = "TFLITE_METADATA"  # the model's Metadata entry whose buffer holds a ModelMetadata
MIN_PARSER_VERSION = "1.0.0"  # no field that is written here came later


class Model(IntEnum):
    VERSION = 0
    OPERATOR_CODES = 1
    SUBGRAPHS = 2
    DESCRIPTION = 3
    BUFFERS = 4
    METADATA_BUFFER = 5
    METADATA = 6
    SIGNATURE_DEFS = 7
    EXTERNAL_BUFFER_GROUPS = 8
    EXTERNAL_BUFFERS = 9


class Metadata(IntEnum):
    NAME = 0
    BUFFER = 1


class Buffer(IntEnum):
    DATA = 0
    OFFSET = 1
    SIZE = 2


class SubGraph(IntEnum):
    TENSORS = 0
    INPUTS = 1
    OUTPUTS = 2
    OPERATORS = 3


class Tensor(IntEnum):
    SHAPE = 0
    TYPE = 1


class Operator(IntEnum):
    LARGE_CUSTOM_OPTIONS_OFFSET = 9


class TensorType(IntEnum):
    FLOAT32 = 0
    UINT8 = 3


class ModelMetadata(IntEnum):
    NAME = 0
    DESCRIPTION = 1
    VERSION = 2
    SUBGRAPH_METADATA = 3
    AUTHOR = 4
    LICENSE = 5
    ASSOCIATED_FILES = 6
    MIN_PARSER_VERSION = 7


class SubGraphMetadata(IntEnum):
    NAME = 0
    DESCRIPTION = 1
    INPUT_TENSOR_METADATA = 2
    OUTPUT_TENSOR_METADATA = 3


class TensorMetadata(IntEnum):
    NAME = 0
    DESCRIPTION = 1
    DIMENSION_NAMES = 2
    CONTENT = 3
    PROCESS_UNITS = 4
    STATS = 5
    ASSOCIATED_FILES = 6


class Content(IntEnum):
    CONTENT_PROPERTIES_TYPE = 0
    CONTENT_PROPERTIES = 1


class ContentProperties(IntEnum):
    FEATURE_PROPERTIES = 1
    IMAGE_PROPERTIES = 2


class ImageProperties(IntEnum):
    COLOR_SPACE = 0


class ColorSpaceType(IntEnum):
    RGB = 1


class ProcessUnit(IntEnum):
    OPTIONS_TYPE = 0
    OPTIONS = 1


class ProcessUnitOptions(IntEnum):
    NORMALIZATION_OPTIONS = 1


class NormalizationOptions(IntEnum):
    MEAN = 0
    STD = 1


class Stats(IntEnum):
    MAX = 0
    MIN = 1


class AssociatedFile(IntEnum):
    NAME = 0
    DESCRIPTION = 1
    TYPE = 2


class AssociatedFileType(IntEnum):
    TENSOR_AXIS_LABELS = 2
