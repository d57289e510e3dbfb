"""What ``levit-export --target executorch`` writes: delegate, numbers, methods, parity, size, the same bytes again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from answers import in_pytorch, of_range
from exports import ELSEWHERE, PRECISIONS, Exported, run_script

from calib.calibration import bundled_calibration
from exporters import executorch
from levit_mobile.bundle import Bundle, open_bundle
from levit_mobile.errors import BundleError, ExportError
from levit_mobile.fuse import DeployLeViT
from levit_mobile.preprocess import IMAGENET
from levit_mobile.program import build_program
from levit_mobile.qdq import quantize_dynamic, quantize_static
from levit_mobile.runtimes import open_runtime
from levit_mobile.runtimes.executorch import open_artifact
from levit_mobile.weights import resolve_weights

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("executorch")]  # the exports, once for all


def bundle(exported: Exported, precision: str) -> Bundle:
    return open_bundle(exported.bundle(f"levit_128s-{precision}-executorch"))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_delegate_takes_all_of_it(executorch_exported: Exported, precision: str) -> None:
    opened = bundle(executorch_exported, precision)
    anatomy = open_runtime(opened).anatomy()
    # In float16 the picture is narrowed on the way in, and the logits are widened on the way out.
    outside = {"_to_dim_order_copy": 2} if precision == "fp16" else {}
    assert (anatomy.delegate, anatomy.parts, anatomy.outside) == ("XNNPACK", 1, outside)
    assert opened.manifest["delegate"] == {"name": "XNNPACK", "parts": 1, "outside": outside}
    assert opened.manifest["operators"] == anatomy.operators
    layers = {"Conv2d": 6, "FullyConnected": 65, "BatchMatrixMultiply": 22, "Softmax": 11, "Hardswish": 25, "Add": 31}
    assert {kind: anatomy.operators[kind] for kind in layers} == layers
    assert anatomy.operators["GlobalAvgPooling2d"] == 2


@pytest.mark.parametrize(
    ("precision", "most"), [("fp32", 1e-6), ("fp16", 2e-3), ("int8-dynamic", 0.02), ("int8", 0.02)]
)
def test_it_computes_what_pytorch_computes(
    executorch_exported: Exported,
    deploy: DeployLeViT,
    pixels: npt.NDArray[np.uint8],
    precision: str,
    most: float,
) -> None:
    """int8 beside the same quantisation in PyTorch, so that only rounding is left between them."""
    model = deploy
    if precision == "int8":
        model = quantize_static(bundled_calibration().prepare(deploy), bundled_calibration().ranges)
    elif precision == "int8-dynamic":
        model = quantize_dynamic(deploy)
    found = open_runtime(bundle(executorch_exported, precision)).logits(pixels)
    assert of_range(found, in_pytorch(model, pixels)) <= most


@pytest.mark.parametrize("precision", PRECISIONS)
def test_parity_is_in_the_manifest(executorch_exported: Exported, precision: str) -> None:
    manifest = bundle(executorch_exported, precision).manifest
    assert manifest["parity"]["passed"] is True
    assert manifest["parity"]["samples"] == 8
    assert manifest["parity"]["max_abs"] <= {"fp32": 1e-5, "fp16": 3e-3}.get(precision, 0.1)
    assert (manifest["calibration"] is not None) == (precision == "int8")
    assert manifest["tools"]["executorch"]


def test_an_app_needs_no_other_file(executorch_exported: Exported) -> None:
    """By ExecuTorch's own runtime, as an app calls it."""
    from executorch.runtime import Runtime

    opened = bundle(executorch_exported, "int8")
    program = Runtime.get().load_program(opened.artifact)

    def told(name: str) -> list[Any]:
        return list(program.load_method(name).execute([]))

    assert told("labels") == opened.labels
    assert told("image_mean") == pytest.approx(IMAGENET.mean)
    assert told("image_std") == pytest.approx(IMAGENET.std)
    assert (told("image_resize"), told("image_size"), told("image_layout")) == ([256], [224], ["nchw"])
    assert told("model_id") == [opened.manifest["model"]["checkpoint"]["weights"]]
    runtime = open_artifact(opened.artifact, size=224, spec=IMAGENET)
    assert runtime.told("labels") == opened.labels
    with pytest.raises(BundleError, match=r"has no method voice$"):
        runtime.told("voice")


def test_sizes(executorch_exported: Exported) -> None:
    sizes = {p: bundle(executorch_exported, p).artifact.stat().st_size for p in PRECISIONS}
    assert sizes["int8"] <= 10.3e6  # two methods: tables of attention biases in float32 and in float16
    assert sizes["int8-dynamic"] <= 9.7e6
    assert sizes["fp16"] <= 15.5e6
    assert sizes["fp32"] <= 30e6


@pytest.mark.long
def test_the_same_bytes_again(executorch_exported: Exported, tmp_path: Path) -> None:
    args = ["--target", "executorch", "--int8", "--precision", "fp32"]
    done = run_script("levit-export", args, cwd=tmp_path, environment=ELSEWHERE)
    assert done.returncode == 0, done.stderr
    for precision in ("int8", "fp32"):
        first = bundle(executorch_exported, precision).folder
        for file in first.iterdir():
            assert file.read_bytes() == (tmp_path / first.name / file.name).read_bytes(), f"{precision} {file.name}"


def test_nhwc(deploy: DeployLeViT, pixels: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    program = build_program(resolve_weights("demo"), "fp32", layout="nhwc")
    runtime = open_artifact(executorch.export(program, tmp_path), size=224, spec=IMAGENET)
    assert runtime.input.shape == (1, 224, 224, 3)
    assert runtime.told("image_layout") == ["nhwc"]
    assert of_range(runtime.logits(pixels[:2]), in_pytorch(deploy, pixels[:2])) <= 1e-6
    assert runtime.anatomy().parts == 1


def test_what_executorch_refuses_is_an_export_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise RuntimeError("no such pass")

    monkeypatch.setattr(executorch, "_exported", refuse)
    program = build_program(resolve_weights("demo"), "fp32", layout="nchw")
    with pytest.raises(ExportError, match=r"^ExecuTorch could not lower the model: no such pass$"):
        executorch.export(program, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"no program", b"\0" * 4096])
def test_a_file_that_is_no_program(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pte").write_bytes(content)
    with pytest.raises(BundleError, match=r"a\.pte: ExecuTorch cannot load it \("):
        open_artifact(tmp_path / "a.pte", size=224, spec=IMAGENET)


@pytest.mark.parametrize("kept", [100, 10_000, 0.5])
def test_a_program_cut_short(executorch_exported: Exported, tmp_path: Path, kept: float) -> None:
    data = bundle(executorch_exported, "int8").artifact.read_bytes()
    (tmp_path / "a.pte").write_bytes(data[: int(kept * len(data)) if kept < 1 else int(kept)])
    with pytest.raises(BundleError, match=r"a\.pte: ExecuTorch cannot load it \("):
        open_artifact(tmp_path / "a.pte", size=224, spec=IMAGENET)


def test_another_size_than_the_manifest_says(executorch_exported: Exported) -> None:
    with pytest.raises(BundleError, match=r"takes \(1, 3, 224, 224\), expected \(1, 192, 192, 3\) or"):
        open_artifact(bundle(executorch_exported, "fp32").artifact, size=192, spec=IMAGENET)
