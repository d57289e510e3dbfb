"""What ``levit-export --target tflite`` writes: delegate, number formats, names, metadata, parity, size."""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from ai_edge_litert import schema_py_generated as schema
from exports import PRECISIONS, Exported
from graphs import TYPE_NAMES
from pictures import draw
from torch import nn

from calib.calibrate import calibrate
from calib.calibration import load_calibration
from calib.pictures import CalibrationSet
from calib.ranges import fingerprint
from exporters import tflite
from exporters.tflite_container import detach
from exporters.tflite_graph import read_graph, write_graph
from exporters.tflite_metadata import read_metadata
from levit_mobile.bundle import Bundle, open_bundle
from levit_mobile.checkpoints import load_checkpoint, save_checkpoint
from levit_mobile.errors import BundleError, UsageError
from levit_mobile.evaluate import compare
from levit_mobile.fuse import DeployLeViT, fuse
from levit_mobile.golden import golden_pictures
from levit_mobile.model import LeViT
from levit_mobile.pipeline import reference_model
from levit_mobile.preprocess import IMAGENET, resize_and_crop
from levit_mobile.program import build_program
from levit_mobile.qdq import quantize_static
from levit_mobile.runtimes import open_runtime
from levit_mobile.runtimes.tflite import open_artifact
from levit_mobile.scales import affine
from levit_mobile.variants import get_variant
from levit_mobile.weights import resolve_weights

pytestmark = pytest.mark.slow  # the exports, once for all

KINDS = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
LAYERS = ("CONV_2D", "FULLY_CONNECTED")


class Model:
    """A .tflite by the generated classes alone."""

    def __init__(self, bundle: Path) -> None:
        self.data = (bundle / "model.tflite").read_bytes()
        self.whole = schema.ModelT.InitFromPackedBuf(self.data, 0)
        (self.graph,) = self.whole.subgraphs
        self.tensors = self.graph.tensors

    def operators(self, *kinds: str) -> Iterator[tuple[str, Any]]:
        for op in self.graph.operators:
            code = self.whole.operatorCodes[op.opcodeIndex]
            kind = KINDS[max(code.builtinCode, code.deprecatedBuiltinCode)]
            if not kinds or kind in kinds:
                yield kind, op

    def name(self, index: int) -> str:
        return str(self.tensors[index].name.decode())

    def layer(self, op: Any) -> str:
        return self.name(op.inputs[1]).partition(".weight")[0]

    def type(self, index: int) -> str:
        return TYPE_NAMES[self.tensors[index].type]

    def content(self, index: int) -> bytes:
        data = self.whole.buffers[self.tensors[index].buffer].data
        return b"" if data is None else bytes(data)


@pytest.fixture(scope="session")
def deploy() -> DeployLeViT:
    return fuse(resolve_weights("demo").model())


@pytest.fixture(scope="session")
def pixels() -> npt.NDArray[np.uint8]:
    """Four pictures that are not among the golden ones."""
    return np.stack([resize_and_crop(draw(f"{300 + 7 * n}x{280 - n}"), IMAGENET) for n in range(4)])


def bundle(exported: Exported, precision: str) -> Bundle:
    return open_bundle(exported.bundle(f"levit_128s-{precision}-tflite"))


