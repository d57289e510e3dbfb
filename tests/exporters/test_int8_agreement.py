"""The int8 artifacts of all targets are one program: beside each other, and beside that program in PyTorch."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from answers import in_pytorch, of_range
from exports import Exported

from calib.calibration import load_calibration
from levit_mobile.bundle import open_bundle
from levit_mobile.fuse import DeployLeViT
from levit_mobile.qdq import quantize_static
from levit_mobile.runtimes import open_runtime

pytestmark = pytest.mark.slow

Logits = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def said(
    exported: Exported,
    executorch_exported: Exported,
    onnx_exported: Exported,
    deploy: DeployLeViT,
    pixels: npt.NDArray[np.uint8],
) -> dict[str, Logits]:
    """Logits of twelve drawn pictures, by the program in PyTorch and by each target's artifact."""
    folders = {"tflite": exported, "executorch": executorch_exported, "onnx": onnx_exported}
    bundles = {name: open_bundle(folder.bundle(f"levit_128s-int8-{name}")) for name, folder in folders.items()}
    (text, *others) = ((bundle.folder / "calibration.json").read_text("utf-8") for bundle in bundles.values())
    assert all(other == text for other in others)
    found = load_calibration(bundles["tflite"].folder / "calibration.json")
    answers = {name: open_runtime(bundle).logits(pixels) for name, bundle in bundles.items()}
    return {"pytorch": in_pytorch(quantize_static(found.prepare(deploy), found.ranges), pixels), **answers}


@pytest.mark.parametrize("target", ["tflite", "executorch", "onnx"])
def test_an_artifact_beside_the_program(said: dict[str, Logits], target: str) -> None:
    """Values that lie between two steps fall to either side; nothing else is different."""
    expected, found = said["pytorch"], said[target]
    assert of_range(found, expected) <= 0.012  # 0.005 measured: one step of the logits
    assert np.abs(found - expected).mean() <= 0.002 * np.ptp(expected)  # 0.0009 measured


def test_artifacts_beside_each_other(
    said: dict[str, Logits], deploy: DeployLeViT, pixels: npt.NDArray[np.uint8]
) -> None:
    """Much closer than any of them is to the model in float."""
    exact = in_pytorch(deploy, pixels)
    for one, other in itertools.combinations(("tflite", "executorch", "onnx"), 2):
        assert of_range(said[one], said[other]) <= 0.012  # 0.005 measured
        assert of_range(said[one], exact) > 0.03  # 0.067 measured
        assert (said[one].argmax(axis=1) == said[other].argmax(axis=1)).sum() >= 11  # two classes of one are a toss-up
