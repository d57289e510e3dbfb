"""``--target tflite --via onnx2tf`` without onnx2tf: what is handed over, and what its failures become."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from fake_python import FakePython

from exporters import tflite_onnx2tf
from exporters.tflite_onnx2tf import ENVIRONMENT, VERSION, translate
from exporters.tflite_onnx2tf_worker import _refuse_connections
from levit_mobile.errors import ExportError, RuntimeMissingError
from levit_mobile.fuse import DeployLeViT
from levit_mobile.program import Program, build_program
from levit_mobile.weights import resolve_weights

WORKER = Path(tflite_onnx2tf.__file__).with_name("tflite_onnx2tf_worker.py")
ENDING = "type --via litert-torch for the other converter"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePython:
    """Stands for the Python of onnx2tf's environment; the ONNX file has two bytes."""
    python = FakePython(tmp_path / "fake", monkeypatch)
    monkeypatch.setattr(tflite_onnx2tf, "make_ready", lambda environment: python.path)
    monkeypatch.setattr(
        tflite_onnx2tf, "to_onnx", lambda *_: SimpleNamespace(SerializeToString=lambda deterministic: b"ox")
    )
    return python


@pytest.fixture(scope="session")
def program() -> Program:
    return build_program(resolve_weights("demo"), "fp32", options={"via": "onnx2tf"})


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_what_is_handed_over(fake: FakePython, program: Program, tmp_path: Path, layout: Any) -> None:
    """The model and the pictures, by file; nothing of it is left."""
    fake.tell(
        worker=f'pwd > {tmp_path}/where; cp *.npy model.onnx {tmp_path}; echo "$@" > {tmp_path}/args; echo tf > "$4"'
    )
    assert translate(replace(program, layout=layout)) == b"tf\n"
    assert (tmp_path / "model.onnx").read_bytes() == b"ox"
    assert (tmp_path / "args").read_text().split() == ["-I", str(WORKER), "model.onnx", "model.tflite", layout]
    pictures = np.load(tmp_path / "calibration_image_sample_data_20x128x128x3_float32.npy")
    assert (pictures.shape, pictures.dtype) == ((20, 128, 128, 3), np.float32)
    assert pictures.min() >= 0
    assert 0.95 <= pictures.max() <= 1
    assert pictures.std(axis=(1, 2)).min() > 0.02
    assert not Path((tmp_path / "where").read_text().strip()).exists()


def test_raw_pixels_for_a_model_that_normalises(fake: FakePython, program: Program, tmp_path: Path) -> None:
    fake.tell(worker=f'cp *.npy {tmp_path}; echo tf > "$4"')
    translate(replace(program, io_dtype="uint8"))
    assert 250 <= np.load(next(tmp_path.glob("*.npy"))).max() <= 255


@pytest.mark.parametrize(
    ("worker", "told"),
    [
        (
            "printf '\\033[31mERROR:\\033[0m Foo OP is not yet implemented.\\n'; "
            "echo \"ModuleNotFoundError: No module named 'onnx2tf.ops.Foo'\" >&2; exit 1",
            r"model: Foo OP is not yet implemented\. \(--verbose shows all that it printed\)",
        ),
        (
            "echo Traceback >&2; echo 'ValueError: axes do not fit' >&2; exit 1",
            r"model: ValueError: axes do not fit \(--verbose",
        ),
        ("exit 1", r"model: it ended with status 1 \("),
        ("echo done", r"model: done \("),  # and yet wrote nothing
        ("kill -9 $$", "it ran out of memory, of which it takes 2 GB for levit_128s, 6 GB for levit_384; free some"),
        ("echo \"terminate called after 'std::bad_alloc'\"; kill -6 $$", "it ran out of memory"),
        ("kill -4 $$", "TensorFlow's package does not run on this processor"),
        (
            "echo \"ModuleNotFoundError: No module named 'tensorflow'\"; exit 1",
            r"its environment is damaged \(ModuleNotFoundError: No module named 'tensorflow'\); delete \S+ and type the same",
        ),
        ("echo 'ImportError: libtensorflow_cc.so.2: not found'; exit 1", "its environment is damaged"),
        (
            "echo 'WARNING: The optimization process for shape estimation is skipped because'; echo tf > $4",
            "it could not compare its graph with the model's; use --verbose to see why",
        ),
    ],
)
def test_its_failures_become_what_to_do(fake: FakePython, program: Program, worker: str, told: str) -> None:
    fake.tell(worker=worker)
    with pytest.raises(ExportError, match=told) as caught:
        translate(program)
    assert str(caught.value).startswith(f"onnx2tf {VERSION} could not translate the model: ")
    assert str(caught.value).endswith(ENDING)