def logits(opened: Bundle, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return open_runtime(opened).logits(pixels)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_delegate_takes_all_of_it(exported: Exported, precision: str) -> None:
    opened = bundle(exported, precision)
    anatomy = open_runtime(opened).anatomy()
    assert (anatomy.delegate, anatomy.parts, anatomy.outside) == ("XNNPACK", 1, {})
    assert opened.manifest["delegate"] == {"name": "XNNPACK", "parts": 1, "outside": {}}
    assert anatomy.operators == opened.manifest["operators"]
    assert anatomy.operators == dict(sorted(Counter(k for k, _ in Model(opened.folder).operators()).items()))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_no_operator_too_many(exported: Exported, precision: str) -> None:
    """6 convolutions, 65 Linears; 11 attentions: two products, a softmax and a bias each; 20 residual additions.

    In float two of the Linears are convolutions with a group for each head.
    """
    found = Counter(kind for kind, _ in Model(exported.bundle(f"levit_128s-{precision}-tflite")).operators())
    rows = 8 if precision in ("fp16", "int8-dynamic") else 0  # before and behind the four pads
    grouped = 2 if precision in ("fp32", "fp16") else 0
    moves_and_formats = {"RESHAPE": 96 + grouped + rows, "TRANSPOSE": 44, "PAD": 4, "QUANTIZE": 46, "DEQUANTIZE": 82}
    assert {kind: count for kind, count in found.items() if kind not in moves_and_formats} == {
        "CONV_2D": 6 + grouped,
        "FULLY_CONNECTED": 65 - grouped,
        "BATCH_MATMUL": 22,
        "SOFTMAX": 11,
        "HARD_SWISH": 25,
        "ADD": 31,
        "MEAN": 2,
    }
    assert all(found[kind] <= most for kind, most in moves_and_formats.items())


def test_int8_follows_the_policy(exported: Exported) -> None:
    model = Model(exported.bundle("levit_128s-int8-tflite"))
    for kind, op in model.operators(*LAYERS):
        (weight, bias), channels = op.inputs[1:3], model.tensors[op.inputs[1]].shape[0]
        formats = [model.type(index) for index in (*op.inputs, *op.outputs)]
        assert formats == ["INT8", "INT8", "INT32", "INT8"], (kind, model.name(op.outputs[0]))
        for index in (weight, bias):
            found = model.tensors[index].quantization
            assert len(found.scale) == len(found.zeroPoint) == channels
            assert found.quantizedDimension == 0
            assert not np.any(found.zeroPoint)
        values = np.frombuffer(model.content(weight), np.int8).reshape(channels, -1)
        assert values.min() >= -127
        used = np.abs(values.astype(int)).max(1)
        assert (used == 127).mean() > 0.9  # each channel's own scale
        for index in (op.inputs[0], op.outputs[0]):  # one scale a tensor
            assert len(model.tensors[index].quantization.scale) == 1
    for kind, op in model.operators("SOFTMAX", "HARD_SWISH", "BATCH_MATMUL", "ADD", "MEAN"):
        wired = [model.type(index) for index in (*op.inputs, *op.outputs)]
        assert set(wired) - {"INT32"} == {"FLOAT32"}, (kind, wired)
    made_by = {index: kind for kind, op in model.operators() for index in op.outputs}
    summed = {index for _, op in model.operators("ADD") for index in op.inputs}
    residual = []
    for kind, op in model.operators("RESHAPE", "TRANSPOSE", "PAD"):
        if made_by.get(op.inputs[0]) == "ADD" and op.outputs[0] in summed:
            residual.append(kind)
            assert (model.type(op.inputs[0]), model.type(op.outputs[0])) == ("FLOAT32", "FLOAT32")
        else:
            assert (model.type(op.inputs[0]), model.type(op.outputs[0])) == ("INT8", "INT8"), kind
    assert residual == ["RESHAPE", "RESHAPE"]  # the second and third stage begin with them


def test_constants_are_those_of_the_program_in_pytorch(exported: Exported, deploy: DeployLeViT) -> None:
    """Weights, biases and scales as ``quantize_static`` has them: all targets compute with the same numbers."""
    folder = exported.bundle("levit_128s-int8-tflite")
    found, model = load_calibration(folder / "calibration.json"), Model(folder)
    program = quantize_static(found.prepare(deploy), found.ranges)
    for _, op in model.operators(*LAYERS):
        layer: Any = program.get_submodule(model.layer(op))
        weight = layer.weight.permute(0, 2, 3, 1) if layer.weight.dim() == 4 else layer.weight
        assert model.content(op.inputs[1]) == weight.contiguous().numpy().tobytes()
        scale = np.asarray(model.tensors[op.inputs[1]].quantization.scale, np.float32)
        assert scale.tolist() == layer.scale.tolist()
        for index, ends in ((op.inputs[0], layer.before), (op.outputs[0], layer.after)):
            known = model.tensors[index].quantization
            assert (known.scale[0], known.zeroPoint[0]) == (pytest.approx(affine(*ends)[0], rel=2e-7), affine(*ends)[1])
        step = affine(*layer.before)[0] * scale.astype(float)
        bias = layer.bias.numpy().astype(float)
        apart = np.abs(bias - step * np.frombuffer(model.content(op.inputs[2]), np.int32)) - 1e-6 * np.abs(bias)
        assert (apart <= 1.001 * step).all()  # a thousandth of the output's; of a value between two, either is right
        assert (apart > 0.01 * step).mean() < 0.05
    for _, op in model.operators("DEQUANTIZE"):
        if model.name(op.inputs[0]).endswith(".packed"):
            table = program.get_buffer(model.name(op.outputs[0])).numpy()
            steps = np.asarray(model.tensors[op.inputs[0]].quantization.scale, np.float32)[:, None, None]
            values = np.frombuffer(model.content(op.inputs[0]), np.int8).reshape(table.shape)
            assert (values * steps).tobytes() == table.tobytes()


@pytest.mark.parametrize(
    ("precision", "versions"),
    [
        ("fp32", {"CONV_2D": 6, "FULLY_CONNECTED": 5}),
        ("fp16", {"CONV_2D": 6, "FULLY_CONNECTED": 5, "DEQUANTIZE": 3}),
        ("int8", {"CONV_2D": 3, "FULLY_CONNECTED": 5, "DEQUANTIZE": 5, "PAD": 2, "TRANSPOSE": 2}),
        ("int8-dynamic", {"CONV_2D": 5, "FULLY_CONNECTED": 12, "DEQUANTIZE": 5}),
    ],
)
def test_operators_have_the_version_that_they_need(
    exported: Exported, precision: str, versions: dict[str, int]
) -> None:
    """The others have 1."""
    codes = Model(exported.bundle(f"levit_128s-{precision}-tflite")).whole.operatorCodes
    found = {KINDS[max(code.builtinCode, code.deprecatedBuiltinCode)]: code.version for code in codes}
    assert found.keys() >= versions.keys()
    assert found == {kind: versions.get(kind, 1) for kind in found}


def test_int8_scales_come_from_the_ranges(exported: Exported) -> None:
    folder = exported.bundle("levit_128s-int8-tflite")
    ranges, model = load_calibration(folder / "calibration.json").ranges, Model(folder)
    for _, op in model.operators(*LAYERS):
        layer = model.layer(op)
        for index, end in ((op.inputs[0], "in"), (op.outputs[0], "out")):
            low, high = ranges.values[f"{layer}.{end}"]
            found = model.tensors[index].quantization
            step = (max(high, 0.0) - min(low, 0.0)) / 255
            assert found.scale[0] == pytest.approx(step, rel=1e-5), f"{layer}.{end}"
            assert found.zeroPoint[0] == pytest.approx(-128 - min(low, 0.0) / step, abs=0.501)


def test_int8_dynamic_has_int8_weights_and_float_activations(exported: Exported) -> None:
    model = Model(exported.bundle("levit_128s-int8-dynamic-tflite"))
    for kind, op in model.operators(*LAYERS):
        formats = [model.type(index) for index in (*op.inputs, *op.outputs)]
        assert formats == ["FLOAT32", "INT8", "FLOAT32", "FLOAT32"], kind
        assert len(model.tensors[op.inputs[1]].quantization.scale) == model.tensors[op.inputs[1]].shape[0]
    assert not list(model.operators("QUANTIZE"))


def test_fp16_weights_are_float16(exported: Exported, deploy: DeployLeViT) -> None:
    model = Model(exported.bundle("levit_128s-fp16-tflite"))
    unpacked = {op.outputs[0]: op.inputs[0] for _, op in model.operators("DEQUANTIZE")}
    for _, op in model.operators(*LAYERS):
        stored = unpacked[op.inputs[1]]
        assert model.type(stored) == "FLOAT16"
        want = deploy.get_submodule(model.layer(op)).weight.detach().numpy()  # type: ignore[operator]
        want = want.transpose(0, 2, 3, 1) if want.ndim == 4 else want  # of a Linear in groups the bytes are the same
        assert model.content(stored) == want.astype(np.float16).tobytes()
    assert len(unpacked) == 71


def test_fp32_weights_and_biases_are_those_of_the_deploy_form(exported: Exported, deploy: DeployLeViT) -> None:
    """Also the biases that the converter had moved into the next layer."""
    model = Model(exported.bundle("levit_128s-fp32-tflite"))
    for _, op in model.operators(*LAYERS):
        layer: Any = deploy.get_submodule(model.layer(op))
        want = layer.weight.detach().numpy()
        want = want.transpose(0, 2, 3, 1) if want.ndim == 4 else want
        assert model.content(op.inputs[1]) == np.ascontiguousarray(want).tobytes()
        assert model.content(op.inputs[2]) == layer.bias.detach().numpy().tobytes()
    for _, op in model.operators("ADD"):
        constants = [model.tensors[index] for index in op.inputs if model.content(index)]
        assert all(len(tensor.shape) >= 2 for tensor in constants)  # tables, and no biases


@pytest.mark.parametrize("precision", PRECISIONS)
def test_names_tell_the_layer(exported: Exported, deploy: DeployLeViT, precision: str) -> None:
    model = Model(exported.bundle(f"levit_128s-{precision}-tflite"))
    assert [model.name(index) for index in model.graph.inputs] == ["image"]
    assert [model.name(index) for index in model.graph.outputs] == ["logits"]
    names = [model.name(index) for index in range(len(model.tensors))]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) < 60
    layers = {name for name, module in deploy.named_modules() if hasattr(module, "weight")}
    found = {model.layer(op): model.name(op.outputs[0]) for _, op in model.operators(*LAYERS)}
    assert set(found) == layers
    assert len(layers) == 71
    for layer, out in found.items():
        assert out.startswith(f"{layer}.out") or (layer, out) == ("head", "logits")
    signature = model.whole.signatureDefs[0]
    assert [(entry.name, model.name(entry.tensorIndex)) for entry in signature.inputs] == [(b"image", "image")]
    assert [(entry.name, model.name(entry.tensorIndex)) for entry in signature.outputs] == [(b"logits", "logits")]


