"""What ``levit-export --target coreml`` writes: operators, number formats, texts, exactness, the same bytes again."""

from __future__ import annotations

import errno
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from answers import in_pytorch, of_range
from commands import Levit
from exports import ELSEWHERE, Exported, run_script
from mlpackages import DATA, MANIFEST, MODEL, WEIGHTS, coremltools, read_spec
from pictures import draw
from torch import nn

from calib.calibration import bundled_calibration
from exporters import coreml
from exporters.coreml_form import ChannelsFirstLeViT
from levit_mobile import __version__
from levit_mobile.bundle import Bundle, open_bundle
from levit_mobile.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from levit_mobile.errors import ExportError
from levit_mobile.evaluate import compare
from levit_mobile.fuse import DeployLeViT, fuse
from levit_mobile.model import LeViT
from levit_mobile.preprocess import IMAGENET, Preprocessing, normalise, resize_and_crop
from levit_mobile.program import build_program
from levit_mobile.qdq import quantize_static
from levit_mobile.quantize import tolerance_for
from levit_mobile.runtimes import open_runtime
from levit_mobile.runtimes.coreml import CoremlRuntime, open_artifact
from levit_mobile.runtimes.mil import run_operator
from levit_mobile.targets import check_request
from levit_mobile.variants import VARIANTS
from levit_mobile.weights import resolve_weights

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("coreml")]  # the exports, once for all

# In every precision: 65 Linears but for the head are convolutions now, beside the stem's four and two that sub-sample.
LAYERS = {
    "add": 31,
    "classify": 1,
    "conv": 70,
    "linear": 1,
    "matmul": 22,
    "mul": 26,
    "reduce_mean": 2,
    "reshape": 45,
    "sigmoid_hard": 25,
    "softmax": 12,
    "sub": 1,
}
CASTS = {"cast": 3}  # the picture to float16, logits and probabilities back
MORE = {
    "fp32": {},
    "fp16": CASTS,
    "int8": {**CASTS, "constexpr_affine_dequantize": 71, "dequantize": 117, "quantize": 117},
    "int8-weights": {**CASTS, "constexpr_affine_dequantize": 81},
    "int8-weights-ios18": {**CASTS, "constexpr_blockwise_shift_scale": 81},
    "palettised-4bit": {**CASTS, "constexpr_lut_to_dense": 78},
    "palettised-4bit-ios18": {**CASTS, "constexpr_lut_to_dense": 78, "constexpr_blockwise_shift_scale": 78},
}
# Specification version -> what is exported for it.
VERSIONS = {
    "fp16-ios15": 6,
    "fp32": 7,
    "fp16": 7,
    "int8-weights": 7,
    "palettised-4bit": 7,
    "int8": 8,
    "int8-weights-ios18": 9,
    "palettised-4bit-ios18": 9,
}


def bundle(exported: Exported, kind: str) -> Bundle:
    precision, _, since = kind.partition("-ios")
    return open_bundle(exported.bundle(f"levit_128s-{precision}-coreml" + (f"-ios{since}" if since else "")))


def opened(exported: Exported, kind: str) -> CoremlRuntime:
    return open_artifact(bundle(exported, kind).artifact, size=224, spec=IMAGENET)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Operators


@pytest.mark.parametrize("kind", MORE)
def test_operators(coreml_exported: Exported, kind: str) -> None:
    manifest = bundle(coreml_exported, kind).manifest
    assert manifest["operators"] == opened(coreml_exported, kind).anatomy().operators == {**LAYERS, **MORE[kind]}
    assert manifest["delegate"] == {"name": "Core ML", "parts": 1, "outside": {}}


