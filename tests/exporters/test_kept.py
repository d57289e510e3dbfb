"""Layers that stay float: in the artifacts of the targets, too, and everything still in one part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from answers import in_pytorch, of_range

from calib.calibration import bundled_calibration
from exporters import onnx, tflite
from levit_mobile.program import Program, build_program
from levit_mobile.quant_error import quantised_program
from levit_mobile.runtimes import onnx as onnx_runtime
from levit_mobile.runtimes import tflite as tflite_runtime
from levit_mobile.targets import check_request
from levit_mobile.weights import resolve_weights

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

# A picture's and a token's convolution, a layer of each kind, the one that sees one token, and the head.
KEPT = ("stem.2", "blocks.0.q", "blocks.2.proj", "blocks.4.q", "blocks.4.v", "blocks.5.up", "blocks.21.down", "head")


def program(target: str, kept: tuple[str, ...] = KEPT) -> Program:
    request = check_request(target, "int8")
    calibration = replace(bundled_calibration(), kept=kept)
    layout = request.layout
    return build_program(
        resolve_weights("demo"), "int8", calibration=calibration, layout=layout, options=request.options
    )


def is_float(model: tflite_runtime.TfliteRuntime) -> dict[str, bool]:
    """{layer: whether its weights are float32}."""
    names = {d["name"]: d["dtype"] for d in model._interpreter.get_tensor_details()}
    return {
        name.removesuffix(".weight"): kind == np.float32 for name, kind in names.items() if name.endswith(".weight")
    }


def test_tflite(tmp_path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    made = program("tflite")
    runtime = tflite_runtime.open_artifact(tflite.export(made, tmp_path), size=224, spec=made.preprocessing)
    found = is_float(runtime)
    assert len(found) == 71
    assert {name for name, kept in found.items() if kept} == set(KEPT)
    assert (runtime.anatomy().parts, runtime.anatomy().outside) == (1, {})
    # What a float layer reads and writes is moved as float: quantised and back, it would be rounded for nothing.
    assert of_range(runtime.logits(pixels), in_pytorch(quantised_program(made), pixels)) <= 0.012


def test_onnx(tmp_path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    made = program("onnx")
    runtime = onnx_runtime.open_artifact(onnx.export(made, tmp_path), size=224, spec=made.preprocessing)
    assert of_range(runtime.logits(pixels), in_pytorch(quantised_program(made), pixels)) <= 0.012
    (tmp_path / "all").mkdir()
    all_int8 = onnx_runtime.open_artifact(
        onnx.export(program("onnx", ()), tmp_path / "all"), size=224, spec=made.preprocessing
    )
    pairs = [r.anatomy().operators["DequantizeLinear"] for r in (runtime, all_int8)]
    assert pairs[1] - pairs[0] >= 3 * len(KEPT) - 4  # weights, output, and input where no other layer has it
