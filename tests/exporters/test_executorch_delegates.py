"""``levit-export --target executorch --delegate ...``: each delegate, and what a host does that has not got it.

One real export; all the others are of a LeViT so small that lowering it takes seconds.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from answers import in_pytorch, of_range
from commands import Levit
from exports import Exported
from torch import nn

from calib.calibration import Calibration
from exporters import executorch
from levit_mobile.bundle import Bundle, open_bundle, write_manifest
from levit_mobile.checkpoints import Checkpoint
from levit_mobile.errors import BundleError, RuntimeMissingError
from levit_mobile.folder_bytes import unpack_folder
from levit_mobile.fuse import DeployLeViT
from levit_mobile.pipeline import export_bundle, write_golden
from levit_mobile.preprocess import IMAGENET
from levit_mobile.program import Program, build_program
from levit_mobile.qdq import quantize_dynamic, quantize_static
from levit_mobile.runtimes import executorch_program, executorch_vulkan, open_runtime
from levit_mobile.runtimes.base import stand_in
from levit_mobile.runtimes.executorch import open_artifact
from levit_mobile.targets import TARGETS, check_request

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.xdist_group("executorch_delegates"),
    pytest.mark.filterwarnings("ignore"),  # converters, inside this process
]

REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = {"coreml": "Core ML", "vulkan": "Vulkan"}
LACKING = {
    delegate: f"a reference interpreter of the {name} graph; this host's ExecuTorch has no {name} delegate"
    for delegate, name in NAMES.items()
}
EACH = [
    (delegate, precision)
    for delegate in ("coreml", "vulkan", "none")
    for precision in TARGETS["executorch"].with_option("delegate", delegate).precisions
]
OTHER_LAYOUT = [("coreml", "fp32"), ("vulkan", "fp16"), ("none", "fp32")]  # nhwc, so that it is tried too
Made = Callable[[str, str], tuple[Program, Bundle]]


def without(delegate: str) -> None:
    """On a Mac, or with an ExecuTorch that somebody built, the delegate itself runs."""
    from executorch.runtime import Runtime

    name = {"coreml": "CoreMLBackend", "vulkan": "VulkanBackend"}.get(delegate)
    if name is not None and Runtime.get().backend_registry.is_available(name):
        pytest.skip(f"this host's ExecuTorch has {name}")


@pytest.fixture(scope="module")
def made(tiny: Checkpoint, tiny_calibration: Calibration, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """``made("vulkan", "int8")``: the program and its bundle, not to be changed."""
    golden = write_golden(tiny)

    @cache
    def make(delegate: str, precision: str) -> tuple[Program, Bundle]:
        layout = "nhwc" if (delegate, precision) in OTHER_LAYOUT else None
        request = check_request("executorch", precision, layout=layout, options={"delegate": delegate})
        known = tiny_calibration if precision == "int8" else None
        program = build_program(tiny, precision, calibration=known, layout=request.layout, options=request.options)
        folder = tmp_path_factory.mktemp(delegate) / precision
        return program, export_bundle(program, "executorch", folder, golden=golden)

    return make


def in_precision(program: Program) -> DeployLeViT:
    if program.precision.name == "int8":
        assert program.ranges is not None
        return quantize_static(program.model, program.ranges)
    return quantize_dynamic(program.model) if program.precision.name == "int8-dynamic" else program.model


# What is in the file


@pytest.mark.parametrize(("delegate", "precision"), EACH)
def test_it_computes_what_pytorch_computes(
    made: Made, small: npt.NDArray[np.uint8], delegate: str, precision: str
) -> None:
    """By the delegate's own graph, as it is in the file. int8 beside the same quantisation in PyTorch: rounding is left."""
    program, bundle = made(delegate, precision)
    runtime = open_runtime(bundle)
    most = {"fp32": 1e-6, "fp16": 4e-3}.get(precision, 0.02)
    assert of_range(runtime.logits(small), in_pytorch(in_precision(program), small)) <= most
    assert runtime.input.shape == ((1, 64, 64, 3) if program.layout == "nhwc" else (1, 3, 64, 64))