def test_channels_first_leaves_no_transpose(
    coreml_exported: Exported, pixels: npt.NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the deploy form as it is, by the same converter: the same answers from 49 transposes more."""
    monkeypatch.setattr(coreml, "ChannelsFirstLeViT", lambda model: model)
    options = check_request("coreml", "fp32").options
    plain = open_artifact(
        coreml.export(build_program(resolve_weights("demo"), "fp32", layout="nchw", options=options), tmp_path),
        size=224,
        spec=IMAGENET,
    )
    before, after = plain.anatomy().operators, opened(coreml_exported, "fp32").anatomy().operators
    kinds = ("transpose", "reshape", "conv", "linear", "thresholded_relu")
    assert [before.get(kind, 0) for kind in kinds] == [49, 91, 6, 65, 25]
    assert [after.get(kind, 0) for kind in kinds] == [0, 45, 70, 1, 0]
    assert sum(before.values()) - sum(after.values()) == 120


def test_everything_has_four_dimensions(coreml_exported: Exported) -> None:
    """But for the logits and what they are made of, and what a softmax or a product inside an attention has: (B, heads, N, N)."""
    for op in opened(coreml_exported, "fp16")._function.operations:
        if op.op_type in ("conv", "matmul", "sigmoid_hard", "reshape", "quantize"):
            assert len(op.outputs[0].shape) == 4 or op.outputs[0].shape == (1, 384), op.name
        if op.op_type == "conv":
            assert op.weight.shape[2:] in ((1, 1), (3, 3))


@pytest.mark.parametrize(("variant", "size"), [("levit_128s", 96), ("levit_192", 64)])
def test_channels_first_is_the_same_function(random_fill: Callable[..., nn.Module], variant: str, size: int) -> None:
    model = random_fill(LeViT(VARIANTS[variant], num_classes=7, image_size=size))
    assert isinstance(model, LeViT)
    deploy = fuse(model).double()
    pictures = torch.randn(2, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, found = deploy(pictures), ChannelsFirstLeViT(deploy)(pictures)
    assert float((found - expected).abs().max() / (expected.max() - expected.min())) <= 1e-12


# Number formats


@pytest.mark.parametrize("kind", VERSIONS)
def test_the_oldest_system_that_it_runs_on(coreml_exported: Exported, kind: str) -> None:
    spec = read_spec(bundle(coreml_exported, kind).artifact)
    assert spec.specificationVersion == VERSIONS[kind]
    assert spec.WhichOneof("Type") == "mlProgram"
    assert list(spec.mlProgram.functions["main"].block_specializations) == [f"CoreML{VERSIONS[kind] - 1}"]
    asked = bundle(coreml_exported, kind).manifest["artifact"]["options"]["deployment-target"]
    assert asked == {6: "ios15", 7: "ios16", 8: "ios17", 9: "ios18"}[VERSIONS[kind]]


def formats(runtime: CoremlRuntime, *kinds: str) -> Counter[str]:
    """In which number formats operators of these kinds give their results."""
    types = coremltools().converters.mil.mil.types
    operators = [op for op in runtime._function.operations if op.op_type in kinds]
    return Counter(types.builtin_to_string(op.outputs[0].dtype) for op in operators)


@pytest.mark.parametrize("kind", VERSIONS)
def test_number_formats(coreml_exported: Exported, kind: str) -> None:
    runtime = opened(coreml_exported, kind)
    half = "fp32" if kind == "fp32" else "fp16"
    assert formats(runtime, "conv", "linear", "matmul", "softmax", "add", "sigmoid_hard") == {
        half: 70 + 1 + 22 + 12 + 56
    }
    assert formats(runtime, "quantize") == ({"int8": 117} if kind == "int8" else {})
    assert formats(runtime, "cast") == ({} if kind == "fp32" else {"fp16": 1, "fp32": 2})


def test_int8_layers_read_and_give_int8(coreml_exported: Exported) -> None:
    """Each layer stands between a dequantise and a quantise, its weights are int8 with a scale for each channel."""
    layers = 0
    for op in opened(coreml_exported, "int8")._function.operations:
        if op.op_type not in ("conv", "linear"):
            continue
        assert op.x.op.op_type == "dequantize", op.name
        assert [child.op_type for child in op.outputs[0].child_ops] == ["quantize"]
        unpack = op.weight.op
        assert unpack.op_type == "constexpr_affine_dequantize"
        whole, scale = unpack.quantized_data.val, unpack.scale.val
        assert (whole.dtype, scale.shape) == (np.int8, (len(whole),))
        assert np.abs(whole.astype(int)).reshape(len(whole), -1).max(1).min() == 127
        assert not np.any(unpack.zero_point.val)
        layers += 1
    assert layers == 71


def test_palettes_have_16_values_and_the_stem_has_none(coreml_exported: Exported) -> None:
    for kind in ("palettised-4bit", "palettised-4bit-ios18"):
        operations = opened(coreml_exported, kind)._function.operations
        palettes = [op for op in operations if op.op_type == "constexpr_lut_to_dense"]
        assert {op.lut.val.size for op in palettes} == {16}
        stem = [op for op in operations if op.op_type == "conv" and op.weight.shape[2:] == (3, 3)]
        assert [op.weight.op.op_type for op in stem] == ["const"] * 4
        if kind == "palettised-4bit":  # two to a byte; iOS 18 has a type of four bits
            assert all(2 * op.indices.val.size == np.prod(op.outputs[0].shape) for op in palettes)


def test_sizes(coreml_exported: Exported) -> None:
    sizes = {kind: bundle(coreml_exported, kind).artifact_bytes for kind in VERSIONS}
    most = {
        "fp32": 30e6,
        "fp16": 15.2e6,
        "fp16-ios15": 15.2e6,
        "int8": 8.4e6,
        "int8-weights": 7.8e6,
        "int8-weights-ios18": 7.8e6,
        "palettised-4bit": 4.2e6,
        "palettised-4bit-ios18": 4.5e6,
    }
    assert {kind: size for kind, size in sizes.items() if size > most[kind]} == {}
    assert sizes["palettised-4bit"] < sizes["int8-weights"] < sizes["int8"] < sizes["fp16"] < sizes["fp32"]


# What it computes


@pytest.mark.parametrize(
    ("kind", "most"),
    [
        ("fp32", 5e-7),
        ("fp16", 1e-3),
        ("fp16-ios15", 1e-3),
        ("int8", 0.1),
        ("int8-weights", 0.01),
        ("int8-weights-ios18", 0.01),
        ("palettised-4bit", 0.15),
        ("palettised-4bit-ios18", 0.11),
    ],
)
def test_it_computes_what_pytorch_computes(
    coreml_exported: Exported, deploy: DeployLeViT, pixels: npt.NDArray[np.uint8], kind: str, most: float
) -> None:
    """The drawn pictures are nobody's class: PyTorch's own first two are often closer than 4 bits can tell apart."""
    expected, opened_ = in_pytorch(deploy, pixels), bundle(coreml_exported, kind)
    found = open_runtime(opened_).logits(pixels)
    assert of_range(found, expected) <= most
    assert compare(expected, found, tolerance_for(opened_.manifest["artifact"]["precision"])).passed


def test_int8_is_the_same_program_as_everywhere(
    coreml_exported: Exported, deploy: DeployLeViT, pixels: npt.NDArray[np.uint8]
) -> None:
    """Beside the same quantisation in PyTorch; between them is float16, which turns a rounding now and then."""
    exact = in_pytorch(deploy, pixels)
    quantized = in_pytorch(quantize_static(bundled_calibration().prepare(deploy), bundled_calibration().ranges), pixels)
    found = open_runtime(bundle(coreml_exported, "int8")).logits(pixels)
    assert of_range(found, quantized) <= min(0.01, 0.2 * of_range(found, exact))
    assert (found.argmax(1) == quantized.argmax(1)).all()


@pytest.mark.parametrize("kind", VERSIONS)
def test_parity_is_in_the_manifest(coreml_exported: Exported, kind: str) -> None:
    manifest = bundle(coreml_exported, kind).manifest
    assert manifest["parity"]["passed"] is True
    assert manifest["parity"]["samples"] == 8
    most = {"fp32": 1e-6, "fp16": 2e-3, "int8": 0.05, "int8-weights": 0.02, "palettised-4bit": 0.15}
    assert manifest["parity"]["max_abs"] <= most[kind.partition("-ios")[0]]
    assert (manifest["calibration"] is not None) == (kind == "int8")
    assert manifest["tools"]["coremltools"]
    assert manifest["input"] == {
        "name": "image",
        "shape": [1, 3, 224, 224],
        "dtype": "uint8",
        "layout": "nchw",
        "takes": "pixels",
    }


# Normalisation

MEAN, STD = (0.05, 0.5, 0.93), (0.021, 0.9, 4.0)
UNUSUAL = Preprocessing(180, 160, mean=MEAN, std=STD)
LABELS = ["Türkentaube", "Füchse 🦊", "犬", 'a "quoted" name', *(f"Größe {n} ✓" for n in range(4, 1000))]


@pytest.fixture(scope="module")
def unusual(random_fill: Callable[..., nn.Module], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """fp32: 1000 classes with names of all kinds, 160 pixels, a mean and std for each channel far from the others'."""
    folder = tmp_path_factory.mktemp("unusual")
    model = random_fill(LeViT(VARIANTS["levit_128s"], image_size=160))
    assert isinstance(model, LeViT)
    save_checkpoint(folder / "mine.safetensors", model, preprocessing=UNUSUAL, dtype=torch.float32)
    (folder / "labels.txt").write_text("\n".join(LABELS), "utf-8")
    args = ["--target", "coreml", "--weights", "mine.safetensors", "--labels", "labels.txt", "--out", "unusual"]
    done = run_script("levit-export", args, cwd=folder)
    assert done.returncode == 0, done.stderr
    return open_bundle(folder / "unusual")


def first_two(runtime: CoremlRuntime, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """(H, W, 3) -> (3, H, W): what the stem reads, by the first two operators of the saved program and its constants."""
    subtract, multiply, stem = [op for op in runtime._function.operations if op.op_type != "const"][:3]
    assert (subtract.op_type, multiply.op_type, stem.op_type) == ("sub", "mul", "conv")
    assert (subtract.x.name, multiply.x.name, stem.x.name) == ("image", subtract.name, multiply.name)
    image = picture.transpose(2, 0, 1)[None].astype(np.float32)
    given = run_operator("sub", "", {"x": image, "y": subtract.y.val})
    seen = run_operator("mul", "", {"x": given, "y": multiply.y.val})
    assert seen.dtype == np.float32
    return seen[0].astype(np.float64)


def test_all_256_levels_of_each_channel_are_normalised(coreml_exported: Exported, unusual: Bundle) -> None:
    """Beside the definition in float64: one difference and one product do what one scale for all channels cannot."""
    levels = np.tile(np.arange(256, dtype=np.uint8)[:, None, None], (1, 1, 3))  # 256 x 1 pixels
    for runtime, spec in (
        (opened(coreml_exported, "fp32"), IMAGENET),
        (open_artifact(unusual.artifact, size=160, spec=UNUSUAL), UNUSUAL),
    ):
        exact = (levels[:, 0] / 255 - np.array(spec.mean)) / np.array(spec.std)
        found = first_two(runtime, levels)[:, :, 0].T
        assert np.abs(found - exact).max() <= 2e-7 * np.abs(exact).max()
        assert (np.abs(found - exact).max(0) <= 3e-7 * np.abs(exact).max(0)).all()


def test_the_input_is_a_picture_without_a_scale(coreml_exported: Exported, unusual: Bundle) -> None:
    for opened_, size in ((bundle(coreml_exported, "fp16"), 224), (unusual, 160)):
        spec = read_spec(opened_.artifact)
        (image,) = spec.description.input
        picture = image.type.imageType
        assert (image.name, picture.width, picture.height) == ("image", size, size)
        assert picture.colorSpace == picture.RGB
        assert picture.WhichOneof("SizeFlexibility") is None
        assert [argument.name for argument in spec.mlProgram.functions["main"].inputs] == ["image"]


def test_an_unusual_model_computes_what_pytorch_computes(unusual: Bundle) -> None:
    pictures = np.stack([resize_and_crop(draw(f"{300 + 7 * n}x{280 - n}"), UNUSUAL) for n in range(4)])
    model = load_checkpoint(unusual.folder.parent / "mine.safetensors").model().double()
    with torch.inference_mode():
        expected = model(torch.from_numpy(normalise(pictures, UNUSUAL)).double()).numpy()
    runtime = open_runtime(unusual)
    assert (runtime.input.shape, runtime.output.shape) == ((1, 3, 160, 160), (1, 1000))
    assert of_range(runtime.logits(pictures), expected) <= 1e-5
    assert unusual.manifest["parity"]["max_abs"] <= 1e-5
    assert runtime.anatomy().operators == LAYERS


# Texts


def test_labels_that_occur_twice_are_told_apart() -> None:
    assert coreml._distinct(["crane", "church", "crane"]) == ["crane (0)", "church", "crane (2)"]
    assert coreml._distinct(["a", "b"]) == ["a", "b"]
    assert len(set(coreml._distinct(["crane", "crane (0)", "crane"]))) == 3


def test_the_classifier_has_the_labels_in_order(coreml_exported: Exported, unusual: Bundle) -> None:
    for opened_ in (*(bundle(coreml_exported, kind) for kind in VERSIONS), unusual):
        runtime = open_artifact(opened_.artifact, size=opened_.image_size, spec=IMAGENET)
        assert runtime.labels == opened_.labels
    assert unusual.labels == LABELS
    assert bundle(coreml_exported, "fp32").labels == list(resolve_weights("demo").labels or ())


@pytest.mark.parametrize("kind", VERSIONS)
def test_outputs(coreml_exported: Exported, kind: str) -> None:
    about = read_spec(bundle(coreml_exported, kind).artifact).description
    outputs = {feature.name: feature.type.WhichOneof("Type") for feature in about.output}
    assert outputs == {"classLabel": "stringType", "classLabel_probs": "dictionaryType", "logits": "multiArrayType"}
    assert (about.predictedFeatureName, about.predictedProbabilitiesName) == ("classLabel", "classLabel_probs")
    (logits,) = (feature.type.multiArrayType for feature in about.output if feature.name == "logits")
    assert (list(logits.shape), logits.dataType) == ([1, 10], logits.FLOAT32)


def test_what_xcode_shows(coreml_exported: Exported) -> None:
    opened_ = bundle(coreml_exported, "int8-weights")
    about = read_spec(opened_.artifact).description
    weights = opened_.manifest["model"]["checkpoint"]
    assert (about.metadata.author, about.metadata.license) == ("R. Roe", "Apache-2.0")
    assert about.metadata.versionString == __version__
    assert about.metadata.shortDescription == (
        f"Image classifier, 10 classes. levit_128s (LeViT, Graham et al. 2021), int8-weights, weights {weights['name']}."
    )
    assert {feature.name: feature.shortDescription for feature in (*about.input, *about.output)} == {
        "image": "A picture of 224 x 224 pixels. Resize the shorter side to 256 and cut the middle; pixels are "
        "normalised inside.",
        "classLabel": "The likeliest class.",
        "classLabel_probs": "The probability of each class.",
        "logits": "The score of each class before the softmax, in the order of the labels.",
    }
    told = dict(about.metadata.userDefined)
    assert told.keys() == {
        "com.apple.coreml.model.preview.type",
        "com.github.apple.coremltools.version",
        "model_id",
        "preprocessing",
    }
    assert told["com.apple.coreml.model.preview.type"] == "imageClassifier"
    assert told["model_id"] == weights["weights"]
    assert json.loads(told["preprocessing"]) == opened_.manifest["preprocessing"]
    assert opened(coreml_exported, "int8-weights").told() == {
        **told,
        "author": "R. Roe",
        "license": "Apache-2.0",
        "description": about.metadata.shortDescription,
        "version": __version__,
    }


def test_what_nobody_told(coreml_exported: Exported, unusual: Bundle) -> None:
    """The demo weights' licence is known; that of somebody's own file is not."""
    demo = read_spec(bundle(coreml_exported, "fp16-ios15").artifact).description.metadata
    own = read_spec(unusual.artifact).description.metadata
    assert (demo.author, demo.license) == ("not stated", "Apache-2.0")
    assert (own.author, own.license) == ("not stated", "not stated")


# The package


def test_the_files_of_a_package(coreml_exported: Exported) -> None:
    package = bundle(coreml_exported, "int8").artifact
    assert package.name == "model.mlpackage"
    assert set(files_of(package)) == {MANIFEST, MODEL, WEIGHTS}
    told = json.loads((package / MANIFEST).read_text("utf-8"))
    items = told["itemInfoEntries"]
    assert sorted((item["name"], item["path"]) for item in items.values()) == [
        ("model.mlmodel", "com.apple.CoreML/model.mlmodel"),
        ("weights", "com.apple.CoreML/weights"),
    ]
    assert all((package / "Data" / item["path"]).exists() for item in items.values())
    assert items[told["rootModelIdentifier"]]["name"] == "model.mlmodel"
    assert all(re.fullmatch("[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}", key) for key in items)
    assert (package / DATA).stat().st_mode & 0o055 == 0o055


@pytest.mark.parametrize("kind", VERSIONS)
def test_nothing_of_the_machine_is_in_the_package(coreml_exported: Exported, kind: str) -> None:
    """coremltools' own packages have the date, and the source line of every operator."""
    for name, data in files_of(bundle(coreml_exported, kind).artifact).items():
        for word in (b"site-packages", b".py", b"/home", b"/tmp", b"levit_mobile/", b"conversion_date", b"torch=="):
            assert word not in data, (name, word)
        if name != WEIGHTS:
            assert not re.search(rb"20\d\d-\d\d-\d\d", data), name


@pytest.mark.long
def test_the_same_bytes_again(coreml_exported: Exported, tmp_path: Path) -> None:
    """In another process, with other hashes, another time zone and one thread; and nothing is left in the temporary folder."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {**ELSEWHERE, "TMPDIR": str(scratch)}
    args = ["--target", "coreml", "--int8", "--precision", "palettised-4bit", "--author", "R. Roe"]
    done = run_script("levit-export", args, cwd=tmp_path, environment=environment)
    assert done.returncode == 0, done.stderr
    for precision in ("int8", "palettised-4bit"):
        first = bundle(coreml_exported, precision).folder
        expected, found = files_of(first), files_of(tmp_path / first.name)
        assert found.keys() == expected.keys()
        assert [name for name in expected if found[name] != expected[name]] == []
    assert list(scratch.rglob("*.ml*")) == []


@pytest.mark.filterwarnings("ignore")  # coremltools
def test_palettes_are_made_by_one_thread(tiny: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two, k-means adds up in another order, and the palettes that iOS 18 scales came out different."""
    import coremltools
    from threadpoolctl import threadpool_info, threadpool_limits

    translate, seen = coremltools.convert, []

    def convert(*args: object, **kwargs: object) -> object:
        if kwargs["convert_to"] != "mlprogram":
            return translate(*args, **kwargs)
        seen.extend(pool["num_threads"] for pool in threadpool_info())
        raise RuntimeError("seen")

    monkeypatch.setattr(coremltools, "convert", convert)
    options = check_request("coreml", "palettised-4bit", options={"deployment-target": "ios18"}).options
    program = build_program(tiny, "palettised-4bit", layout="nchw", options=options)
    with threadpool_limits(2), pytest.raises(ExportError, match="seen"):
        coreml.export(program, tmp_path)
    assert seen
    assert set(seen) == {1}


def test_the_content_makes_the_identifiers(coreml_exported: Exported) -> None:
    manifests = [
        json.loads((bundle(coreml_exported, kind).artifact / MANIFEST).read_text("utf-8")) for kind in VERSIONS
    ]
    identifiers = {(item["name"], key) for m in manifests for key, item in m["itemInfoEntries"].items()}
    # fp16 for iOS 15 and 16 are two programs with the same weights.
    assert Counter(name for name, _ in identifiers) == {"model.mlmodel": 8, "weights": 7}


# What cannot be


def test_what_coremltools_refuses_is_an_export_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise RuntimeError("no such\noperator")

    monkeypatch.setattr(coreml, "_convert", refuse)
    options = check_request("coreml", "fp32").options
    program = build_program(resolve_weights("demo"), "fp32", layout="nchw", options=options)
    with pytest.raises(ExportError, match=r"^coremltools could not translate the model: no such operator$"):
        coreml.export(program, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not coremltools' fault: the bundle's writer says what is to be done."""

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(coreml, "_convert", lambda *args: None)
    monkeypatch.setattr(coreml, "write_package", full)
    program = build_program(resolve_weights("demo"), "fp32", layout="nchw")
    with pytest.raises(OSError, match="No space left on device"):
        coreml.export(program, tmp_path)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["--int8", "--deployment-target", "ios16"],
            "--target coreml --deployment-target ios16 cannot do --precision int8; "
            "it can do: fp32, fp16, int8-weights, palettised-4bit",
        ),
        (
            ["--precision", "palettised-4bit", "--deployment-target", "ios15"],
            "--target coreml --deployment-target ios15 cannot do --precision palettised-4bit; it can do: fp32, fp16",
        ),
        (
            ["--precision", "int8-dynamic"],
            "--target coreml cannot do --precision int8-dynamic; "
            "it can do: fp32, fp16, int8, int8-weights, palettised-4bit",
        ),
        (["--layout", "nhwc"], "--target coreml cannot do --layout nhwc; it can do: nchw"),
        (["--int8", "--io-dtype", "uint8"], "--target coreml cannot do --io-dtype uint8; it can do: float32"),
    ],
)
def test_what_the_target_cannot_do(levit: Levit, args: list[str], message: str) -> None:
    answer = levit("export", "--target", "coreml", *args)
    assert (answer.code, answer.out, answer.err) == (2, "", f"error: {message}\n")
