"""Metadata in a .tflite: seen by readers that share no code with the writer, and invisible to the interpreter."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from flatbuffers import number_types
from flatbuffers.table import Table

from exporters.tflite_container import attach, detach, read_record
from exporters.tflite_flatbuffer import encode
from exporters.tflite_metadata import attach_metadata, read_metadata
from levit_mobile.errors import BundleError, LevitMobileError, UsageError

MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
UNICODE = ["żółw", "亀", "lesser panda, red panda", "🐢", "naïve café", "Ωmega", " spaced ", 'quo"te', "tab\tbed", "ﷺ"]
REPOSITORY = Path(__file__).parents[2]


def arguments(labels: list[str], **other: Any) -> dict[str, Any]:
    texts = {"name": "LeViT-128S", "description": "A test — of text.", "version": "1.2.3", "author": "Ä. Author"}
    return {**texts, "license": "Apache-2.0", "labels": labels, "mean": MEAN, "std": STD, **other}


def names(count: int) -> list[str]:
    return [f"class {number}" for number in range(count)]


def pack(model: schema.ModelT) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def make_classifier(classes: int, *, kind: int = schema.TensorType.FLOAT32, channels: int = 3) -> schema.ModelT:
    """A 2x2 convolution that looks at one corner of a 224x224 image, and a reshape to (1, classes)."""
    rng = np.random.default_rng(classes)
    model = schema.ModelT()
    model.version, model.description = 3, "a test"
    codes = (schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.RESHAPE)
    model.operatorCodes = [schema.OperatorCodeT(deprecatedBuiltinCode=c, builtinCode=c, version=1) for c in codes]
    contents: list[npt.NDArray[Any] | None] = [
        None,
        rng.standard_normal((classes, 2, 2, channels)).astype(np.float32),
        rng.standard_normal(classes).astype(np.float32),
        np.array([1, classes], np.int32),
        np.frombuffer(b"1.5.0".ljust(16, b"\0"), np.uint8),
    ]
    model.buffers = [schema.BufferT(data=None if c is None else c.ravel().view(np.uint8)) for c in contents]
    model.metadata = [schema.MetadataT(name="min_runtime_version", buffer=4)]
    shapes = [(1, 224, 224, channels), (classes, 2, 2, channels), (classes,), (2,), (1, 1, 1, classes), (1, classes)]
    types = [kind, *[schema.TensorType.FLOAT32] * 2, schema.TensorType.INT32, *[schema.TensorType.FLOAT32] * 2]
    graph = schema.SubGraphT()
    graph.tensors = [
        schema.TensorT(name=f"t{number}", shape=list(shape), type=kind, buffer=buffer)
        for number, (shape, kind, buffer) in enumerate(zip(shapes, types, (0, 1, 2, 3, 0, 0), strict=True))
    ]
    convolve = schema.Conv2DOptionsT(padding=schema.Padding.VALID, strideW=224, strideH=224)
    graph.operators = [
        schema.OperatorT(
            opcodeIndex=0,
            inputs=[0, 1, 2],
            outputs=[4],
            builtinOptionsType=schema.BuiltinOptions.Conv2DOptions,
            builtinOptions=convolve,
        ),
        schema.OperatorT(opcodeIndex=1, inputs=[4, 3], outputs=[5]),
    ]
    graph.inputs, graph.outputs = [0], [5]
    model.subgraphs = [graph]
    return model


def classifier(classes: int) -> bytes:
    return pack(make_classifier(classes))


def classifier_with_far_buffers(classes: int) -> bytes:
    """The same model, its weights behind the flatbuffer and found by their position in the file."""
    model = make_classifier(classes)
    weights = [model.buffers[1].data.tobytes(), model.buffers[2].data.tobytes()]
    for buffer, content in zip(model.buffers[1:3], weights, strict=True):
        buffer.data, buffer.offset, buffer.size = None, 16, len(content)
    place = len(pack(model)) + 15 & -16
    parts = []
    for buffer, content in zip(model.buffers[1:3], weights, strict=True):
        buffer.offset = place + sum(map(len, parts))
        parts.append(content.ljust(len(content) + 15 & -16, b"\0"))
    return pack(model).ljust(place, b"\0") + b"".join(parts)


def run(model: bytes) -> tuple[bytes, int]:
    """The output for a fixed image, and how many delegate parts ran it."""
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    image = np.random.default_rng(1).standard_normal((1, 224, 224, 3)).astype(np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    scores = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    parts = [op["op_name"] for op in interpreter._get_ops_details()].count("DELEGATE")
    return scores.tobytes(), parts


def buffers_of(data: bytes) -> list[tuple[bytes, int]]:
    """Content of every buffer, and its position modulo 16, by the schema that LiteRT generates."""
    model = schema.Model.GetRootAs(data, 0)
    found = []
    for number in range(model.BuffersLength()):
        buffer = model.Buffers(number)
        position, size = buffer.Offset(), buffer.Size()
        if buffer.DataLength():
            position, size = buffer._tab.Vector(buffer._tab.Offset(4)), buffer.DataLength()
        found.append((data[position : position + size] if size else b"", position % 16))
    return found


class Walk:
    """A table by slot numbers, with the flatbuffers package: nothing of the exporter is used."""

    def __init__(self, data: bytes, position: int) -> None:
        self.table = Table(data, position)

    def _offset(self, slot: int) -> int:
        offset = int(self.table.Offset(4 + 2 * slot))
        assert offset, f"slot {slot} is not there"
        return offset

    def has(self, slot: int) -> bool:
        return bool(self.table.Offset(4 + 2 * slot))

    def text(self, slot: int) -> str:
        return bytes(self.table.String(self._offset(slot) + self.table.Pos)).decode()

    def byte(self, slot: int) -> int:
        return int(self.table.Get(number_types.Uint8Flags, self._offset(slot) + self.table.Pos))

    def down(self, slot: int) -> Walk:
        return Walk(self.table.Bytes, self.table.Indirect(self._offset(slot) + self.table.Pos))

    def only(self, slot: int) -> Walk:
        assert self.table.VectorLen(self._offset(slot)) == 1
        return Walk(self.table.Bytes, self.table.Indirect(self.table.Vector(self._offset(slot))))

    def floats(self, slot: int) -> list[float]:
        start, length = self.table.Vector(self._offset(slot)), self.table.VectorLen(self._offset(slot))
        return [float(self.table.Get(number_types.Float32Flags, start + 4 * i)) for i in range(length)]


def walk_metadata(data: bytes) -> Walk:
    model = schema.Model.GetRootAs(data, 0)
    assert schema.Model.ModelBufferHasIdentifier(data, 0)
    entries = [model.Metadata(i) for i in range(model.MetadataLength())]
    (index,) = [entry.Buffer() for entry in entries if entry.Name() == b"TFLITE_METADATA"]
    record = model.Buffers(index).DataAsNumpy().tobytes()
    assert record[4:8] == b"M001"
    return Walk(record, int.from_bytes(record[:4], "little"))


@pytest.mark.parametrize("classes", [10, 1000])
def test_another_reader_finds_every_field_where_the_schema_has_it(classes: int) -> None:
    data = attach_metadata(classifier(classes), **arguments(names(classes)))
    root = walk_metadata(data)
    assert [root.text(slot) for slot in (0, 1, 2)] == ["LeViT-128S", "A test — of text.", "1.2.3"]
    assert [root.text(slot) for slot in (4, 5, 7)] == ["Ä. Author", "Apache-2.0", "1.0.0"]
    graph = root.only(3)

    image = graph.only(2)
    assert image.text(0) == "image"
    assert "224 x 224" in image.text(1)
    assert image.down(3).byte(0) == 2  # ContentProperties: ImageProperties
    assert image.down(3).down(1).byte(0) == 1  # ColorSpaceType: RGB
    unit = image.only(4)
    assert unit.byte(0) == 1  # ProcessUnitOptions: NormalizationOptions
    assert unit.down(1).floats(0) == [float(np.float32(value)) for value in MEAN]
    assert unit.down(1).floats(1) == [float(np.float32(value)) for value in STD]
    assert unit.down(1).floats(1) == pytest.approx([0.229 * 255, 0.224 * 255, 0.225 * 255], rel=1e-6)
    assert image.down(5).floats(0) == pytest.approx([2.248908, 2.428571, 2.64], abs=1e-5)  # max
    assert image.down(5).floats(1) == pytest.approx([-2.117904, -2.035714, -1.804444], abs=1e-5)  # min

    scores = graph.only(3)
    assert scores.text(0) == "scores"
    assert scores.down(3).byte(0) == 1  # ContentProperties: FeatureProperties
    assert scores.down(3).has(1)
    labels = scores.only(6)
    assert (labels.text(0), labels.byte(2)) == ("labels.txt", 2)  # AssociatedFileType: TENSOR_AXIS_LABELS


def test_labels_are_a_stored_file_in_an_archive_behind_the_model() -> None:
    data = attach_metadata(classifier(10), **arguments(UNICODE))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        (entry,) = archive.infolist()
        text = archive.read("labels.txt").decode()
    assert text.split("\n") == [*UNICODE, ""]
    assert (entry.filename, entry.compress_type, entry.date_time) == (
        "labels.txt",
        zipfile.ZIP_STORED,
        (1980, 1, 1, 0, 0, 0),
    )
    start = entry.header_offset + 30 + len("labels.txt")
    assert data[start : start + entry.file_size].decode() == text  # readers map it where it lies


@pytest.mark.parametrize("labels", [UNICODE, names(10), names(1000)], ids=["unicode", "10", "1000"])
def test_reads_back_what_was_written(labels: list[str]) -> None:
    given = arguments(labels)
    data = attach_metadata(classifier(len(labels)), **given)
    assert read_metadata(data) == {**given, "mean": list(MEAN), "std": list(STD), "min_parser_version": "1.0.0"}


def test_one_mean_stands_for_all_channels() -> None:
    record = encode(
        {
            3: [
                {
                    2: [{4: [{0: 1, 1: {0: [127.5], 1: [128.0]}}]}],
                    3: [{6: [{0: "names.txt", 2: 2}]}],
                }
            ]
        },
        b"M001",
    )
    found = read_metadata(attach(classifier(2), record, {"names.txt": b"cat\r\ndog"}))
    assert (found["mean"], found["std"], found["labels"]) == ([127.5] * 3, [128.0] * 3, ["cat", "dog"])
    assert found["name"] == ""


def test_pixels_of_uint8_models_go_from_0_to_255() -> None:
    model = pack(make_classifier(10, kind=schema.TensorType.UINT8))
    stats = walk_metadata(attach_metadata(model, **arguments(names(10)))).only(3).only(2).down(5)
    assert (stats.floats(0), stats.floats(1)) == ([255.0], [0.0])


def test_other_types_have_no_stats() -> None:
    model = pack(make_classifier(10, kind=schema.TensorType.INT8))
    assert not walk_metadata(attach_metadata(model, **arguments(names(10)))).only(3).only(2).has(5)


def test_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    model, given = classifier(10), arguments(UNICODE)
    (tmp_path / "model.tflite").write_bytes(model)
    (tmp_path / "given.json").write_text(json.dumps(given))
    script = (
        "import hashlib, json, sys, pathlib; from exporters.tflite_metadata import attach_metadata;"
        "folder = pathlib.Path(sys.argv[1]); given = json.loads((folder / 'given.json').read_text());"
        "data = attach_metadata((folder / 'model.tflite').read_bytes(), **given);"
        "print(hashlib.sha256(data).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed, zone in (("0", "UTC"), ("4711", "Asia/Tokyo"))
    }
    assert digests == {hashlib.sha256(attach_metadata(model, **given)).hexdigest()}


@pytest.mark.parametrize("make", [classifier, classifier_with_far_buffers])
def test_attaching_again_replaces(make: Any) -> None:
    model = make(10)
    first = attach_metadata(model, **arguments(names(10)))
    second = arguments(UNICODE, name="another", std=(1.0, 2.0, 3.0))
    assert attach_metadata(first, **arguments(names(10))) == first
    assert attach_metadata(first, **second) == attach_metadata(model, **second)
    assert detach(first) == model
    assert detach(model) == model


def test_metadata_of_another_writer_is_replaced() -> None:
    model = make_classifier(10)
    model.metadata.insert(0, schema.MetadataT(name="TFLITE_METADATA", buffer=5))
    model.buffers.append(schema.BufferT(data=np.frombuffer(b"\0" * 4 + b"M001 not ours", np.uint8)))
    model.buffers.append(schema.BufferT(data=np.arange(8, dtype=np.uint8)))
    foreign = io.BytesIO()
    foreign.write(pack(model))
    with zipfile.ZipFile(foreign, "a") as archive:
        archive.writestr("old.txt", "old")
    once = attach_metadata(foreign.getvalue(), **arguments(names(10)))
    assert read_metadata(once)["labels"] == names(10)
    assert walk_metadata(once).text(0) == "LeViT-128S"
    assert zipfile.ZipFile(io.BytesIO(once)).namelist() == ["labels.txt"]
    assert attach_metadata(once, **arguments(names(10))) == once
    assert buffers_of(once)[6][0] == bytes(range(8))


@pytest.mark.parametrize("classes", [10, 1000])
@pytest.mark.parametrize("make", [classifier, classifier_with_far_buffers])
def test_the_interpreter_sees_the_same_model(make: Any, classes: int) -> None:
    model = make(classes)
    data = attach_metadata(model, **arguments(names(classes)))
    assert run(data) == run(model)
    assert run(data)[1] == 1
    assert len(np.unique(np.frombuffer(run(data)[0], np.float32))) > classes // 2


@pytest.mark.parametrize("make", [classifier, classifier_with_far_buffers])
def test_buffers_keep_content_and_alignment(make: Any) -> None:
    model = make(10)
    data = attach_metadata(model, **arguments(UNICODE))
    assert buffers_of(data)[:-1] == buffers_of(model)
    assert buffers_of(data)[-1] == (read_record(data), 0)
    assert len(data) - len(model) < 2048


def test_everything_else_of_the_model_stays() -> None:
    model = make_classifier(10)
    model.signatureDefs = [schema.SignatureDefT(signatureKey="serving_default", subgraphIndex=0)]
    tagged = schema.Model.GetRootAs(attach_metadata(pack(model), **arguments(names(10))), 0)
    assert (tagged.Version(), tagged.Description()) == (3, b"a test")
    assert tagged.SignatureDefs(0).SignatureKey() == b"serving_default"
    assert [tagged.Metadata(i).Name() for i in range(tagged.MetadataLength())] == [
        b"min_runtime_version",
        b"TFLITE_METADATA",
    ]
    assert tagged.OperatorCodes(1).BuiltinCode() == schema.BuiltinOperator.RESHAPE


def test_far_options_of_custom_operators_are_found_again() -> None:
    model = make_classifier(10)
    options = b"options of a custom operator"
    model.subgraphs[0].operators[0].largeCustomOptionsOffset = 16
    model.subgraphs[0].operators[0].largeCustomOptionsSize = len(options)
    place = len(pack(model))
    model.subgraphs[0].operators[0].largeCustomOptionsOffset = place
    data = attach_metadata(pack(model) + options, **arguments(names(10)))
    operator = schema.Model.GetRootAs(data, 0).Subgraphs(0).Operators(0)
    start = operator.LargeCustomOptionsOffset()
    assert start > place
    assert data[start : start + operator.LargeCustomOptionsSize()] == options


@pytest.mark.parametrize("count", [0, 9, 11, 1000])
def test_wrong_number_of_labels(count: int) -> None:
    with pytest.raises(UsageError, match=f"{count} labels for a model with 10 classes"):
        attach_metadata(classifier(10), **arguments(names(count)))


@pytest.mark.parametrize("label", ["", "  ", "two\nlines", "two\rlines", "end\n", "a\u2028b", "\udcff"])
def test_labels_that_would_shift_their_neighbours(label: str) -> None:
    with pytest.raises(UsageError, match="label 3 is"):
        attach_metadata(classifier(10), **arguments([*names(3), label, *names(6)]))


@pytest.mark.parametrize(
    "wrong",
    [{"mean": (1.0,)}, {"std": (1.0, 2.0)}, {"std": (1.0, 0.0, 1.0)}, {"mean": (0.0, float("nan"), 0.0)}],
    ids=["one mean", "two stds", "zero std", "nan"],
)
def test_normalization_that_makes_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="mean"):
        attach_metadata(classifier(10), **arguments(names(10), **wrong))


@pytest.mark.parametrize("garbage", [b"", b"TFL3", b"PK\5\6" + bytes(18), b"\x7fELF" * 100, b"\xff\xff\xff\x7fTFL3"])
def test_no_model_at_all(garbage: bytes) -> None:
    with pytest.raises(BundleError):
        attach_metadata(garbage, **arguments(names(10)))
    with pytest.raises(BundleError):
        read_metadata(garbage)


@pytest.mark.parametrize("make", [classifier, classifier_with_far_buffers])
@pytest.mark.parametrize("cut", [16, 100, 500])
def test_a_model_that_is_cut_short_is_named_so(make: Any, cut: int) -> None:
    with pytest.raises(BundleError, match="damaged or cut short"):
        attach_metadata(make(10)[:-cut], **arguments(names(10)))


def test_damage_never_ends_in_a_traceback() -> None:
    rng = random.Random(0)
    whole = attach_metadata(classifier_with_far_buffers(10), **arguments(UNICODE))
    refused = 0
    for _ in range(400):
        damaged = bytearray(whole[: rng.randrange(len(whole))] if rng.random() < 0.25 else whole)
        for _ in range(rng.randrange(1, 8)):
            if damaged:
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        for act in (read_metadata, lambda data: attach_metadata(data, **arguments(UNICODE))):
            try:
                act(bytes(damaged))
            except LevitMobileError:
                refused += 1
    assert refused > 200


def test_models_that_classify_no_image() -> None:
    with pytest.raises(BundleError, match="not an RGB image"):
        attach_metadata(pack(make_classifier(10, channels=1)), **arguments(names(10)))
    two = make_classifier(10)
    two.subgraphs[0].outputs = [5, 4]
    with pytest.raises(BundleError, match="one output, found 2"):
        attach_metadata(pack(two), **arguments(names(10)))
    grid = make_classifier(10)
    grid.subgraphs[0].outputs = [4]
    with pytest.raises(BundleError, match="not scores"):
        attach_metadata(pack(grid), **arguments(names(10)))


def test_metadata_that_is_missing_or_does_not_fit() -> None:
    model = classifier(10)
    data = attach_metadata(model, **arguments(names(10)))
    record = read_record(data)
    assert record is not None
    with pytest.raises(BundleError, match="carries no metadata"):
        read_metadata(model)
    with pytest.raises(BundleError, match=r"'labels\.txt', which is not in the file"):
        read_metadata(attach(model, record, {}))
    with pytest.raises(BundleError, match="10 classes, its metadata 2 labels"):
        read_metadata(attach(model, record, {"labels.txt": b"cat\ndog\n"}))
    with pytest.raises(BundleError, match="not UTF-8"):
        read_metadata(attach(model, record, {"labels.txt": b"\xff\n" * 10}))
    with pytest.raises(BundleError, match="archive behind the model is damaged"):
        read_metadata(data.replace(b"class 3\n", b"class X\n"))
    with pytest.raises(BundleError, match="not TensorFlow Lite metadata"):
        read_metadata(data.replace(b"M001", b"M002"))
