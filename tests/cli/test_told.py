"""The command that a manifest tells: enough to do it again, and nothing of the machine or of the other bundles."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from levit_mobile.checkpoints import Checkpoint
from levit_mobile.cli.export import command
from levit_mobile.cli.told import told_command
from levit_mobile.targets import check_request
from levit_mobile.variants import VARIANTS

CHECKPOINT = cast(Checkpoint, SimpleNamespace(variant=VARIANTS["levit_256"], name="mine.pth"))


def told(typed: str, target: str, precision: str, **asked: Any) -> str:
    with command.make_context("levit-export", typed.split()):
        return told_command(check_request(target, precision, **asked), CHECKPOINT)


@pytest.mark.parametrize(
    ("typed", "target", "precision", "expected"),
    [
        ("--target all --int8", "tflite", "int8", "levit-export --target tflite --precision int8"),
        (
            "--target tflite --overwrite --json --verbose --out /srv/place --seed 0",
            "tflite",
            "fp32",
            "levit-export --target tflite --precision fp32",
        ),
        (
            "--target onnx --weights /srv/jane/mine.pth --labels /srv/jane/names.txt --eval-data /srv/jane/set",
            "onnx",
            "fp32",
            "levit-export --target onnx --precision fp32 --weights mine.pth --labels NAMES --eval-data PICTURES",
        ),
        (
            "--target tflite --int8 --calib-data /srv/jane/photos --calib-samples 64 --calib-method mse --seed 3",
            "tflite",
            "int8",
            "levit-export --target tflite --precision int8 --calib-data PICTURES --calib-samples 64 --calib-method mse --seed 3",
        ),
        (
            "--target tflite --int8 --calib-data /srv/jane/mine.json",
            "tflite",
            "int8",
            "levit-export --target tflite --precision int8 --calib-data calibration.json",
        ),
        # of a command for several, each bundle has its own part
        (
            "--target tflite --int8 --precision fp16 --calib-data /srv/jane/photos --max-drop 0.3 --eval-data e",
            "tflite",
            "fp16",
            "levit-export --target tflite --precision fp16 --eval-data PICTURES",
        ),
        (
            "--target coreml --weights imagenet --model levit_256 --allow-drift --author A --license MIT",
            "coreml",
            "fp16",
            "levit-export --target coreml --precision fp16 --weights imagenet --model levit_256 --author A --license MIT "
            "--allow-drift",
        ),
    ],
)
def test_what_is_told(typed: str, target: str, precision: str, expected: str) -> None:
    assert told(typed, target, precision) == expected


def test_options_that_are_not_the_default() -> None:
    words = told("--target executorch --int8", "executorch", "int8", layout="nhwc", options={"activations": "float16"})
    assert words == "levit-export --target executorch --precision int8 --layout nhwc --activations float16"
    words = told("--target tflite", "tflite", "fp32", io_dtype="uint8")
    assert words == "levit-export --target tflite --precision fp32 --io-dtype uint8"


def test_words_with_spaces_are_quoted() -> None:
    with command.make_context("levit-export", ["--target", "coreml", "--author", "R. Roe"]):
        words = told_command(check_request("coreml", "fp32"), CHECKPOINT)
    assert words == "levit-export --target coreml --precision fp32 --author 'R. Roe'"
