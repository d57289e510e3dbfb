"""Files that somebody made to do harm: code in pickles, archives that unpack to gigabytes, names that lead elsewhere.

Each trap is shown to work on a reader that takes no care, so that what is refused here is no accident.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import struct
import subprocess
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import Levit
from graphs import GraphMaker, pack

from calib.calibration import load_calibration
from calib.pictures import load_calibration_set
from exporters.tflite_container import detach, open_model, read_files, read_record
from levit_mobile import isolated
from levit_mobile.bundle import Bundle, open_bundle, write_manifest
from levit_mobile.checkpoints import load_checkpoint
from levit_mobile.errors import BundleError, CalibrationError, CheckpointError, PictureError
from levit_mobile.folder_bytes import unpack_folder
from levit_mobile.preprocess import Preprocessing, load_picture
from levit_mobile.runtimes.trial import survives
from levit_mobile.weights import resolve_weights

REPOSITORY = Path(__file__).parents[2]
MEGABYTE = 1 << 20


# Code in pickles


class System:
    """Unpickled, it runs a shell."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.mark}'",)


class Evaluated(System):
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (f"__import__('pathlib').Path({str(self.mark)!r}).touch()",)


class Imported(System):
    """By way of a function that is not builtin."""

    def __reduce__(self) -> tuple[Any, ...]:
        return subprocess.check_call, (["touch", str(self.mark)],)


PAYLOADS = [System, Evaluated, Imported]


def torch_zip(payload: System) -> bytes:
    stream = io.BytesIO()
    torch.save({"model": {"head.l.weight": payload}}, stream)
    return stream.getvalue()


def torch_legacy(payload: System) -> bytes:
    stream = io.BytesIO()
    torch.save({"head.l.weight": payload}, stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


def plain_pickle(payload: System) -> bytes:
    return pickle.dumps(payload, 2)


def object_array(payload: System) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, pixels=np.array([payload], object), logits=np.zeros(3, np.float32))
    return stream.getvalue()


def npz_member_that_is_a_pickle(payload: System) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("pixels.npy", pickle.dumps(payload))
    return stream.getvalue()


@pytest.mark.parametrize("kind", PAYLOADS)
@pytest.mark.parametrize("make", [torch_zip, torch_legacy, plain_pickle, object_array])
@pytest.mark.parametrize("name", ["w.pth", "w.pt", "pytorch_model.bin", "w.npz", "w.safetensors", "w"])
def test_weights_run_no_code(name: str, make: Callable[[System], bytes], kind: type[System], tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    (tmp_path / name).write_bytes(make(kind(mark)))
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / name)
    if name == "pytorch_model.bin":
        (tmp_path / "config.json").write_text("{}")
        with pytest.raises(CheckpointError):
            load_checkpoint(tmp_path)
    assert not mark.exists()