@pytest.mark.parametrize("precision", ["int8", "int8-dynamic"])
def test_bias_tables_are_int8_with_a_scale_a_head(exported: Exported, deploy: DeployLeViT, precision: str) -> None:
    model = Model(exported.bundle(f"levit_128s-{precision}-tflite"))
    tables = {name: buffer.numpy() for name, buffer in deploy.named_buffers()}
    packed = [op for _, op in model.operators("DEQUANTIZE") if model.name(op.inputs[0]).endswith(".packed")]
    assert {model.name(op.outputs[0]) for op in packed} == set(tables)
    assert len(tables) == 11
    added = {index for _, op in model.operators("ADD") for index in op.inputs}
    for op in packed:
        table = tables[model.name(op.outputs[0])]
        stored = model.tensors[op.inputs[0]]
        assert (model.type(op.inputs[0]), list(stored.shape)) == ("INT8", list(table.shape))
        step = np.array(stored.quantization.scale).reshape(-1, 1, 1)
        assert len(step) == len(table)
        assert stored.quantization.quantizedDimension == 0
        assert op.outputs[0] in added
        assert not model.content(op.outputs[0])  # nothing is stored twice
        values = np.frombuffer(model.content(op.inputs[0]), np.int8).reshape(table.shape) * step
        assert (np.abs(values - table) <= step / 2 * 1.0001).all()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_parity_is_measured_and_within_its_bounds(exported: Exported, precision: str) -> None:
    """On the golden pictures, read again from the bundle, by arithmetic of this test's own."""
    opened = bundle(exported, precision)
    golden = opened.golden()
    got = logits(opened, golden.pixels).astype(np.float64)
    want = golden.logits.astype(np.float64)
    difference = np.abs(got - want).max() / (want.max() - want.min())
    bound = {"fp32": 1e-4, "fp16": 1e-2, "int8": 0.15, "int8-dynamic": 0.15}[precision]
    measured = {"fp32": 1e-6, "fp16": 2e-3, "int8": 0.08, "int8-dynamic": 0.05}[precision]  # with room for new weights
    told = opened.manifest["parity"]
    assert difference <= measured <= bound
    assert told["max_abs"] == pytest.approx(difference, rel=0.01)
    assert told["passed"] is True
    assert told["samples"] == 8
    assert told["cosine"] >= {"fp32": 0.999999, "fp16": 0.9999, "int8": 0.98, "int8-dynamic": 0.98}[precision]