def test_what_pytorch_refuses_is_an_export_error(
    fake: FakePython, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(tflite_onnx2tf, "to_onnx", refuse)
    with pytest.raises(ExportError, match=r"^PyTorch could not write the model as ONNX: no such operator$"):
        translate(program)
    assert fake.calls == []


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_the_packages_that_write_onnx_are_named(
    program: Program, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setattr(tflite_onnx2tf, "find_spec", lambda name: None if name == package else object())
    with pytest.raises(RuntimeMissingError) as caught:
        translate(program)
    assert str(caught.value) == (
        f"--via onnx2tf needs the package {package}; type in the checkout: pip install '.[tflite,onnx]', or {ENDING}"
    )


def test_the_environment_is_pinned_to_the_last_package() -> None:
    """What pip would choose on its own might be another version tomorrow."""
    lines = [line for line in ENVIRONMENT.requirements.splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+( ; [^;]+)?", line)] == []
    assert ENVIRONMENT.requirements.count("onnx2tf==") == 1
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)


_STUBS = {
    "onnx2tf.py": """
import socket
def convert(**options):
    assert options["keep_ncw_or_nchw_or_ncdhw_input_names"] == (["image"] if LAYOUT == "nchw" else None)
    if LAYOUT == "download":
        socket.create_connection(("127.0.0.1", 9), timeout=5)
    return options["input_onnx_file_path"]
""",
    "tensorflow.py": """
class lite:
    class TFLiteConverter:
        def __init__(self, model): self.model = model
        from_keras_model = classmethod(lambda kind, model: kind(model))
        def convert(self): return self.model.encode()
""",
}


@pytest.mark.parametrize("layout", ["nhwc", "nchw", "download"])
def test_the_worker(tmp_path: Path, layout: str) -> None:
    """With stubs for what it calls: the options of a layout; whatever wants to download something ends there."""
    for name, text in _STUBS.items():
        (tmp_path / name).write_text(f"LAYOUT = {layout!r}\n{text}")
    done = subprocess.run(
        [sys.executable, WORKER, "a.onnx", "a.tflite", layout],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if layout == "download":
        assert done.returncode == 1
        assert "ConnectionError: onnx2tf wanted to download something" in done.stderr.splitlines()[-1]
        assert not (tmp_path / "a.tflite").exists()
    else:
        assert (done.returncode, done.stderr) == (0, "")
        assert (tmp_path / "a.tflite").read_bytes() == b"a.onnx"


def test_only_connections_are_refused() -> None:
    _refuse_connections("open", ("file", "r", 0))
    asked = {"socket.connect": (None, ("host", 443)), "socket.getaddrinfo": ("host", 443, 0, 1, 6)}
    for event, arguments in asked.items():
        with pytest.raises(ConnectionError, match=r"wanted to download something \(.*host.*\), which it must not"):
            _refuse_connections(event, arguments)


def test_two_dimensions_change_nothing(deploy: DeployLeViT) -> None:
    x = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    flat = tflite_onnx2tf._in_two_dimensions(deploy)
    names = [name for name, module in flat.named_modules() if isinstance(module, tflite_onnx2tf._Flat)]
    assert len(names) == 22
    assert not any(isinstance(module, tflite_onnx2tf._Flat) for module in deploy.modules())
    with torch.inference_mode():
        assert torch.equal(flat(x), deploy(x))
