"""The readers of this toolkit, each as a function of bytes, and a few small valid inputs to start from.

A reader may return, or refuse with a ``LevitMobileError``. Anything else that comes out of it, a signal, minutes or
gibibytes, is a finding. ``cover.py`` looks for some with coverage as its guide; ``test_corpus.py`` tries what that kept.
"""

from __future__ import annotations

import io
import json
import pickle
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from levit_mobile.errors import LevitMobileError

__all__ = ["READERS", "Reader", "attempt"]

SIZE, CLASSES = 32, 3  # of the bundle around what is damaged


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes:
        read: takes the bytes and an empty folder.
        seeds: valid inputs, or nearly.
        free: exceptions that it may raise of its own, because whoever calls it turns any into a refusal.
    """

    read: Callable[[bytes, Path], object]
    seeds: Callable[[], list[bytes]]
    free: tuple[type[Exception], ...] = ()


def attempt(name: str, data: bytes) -> str:
    """``read`` or ``refused``; whatever else a reader raises comes out."""
    reader = READERS[name]
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder, warnings.catch_warnings(action="ignore"):
        try:
            reader.read(data, Path(folder))
        except (LevitMobileError, *reader.free):
            return "refused"
    return "read"


# A bundle


def _manifest() -> dict[str, Any]:
    from levit_mobile.preprocess import Preprocessing

    port = {"name": "image", "shape": [1, SIZE, SIZE, 3], "dtype": "float32"}
    return {
        "format": 1,
        "model": {"variant": "levit_128s", "num_classes": CLASSES, "checkpoint": {"name": "w", "sha256": "ab" * 32}},
        "artifact": {"file": "model.bin", "target": "tflite", "precision": "int8", "scheme": "some"},
        "input": {**port, "layout": "nhwc", "takes": "normalised pixels"},
        "output": {"name": "logits", "shape": [1, CLASSES], "dtype": "int8", "scale": 0.5, "zero_point": 3},
        "preprocessing": Preprocessing(SIZE, SIZE).to_dict(),
        "labels": ["a", "b", "ü"],
        "parity": {"max_abs": 0.5, "cosine": 1.0, "agreement": 1, "samples": 2, "passed": True},
        "files": {name: {"bytes": size, "sha256": "cd" * 32} for name, size in (("model.bin", 4), ("golden.npz", 9))},
        "digest": "ef" * 32,
    }


def _read_manifest(data: bytes, folder: Path) -> None:
    from levit_mobile.bundle import open_bundle

    (folder / "manifest.json").write_bytes(data)
    (folder / "model.bin").write_bytes(b"data")
    bundle = open_bundle(folder)
    bundle.damage()
    assert isinstance(bundle.artifact_bytes, int)
    assert bundle.artifact_digest
    assert len(bundle.labels) == bundle.manifest["model"]["num_classes"]
    assert bundle.preprocessing.crop == bundle.image_size


def _golden(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def _golden_seeds() -> list[bytes]:
    pixels = np.zeros((2, SIZE, SIZE, 3), np.uint8)
    logits = np.ones((2, CLASSES), np.float32)
    plain = io.BytesIO()
    np.savez(plain, pixels=pixels[:0], logits=logits[:0])
    return [_golden(pixels=pixels, logits=logits), plain.getvalue(), _golden(a=logits)]


def _read_golden(data: bytes, folder: Path) -> None:
    from levit_mobile.bundle import Bundle

    (folder / "golden.npz").write_bytes(data)
    golden = Bundle(folder, _manifest()).golden()
    assert golden.pixels.dtype == np.uint8
    assert len(golden.pixels) == len(golden.logits)


# Calibration and results


def _calibration_seeds() -> list[bytes]:
    from calib.calibration import Calibration
    from calib.equalisation import Equalisation
    from calib.ranges import Ranges
    from calib.rounding import RoundedLayer

    ranges = Ranges("ab" * 32, {"stem": (-1.0, 2.0)}, "min-max", 4, "cd" * 32)
    layer = RoundedLayer(np.ones((2, 3), np.int8), np.ones(2, np.float32), np.ones(2, np.float32))
    whole = Calibration(
        ranges, {"stem": Equalisation((1.0, 2.0), (0.0, 1.0))}, {"head": layer}, ("head",), {"head": 9.0}
    )
    first = {"format": 1, "weights": "w", "method": "m", "samples": 1, "digest": "d", "values": {"a": [0, 1]}}
    return [whole.to_json().encode(), json.dumps(first).encode()]


def _read_calibration(data: bytes, folder: Path) -> None:
    from calib.calibration import load_calibration

    (folder / "c.json").write_bytes(data)
    load_calibration(folder / "c.json").to_json()


def _pictures_seeds() -> list[bytes]:
    return [_golden(images=np.zeros((2, 9, 8, 3), np.uint8), labels=np.arange(2)), _golden(x=np.zeros(3))]


def _read_pictures(data: bytes, folder: Path) -> None:
    from calib.pictures import load_calibration_set
    from levit_mobile.preprocess import Preprocessing

    (folder / "p.npz").write_bytes(data)
    load_calibration_set(folder / "p.npz", Preprocessing(8, 8), count=2)


def _results_seeds() -> list[bytes]:
    from levit_mobile.bench.result import Results

    run = {"artifact": {"bundle": "b"}, "where": {"kind": "host"}, "samples_ms": [1.0, 2.5]}
    return [Results({"tool": "1"}, [run], [{}], [], [{"top1": 1}]).to_json().encode()]


def _read_results(data: bytes, folder: Path) -> None:
    from levit_mobile.bench.result import read_results

    (folder / "r.json").write_bytes(data)
    read_results(folder / "r.json").to_json()


# Checkpoints


@lru_cache(maxsize=1)
def _smallest() -> Any:
    """A LeViT of 6,000 numbers; the least of the published ones would be an input of 16 MB.

    With a name of its own: what shapes a variant expects is remembered by its name.
    """
    from levit_mobile.model import LeViT
    from levit_mobile.variants import Variant

    variant = Variant("levit_8", (8, 8, 8), 8, (1, 1, 1), (1, 1, 1), 0.0, 0.0, 0.0, 0, 0, "")
    return LeViT(variant, num_classes=CLASSES, image_size=64).eval()


def _pytorch_seeds() -> list[bytes]:
    import torch

    found = []
    state = {key: value.half() for key, value in _smallest().state_dict().items() if value.is_floating_point()}
    for old in (False, True):
        stream = io.BytesIO()
        torch.save({"model": state}, stream, _use_new_zipfile_serialization=not old)
        found.append(stream.getvalue())
    return [*found, pickle.dumps({"a": 1}, 2)]


def _load(data: bytes, file: Path) -> None:
    """As if the smallest were the only variant."""
    from levit_mobile.checkpoints import load_checkpoint
    from levit_mobile.variants import VARIANTS

    file.write_bytes(data)
    variant = _smallest().variant
    with mock.patch.dict(VARIANTS, {variant.name: variant}, clear=True):
        load_checkpoint(file).model()


def _read_pytorch(data: bytes, folder: Path) -> None:
    _load(data, folder / "w.pth")


def _safetensors_seeds() -> list[bytes]:
    from safetensors.torch import save

    from levit_mobile.checkpoints import save_checkpoint

    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(Path(folder) / "w", _smallest(), labels=["a", "b", "ü"])
        whole = (Path(folder) / "w").read_bytes()
    halves = {key: value.half() for key, value in _smallest().state_dict().items() if value.is_floating_point()}
    return [whole, save(halves)]


def _read_safetensors(data: bytes, folder: Path) -> None:
    _load(data, folder / "w.safetensors")


_PROCESSOR = {
    "image_processor_type": "LevitImageProcessor",
    "size": {"shortest_edge": 224},
    "crop_size": {"height": 224, "width": 224},
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": 0.25,
    "do_normalize": True,
}


def _read_processor(data: bytes, folder: Path) -> None:
    """Both kinds of preprocessing: ours, and Hugging Face's."""
    from levit_mobile.preprocess import Preprocessing

    told = json.loads(data)
    for read in (Preprocessing.from_huggingface, Preprocessing.from_dict):
        try:
            spec = read(told)
        except ValueError:
            continue
        assert 0 < spec.crop <= spec.resize


