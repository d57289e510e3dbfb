"""What ``levit-export --target onnx`` writes: operators, number formats, metadata, parity, the same bytes again."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from answers import in_pytorch, of_range
from exports import ELSEWHERE, Exported, run_script
from onnx import helper, numpy_helper

from calib.calibration import bundled_calibration
from exporters import onnx as exporter
from levit_mobile.bundle import Bundle, open_bundle
from levit_mobile.errors import BundleError, ExportError
from levit_mobile.fuse import DeployLeViT
from levit_mobile.preprocess import IMAGENET, normalise
from levit_mobile.program import build_program
from levit_mobile.qdq import quantize_static
from levit_mobile.runtimes import open_runtime
from levit_mobile.runtimes.onnx import open_artifact
from levit_mobile.weights import resolve_weights

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("onnx")]  # the exports, once for all

PRECISIONS = ("fp32", "int8")
LAYERS = {"Conv": 6, "Softmax": 11, "HardSwish": 25, "ReduceMean": 2}


def bundle(exported: Exported, precision: str) -> Bundle:
    return open_bundle(exported.bundle(f"levit_128s-{precision}-onnx"))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_checker_has_nothing_to_say(onnx_exported: Exported, precision: str) -> None:
    opened = bundle(onnx_exported, precision)
    model = onnx.load(opened.artifact)
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", exporter.OPSET)]
    assert [value.name for value in model.graph.input] == ["image"]
    assert [value.name for value in model.graph.output] == ["logits"]
    found = Counter(node.op_type for node in model.graph.node)
    assert {kind: found[kind] for kind in LAYERS} == LAYERS
    # 65 Linears, the head as Gemm or MatMul, and two products in each of 11 attentions.
    assert found["MatMul"] + found["Gemm"] == 65 + 22
    assert opened.manifest["operators"] == dict(sorted(found.items())) == open_runtime(opened).anatomy().operators


@pytest.mark.parametrize(("precision", "most"), [("fp32", 1e-6), ("int8", 0.02)])
def test_it_computes_what_pytorch_computes(
    onnx_exported: Exported, deploy: DeployLeViT, pixels: npt.NDArray[np.uint8], precision: str, most: float
) -> None:
    """int8 beside the same quantisation in PyTorch, so that only rounding is left between them."""
    model = deploy
    if precision == "int8":
        model = quantize_static(bundled_calibration().prepare(deploy), bundled_calibration().ranges)
    found = open_runtime(bundle(onnx_exported, precision)).logits(pixels)
    assert of_range(found, in_pytorch(model, pixels)) <= most


def test_int8_layers_multiply_whole_numbers(onnx_exported: Exported, tmp_path: Path) -> None:
    """What ONNX Runtime makes of the pairs when it loads the file: no layer is left in float."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 4
    path = bundle(onnx_exported, "int8").artifact
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    found = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert found["QGemm"] + found["QLinearMatMul"] == 65
    assert found["QLinearConv"] == 6
    assert found["Conv"] == found["Gemm"] == 0


def test_int8_weights_have_a_scale_for_each_channel(onnx_exported: Exported) -> None:
    graph = onnx.load(bundle(onnx_exported, "int8").artifact).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    layers = 0
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in constants:
            weight, scale = constants[node.input[0]], constants[node.input[1]]
            assert (weight.dtype, scale.shape) == (np.int8, (len(weight),))
            assert np.abs(weight.astype(int)).max() == 127
            layers += 1
    assert layers == 71


def test_what_an_app_needs_is_in_the_file(onnx_exported: Exported) -> None:
    opened = bundle(onnx_exported, "int8")
    told = {entry.key: entry.value for entry in onnx.load(opened.artifact).metadata_props}
    assert json.loads(told["labels"]) == opened.labels
    assert json.loads(told["preprocessing"]) == opened.manifest["preprocessing"]
    assert json.loads(told["layout"]) == "nchw"
    assert told["model_id"] == opened.manifest["model"]["checkpoint"]["weights"]
    assert open_artifact(opened.artifact, size=224, spec=IMAGENET).told() == told


@pytest.mark.parametrize("precision", PRECISIONS)
def test_nothing_of_the_machine_is_in_the_file(onnx_exported: Exported, precision: str) -> None:
    data = bundle(onnx_exported, precision).artifact.read_bytes()
    for word in (b"site-packages", b".py", b"/home", b"levit_mobile/"):
        assert word not in data


@pytest.mark.parametrize("precision", PRECISIONS)
def test_parity_is_in_the_manifest(onnx_exported: Exported, precision: str) -> None:
    manifest = bundle(onnx_exported, precision).manifest
    assert manifest["parity"]["passed"] is True
    assert manifest["parity"]["max_abs"] <= {"fp32": 1e-5, "int8": 0.1}[precision]
    assert {"onnx", "onnxruntime", "onnxscript"} <= set(manifest["tools"])