def test_both_layouts_give_the_same(exported: Exported, other_kinds: Exported, pixels: npt.NDArray[np.uint8]) -> None:
    nchw, nhwc = open_bundle(other_kinds.bundle("nchw")), bundle(exported, "fp32")
    assert nchw.manifest["input"]["shape"] == [1, 3, 224, 224]
    assert (nchw.manifest["input"]["layout"], nhwc.manifest["input"]["layout"]) == ("nchw", "nhwc")
    assert open_runtime(nchw).input.shape == (1, 3, 224, 224)
    a, b = logits(nchw, pixels), logits(nhwc, pixels)
    assert np.abs(a - b).max() <= 1e-5 * np.ptp(a)


@pytest.mark.parametrize(
    ("kind", "io_dtype", "zero_point", "twin", "bound"),
    [
        ("uint8", "uint8", 0, "int8", 0.05),
        ("int8", "int8", -128, "int8", 0.05),
        ("uint8-fp32", "uint8", 0, "fp32", 0.01),
    ],
)
def test_raw_pixels_in(
    exported: Exported,
    other_kinds: Exported,
    pixels: npt.NDArray[np.uint8],
    kind: str,
    io_dtype: str,
    zero_point: int,
    twin: str,
    bound: float,
) -> None:
    opened = open_bundle(other_kinds.bundle(kind))
    runtime = open_runtime(opened)
    assert (runtime.input.dtype, runtime.input.scale, runtime.input.zero_point) == (io_dtype, 1.0, zero_point)
    assert runtime.output.dtype == io_dtype
    assert runtime.output.scale > 0
    about = opened.manifest["input"]
    assert {key: about[key] for key in ("dtype", "scale", "zero_point", "takes")} == {
        "dtype": io_dtype,
        "scale": 1.0,
        "zero_point": zero_point,
        "takes": "pixels",
    }
    golden = opened.golden()  # inside the ranges that the logits were measured to have
    float_ones = logits(bundle(exported, twin), golden.pixels)
    assert np.abs(runtime.logits(golden.pixels) - float_ones).max() <= bound * np.ptp(float_ones)
    assert runtime.anatomy().parts == 1
    # The last operator of int8 inside and uint8 outside, 10 numbers, is one that the delegate lacks.
    assert runtime.anatomy().outside == ({"QUANTIZE": 1} if kind == "uint8" else {})


