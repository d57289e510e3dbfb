"""The metadata as another reader sees it: tflite-support, whose schema and C++ are Google's."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exports import Exported
from PIL import Image

from levit_mobile.bundle import open_bundle
from levit_mobile.preprocess import IMAGENET
from levit_mobile.runtimes import open_runtime

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-readers" / "bin" / "python"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="needs the environment of the other reader; make test makes it"),
]


def read(model: Path, *more: Path) -> dict[str, Any]:
    command = [str(PYTHON), str(ROOT / "tests" / "readers" / "read_metadata.py"), str(model), *map(str, more)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_labels_and_normalisation(exported: Exported) -> None:
    opened = open_bundle(exported.bundle("levit_128s-int8-tflite"))
    found = read(opened.artifact)
    assert found["labels"] == opened.labels
    assert (found["labels_kind"], found["packed"]) == ("TENSOR_AXIS_LABELS", ["labels.txt"])
    assert found["color_space"] == "RGB"
    # Of levels from 0 to 255.
    assert found["normalization"]["mean"] == pytest.approx([255 * m for m in IMAGENET.mean], rel=1e-6)
    assert found["normalization"]["std"] == pytest.approx([255 * s for s in IMAGENET.std], rel=1e-6)


def test_raw_pixels_are_not_normalised_again(other_kinds: Exported) -> None:
    found = read(other_kinds.bundle("uint8") / "model.tflite")
    assert (found["normalization"]["mean"], found["normalization"]["std"]) == ([0.0] * 3, [1.0] * 3)


def test_a_thousand_labels(thousand: Path) -> None:
    assert read(thousand / "model.tflite")["labels"] == open_bundle(thousand).labels


@pytest.mark.parametrize("kind", ["float32", "uint8"])
def test_its_classifier_says_what_we_say(exported: Exported, other_kinds: Exported, tmp_path: Path, kind: str) -> None:
    """From the file alone: pixels to normalised input, logits to names."""
    folder = exported.bundle("levit_128s-fp32-tflite") if kind == "float32" else other_kinds.bundle("uint8")
    opened = open_bundle(folder)
    for number, pixels in enumerate(opened.golden().pixels[:3]):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        runtime = open_runtime(opened)
        ours = runtime.logits(pixels[None])[0]
        classes = read(opened.artifact, tmp_path / f"{number}.png")["classes"]
        assert classes[0][0] == opened.labels[int(np.argmax(ours))]
        assert classes[0][1] == pytest.approx(float(ours.max()), abs=1e-3 + 2 * runtime.output.scale)