def test_sizes(onnx_exported: Exported) -> None:
    sizes = {p: bundle(onnx_exported, p).artifact.stat().st_size for p in PRECISIONS}
    assert sizes["int8"] <= 9.3e6
    assert sizes["fp32"] <= 30e6


@pytest.mark.long
def test_the_same_bytes_again(onnx_exported: Exported, tmp_path: Path) -> None:
    args = ["--target", "onnx", "--int8", "--precision", "fp32"]
    done = run_script("levit-export", args, cwd=tmp_path, environment=ELSEWHERE)
    assert done.returncode == 0, done.stderr
    for precision in PRECISIONS:
        first = bundle(onnx_exported, precision).folder
        for file in first.iterdir():
            assert file.read_bytes() == (tmp_path / first.name / file.name).read_bytes(), f"{precision} {file.name}"


@pytest.mark.parametrize("precision", PRECISIONS)
def test_any_number_of_pictures(
    onnx_exported: Exported, precision: str, pixels: npt.NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    single = open_runtime(bundle(onnx_exported, precision))
    opened = open_bundle(onnx_exported.bundle(f"levit_128s-{precision}-onnx-dynamic"))
    assert opened.manifest["artifact"]["options"] == {"batch": "dynamic"}
    assert opened.manifest["input"]["shape"] == [-1, 3, 224, 224]
    assert opened.manifest["output"]["shape"] == [-1, 10]
    assert opened.manifest["parity"]["passed"] is True
    session = onnxruntime.InferenceSession(opened.artifact)
    assert [axis.shape[0] for axis in (*session.get_inputs(), *session.get_outputs())] == ["batch", "batch"]
    expected = single.logits(pixels)
    # In int8 a rounding that turns the other way is worth a step; within a batch products are summed in another order.
    bound = {"fp32": 1e-6, "int8": 1e-2}[precision]
    for count in (1, 2, 5):
        (found,) = session.run(None, {"image": normalise(pixels[:count], IMAGENET)})
        assert found.shape == (count, 10)
        assert of_range(found, expected[:count]) <= bound
    runtime, calls = open_runtime(opened), []
    monkeypatch.setattr(runtime, "_run", lambda x, run=runtime._run: [calls.append(len(x)), run(x)][1])
    assert of_range(runtime.logits(pixels), expected) <= bound
    assert calls == [len(pixels)], "one call, so that the comparison with PyTorch is one of a batch"
    assert runtime.logits(pixels[:0]).shape == (0, 10)


def test_nhwc(deploy: DeployLeViT, pixels: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    program = build_program(resolve_weights("demo"), "fp32", layout="nhwc")
    runtime = open_artifact(exporter.export(program, tmp_path), size=224, spec=IMAGENET)
    assert runtime.input.shape == (1, 224, 224, 3)
    assert json.loads(runtime.told()["layout"]) == "nhwc"
    assert of_range(runtime.logits(pixels[:2]), in_pytorch(deploy, pixels[:2])) <= 1e-6


def test_what_the_exporter_refuses_is_an_export_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr("torch.onnx.export", refuse)
    program = build_program(resolve_weights("demo"), "fp32", layout="nchw")
    with pytest.raises(ExportError, match=r"^PyTorch could not write the model as ONNX: no such operator$"):
        exporter.export(program, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_model(onnx_exported: Exported, tmp_path: Path) -> None:
    whole = bundle(onnx_exported, "int8").artifact.read_bytes()
    for content in (b"", b"no model", b"\0" * 4096, whole[:1000], whole[: len(whole) // 2]):
        (tmp_path / "a.onnx").write_bytes(content)
        with pytest.raises(BundleError, match=r"a\.onnx: ONNX Runtime cannot load it \("):
            open_artifact(tmp_path / "a.onnx", size=224, spec=IMAGENET)


def test_another_model(tmp_path: Path) -> None:
    def save(*shapes: list[int]) -> Path:
        inputs = [helper.make_tensor_value_info(f"x{n}", 1, shape) for n, shape in enumerate(shapes)]
        nodes = [helper.make_node("Identity", ["x0"], ["y"])]
        graph = helper.make_graph(nodes, "g", inputs, [helper.make_tensor_value_info("y", 1, shapes[0])])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), tmp_path / "b.onnx")
        return tmp_path / "b.onnx"

    with pytest.raises(BundleError, match=r"has 2 inputs and 1 outputs, expected one of each$"):
        open_artifact(save([1], [1]), size=224, spec=IMAGENET)
    with pytest.raises(BundleError, match=r"takes \(1, 3, 8, 8\), expected \(1, 224, 224, 3\) or \(1, 3, 224, 224\)$"):
        open_artifact(save([1, 3, 8, 8]), size=224, spec=IMAGENET)