def test_int8_artifact_without_float_input(other_kinds: Exported) -> None:
    """The raw bytes that an app would feed: rows of red, green, blue."""
    runtime = open_runtime(open_bundle(other_kinds.bundle("int8")))
    grey = np.full((1, 224, 224, 3), 128, np.uint8)
    runtime._interpreter.set_tensor(runtime._in, np.zeros((1, 224, 224, 3), np.int8))  # type: ignore[attr-defined]
    runtime._interpreter.invoke()  # type: ignore[attr-defined]
    raw = runtime._interpreter.get_tensor(runtime._out)[0].astype(np.float32)  # type: ignore[attr-defined]
    assert ((raw - runtime.output.zero_point) * np.float32(runtime.output.scale)).tolist() == runtime.logits(grey)[
        0
    ].tolist()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_metadata_names_classes_and_normalisation(exported: Exported, precision: str) -> None:
    opened = bundle(exported, precision)
    data = opened.artifact.read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["labels.txt"]
        assert archive.read("labels.txt").decode().splitlines() == opened.labels
    assert opened.labels[:3] == ["tench", "English springer", "cassette player"]
    about = read_metadata(data)
    assert about["labels"] == opened.labels
    assert about["mean"] == pytest.approx([123.675, 116.28, 103.53], rel=1e-6)
    assert about["std"] == pytest.approx([58.395, 57.12, 57.375], rel=1e-6)
    checkpoint = opened.manifest["model"]["checkpoint"]
    assert f"10 classes, {precision}; from {checkpoint['name']}, sha256 {checkpoint['sha256']}" in about["description"]


