"""Running a bundle needs neither torch nor anything else that only makes one: proved in processes that cannot import it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exports import Exported
from PIL import Image

from levit_mobile.bundle import Golden, bundle_writer, write_manifest
from levit_mobile.golden import golden_pictures
from levit_mobile.preprocess import Preprocessing, normalise
from levit_mobile.runtimes.tflite import open_artifact

SIZE = 32
SPEC = Preprocessing(32, SIZE)
MAKERS = ("torch", "torchvision", "safetensors", "litert_torch", "ai_edge_quantizer", "sklearn", "exporters")

# Refuses imports as if the packages were not installed, or lacked a library of the system; then runs the command line.
BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        if name in {broken!r}:
            raise ImportError("libgomp.so.1: cannot open shared object file", name=name)

sys.meta_path.insert(0, Blocker())
sys.argv = {argv!r}
{code}
"""


def run(
    code: str, *argv: str, blocked: tuple[str, ...] = MAKERS, broken: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    script = BLOCKED.format(blocked=set(blocked), broken=set(broken), argv=["levit", *argv], code=code)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)


def levit(
    *argv: str, blocked: tuple[str, ...] = MAKERS, broken: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    return run("from levit_mobile.cli.main import main; main()", *argv, blocked=blocked, broken=broken)


def colour_model() -> bytes:
    """A ``.tflite`` of one operator: the mean of red, green and blue over a picture, (1, S, S, 3) -> (1, 3)."""
    flatbuffers = pytest.importorskip("flatbuffers", reason="writes the model")
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason="runs the model")

    def tensor(name: str, shape: list[int], kind: int, buffer: int) -> Any:
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name, shape, kind, buffer
        return made

    axes = schema.BufferT()
    axes.data = np.frombuffer(np.array([1, 2], np.int32).tobytes(), np.uint8)
    options = schema.ReducerOptionsT()
    options.keepDims = False
    mean = schema.OperatorT()
    mean.opcodeIndex, mean.inputs, mean.outputs = 0, [0, 1], [2]
    mean.builtinOptionsType, mean.builtinOptions = schema.BuiltinOptions.ReducerOptions, options
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.MEAN
    code.version = 1
    graph = schema.SubGraphT()
    graph.tensors = [
        tensor("image", [1, SIZE, SIZE, 3], schema.TensorType.FLOAT32, 0),
        tensor("axes", [2], schema.TensorType.INT32, 1),
        tensor("logits", [1, 3], schema.TensorType.FLOAT32, 0),
    ]
    graph.inputs, graph.outputs, graph.operators, graph.name = [0], [2], [mean], "main"
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT(), axes]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that knows three colours."""
    folder = tmp_path_factory.mktemp("without") / "colours"
    pixels = golden_pictures(SIZE)
    with bundle_writer(folder, overwrite=False) as scratch:
        (scratch / "model.tflite").write_bytes(colour_model())
        (scratch / "golden.npz").write_bytes(Golden(pixels, normalise(pixels, SPEC).mean(axis=(2, 3))).to_bytes())
        manifest = {
            "model": {
                "variant": "levit_128s",
                "num_classes": 3,
                "checkpoint": {"name": "none", "sha256": "0" * 64, "scheme": "official", "weights": "0" * 64},
            },
            "artifact": {"file": "model.tflite", "target": "tflite", "precision": "fp32", "scheme": "float32"},
            "input": {
                "name": "image",
                "shape": [1, SIZE, SIZE, 3],
                "dtype": "float32",
                "layout": "nhwc",
                "takes": "normalised pixels",
            },
            "output": {"name": "logits", "shape": [1, 3], "dtype": "float32"},
            "preprocessing": SPEC.to_dict(),
            "labels": ["red", "green", "blue"],
            "operators": {"MEAN": 1},
            "delegate": {"name": "XNNPACK", "parts": 1, "outside": {}},
            "parity": {"max_abs": 0.0, "cosine": 1.0, "agreement": 1.0, "samples": 8, "passed": True},
            "accuracy": None,
            "calibration": None,
            "tools": {},
        }
        write_manifest(scratch, manifest)
    return folder


@pytest.mark.parametrize(
    "module", ["predict", "verify", "validate", "inspect", "models", "main", "export"], ids=lambda name: f"cli.{name}"
)
def test_commands_are_imported_without_torch(module: str) -> None:
    """Also ``export``: it must be able to say what is missing."""
    done = run(f"import levit_mobile.cli.{module}, sys; print([m for m in {MAKERS!r} if m in sys.modules])")
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


def test_the_runtime_gives_the_numbers(bundle: Path) -> None:
    """Here with torch beside it; below without."""
    runtime = open_artifact(bundle / "model.tflite", size=SIZE, spec=SPEC)
    assert (runtime.input.shape, runtime.output.shape) == ((1, SIZE, SIZE, 3), (1, 3))
    pixels = golden_pictures(SIZE)
    assert runtime.logits(pixels) == pytest.approx(normalise(pixels, SPEC).mean(axis=(2, 3)), abs=1e-5)


def test_predict(bundle: Path, tmp_path: Path) -> None:
    for name in ("red", "lime", "blue"):
        Image.new("RGB", (50, 40), name).save(tmp_path / f"{name}.png")
    images = [str(tmp_path / f"{name}.png") for name in ("blue", "red", "lime")]
    done = levit("predict", str(bundle), *images, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    predictions = json.loads(done.stdout)["predictions"]
    assert [p["top"][0]["label"] for p in predictions] == ["blue", "red", "green"]
    assert [p["image"] for p in predictions] == images
    # Red is (1 - 0.485) / 0.229 where it is, green and blue -0.456 / 0.224 and -0.406 / 0.225: a softmax of these.
    assert predictions[1]["top"][0]["probability"] == pytest.approx(0.9698, abs=1e-4)


def test_verify(bundle: Path) -> None:
    done = levit("verify", str(bundle), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["ok"] is True


def test_inspect(bundle: Path) -> None:
    done = levit("inspect", str(bundle), "--json", "--runs", "2")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["operators"] == {"MEAN": 1}


@pytest.mark.parametrize(
    ("targets", "extras"),
    [(["tflite"], "tflite"), (["executorch"], "executorch"), (["all"], "tflite,executorch,coreml,onnx")],
)
def test_exporting_says_what_is_missing(targets: list[str], extras: str, tmp_path: Path) -> None:
    asked = [part for target in targets for part in ("--target", target)]
    done = levit("export", *asked, "--precision", "fp32")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "  loading PyTorch ...\n"
        "error: this needs the package torch, which is not installed; "
        f"type in the checkout: pip install '.[{extras}]'\n"
    )


def test_exporting_says_what_cannot_be_loaded() -> None:
    done = levit("export", "--target", "tflite", blocked=(), broken=("torch",))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "  loading PyTorch ...\n"
        "error: torch is installed but cannot be loaded: libgomp.so.1: cannot open shared object file\n"
    )


def test_comparing_says_what_is_missing(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "red").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "red" / "a.png")
    done = levit("validate", str(bundle), "--data", str(tmp_path), "--weights", "demo")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "error: this needs the package torch, which is not installed; type in the checkout: pip install '.[torch]'"
    )


LITERT = "error: running a .tflite needs LiteRT; type in the checkout: pip install '.[tflite-runtime]'\n"
CANNOT = "is installed but cannot be loaded: libgomp.so.1: cannot open shared object file\n"


@pytest.mark.parametrize(
    ("blocked", "broken", "told"),
    [
        (("ai_edge_litert", "tflite_runtime"), (), LITERT),
        (("tflite_runtime",), ("ai_edge_litert",), f"error: ai-edge-litert {CANNOT}"),
        (("tflite_runtime",), ("ai_edge_litert.interpreter",), f"error: ai-edge-litert {CANNOT}"),
        (("ai_edge_litert",), ("tflite_runtime",), f"error: tflite-runtime {CANNOT}"),
        ((), ("ai_edge_litert", "tflite_runtime"), f"error: ai-edge-litert {CANNOT}"),
    ],
    ids=["none", "broken", "broken inside", "the other broken", "both broken"],
)
def test_running_says_what_is_missing(
    blocked: tuple[str, ...], broken: tuple[str, ...], told: str, bundle: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    done = levit("predict", str(bundle), str(tmp_path / "a.png"), blocked=(*MAKERS, *blocked), broken=broken)
    assert (done.returncode, done.stderr) == (2, told)


RUN_PTE = """
from pathlib import Path
from levit_mobile.cli.console import guarded
from levit_mobile.preprocess import IMAGENET
from levit_mobile.runtimes.executorch import open_artifact
with guarded():
    open_artifact(Path("a.pte"), size=224, spec=IMAGENET)
