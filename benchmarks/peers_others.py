"""Converters of runtimes that this project does not need; in an environment of their own (peers-requirements.txt).

python peers_others.py MAKER SIZE FOLDER

They start from FOLDER's onnx.onnx or traced.pt, and pictures.npy: float32 (N, 3, S, S), normalised.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np


def ncnn(size: int, folder: Path) -> None:
    """pnnx, with float32 weights."""
    spec = find_spec("pnnx")
    assert spec is not None
    assert spec.origin is not None
    program = Path(spec.origin).with_name("pnnx")
    work = folder / "pnnx"
    work.mkdir(exist_ok=True)
    (work / "ncnn.pt").write_bytes((folder / "traced.pt").read_bytes())
    done = subprocess.run(
        [program, "ncnn.pt", f"inputshape=[1,3,{size},{size}]", "fp16=0"],
        cwd=work,
        capture_output=True,
        text=True,
        check=True,
    )
    said = done.stdout + done.stderr
    if "not supported" in said:
        raise SystemExit(f"pnnx: {next(line for line in said.splitlines() if 'not supported' in line)}")
    for suffix in ("param", "bin"):
        (work / f"ncnn.ncnn.{suffix}").rename(folder / f"ncnn.{suffix}")
    (folder / "ncnn.json").write_text(json.dumps({"size": size}))


def ncnn_int8(size: int, folder: Path) -> None:
    """The float model with int8 weights."""
    sys.path.insert(0, str(Path(__file__).parent))
    text, data = import_module("peers_ncnn_int8").quantise(folder / "ncnn.param", folder / "ncnn.bin")
    (folder / "ncnn-int8.bin").write_bytes(data)
    (folder / "ncnn-int8.json").write_text(json.dumps({"size": size}))
    (folder / "ncnn-int8.param").write_text(text)


def mnn(_: int, folder: Path) -> None:
    """MNN's converter from its compiled module: the commands around it report use."""
    tools = import_module("_tools")
    words = ["-f", "ONNX", "--modelFile", str(folder / "onnx.onnx"), "--MNNModel", str(folder / "mnn.mnn")]
    tools.mnnconvert(["mnnconvert", *words, "--bizCode", "none"])


def mnn_int8(size: int, folder: Path) -> None:
    """MNN's quantiser: KL ranges of activations, weights by their greatest value."""
    tools = import_module("_tools")
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    shown = folder / "pictures"
    shown.mkdir(exist_ok=True)
    pictures = np.load(folder / "pictures.npy").transpose(0, 2, 3, 1) * std + mean
    for at, picture in enumerate(np.rint(pictures).clip(0, 255).astype(np.uint8)):
        (shown / f"{at}.ppm").write_bytes(b"P6 %d %d 255\n" % (size, size) + picture.tobytes())
    settings = {
        "format": "RGB",
        "mean": mean.tolist(),
        "normal": (1 / std).tolist(),
        "width": size,
        "height": size,
        "path": f"{shown}/",
        "used_image_num": len(pictures),
        "feature_quantize_method": "KL",
        "weight_quantize_method": "MAX_ABS",
    }
    (folder / "mnn-int8.json").write_text(json.dumps(settings))
    files = [str(folder / name) for name in ("mnn.mnn", "mnn-int8.mnn", "mnn-int8.json")]
    tools.mnnquant(["mnnquant", *files])


def openvino(_: int, folder: Path) -> None:
    """OpenVINO's converter."""
    package = import_module("openvino")
    model = package.convert_model(str(folder / "onnx.onnx"))
    package.save_model(model, str(folder / "openvino.xml"), compress_to_fp16=False)


def openvino_int8(_: int, folder: Path) -> None:
    """NNCF's post-training quantisation, told that it is a transformer."""
    package, nncf = import_module("openvino"), import_module("nncf")
    model = package.Core().read_model(str(folder / "openvino.xml"))
    data = nncf.Dataset([row[None] for row in np.load(folder / "pictures.npy")])
    made: Any = nncf.quantize(model, data, model_type=nncf.ModelType.TRANSFORMER)
    package.save_model(made, str(folder / "openvino-int8.xml"), compress_to_fp16=False)


MAKERS: dict[str, tuple[str, tuple[str, ...], Callable[[int, Path], None]]] = {
    "ncnn": ("ncnn.param", ("traced",), ncnn),
    "ncnn-int8": ("ncnn-int8.param", ("ncnn",), ncnn_int8),
    "mnn": ("mnn.mnn", ("onnx",), mnn),
    "mnn-int8": ("mnn-int8.mnn", ("mnn",), mnn_int8),
    "openvino": ("openvino.xml", ("onnx",), openvino),
    "openvino-int8": ("openvino-int8.xml", ("openvino",), openvino_int8),
}

if __name__ == "__main__":
    MAKERS[sys.argv[1]][2](int(sys.argv[2]), Path(sys.argv[3]))