# Artifacts


def _tflite_seeds() -> list[bytes]:
    import graphs

    from exporters.tflite_container import attach
    from exporters.tflite_metadata import attach_metadata

    maker = graphs.GraphMaker()
    x, w = maker.tensor(1, 2, 2, 3), maker.constant(np.ones((2, 12), np.float32))
    out = maker.operator("FULLY_CONNECTED", [x, w, -1], maker.tensor(1, 2))
    plain = graphs.pack(maker.finish([x], [out]))
    texts = dict.fromkeys(("name", "description", "version", "author", "license"), "t")
    told = attach_metadata(plain, **texts, labels=["a", "ü"], mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0])
    return [told, plain, attach(plain, b"record of twelve", {"labels.txt": b"a\nb"})]


def _read_tflite(data: bytes, folder: Path) -> None:
    from exporters.tflite_container import detach, open_model, read_files, read_record
    from exporters.tflite_metadata import read_metadata

    open_model(data)
    refused = 0
    for read in (read_record, read_files, detach, read_metadata):
        try:
            read(data)
        except LevitMobileError:
            refused += 1
    if refused:
        raise LevitMobileError("refused")


def _packed_seeds() -> list[bytes]:
    from levit_mobile.folder_bytes import pack_folder

    return [pack_folder("root", {"a": b"1", "b/c": b"22", "b/d/e": b""}), pack_folder("r", {})]