"""


@pytest.mark.parametrize(
    ("blocked", "broken", "told"),
    [
        (
            ("executorch",),
            (),
            "error: running a .pte needs ExecuTorch; type in the checkout: pip install '.[executorch]'\n",
        ),
        ((), ("executorch",), f"error: executorch {CANNOT}"),
        ((), ("executorch.extension",), f"error: executorch {CANNOT}"),
    ],
    ids=["none", "broken", "broken inside"],
)
def test_running_a_pte_says_what_is_missing(blocked: tuple[str, ...], broken: tuple[str, ...], told: str) -> None:
    done = run(RUN_PTE, blocked=blocked, broken=broken)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", told)


RUN_MLPACKAGE = RUN_PTE.replace("runtimes.executorch", "runtimes.coreml").replace("a.pte", "a.mlpackage")


@pytest.mark.parametrize(
    ("blocked", "broken", "told"),
    [
        (
            ("coremltools",),
            (),
            "error: reading a Core ML model needs coremltools; type in the checkout: pip install '.[coreml]'\n",
        ),
        ((), ("coremltools",), f"error: coremltools {CANNOT}"),
        ((), ("coremltools.models",), f"error: coremltools {CANNOT}"),
    ],
    ids=["none", "broken", "broken inside"],
)
def test_running_a_mlpackage_says_what_is_missing(blocked: tuple[str, ...], broken: tuple[str, ...], told: str) -> None:
    done = run(RUN_MLPACKAGE, blocked=blocked, broken=broken)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", told)


@pytest.mark.slow
@pytest.mark.xdist_group("coreml")
def test_a_mlpackage_runs_without_torch(coreml_exported: Exported, tmp_path: Path) -> None:
    Image.new("RGB", (50, 40), "red").save(tmp_path / "a.png")
    bundle = str(coreml_exported.bundle("levit_128s-int8-weights-coreml"))
    done = levit("predict", bundle, str(tmp_path / "a.png"), "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("note: the answers are those of a reference interpreter")
    (found,) = json.loads(done.stdout)["predictions"]
    assert sum(row["probability"] for row in found["top"]) <= 1
    assert done.stderr.count("\n") == 1
