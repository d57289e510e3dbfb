"""Running a ``.mlpackage``: the interpreter, Core ML in its place, and packages that are none of ours."""

from __future__ import annotations

import gc
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from commands import Levit
from exports import Exported
from mlpackages import MANIFEST, MODEL, WEIGHTS, change_spec, copy_package, coremltools, make_package
from PIL import Image

from levit_mobile.bundle import open_bundle, write_manifest
from levit_mobile.errors import BundleError, RuntimeMissingError
from levit_mobile.preprocess import IMAGENET
from levit_mobile.runtimes import coreml
from levit_mobile.runtimes.coreml import CoremlRuntime, open_artifact
from levit_mobile.runtimes.mil import run_operator

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("coreml")]

STAND_IN = "a reference interpreter of the saved package; Core ML itself runs on a Mac"
PICTURE = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8)


def opened(package: Path) -> CoremlRuntime:
    return open_artifact(package, size=8, spec=IMAGENET)


def mean(builder: Any, image: Any) -> Any:
    """A program that the runtime takes: three classes, the means of red, green and blue."""
    return builder.reduce_mean(x=image, axes=[2, 3], keep_dims=False, name="logits")


# The interpreter


def test_a_program_made_by_hand(tmp_path: Path) -> None:
    runtime = opened(make_package(tmp_path / "a.mlpackage", mean))
    assert (runtime.input.shape, runtime.input.dtype) == ((1, 3, 8, 8), "uint8")
    assert (runtime.output.shape, runtime.output.dtype) == ((1, 3), "float32")
    pictures = np.concatenate([PICTURE, 255 - PICTURE])
    assert runtime.logits(pictures) == pytest.approx(pictures.mean((1, 2), dtype=np.float64), rel=1e-6)
    assert runtime.anatomy().operators == {"reduce_mean": 1}
    assert runtime.labels == []
    assert runtime.stand_in == STAND_IN


def test_float16_is_rounded_after_every_operator(tmp_path: Path) -> None:
    third = np.float16(1 / 3)
    weight = (0.01 * np.random.default_rng(1).standard_normal((4, 3, 8, 8))).astype(np.float16)

    def body(builder: Any, image: Any) -> Any:
        x = builder.mul(x=builder.cast(x=image, dtype="fp16"), y=third)
        x = builder.sub(x=builder.mul(x=x, y=x), y=third)
        x = builder.conv(x=x, weight=weight, pad_type="valid")
        return builder.cast(x=builder.reshape(x=x, shape=[1, 4]), dtype="fp32", name="logits")

    found = opened(make_package(tmp_path / "a.mlpackage", body)).logits(PICTURE)[0]
    x = PICTURE[0].transpose(2, 0, 1).astype(np.float16) * third
    x = x * x - third
    exact = (weight.astype(np.float64) * x.astype(np.float64)).sum((1, 2, 3))
    assert found.tolist() == exact.astype(np.float16).tolist()
    unrounded = (PICTURE[0].transpose(2, 0, 1).astype(np.float64) * float(third)) ** 2 - float(third)
    assert (np.abs(found - (weight.astype(np.float64) * unrounded).sum((1, 2, 3))) > 1e-3 * np.abs(exact)).any()


def test_float16_has_infinities(tmp_path: Path) -> None:
    """As a phone has them; no warning of numpy's in between."""

    def body(builder: Any, image: Any) -> Any:
        x = builder.cast(x=builder.reduce_mean(x=image, axes=[2, 3], keep_dims=False), dtype="fp16")
        return builder.cast(x=builder.mul(x=x, y=np.float16(60000)), dtype="fp32", name="logits")

    assert opened(make_package(tmp_path / "a.mlpackage", body)).logits(PICTURE).tolist() == [[np.inf] * 3]


