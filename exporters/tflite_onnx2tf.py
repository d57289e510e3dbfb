"""The float model by another way: PyTorch -> ONNX -> onnx2tf -> TFLite.

onnx2tf and TensorFlow pin packages that cannot live beside ours, so they have an environment of their own. What comes back
goes through the same steps as litert-torch's graph: the layers found by their weights, our policy, our ranges. onnx2tf's own
int8 is not used: it falls apart into 47 parts (docs/targets/tflite.md).
"""

from __future__ import annotations

import copy
import re
import tempfile
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from exporters.environment import Environment, find_python, is_ready, last_words, make_ready, run_logged
from exporters.tflite_entry import Entry, normalisation_inside
from exporters.torch_to_onnx import to_onnx
from levit_mobile.errors import ExportError, RuntimeMissingError, install_hint
from levit_mobile.fuse import DeployAttention, DeployLeViT, DeployMLP
from levit_mobile.golden import golden_pictures
from levit_mobile.program import Program

__all__ = ["ENVIRONMENT", "PACKAGES", "VERSION", "check", "prepare", "translate"]

_INSTEAD = "--via litert-torch for the other converter"
_REQUIREMENTS = resources.files("exporters").joinpath("data", "onnx2tf-requirements.txt").read_text("utf-8")
PACKAGES: dict[str, str] = dict(re.findall(r"^([\w.-]+)==(\S+)$", _REQUIREMENTS, re.MULTILINE))
VERSION = PACKAGES["onnx2tf"]
ENVIRONMENT = Environment(
    name=f"onnx2tf-{VERSION}",
    requirements=_REQUIREMENTS,
    pythons=("3.12", "3.11", "3.10"),
    proof=("onnx2tf", "tensorflow"),
    needed_by="--via onnx2tf",
    instead=_INSTEAD,
    room=2,
)
_WORKER = Path(__file__).with_name("tflite_onnx2tf_worker.py")
# The name and shape that onnx2tf looks for.
_PICTURES, _COUNT, _SIZE = "calibration_image_sample_data_20x128x128x3_float32.npy", 20, 128
_MEMORY = "2 GB for levit_128s, 6 GB for levit_384"


def check() -> None:
    """Whether there is what ``prepare`` does not bring.

    Raises:
        RuntimeMissingError: no Python that onnx2tf has packages for, or the packages that write ONNX are not installed.
    """
    for package in ("onnx", "onnxscript"):
        if find_spec(package) is None:
            raise RuntimeMissingError(
                f"--via onnx2tf needs the package {package}; {install_hint('tflite', 'onnx')}, or type {_INSTEAD}"
            )
    if not is_ready(ENVIRONMENT):
        find_python(ENVIRONMENT)


def prepare() -> Path:
    """The Python of onnx2tf's environment; made if need be, which takes a minute or two.

    Raises:
        RuntimeMissingError: as ``check``.
        ExportError: the environment could not be made.
    """
    check()
    return make_ready(ENVIRONMENT)


def translate(program: Program) -> bytes:
    """The float model as a .tflite: input ``image`` in the program's layout, output ``logits``.

    Raises:
        RuntimeMissingError: as ``prepare``.
        ExportError: as ``prepare``; or PyTorch could not write ONNX, or onnx2tf could not read it.
    """
    python, inside = prepare(), normalisation_inside(program)
    # With channels last in the ONNX graph, onnx2tf mistakes the axes of other tensors.
    entry = Entry(_in_two_dimensions(program.model), "nchw", inside).eval()
    try:
        written = to_onnx(entry, torch.zeros(1, 3, program.image_size, program.image_size))
    except Exception as error:  # the exporter and its passes each raise their own
        raise ExportError(f"PyTorch could not write the model as ONNX: {error}") from error
    with tempfile.TemporaryDirectory(prefix="levit-onnx2tf-") as name:
        folder = Path(name)
        (folder / "model.onnx").write_bytes(written.SerializeToString(deterministic=True))
        pictures = golden_pictures(_SIZE, _COUNT).astype(np.float32)
        np.save(folder / _PICTURES, pictures if inside else pictures / 255)
        status, printed = run_logged([python, "-I", _WORKER, "model.onnx", "model.tflite", program.layout], folder)
        made = folder / "model.tflite"
        if status or not made.exists() or _guessed(printed):
            raise ExportError(
                f"onnx2tf {VERSION} could not translate the model: {_reason(printed, status, python)}, or type {_INSTEAD}"
            )
        return made.read_bytes()


class _Flat(nn.Module):
    """A layer on (N, C) instead of (1, N, C).

    TensorFlow's converter adds a bias to what follows, where that is a sum or another Linear: of a Linear with Hardswish it
    makes two with other biases, of two Linears three. It does not look past a reshape.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return y


def _in_two_dimensions(model: DeployLeViT) -> DeployLeViT:
    """A copy with ``_Flat`` around what is between two Linears: a Hardswish, or a projection without a residual."""
    model = copy.deepcopy(model)
    for block in model.blocks:
        if isinstance(block, DeployMLP):
            block.act = _Flat(block.act)  # type: ignore[assignment]
        else:
            assert isinstance(block, DeployAttention)
            block.proj = _Flat(block.proj)  # type: ignore[assignment]
    return model


def _guessed(printed: str) -> bool:
    """Whether it could not compute the graph with the pictures, and then guessed at axes, as it happens often wrongly."""
    return "shape estimation is skipped" in printed


def _reason(printed: str, status: int, python: Path) -> str:
    """What onnx2tf said in the end, and what to do."""
    told = re.findall(r"^ERROR: (.+)$", printed, re.MULTILINE)
    last = told[-1] if told else last_words(printed)
    if status == -9 or "MemoryError" in printed or "bad_alloc" in printed:
        return f"it ran out of memory, of which it takes {_MEMORY}; free some and type the same again"
    if status == -4:
        return "TensorFlow's package does not run on this processor; use another machine"
    if not told and re.match("(ModuleNotFound|Import)Error: ", last):
        return f"its environment is damaged ({last}); delete {python.parents[1]} and type the same again"
    if not status and _guessed(printed):
        return "it could not compare its graph with the model's; use --verbose to see why"
    return f"{last or f'it ended with status {status}'} (--verbose shows all that it printed)"