def test_metadata_of_the_other_kinds(other_kinds: Exported) -> None:
    raw = read_metadata((other_kinds.bundle("uint8") / "model.tflite").read_bytes())
    assert (raw["mean"], raw["std"]) == ([0.0] * 3, [1.0] * 3)
    first = read_metadata((other_kinds.bundle("nchw") / "model.tflite").read_bytes())
    assert first["mean"] == pytest.approx([123.675, 116.28, 103.53], rel=1e-6)


def test_sizes(exported: Exported, thousand: Path) -> None:
    sizes = {p: (exported.bundle(f"levit_128s-{p}-tflite") / "model.tflite").stat().st_size for p in PRECISIONS}
    assert sizes["int8"] <= 7.8e6
    assert sizes["int8-dynamic"] <= 7.7e6
    assert sizes["fp16"] <= 15.9e6
    assert sizes["fp32"] <= 29.9e6
    assert (thousand / "model.tflite").stat().st_size <= 8.2e6  # 8.17 MB measured


def test_a_thousand_classes(thousand: Path) -> None:
    opened = open_bundle(thousand)
    assert read_metadata(opened.artifact.read_bytes())["labels"] == opened.labels
    assert len(opened.labels) == 1000
    assert opened.labels[1] == "goldfish, Carassius auratus"
    assert opened.manifest["delegate"] == {"name": "XNNPACK", "parts": 1, "outside": {}}
    assert opened.manifest["parity"]["passed"] is True
    assert opened.manifest["calibration"]["samples"] == 8
    assert opened.manifest["output"]["shape"] == [1, 1000]


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_read_and_written_again_it_computes_the_same(
    exported: Exported, tmp_path: Path, pixels: npt.NDArray[np.uint8], precision: str
) -> None:
    opened = bundle(exported, precision)
    again = tmp_path / "again.tflite"
    again.write_bytes(write_graph(read_graph(opened.artifact.read_bytes())))
    runtime = open_artifact(again, size=224, spec=opened.preprocessing)
    assert runtime.logits(pixels).tobytes() == logits(opened, pixels).tobytes()
    assert (runtime.anatomy().parts, runtime.anatomy().outside) == (1, {})


def test_ranges_that_are_absurd_do_not_pass(other_kinds: Exported) -> None:
    """A hundred times too wide, so that all activations fall on a few steps: refused with the numbers, nothing written."""
    (refused,) = (json.loads(line) for line in other_kinds.stdout.splitlines() if line.startswith('{"error"'))
    assert refused["error"].startswith("int8 for tflite is too far from PyTorch: greatest difference ")
    assert "allowed: 1.50e-01 of the range, cosine 0.98" in refused["error"]
    assert "No bundle was written." in refused["error"]
    assert not other_kinds.bundle("absurd").exists()
    assert not [path.name for path in other_kinds.folder.iterdir() if path.name.startswith(".")]