def test_constants_that_are_stored_smaller(tmp_path: Path) -> None:
    """Apple's own unpacking, and then the number format that is declared."""
    whole = np.array([[-127, 5, 99], [3, 127, -1]], np.int8)
    scale = np.array([0.011, 0.007], np.float16)
    palette, indices = np.array([-1.5, 0.25, 0.5, 3.0], np.float16), np.array([[0, 1, 2], [3, 2, 1]], np.uint8)
    packed = np.packbits(np.unpackbits(indices.reshape(-1, 1), axis=1, bitorder="little", count=2), bitorder="little")

    def body(builder: Any, image: Any) -> Any:
        x = builder.cast(x=builder.reduce_mean(x=image, axes=[2, 3], keep_dims=False), dtype="fp16")
        weight = builder.constexpr_affine_dequantize(
            quantized_data=whole, zero_point=np.int8(0), scale=scale, axis=np.int32(0)
        )
        other = builder.constexpr_lut_to_dense(indices=packed, lut=palette, shape=np.array([2, 3], np.uint32))
        both = builder.sub(x=builder.linear(x=x, weight=weight), y=builder.linear(x=x, weight=other))
        return builder.cast(x=both, dtype="fp32", name="logits")

    found = opened(make_package(tmp_path / "a.mlpackage", body)).logits(PICTURE)[0]
    x = PICTURE[0].mean((0, 1), dtype=np.float64).astype(np.float16).astype(np.float64)
    first = (whole * scale[:, None].astype(np.float32)).astype(np.float16).astype(np.float64)
    one, two = (first @ x).astype(np.float16), (palette[indices].astype(np.float64) @ x).astype(np.float16)
    assert found.tolist() == (one - two).tolist()