def _read_packed(data: bytes, folder: Path) -> None:
    from levit_mobile.folder_bytes import unpack_folder

    try:
        files = unpack_folder(data)
    except ValueError as error:
        raise LevitMobileError("refused") from error
    assert sum(map(len, files.values())) <= len(data)


@lru_cache(maxsize=1)
def _package() -> Path:
    import mlpackages

    folder = Path(tempfile.mkdtemp(prefix="package")) / "m.mlpackage"

    def body(mb: Any, x: Any) -> Any:
        weight = np.random.default_rng(0).standard_normal((3, 3 * 64)).astype(np.float32)
        flat = mb.reshape(x=x, shape=[1, 3 * 64])
        return mb.softmax(x=mb.linear(x=flat, weight=weight, bias=np.zeros(3, np.float32)), axis=-1, name="logits")

    return mlpackages.make_package(folder, body)


_PARTS = ("Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin", "Manifest.json")


def _package_seeds() -> list[bytes]:
    return [bytes([at]) + (_package() / part).read_bytes() for at, part in enumerate(_PARTS)]


def _read_package(data: bytes, folder: Path) -> None:
    """The first byte says which file of a whole package the others take the place of."""
    import shutil

    from levit_mobile.preprocess import IMAGENET
    from levit_mobile.runtimes.coreml import open_artifact

    copy = Path(shutil.copytree(_package(), folder / "m.mlpackage"))
    (copy / _PARTS[(data[0] if data else 0) % 3]).write_bytes(data[1:])
    runtime = open_artifact(copy, size=8, spec=IMAGENET)
    runtime.logits(np.zeros((1, 8, 8, 3), np.uint8))
    runtime.anatomy()


@lru_cache(maxsize=1)
def _pte() -> bytes:
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    model = torch.nn.Linear(4, 2).eval()
    program = torch.export.export(model, (torch.zeros(1, 4),))
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    return bytes(lowered.to_executorch().buffer)


def _read_pte(data: bytes, folder: Path) -> None:
    from levit_mobile.runtimes.executorch_program import read_method

    read_method(data, "forward")


# Pictures


def _picture_seeds() -> list[bytes]:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8)
    found = []
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM"):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, kind)
        found.append(stream.getvalue())
    return found


def _read_picture(data: bytes, folder: Path) -> None:
    from levit_mobile.preprocess import Preprocessing, load_picture, resize_and_crop

    (folder / "p").write_bytes(data)
    picture = load_picture(folder / "p")
    assert resize_and_crop(picture, Preprocessing(8, 8)).shape == (8, 8, 3)


def _json(value: Any) -> list[bytes]:
    return [json.dumps(value).encode()]


READERS: dict[str, Reader] = {
    "calibration": Reader(_read_calibration, _calibration_seeds),
    "checkpoint": Reader(_read_pytorch, _pytorch_seeds),
    "golden": Reader(_read_golden, _golden_seeds),
    "manifest": Reader(_read_manifest, lambda: _json(_manifest())),
    "mlpackage": Reader(_read_package, _package_seeds),
    "packed": Reader(_read_packed, _packed_seeds),
    "picture": Reader(_read_picture, _picture_seeds),
    "pictures": Reader(_read_pictures, _pictures_seeds),
    "processor": Reader(_read_processor, lambda: _json(_PROCESSOR), (ValueError, RecursionError)),
    # Its callers turn all that it raises into a refusal.
    "pte": Reader(_read_pte, lambda: [_pte()], (Exception,)),
    "results": Reader(_read_results, _results_seeds),
    "safetensors": Reader(_read_safetensors, _safetensors_seeds),
    "tflite": Reader(_read_tflite, _tflite_seeds),
}
