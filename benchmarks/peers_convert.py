"""Artifacts made by others' converters, each in a process of its own, and the environments that they need."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from peers_count import PYTHON, last_line
from peers_networks import NETWORKS
from peers_others import MAKERS as OTHERS

from exporters.environment import Environment, make_ready
from exporters.tflite_onnx2tf import ENVIRONMENT as ONNX2TF
from levit_mobile.errors import ExportError
from levit_mobile.golden import golden_pictures

PRECISIONS = ("fp32", "fp16", "int8")
_FILE = {"tflite": "model.tflite", "executorch": "model.pte"}
_HERE = Path(__file__).parent
_REQUIREMENTS = (_HERE / "peers-requirements.txt").read_text("utf-8")
_PICTURES = "calibration_image_sample_data_20x128x128x3_float32.npy"  # or onnx2tf fetches it
ENVIRONMENT = Environment(
    name="peers",
    requirements=_REQUIREMENTS,
    pythons=("3.11",),
    proof=("ncnn", "_tools", "nncf", "openvino"),
    needed_by="benchmarks/peers.py",
    instead="--only NAME for rows of other runtimes",
    room=2,
)


class OtherPython:
    """The environment of ``peers-requirements.txt``, made when it is first asked for."""

    @property
    def python(self) -> Path:
        """Its Python.

        Raises:
            ExportError, RuntimeMissingError: as ``make_ready``.
        """
        return make_ready(ENVIRONMENT)

    @staticmethod
    def version(package: str) -> str:
        """The version of a runtime: the pinned one, or this environment's."""
        found = re.search(rf"^{re.escape(package)}==(\S+)$", _REQUIREMENTS, re.MULTILINE)
        if found:
            return found[1]
        from importlib import metadata

        return metadata.version(package)


def exported(variant: str, target: str, precision: str, folder: Path) -> Path:
    """This toolkit's artifact; all precisions of a target are exported at once, for they share most of the work.

    Raises:
        ExportError: the export failed.
    """
    bundle = folder / f"{variant}-{precision}-{target}"
    if not bundle.exists():
        precisions = [word for name in PRECISIONS for word in ("--precision", name)]
        weights = ["--weights", "thousand.safetensors", "--calib-data", "thousand.json", "--allow-drift", "--overwrite"]
        _run([PYTHON, "-m", "levit_mobile", "export", "--target", target, *precisions, *weights], folder)
    return bundle / _FILE[target]


def made(maker: str, network: str, folder: Path, others: OtherPython) -> Path:
    """An artifact in ``folder``, which is made with all that it starts from where it is not there.

    Raises:
        ExportError: a converter failed, with its last line.
    """
    if maker.startswith("onnx2tf"):
        return _onnx2tf(network, folder, others)[maker]
    if maker in OTHERS:
        name, sources, _ = OTHERS[maker]
        if not (folder / name).exists():
            for source in sources:
                made(source, network, folder, others)
            np.save(folder / "pictures.npy", _pictures(NETWORKS[network].size))
            _run([others.python, "-I", _HERE / "peers_others.py", maker, str(NETWORKS[network].size), folder], folder)
        return folder / name
    found = {path.stem: path for path in folder.iterdir() if path.suffix in (".tflite", ".pte", ".onnx", ".pt")}
    if maker not in found:
        _run([PYTHON, _HERE / "peers_makers.py", maker, network, folder], folder)
        found = {path.stem: path for path in folder.iterdir() if path.suffix in (".tflite", ".pte", ".onnx", ".pt")}
    return found[maker]


def _pictures(size: int) -> np.ndarray:
    from peers_makers import pictures

    return np.asarray(pictures(size))


def _onnx2tf(network: str, folder: Path, others: OtherPython) -> dict[str, Path]:
    """onnx2tf's float file and its full integer one, {maker: file}."""
    files = {"onnx2tf": folder / "onnx2tf.tflite", "onnx2tf-int8": folder / "onnx2tf-int8.tflite"}
    if not all(path.exists() for path in files.values()):
        source, work = made("onnx", network, folder, others), folder / "saved"
        work.mkdir(exist_ok=True)
        np.save(work / _PICTURES, golden_pictures(128, 20).astype(np.float32) / 255)
        command = [make_ready(ONNX2TF), "-I", "-m", "onnx2tf", "-i", source, "-o", work, "-oiqt", "-n"]
        _run(command, work)
        (work / f"{source.stem}_float32.tflite").rename(files["onnx2tf"])
        (work / f"{source.stem}_full_integer_quant.tflite").rename(files["onnx2tf-int8"])
    return files


def _run(command: Sequence[str | Path], folder: Path) -> None:
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        said = last_line(done.stderr) or last_line(done.stdout) or f"status {done.returncode}"
        raise ExportError(f"the converter failed: {said}")