def test_names_that_coremltools_makes_up_do_not_matter(
    coreml_exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It numbers them on from whatever it has read before, and a made-up name may be one that another tensor has."""
    bundle = open_bundle(coreml_exported.bundle("levit_128s-int8-coreml"))
    pixels = bundle.golden().pixels[:2]
    expected = open_artifact(bundle.artifact, size=224, spec=IMAGENET).logits(pixels)
    builder = coremltools().converters.mil.Builder
    monkeypatch.setattr(builder, "_get_free_name", classmethod(lambda cls, name: "logits"))
    assert np.array_equal(open_artifact(bundle.artifact, size=224, spec=IMAGENET).logits(pixels), expected)


def test_a_picture_leaves_nothing_behind(coreml_exported: Exported) -> None:
    """Thousands are run one after the other; what one needs, 20 MB and more, is free before the next, without a collector."""
    runtime = open_artifact(
        open_bundle(coreml_exported.bundle("levit_128s-fp32-coreml")).artifact, size=224, spec=IMAGENET
    )
    picture = np.zeros((1, 224, 224, 3), np.uint8)
    runtime.logits(picture)
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        runtime.logits(picture)
        left, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert left <= 1e5
    assert most >= 1e7


APPLES: dict[str, Callable[[Any, npt.NDArray[np.float32]], Any]] = {
    "quantize": lambda b, x: b.quantize(
        input=x,
        scale=np.float32([0.5, 0.1, 0.03]),
        zero_point=np.int8([0, 3, -7]),
        axis=np.int32(1),
        output_dtype="int8",
    ),
    "dequantize": lambda b, x: b.dequantize(
        input=np.clip(9 * x, -128, 127).astype(np.int8),
        scale=np.float32([0.5, 0.1, 0.03]),
        zero_point=np.int8([0, 3, -7]),
        axis=np.int32(1),
    ),
    "sigmoid_hard": lambda b, x: b.sigmoid_hard(x=x, alpha=1 / 6, beta=0.5),
    "softmax": lambda b, x: b.softmax(x=x, axis=-1),
    "reduce_mean": lambda b, x: b.reduce_mean(x=x, axes=[2, 3], keep_dims=True),
    "reshape": lambda b, x: b.reshape(x=x, shape=[2, 3, -1]),
    "cast": lambda b, x: b.cast(x=x, dtype="int32"),
    "matmul": lambda b, x: b.matmul(x=x, y=x[:, ::-1].copy(), transpose_x=False, transpose_y=True),
    "linear": lambda b, x: b.linear(x=x[0, 0], weight=x[1, 0], bias=np.float32([1, 2, 3, 4])),
    "add": lambda b, x: b.add(x=x, y=x[0, 0]),
    "sub": lambda b, x: b.sub(x=x, y=x[0, 0]),
    "mul": lambda b, x: b.mul(x=x, y=x[0, 0]),
}


@pytest.mark.parametrize("kind", APPLES)
def test_operators_are_as_coremltools_folds_them(kind: str) -> None:
    """What it computes itself where all inputs are known is how Apple reads its own definitions."""
    tools, made = coremltools(), []
    builder = tools.converters.mil.Builder
    x = (3 * np.random.default_rng(2).standard_normal((2, 3, 4, 5))).astype(np.float32)

    @builder.program(input_specs=[builder.TensorSpec(shape=(1,))], opset_version=tools.target.iOS17)  # type: ignore[untyped-decorator]
    def program(image: Any) -> Any:
        made.append(APPLES[kind](builder, x))
        return builder.identity(x=image)

    (var,) = made
    given = {key: None if value is None else value.val for key, value in var.op.inputs.items()}
    expected = var.op.materialized_val_inference() if var.val is None else var.val  # it does not fold dequantize
    found = run_operator(kind, "y", given)
    assert found.shape == expected.shape
    assert np.abs(found.astype(np.float64) - expected.astype(np.float64)).max() <= 2e-6 * np.abs(expected).max()
    assert len(np.unique(expected)) > 4


# Packages that are none of ours


def test_an_operator_that_is_not_known(tmp_path: Path) -> None:
    def body(builder: Any, image: Any) -> Any:
        return builder.exp(x=mean(builder, image), name="logits2")

    def split(builder: Any, image: Any) -> Any:
        return builder.split(x=image, num_splits=3, axis=1, name="parts")[0]

    for name, made, words in (
        ("exp", body, "logits2: the operator exp"),
        ("split", split, "the operator split is not"),
    ):
        package = make_package(tmp_path / f"{name}.mlpackage", made)
        change_spec(package, lambda spec: setattr(spec.description.output[0], "name", "logits"))
        runtime = opened(package)
        assert name in runtime.anatomy().operators
        with pytest.raises(BundleError) as raised:
            runtime.logits(PICTURE)
        assert str(raised.value).startswith(f"{package}: ")
        assert words in str(raised.value)
        assert "it runs add, cast, conv, " in str(raised.value)


def test_a_convolution_that_is_not_ours(tmp_path: Path) -> None:
    def body(builder: Any, image: Any) -> Any:
        weight = np.ones((3, 1, 8, 8), np.float32)
        x = builder.conv(x=image, weight=weight, groups=3, pad_type="valid")
        return builder.reshape(x=x, shape=[1, 3], name="logits")

    package = make_package(tmp_path / "a.mlpackage", body)
    with pytest.raises(BundleError) as raised:
        opened(package).logits(PICTURE)
    assert str(raised.value) == f"{package}: a convolution with groups or dilation cannot be run here"


def test_inputs_that_an_operator_does_not_take_here(tmp_path: Path) -> None:
    """A mean over all axes has no list of them."""

    def body(builder: Any, image: Any) -> Any:
        return builder.reshape(x=builder.reduce_mean(x=image, name="all"), shape=[1, 1], name="logits")

    package = make_package(tmp_path / "a.mlpackage", body)
    with pytest.raises(BundleError) as raised:
        opened(package).logits(PICTURE)
    assert str(raised.value).startswith(f"{package}: all: reduce_mean cannot be run so (")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: setattr(d.output[0], "name", "scores"), "goes from image to scores, expected image and logits"),
        (lambda d: setattr(d.input[0], "name", "x"), "goes from x to logits, expected image and logits"),
        (
            lambda d: d.input.add(name="mask"),
            "goes from image, mask to logits, expected image and logits",
        ),
        (
            lambda d: setattr(d.input[0].type.imageType, "width", 9),
            "takes a picture of 9 x 8, expected 8 x 8",
        ),
        (
            lambda d: d.input[0].type.multiArrayType.shape.extend([1, 3, 8, 8]),
            "takes a picture of 0 x 0, expected 8 x 8",
        ),
        (
            lambda d: setattr(d.input[0].type.imageType, "colorSpace", 30),
            "takes a picture in BGR, expected RGB",
        ),
        (
            lambda d: setattr(d.input[0].type.imageType, "colorSpace", 10),
            "takes a picture in GRAYSCALE, expected RGB",
        ),
    ],
    ids=["output", "input", "inputs", "size", "no picture", "bgr", "grey"],
)
def test_another_model(change: Callable[[Any], Any], message: str, tmp_path: Path) -> None:
    package = make_package(tmp_path / "a.mlpackage", mean)
    change_spec(package, lambda spec: change(spec.description))
    with pytest.raises(BundleError) as raised:
        opened(package)
    assert str(raised.value) == f"{package}: {message}"


def test_another_size_than_the_manifest_says(tmp_path: Path) -> None:
    package = make_package(tmp_path / "a.mlpackage", mean)
    with pytest.raises(BundleError, match=r"a\.mlpackage: takes a picture of 8 x 8, expected 192 x 192$"):
        open_artifact(package, size=192, spec=IMAGENET)


def test_a_neural_network_is_no_ml_program(tmp_path: Path) -> None:
    package = make_package(tmp_path / "a.mlpackage", mean)
    change_spec(package, lambda spec: spec.neuralNetwork.SetInParent())
    with pytest.raises(BundleError) as raised:
        opened(package)
    assert str(raised.value) == f"{package}: coremltools cannot load it (it is not an ML program)"


def refused(package: Path) -> str:
    with pytest.raises(BundleError) as raised:
        open_artifact(package, size=224, spec=IMAGENET)
    text = str(raised.value)
    start = f"{package}: coremltools cannot load it ("
    assert text.startswith(start)
    assert "\n" not in text
    return text.removeprefix(start)


def test_what_is_no_package(tmp_path: Path) -> None:
    assert "No such file or directory" in refused(tmp_path / "none.mlpackage")
    (tmp_path / "empty.mlpackage").mkdir()
    assert "No such file or directory" in refused(tmp_path / "empty.mlpackage")
    (tmp_path / "file.mlpackage").write_bytes(b"\xff" * 4096)
    assert "Not a directory" in refused(tmp_path / "file.mlpackage")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "list indices"),
        ("{}", "'itemInfoEntries'"),
        ('{"itemInfoEntries": {}, "rootModelIdentifier": "A"}', "'A'"),
        ('{"itemInfoEntries": {"A": {"name": "m"}}, "rootModelIdentifier": "A"}', "'path'"),
    ],
)
def test_a_manifest_that_lists_no_model(text: str, words: str, tmp_path: Path) -> None:
    package = make_package(tmp_path / "a.mlpackage", mean)
    (package / MANIFEST).write_text(text)
    assert words in refused(package)


@pytest.mark.parametrize("path", ["/dev/zero", "../../outside", "com.apple.CoreML/other.mlmodel"])
@pytest.mark.parametrize("name", ["model.mlmodel", "weights"])
def test_a_manifest_that_leads_elsewhere(path: str, name: str, tmp_path: Path) -> None:
    package = make_package(tmp_path / "a.mlpackage", mean)
    manifest = json.loads((package / MANIFEST).read_text())
    next(item for item in manifest["itemInfoEntries"].values() if item["name"] == name)["path"] = path
    (package / MANIFEST).write_text(json.dumps(manifest))
    assert "does not name com.apple.CoreML/model.mlmodel and com.apple.CoreML/weights" in refused(package)


def test_reading_changes_nothing(coreml_exported: Exported, tmp_path: Path) -> None:
    """Core ML's own library writes ``Manifest.json`` anew; it finds it as it would write it."""
    package = copy_package(open_bundle(coreml_exported.bundle("levit_128s-fp16-coreml")).artifact, tmp_path)
    manifest = package / MANIFEST
    written = manifest.read_bytes()
    os.utime(manifest, (10**9, 10**9))
    open_artifact(package, size=224, spec=IMAGENET)
    assert manifest.stat().st_mtime == 10**9
    coremltools().models.MLModel(str(package), skip_model_load=True)
    assert manifest.read_bytes() == written


@pytest.mark.parametrize(
    ("file", "kept", "words"),
    [
        (WEIGHTS, None, "Could not open"),
        (WEIGHTS, 0, "Unable to mmap file"),
        (WEIGHTS, 0.5, "index out of bounds"),
        (WEIGHTS, -1, "index out of bounds"),
        (WEIGHTS, 64, "index out of bounds"),
        (MODEL, None, "No such file or directory"),
        (MODEL, 0, "it is not an ML program"),
        (MODEL, 0.5, "Error parsing message"),
        (MODEL, -1, "Error parsing message"),
        (MANIFEST, None, "No such file or directory"),
        (MANIFEST, 0.5, "(char 3"),
    ],
)
def test_a_package_cut_short(
    coreml_exported: Exported, tmp_path: Path, file: str, kept: float | None, words: str
) -> None:
    package = copy_package(open_bundle(coreml_exported.bundle("levit_128s-int8-coreml")).artifact, tmp_path)
    whole = (package / file).read_bytes()
    (package / file).unlink()
    if kept is not None:
        (package / file).write_bytes(whole[: int(kept * len(whole)) if 0 < kept < 1 else int(kept)])
    assert words in refused(package)


# On a Mac


class FakeModel:
    """``MLModel`` as it is on a Mac: its predictions come from elsewhere."""

    loaded: list[str]
    seen: list[dict[str, Any]]
    error: Exception | None

    def __init__(self, path: str) -> None:
        self.loaded.append(path)
        (Path(path) / MANIFEST).write_text("written anew")  # as Apple's reader may do

    def predict(self, given: dict[str, Any]) -> dict[str, Any]:
        self.seen.append(given)
        if self.error:
            raise self.error
        return {"classLabel": "b", "classLabel_probs": {"a": 0.0}, "logits": np.array([[1, 5, 2]], np.float32)}


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> type[FakeModel]:
    FakeModel.loaded, FakeModel.seen, FakeModel.error = [], [], None
    fake = SimpleNamespace(models=SimpleNamespace(MLModel=FakeModel))
    monkeypatch.setattr(coreml, "import_coremltools", lambda: fake)
    return FakeModel


def test_core_ml_itself_runs_on_a_mac(mac: type[FakeModel], tmp_path: Path) -> None:
    package = make_package(tmp_path / "a.mlpackage", mean)
    runtime = CoremlRuntime(package, size=8, interpret=False)
    assert runtime.logits(np.concatenate([PICTURE, PICTURE])).tolist() == [[1, 5, 2]] * 2
    (loaded,) = map(Path, mac.loaded)
    assert loaded.name == "a.mlpackage"
    assert loaded != package, "a bundle's own package must stay as it is"
    assert (package / MANIFEST).read_text().startswith("{")
    assert not loaded.exists()
    (given, _) = mac.seen
    assert list(given) == ["image"]
    assert isinstance(given["image"], Image.Image)
    assert (given["image"].mode, given["image"].size) == ("RGB", (8, 8))
    assert np.array_equal(np.asarray(given["image"]), PICTURE[0])
    assert runtime.stand_in is None
    assert runtime.anatomy().operators == {"reduce_mean": 1}
    assert [what for what, _ in runtime.profile(3)] == ["inference"] * 3
    assert len(mac.seen) == 5


def test_coremltools_without_its_native_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on an ARM board: the package is there, and cannot read weights."""
    package = make_package(tmp_path / "a.mlpackage", mean)
    monkeypatch.setattr("coremltools.converters.mil.frontend.milproto.load.BlobReader", None)
    with pytest.raises(
        RuntimeMissingError, match=r"^coremltools is here without its native library, which reads weights"
    ):
        opened(package)


def test_what_core_ml_refuses(mac: type[FakeModel], tmp_path: Path) -> None:
    """It warns while it loads, and says why when it is asked."""
    package = make_package(tmp_path / "a.mlpackage", mean)
    runtime = CoremlRuntime(package, size=8, interpret=False)
    FakeModel.error = Exception("Model uses an opset\nof a later system")
    with pytest.raises(BundleError) as raised:
        runtime.logits(PICTURE)
    assert str(raised.value) == f"{package}: Core ML cannot run it (Model uses an opset of a later system)"


def test_elsewhere_core_ml_is_not_asked(mac: type[FakeModel], tmp_path: Path) -> None:
    runtime = CoremlRuntime(make_package(tmp_path / "a.mlpackage", mean), size=8, interpret=True)
    assert runtime.logits(PICTURE) == pytest.approx(PICTURE.mean((1, 2), dtype=np.float64), rel=1e-6)
    assert (mac.loaded, mac.seen) == ([], [])


# The command line


def test_commands(levit: Levit, coreml_exported: Exported, photos: list[Path]) -> None:
    """On a Mac there is no stand-in, and inspect tells a time."""
    bundle = coreml_exported.bundle("levit_128s-int8-coreml")
    runs = open_bundle(bundle)
    assert runs.manifest["parity"].get("ran") == STAND_IN
    predicted = levit("predict", bundle, photos[0], "--json")
    assert (predicted.code, predicted.err) == (0, f"note: the answers are those of {STAND_IN}\n")
    assert predicted.data["ran"] == STAND_IN
    assert predicted.data["predictions"][0]["top"][0]["label"] in runs.labels
    verified = levit("verify", bundle)
    assert (verified.code, verified.err) == (0, "")
    assert verified.out.splitlines()[0] == "files       all 6 as in the manifest"
    assert verified.out.splitlines()[-1] == f"{bundle} is whole and computes what it should"
    validated = levit("validate", bundle, "--json")
    assert (validated.code, validated.err) == (0, "")
    assert validated.data["parity"] == runs.manifest["parity"]
    inspected = levit("inspect", bundle, "--json")
    assert (inspected.code, inspected.err) == (0, "")
    assert inspected.data["operators"] == runs.manifest["operators"]
    assert inspected.data["bytes"] == runs.artifact_bytes
    assert f"this host   not timed: here runs {STAND_IN}" in levit("inspect", bundle).out


def test_damage_to_the_package_is_found(levit: Levit, coreml_exported: Exported, tmp_path: Path) -> None:
    bundle = coreml_exported.copy("levit_128s-int8-coreml", tmp_path)
    weights = bundle / "model.mlpackage" / WEIGHTS
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    answer = levit("verify", bundle)
    assert answer.code == 1
    assert f"model.mlpackage/{WEIGHTS} was changed: its sha256 is not the manifest's" in answer.err


@pytest.mark.long
def test_a_package_that_is_none_with_its_checksums(levit: Levit, coreml_exported: Exported, tmp_path: Path) -> None:
    bundle = coreml_exported.copy("levit_128s-int8-coreml", tmp_path)
    manifest = dict(open_bundle(bundle).manifest)
    del manifest["files"], manifest["digest"]
    (bundle / "manifest.json").unlink()
    (bundle / "model.mlpackage" / WEIGHTS).write_bytes(bytes(100_000))
    write_manifest(bundle, manifest)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    for command in (
        ["predict", bundle, tmp_path / "a.png"],
        ["validate", bundle],
        ["inspect", bundle],
        ["verify", bundle],
    ):
        answer = levit(*command)
        assert answer.code == 1
        assert answer.err.startswith(f"error: {bundle / 'model.mlpackage'}: coremltools cannot load it (")