@pytest.mark.parametrize(("delegate", "precision"), EACH)
def test_the_delegate_takes_all_of_it(made: Made, delegate: str, precision: str) -> None:
    program, bundle = made(delegate, precision)
    manifest, found = bundle.manifest, open_runtime(bundle).anatomy()
    assert manifest["delegate"] == {"name": found.delegate, "parts": found.parts, "outside": found.outside}
    assert manifest["operators"] == found.operators
    if delegate == "none":
        assert (found.delegate, found.parts, found.outside) == ("none", 0, found.operators)
    else:
        assert (found.delegate, found.parts, found.outside) == (NAMES[delegate], 1, {})
    kinds = [type(layer) for layer in program.model.modules()]
    convolutions, linears = kinds.count(nn.Conv2d), kinds.count(nn.Linear)
    conv, linear = {
        "coreml": ("conv", "linear"),
        "vulkan": ("convolution", "linear"),
        "none": ("convolution", "addmm"),
    }[delegate]
    if (delegate, precision) == ("vulkan", "int8"):
        conv, linear = "q8ta_conv2d", "q8ta_linear"
        linears -= found.operators["q8ta_linear_gemv"]  # the head, on one row
        assert not found.operators.keys() & {"convolution", "linear", "dequantize_per_channel"}
    assert (found.operators[conv], found.operators[linear]) == (convolutions, linears)


@pytest.mark.parametrize(("delegate", "precision"), EACH)
def test_the_manifest(made: Made, delegate: str, precision: str) -> None:
    manifest = made(delegate, precision)[1].manifest
    activations = {"fp16": "float16", "int8": "auto"}.get(precision, "float32")
    assert manifest["artifact"]["options"] == {"delegate": delegate, "activations": activations}
    assert manifest["artifact"]["methods"] == [
        "forward"
    ]  # the delegate chooses between float32 and float16, or has no choice
    assert manifest["parity"]["passed"] is True
    assert ("coremltools" in manifest["tools"]) == (delegate == "coreml")
    if delegate == "none":
        assert "ran" not in manifest["parity"]
    else:
        without(delegate)
        assert manifest["parity"]["ran"] == LACKING[delegate]


AGAIN = """
import pickle, sys
from pathlib import Path
from exporters import executorch
for program, folder in pickle.loads(Path(sys.argv[1]).read_bytes()):
    executorch.export(program, Path(folder))
"""