def test_labels_are_checked_before_the_translation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(program: Any) -> bytes:
        raise AssertionError("the converter was called")

    monkeypatch.setattr(tflite, "_translate", refuse)
    program = build_program(resolve_weights("demo"), "fp32", labels=(*"abcdefghi", " "))
    with pytest.raises(UsageError, match=r"^label 9 is ' '; a label is one line of Unicode text that is not blank$"):
        tflite.export(program, tmp_path)


def test_one_translation_serves_several_precisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The converter takes most of the time: another precision does not run it again, another input or other weights do.

    The weights that a calibration prepared for int8 are others, and so int8 has one of its own; int8-dynamic has the
    weights of fp32 and fp16, but not their form.
    """
    ran: list[tuple[str, str]] = []
    monkeypatch.setattr(tflite, "_translated", {})

    def convert(program: Any) -> bytes:
        ran.append((program.layout, program.io_dtype))
        return str(len(ran)).encode()

    monkeypatch.setattr(tflite, "_run_converter", convert)
    demo = resolve_weights("demo")
    programs: list[dict[str, Any]] = [
        {"precision": "fp32"},
        {"precision": "int8"},
        {"precision": "fp16"},
        {"precision": "int8"},
        {"precision": "int8", "io_dtype": "uint8"},
        {"precision": "fp16", "io_dtype": "int8"},
        {"precision": "int8-dynamic", "io_dtype": "uint8"},
        {"precision": "fp16", "layout": "nchw"},
    ]
    found = [tflite._translate(build_program(demo, **options)) for options in programs]
    assert found == [b"1", b"2", b"1", b"2", b"3", b"4", b"5", b"6"]
    kinds = ["float32", "float32", "uint8", "int8", "uint8", "float32"]
    assert ran == [("nchw" if number == 5 else "nhwc", kind) for number, kind in enumerate(kinds)]


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # of the converter, in this process
def test_a_larger_variant(random_fill: Callable[..., nn.Module], tmp_path: Path) -> None:
    """LeViT-256: other widths, another key dimension, random weights; the same one part and the same gate."""
    model = random_fill(LeViT(get_variant("levit_256"), num_classes=10))
    assert isinstance(model, LeViT)
    save_checkpoint(tmp_path / "large.safetensors", model)
    checkpoint = load_checkpoint(tmp_path / "large.safetensors")
    seen = golden_pictures(224)
    weights = fingerprint(checkpoint.state)
    found = calibrate(fuse(checkpoint.model()), CalibrationSet(seen, "drawn"), IMAGENET, weights=weights)
    expected = reference_model(checkpoint)(seen)
    for precision in ("fp32", "int8"):
        program = build_program(checkpoint, precision, calibration=found)
        runtime = open_artifact(tflite.export(program, tmp_path), size=224, spec=IMAGENET)
        anatomy = runtime.anatomy()
        assert (anatomy.delegate, anatomy.parts, anatomy.outside) == ("XNNPACK", 1, {})
        grouped = 2 if precision == "fp32" else 0  # values of the attentions between stages
        assert (
            anatomy.operators["FULLY_CONNECTED"] == 12 * (4 + 2) + 2 * (3 + 2) + 1 - grouped
        )  # stages, between them, head
        assert anatomy.operators["CONV_2D"] == 4 + 2 + grouped
        assert compare(expected, runtime.logits(seen), program.precision.tolerance).passed


@pytest.mark.parametrize("end", ["inputs", "outputs"])
def test_a_name_that_is_not_text(exported: Exported, tmp_path: Path, end: str) -> None:
    graph = read_graph(detach(bundle(exported, "int8").artifact.read_bytes()))
    sub = graph.subgraphs[0]
    sub.tensors[getattr(sub, end)[0]].name = b"i\xefage"
    (tmp_path / "model.tflite").write_bytes(write_graph(graph))
    with pytest.raises(BundleError, match="LiteRT"):
        open_artifact(tmp_path / "model.tflite", size=224, spec=IMAGENET)