@pytest.mark.parametrize("kind", PAYLOADS)
@pytest.mark.parametrize("make", [object_array, npz_member_that_is_a_pickle, plain_pickle])
def test_arrays_run_no_code(make: Callable[[System], bytes], kind: type[System], tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    (tmp_path / "golden.npz").write_bytes(make(kind(mark)))
    with pytest.raises(CalibrationError, match=r": (not an \.npz file of pictures|needs a uint8 array)"):
        load_calibration_set(tmp_path / "golden.npz", Preprocessing(8, 8))
    with pytest.raises(BundleError, match=r"golden\.npz: (cannot be read|pixels are)"):
        Bundle(tmp_path, about()).golden()
    assert not mark.exists()


@pytest.mark.parametrize("kind", PAYLOADS)
def test_the_payloads_work(kind: type[System], tmp_path: Path) -> None:
    for number, make in enumerate((torch_zip, torch_legacy, plain_pickle, object_array)):
        mark = tmp_path / str(number)
        data = io.BytesIO(make(kind(mark)))
        if make is plain_pickle:
            pickle.load(data)
        elif make is object_array:
            assert np.load(data, allow_pickle=True)["pixels"] is not None
        else:
            torch.load(data, weights_only=False)
        assert mark.exists(), make


@pytest.mark.slow
def test_weights_run_no_code_on_the_command_line(levit: Levit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another process reads them first."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    mark, file = tmp_path / "it-ran", tmp_path / "w.pth"
    file.write_bytes(torch_zip(System(mark)))
    answer = levit("export", "--target", "tflite", "--weights", file, "--out", tmp_path / "out")
    assert (answer.code, answer.err.count(f"error: {file}: refused, because it holds more than tensors")) == (2, 1)
    assert not mark.exists()
    assert not (tmp_path / "out").exists()


# A bundle around what is damaged


def about(**files: Any) -> dict[str, Any]:
    port = {"name": "x", "shape": [1, 3], "dtype": "float32"}
    return {
        "model": {"variant": "levit_128s", "num_classes": 3, "checkpoint": {"name": "w", "sha256": "ab" * 32}},
        "artifact": {"file": "model.bin", "target": "tflite", "precision": "fp32", "scheme": "s"},
        "input": {**port, "layout": "nhwc", "takes": "normalised pixels"},
        "output": port,
        "preprocessing": Preprocessing(32, 32).to_dict(),
        "labels": ["a", "b", "c"],
        "parity": {"max_abs": 0.0, "cosine": 1.0, "agreement": 1.0, "samples": 1, "passed": True},
    }


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "a/../../out", "..\\out", "model.bin/../../out"])
def test_names_that_lead_out_of_the_bundle(name: str, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (tmp_path / "out").write_text("not the bundle's")
    (bundle / "model.bin").write_bytes(b"1234")
    (bundle / "golden.npz").write_bytes(b"")
    write_manifest(bundle, about())
    told = json.loads((bundle / "manifest.json").read_text())
    told["files"][name] = {"bytes": 1, "sha256": "ab" * 32}
    (bundle / "manifest.json").write_text(json.dumps(told))
    with pytest.raises(BundleError, match="names a file outside the bundle"):
        open_bundle(bundle)


def test_links_that_lead_out_of_the_bundle(tmp_path: Path) -> None:
    """A folder in it, too: the files behind the link have the right bytes."""
    bundle, outside = tmp_path / "bundle", tmp_path / "outside"
    (bundle / "model.bin").mkdir(parents=True)
    outside.mkdir()
    (bundle / "model.bin" / "w").write_bytes(b"1234")
    (bundle / "golden.npz").write_bytes(b"")
    write_manifest(bundle, about())
    opened = open_bundle(bundle)
    opened.check_artifact()
    (bundle / "model.bin" / "w").rename(outside / "w")
    (bundle / "model.bin").rmdir()
    (bundle / "model.bin").symlink_to(outside)
    assert opened.damage() != []
    with pytest.raises(BundleError):
        opened.check_artifact()


# Archives that unpack to more than there is


def bomb(member: str, size: int, head: bytes = b"") -> bytes:
    """A zip archive whose member unpacks to ``size`` bytes, nearly all 0."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(member, "w") as file:
        file.write(head)
        for _ in range(size // MEGABYTE):
            file.write(bytes(MEGABYTE))
    return stream.getvalue()


def npy_head(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return stream.getvalue()


def peak_of(work: Callable[[], object]) -> int:
    """Bytes that Python and numpy had at once, at most."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_bomb_in_place_of_golden_inputs(tmp_path: Path) -> None:
    size = 300 * MEGABYTE
    data = bomb("pixels.npy", size, npy_head((size // (32 * 32 * 3), 32, 32, 3)))
    assert len(data) < MEGABYTE
    (tmp_path / "golden.npz").write_bytes(data)

    def refuse() -> None:
        with pytest.raises(BundleError, match=r"golden\.npz: cannot be read \(it unpacks to 31\d{7} bytes"):
            Bundle(tmp_path, about()).golden()

    assert peak_of(refuse) < 8 * MEGABYTE


def test_a_bomb_in_place_of_calibration_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p.npz").write_bytes(bomb("a.npy", 20 * MEGABYTE, npy_head((20 * MEGABYTE // 3, 1, 1, 3))))
    monkeypatch.setattr("calib.pictures._MOST_BYTES", 10 * MEGABYTE)
    with pytest.raises(CalibrationError, match=r"it unpacks to 2\d{7} bytes, and 10485760 are the most"):
        load_calibration_set(tmp_path / "p.npz", Preprocessing(8, 8))


@pytest.mark.parametrize("shape", [(10**12, 8, 8, 3), (2**62, 2**62), (-1, 8, 8, 3)])
def test_an_array_that_claims_to_be_huge(shape: tuple[int, ...], tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("pixels.npy", npy_head(shape) + bytes(64))
    (tmp_path / "golden.npz").write_bytes(stream.getvalue())
    with pytest.raises(CalibrationError):
        load_calibration_set(tmp_path / "golden.npz", Preprocessing(8, 8))
    with pytest.raises(BundleError):
        Bundle(tmp_path, about()).golden()


def test_a_bomb_in_place_of_a_checkpoint(tmp_path: Path) -> None:
    stream = io.BytesIO()
    torch.save({"head.l.weight": torch.zeros(10 * MEGABYTE)}, stream)
    packed = io.BytesIO()
    with zipfile.ZipFile(stream) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert torch.load(io.BytesIO(packed.getvalue()), weights_only=True)["head.l.weight"].numel() == 10 * MEGABYTE
    (tmp_path / "w.pth").write_bytes(packed.getvalue())
    with pytest.raises(CheckpointError, match=r"more than four times its own; torch\.save writes no such file"):
        load_checkpoint(tmp_path / "w.pth")


def test_a_bomb_behind_a_tflite() -> None:
    maker = GraphMaker()
    x = maker.tensor(1, 4)
    model = pack(maker.finish([x], [maker.hardswish(x)]))
    with pytest.raises(BundleError, match="unpacks to more than the whole file"):
        read_files(model + bomb("labels.txt", 50 * MEGABYTE))


def test_files_that_share_their_bytes_in_a_packed_folder() -> None:
    leaf = {"kind": 0, "dataRegion": {"offset": 0, "size": MEGABYTE}, "children": {}}
    top = {"kind": 1, "dataRegion": {"offset": 0, "size": 0}, "children": {str(n): n for n in range(2000)}}
    table = json.dumps({"nodes": [leaf] * 2000 + [top]}).encode()[::-1]
    with pytest.raises(ValueError, match="has bytes of another file"):
        unpack_folder(bytes(MEGABYTE) + table)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *more: bytes) -> bytes:
    """One that is mostly a claim."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "data",
    [
        png(50_000, 50_000),
        png(2**31 - 1, 2**31 - 1),
        png(64, 64, *[chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(20 * MEGABYTE))) for _ in range(5)]),
        b"BM" + struct.pack("<IHHIIiiHHIIIIII", 54, 0, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0),
        b"GIF89a"
        + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0)
        + b"\x2c"
        + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0),
        b"P6 60000 60000 255\n",
    ],
    ids=["png", "png, as large as can be", "texts in a png", "bmp", "gif", "ppm"],
)
def test_a_picture_that_unpacks_to_gigabytes(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(data)

    def refuse() -> None:
        with pytest.raises(PictureError, match=r"p\.png"):
            load_picture(tmp_path / "p.png")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert peak_of(refuse) < 100 * MEGABYTE
    assert (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024
    )  # KiB; the decoders are written in C


# Shapes and places that cannot be


def safetensors(table: Any, data: bytes = bytes(64)) -> bytes:
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(shape: list[int], offsets: list[int], dtype: str = "F32") -> dict[str, Any]:
    return {"head.l.weight": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


@pytest.mark.parametrize(
    "data",
    [
        safetensors(entry([2**62, 4], [0, 64])),
        safetensors(entry([-4, -4], [0, 64])),
        safetensors(entry([2**64, 1], [0, 64])),
        safetensors(entry([2**32, 2**32], [0, 0])),  # the product of both is 0 in 64 bits
        safetensors(entry([4, 4], [0, 2**63])),
        safetensors(entry([4, 4], [64, 0])),
        safetensors(entry([4, 4], [-64, 0])),
        safetensors(entry([4, 4], [32, 96])),
        safetensors(
            {**entry([4, 4], [0, 64]), "head.l.bias": {"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 64]}}
        ),
        safetensors(entry([4, 4], [0, 64], "F9")),
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 99_999_999) + b"{" + bytes(64),
        safetensors(b"{" + b'"a":{' * 5000),
    ],
)
def test_safetensors_that_cannot_be(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"w\.safetensors: "):
        load_checkpoint(tmp_path / "w.safetensors")


def test_a_tensor_without_end_in_a_few_bytes(tmp_path: Path) -> None:
    """One number, seen a hundred thousand million times; anything done to it would take 400 GB."""
    state = {"head.l.weight": torch.zeros(1).expand(10**9, 384), "head.l.bias": torch.zeros(1).expand(10**9)}
    torch.save({**state, "patch_embed.0.c.weight": torch.zeros(1)}, tmp_path / "w.pth")
    assert (tmp_path / "w.pth").stat().st_size < 10_000
    with pytest.raises(CheckpointError, match="does not fit levit_"):
        load_checkpoint(tmp_path / "w.pth")


def test_all_keys_of_a_levit_with_classes_without_end(tmp_path: Path) -> None:
    state = dict(resolve_weights("demo").state)
    state |= {"head.l.weight": torch.zeros(1).expand(10**9, 384), "head.l.bias": torch.zeros(1).expand(10**9)}
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(
        CheckpointError, match=r"head\.l\.weight has the shape \(1000000000, 384\), expected \(100000, 384\)"
    ):
        load_checkpoint(tmp_path / "w.pth")


def small_tflite() -> bytes:
    maker = GraphMaker()
    x = maker.tensor(1, 4)
    y = maker.linear(x, np.ones((2, 4), np.float32), np.ones(2, np.float32))
    return pack(maker.finish([x], [y]))


def test_every_offset_of_a_flatbuffer_out_of_bounds() -> None:
    """Each group of four bytes becomes a large number, in turn: what is not refused is read within the data."""
    model = small_tflite()
    refused = 0
    for place in range(0, len(model) - 3, 4):
        for value in (0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, len(model) - 1, 0):
            data = bytearray(model)
            struct.pack_into("<I", data, place, value)
            for read in (open_model, read_record, read_files, detach):
                try:
                    read(bytes(data))
                except BundleError:
                    refused += 1
    assert refused > 400  # of twelve thousand: most numbers are no offsets


def test_json_that_is_deep_or_large(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(safetensors(entry([4, 4], [0, 64])))
    deep = "[" * 100_000
    (tmp_path / "config.json").write_text(deep)
    with pytest.raises(CheckpointError, match=r"config\.json: cannot be read"):
        load_checkpoint(tmp_path)
    (tmp_path / "c.json").write_text(deep)
    with pytest.raises(CalibrationError, match=r"c\.json: not a file of activation ranges"):
        load_calibration(tmp_path / "c.json")
    for name in ("config.json", "c.json"):
        os.truncate(tmp_path / name, 2**29)
    with pytest.raises(CheckpointError, match="536870912 bytes are too many"):
        load_checkpoint(tmp_path)
    with pytest.raises(CalibrationError, match="536870912 bytes are too many"):
        load_calibration(tmp_path / "c.json")


# Artifacts: read by other processes


def column_times_row(size: int) -> bytes:
    """A model of a few hundred kilobytes that wants the square of it."""
    maker = GraphMaker()
    x = maker.tensor(1, 8, 8, 3)
    column, row = (maker.constant(np.ones((size, 1), np.float32)) for _ in range(2))
    big = maker.operator("FULLY_CONNECTED", [column, row, -1], maker.tensor(size, size))
    return pack(maker.finish([x], [big]))


@pytest.mark.slow
def test_an_artifact_that_fills_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVIT_MOBILE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))

    def try_it(size: int) -> None:
        (tmp_path / "m.tflite").write_bytes(column_times_row(size))
        survives("tflite", "levit_mobile.runtimes.tflite", tmp_path / "m.tflite", size=8, digest="d")

    with pytest.raises(BundleError, match=r"m\.tflite: LiteRT cannot load it"):
        try_it(60_000)  # 14 GB
    assert not (tmp_path / "cache").exists()
    try_it(60)


@pytest.mark.slow
def test_a_file_beside_an_onnx_model_is_not_read(tmp_path: Path) -> None:
    """ONNX can keep weights elsewhere, and say where; ours never do."""
    onnx = pytest.importorskip("onnx")
    from levit_mobile.preprocess import IMAGENET
    from levit_mobile.runtimes.onnx import open_artifact

    (tmp_path / "inside").mkdir()
    secret = np.arange(3 * 8 * 8 * 3, dtype=np.float32)
    for place in (tmp_path / "secret", tmp_path / "inside" / "secret"):
        place.write_bytes(secret.tobytes())
    for location in ("../secret", str(tmp_path / "secret"), "secret"):
        weight = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[3 * 8 * 8, 3])
        weight.data_location = onnx.TensorProto.EXTERNAL
        weight.external_data.add(key="location", value=location)
        flat = onnx.helper.make_node("Flatten", ["image"], ["flat"])
        times = onnx.helper.make_node("MatMul", ["flat", "w"], ["logits"])
        ports = [
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
            for name, shape in (("image", [1, 3, 8, 8]), ("logits", [1, 3]))
        ]
        graph = onnx.helper.make_graph([flat, times], "g", ports[:1], ports[1:], [weight])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
        path = tmp_path / "inside" / "m.onnx"
        path.write_bytes(model.SerializeToString())
        with pytest.raises(BundleError, match=r"m\.onnx: ONNX Runtime cannot load it"):
            open_artifact(path, size=8, spec=IMAGENET)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("memory", "f: reading it takes more than 8 GiB of memory"),
        ("time", "f: it did not come to an end with it in 2 s"),
    ],
)
def test_limits(words: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "hungry_reader.py").write_text(
        "def hungry(words):\n    if words == 'memory': bytearray(9 << 30)\n    while True: pass\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(REPOSITORY), str(tmp_path)]))
    with pytest.raises(BundleError) as caught:
        isolated.run_isolated(
            "hungry_reader", "hungry", [words], file=Path("f"), reader="it", seconds=2, error=BundleError
        )
    assert str(caught.value) == message
