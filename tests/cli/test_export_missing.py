"""What an export needs is looked for before anything is downloaded."""

from __future__ import annotations

from importlib import metadata, util
from typing import Any

import pytest
from commands import Levit

from exporters import environment, tflite_onnx2tf
from levit_mobile.targets import TARGETS

pytestmark = pytest.mark.filterwarnings("ignore")  # coremltools', inside this process

BLOB_WRITER = "coremltools.converters.mil.backend.mil.load.BlobWriter"
OPTIONS = {
    ("executorch", "coremltools"): ("--delegate", "coreml"),
    ("tflite", "onnx"): ("--via", "onnx2tf"),
    ("tflite", "onnxscript"): ("--via", "onnx2tf"),
}
COREML, EXECUTORCH = ("--target", "coreml"), ("--target", "executorch", "--delegate", "coreml")


@pytest.fixture
def refused(levit: Levit, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``refused("--target", "onnx")``: the error of an export of weights that are not there yet."""

    def download(*_: object, **__: object) -> None:
        raise AssertionError("nothing was to be downloaded")

    monkeypatch.setattr("levit_mobile.weights.resolve_weights", download)

    def run(*args: str) -> str:
        answer = levit("export", "--weights", "imagenet", *args)
        assert (answer.code, answer.out) == (2, "")
        return answer.err.splitlines()[-1]

    return run


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    version = metadata.version

    def asked(name: str) -> str:
        if name == package:
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", asked)


@pytest.mark.parametrize(
    ("target", "package"), [(target, package) for target, row in TARGETS.items() for package in row.packages]
)
def test_a_package(refused: Any, monkeypatch: pytest.MonkeyPatch, target: str, package: str) -> None:
    without(monkeypatch, package)
    extra = TARGETS[target].extra
    assert refused("--target", target, *OPTIONS.get((target, package), ())) == (
        f"error: --target {target} needs the package {package}; type in the checkout: pip install '.[{extra}]'"
    )


def test_of_all_targets_the_one_that_cannot(refused: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "onnxruntime")
    assert refused("--target", "all").startswith("error: --target onnx needs the package onnxruntime; ")


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (
            COREML,
            "--target coreml needs coremltools' native library, which there is for macOS and x86-64 Linux; "
            "export there, or type another --target",
        ),
        (
            EXECUTORCH,
            "--delegate coreml needs coremltools' native library, which comes with ExecuTorch on macOS and on x86-64 Linux; "
            "export there, or type another --delegate",
        ),
    ],
    ids=["coreml", "executorch"],
)
def test_coremltools_on_an_arm_board(
    refused: Any, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], told: str
) -> None:
    monkeypatch.setattr(BLOB_WRITER, None)
    assert refused(*args) == f"error: {told}"


def test_what_makes_palettes(refused: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    find = util.find_spec
    monkeypatch.setattr("exporters.coreml.find_spec", lambda name: None if name == "sklearn" else find(name))
    assert refused(*COREML, "--precision", "palettised-4bit") == (
        "error: --precision palettised-4bit needs scikit-learn; type in the checkout: pip install '.[coreml]'"
    )


def test_a_python_for_onnx2tf(refused: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tflite_onnx2tf, "is_ready", lambda _: False)
    monkeypatch.setattr(environment.sys, "version_info", type("V", (), {"major": 3, "minor": 99})())  # type: ignore[attr-defined]
    monkeypatch.setenv("PATH", "")
    assert refused("--target", "tflite", "--via", "onnx2tf").startswith(
        "error: --via onnx2tf needs Python 3.12 or 3.11 or 3.10, for onnx2tf-"
    )