@pytest.mark.long
def test_the_same_bytes_again(made: Made, tmp_path: Path) -> None:
    """In another process, with another hash seed, and another folder for passing files."""
    kinds = [("coreml", "int8"), ("vulkan", "fp32"), ("none", "fp32")]
    folders = [tmp_path / delegate for delegate, _ in kinds]
    for folder in (*folders, tmp_path / "passing"):
        folder.mkdir()
    work = [(made(*kind)[0], str(folder)) for kind, folder in zip(kinds, folders, strict=True)]
    (tmp_path / "work").write_bytes(pickle.dumps(work))
    done = subprocess.run(
        [sys.executable, "-c", AGAIN, str(tmp_path / "work")],
        env={**os.environ, "PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo", "TMPDIR": str(tmp_path / "passing")},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for kind, folder in zip(kinds, folders, strict=True):
        assert made(*kind)[1].artifact.read_bytes() == (folder / "model.pte").read_bytes(), kind


def test_a_package_is_called_by_what_is_in_it(made: Made) -> None:
    """Phones keep compiled models by this name: two models must never share one."""
    from executorch.exir._serialize._program import deserialize_pte_binary

    read = deserialize_pte_binary(made("coreml", "fp16")[1].artifact.read_bytes())
    (payload,) = read.program.backend_delegate_data
    files = unpack_folder(bytes(payload.data))
    data = "model.mlpackage/Data/com.apple.CoreML"
    contents = [f"{data}/model.mlmodel", f"{data}/weights/weight.bin"]
    assert sorted(files) == sorted([*contents, "metadata.json", "model.mlpackage/Manifest.json"])
    digest = hashlib.sha256(b"".join(hashlib.sha256(files[name]).digest() for name in contents)).hexdigest()
    about = json.loads(files["metadata.json"])
    assert about["identifier"] == f"executorch_{digest[:32]}"
    assert about["inputNames"] == ["image"]
    manifest = json.loads(files["model.mlpackage/Manifest.json"])
    entries = manifest["itemInfoEntries"]
    assert {e["path"] for e in entries.values()} == {"com.apple.CoreML/model.mlmodel", "com.apple.CoreML/weights"}
    assert entries[manifest["rootModelIdentifier"]]["name"] == "model.mlmodel"
    assert b"conversion_date" not in files[contents[0]]


# Commands


def test_the_real_model(vulkan_exported: Exported) -> None:
    without("vulkan")
    opened = open_bundle(vulkan_exported.bundle("levit_128s-fp16-executorch-vulkan"))
    assert f"  measured   on {LACKING['vulkan']}\n" in vulkan_exported.stdout
    assert "  runs as    413 operators, 1 Vulkan part(s), 0 operators outside\n" in vulkan_exported.stdout
    count = opened.manifest["operators"]
    layers = {"convolution": 6, "linear": 65, "bmm": 22, "_softmax": 11, "hardswish": 25, "add": 31, "mean": 2}
    assert {kind: count[kind] for kind in layers} == layers
    assert opened.manifest["parity"]["max_abs"] <= 3e-3
    assert opened.artifact_bytes <= 15.2e6


@pytest.mark.parametrize("delegate", ["coreml", "vulkan", "none"])
def test_verify_replays_the_golden_inputs(levit: Levit, made: Made, delegate: str) -> None:
    without(delegate)
    _, bundle = made(delegate, "fp32")
    answer = levit("verify", bundle.folder)
    assert answer.code == 0
    said = [line for line in answer.out.splitlines() if line.startswith("measured")]
    assert said == ([f"measured    on {LACKING[delegate]}"] if delegate in LACKING else [])
    told = levit("verify", bundle.folder, "--json").data
    assert (told["ok"], told["parity"]) == (True, bundle.manifest["parity"])


def test_verify_sees_other_weights(levit: Levit, vulkan_exported: Exported, tmp_path: Path) -> None:
    """What a replay is for: the sums are right, the answers are not."""
    from executorch.exir._serialize._program import deserialize_pte_binary

    without("vulkan")
    folder = vulkan_exported.copy("levit_128s-fp16-executorch-vulkan", tmp_path)
    opened = open_bundle(folder)
    data = opened.artifact.read_bytes()
    named = deserialize_pte_binary(data).named_data
    assert named is not None
    weights = max(named.buffers, key=len)
    opened.artifact.write_bytes(data.replace(weights, bytes(b ^ 0x80 if n % 2 else b for n, b in enumerate(weights))))
    manifest = {key: value for key, value in opened.manifest.items() if key not in ("files", "digest")}
    (folder / "manifest.json").unlink()
    write_manifest(folder, manifest)
    answer = levit("verify", folder)
    assert answer.code == 1
    assert "the artifact no longer computes what PyTorch does here" in answer.err


@pytest.mark.parametrize("delegate", ["coreml", "vulkan"])
def test_validate_and_predict_say_who_answers(levit: Levit, made: Made, photos: list[Path], delegate: str) -> None:
    without(delegate)
    folder = made(delegate, "fp16")[1].folder
    assert f"measured    on {LACKING[delegate]}\n" in levit("validate", folder).out
    assert levit("validate", folder, "--json").data["parity"]["ran"] == LACKING[delegate]
    answer = levit("predict", folder, photos[0], "--json")
    assert answer.err.endswith(f"note: the answers are those of {LACKING[delegate]}\n")
    assert answer.data["ran"] == LACKING[delegate]
    assert len(answer.data["predictions"][0]["top"]) == 5


@pytest.mark.parametrize("delegate", ["coreml", "vulkan"])
def test_inspect_shows_it_and_times_nothing(levit: Levit, made: Made, delegate: str) -> None:
    without(delegate)
    _, bundle = made(delegate, "int8")
    answer = levit("inspect", bundle.folder)
    assert answer.code == 0
    assert f"delegate    {NAMES[delegate]}, 1 part(s); outside: nothing\n" in answer.out
    assert f"this host   not timed: here runs {LACKING[delegate]}\n" in answer.out
    found = levit("inspect", bundle.folder, "--json").data
    assert found["milliseconds"] is None
    assert found["operators"] == bundle.manifest["operators"]


@pytest.mark.parametrize("delegate", ["coreml", "vulkan", "none"])
def test_inspect_finds_the_weights(levit: Levit, made: Made, delegate: str) -> None:
    program, bundle = made(delegate, "fp32")
    found = levit("inspect", bundle.folder, "--json", "--runs", 1).data
    largest = max(layer.weight.nbytes for layer in program.model.modules() if isinstance(layer, nn.Linear))
    assert found["constants"][0]["bytes"] == largest
    assert 0.5 * found["bytes"] < sum(row["bytes"] for row in found["constants"]) < found["bytes"]


@pytest.mark.parametrize("delegate", ["coreml", "vulkan"])
def test_what_cannot_be_is_refused_at_once(levit: Levit, delegate: str) -> None:
    answer = levit("export", "--target", "executorch", "--delegate", delegate, "--precision", "int8-dynamic")
    assert answer.code == 2
    assert answer.err == (
        f"error: --target executorch --delegate {delegate} cannot do --precision int8-dynamic; "
        "it can do: fp32, fp16, int8\n"
    )


def test_core_ml_where_executorch_comes_without(
    tiny: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "coremltools", None)
    program = build_program(tiny, "fp32", layout="nchw", options={"delegate": "coreml"})
    with pytest.raises(
        RuntimeMissingError, match=r"^--delegate coreml needs coremltools, which comes with ExecuTorch on "
    ):
        executorch.export(program, tmp_path)
    assert not list(tmp_path.iterdir())


# What nothing stands in for


def test_a_delegate_that_nobody_knows(levit: Levit, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    without("vulkan")
    _, bundle = made("vulkan", "fp32")
    monkeypatch.delitem(executorch_program.DELEGATES, "VulkanBackend")
    message = (
        f"{bundle.artifact}: this host's ExecuTorch has no VulkanBackend delegate; run it in an app that has, "
        "or export anew with --delegate xnnpack"
    )
    with pytest.raises(RuntimeMissingError) as caught:
        open_runtime(bundle)
    assert str(caught.value) == message
    answer = levit("verify", bundle.folder)
    assert (answer.code, answer.out) == (2, "files       all 3 as in the manifest\n")
    assert answer.err.endswith(f"error: {message}\n")


def test_an_operator_that_nobody_knows(
    made: Made, small: npt.NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    without("vulkan")
    runtime = open_runtime(made("vulkan", "fp32")[1])
    assert stand_in(runtime) == LACKING["vulkan"]
    monkeypatch.delitem(executorch_vulkan.OPERATORS, "aten.hardswish.default")  # type: ignore[arg-type]
    with pytest.raises(BundleError, match=r"model\.pte: the Vulkan graph has the operator aten\.hardswish\.default"):
        runtime.logits(small[:1])


def test_a_graph_that_is_damaged(made: Made, tmp_path: Path) -> None:
    without("vulkan")
    data = made("vulkan", "fp32")[1].artifact.read_bytes()
    start = data.index(b"VH00")
    (tmp_path / "model.pte").write_bytes(data[: start + 10] + bytes(200) + data[start + 210 :])
    with pytest.raises(BundleError, match=r"model\.pte: ExecuTorch cannot load it \("):
        open_artifact(tmp_path / "model.pte", size=64, spec=IMAGENET)
