"""Bundles: written whole or not at all, never over something else, and read with suspicion."""

from __future__ import annotations

import contextlib
import copy
import errno
import hashlib
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from levit_mobile import bundle as module
from levit_mobile import placing
from levit_mobile.bundle import (
    FORMAT,
    MANIFEST,
    Bundle,
    Golden,
    bundle_writer,
    check_vacant,
    file_digest,
    open_bundle,
    write_manifest,
)
from levit_mobile.errors import BundleError, ExportError
from levit_mobile.preprocess import Preprocessing

SIZE, CLASSES, SAMPLES = 32, 3, 2
ARTIFACT = bytes(range(256)) * 4


def golden() -> Golden:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (SAMPLES, SIZE, SIZE, 3), np.uint8)
    return Golden(pixels, rng.standard_normal((SAMPLES, CLASSES)).astype(np.float32))


def manifest() -> dict[str, Any]:
    """What ``write_manifest`` is given."""
    return {
        "model": {
            "variant": "levit_128s",
            "num_classes": CLASSES,
            "checkpoint": {"name": "w.pth", "sha256": "ab" * 32, "scheme": "official", "weights": "cd" * 32},
        },
        "artifact": {"file": "model.bin", "target": "tflite", "precision": "int8", "scheme": "some"},
        "input": {
            "name": "image",
            "shape": [1, SIZE, SIZE, 3],
            "dtype": "float32",
            "layout": "nhwc",
            "takes": "normalised pixels",
        },
        "output": {"name": "logits", "shape": [1, CLASSES], "dtype": "float32"},
        "preprocessing": Preprocessing(40, SIZE).to_dict(),
        "labels": ["église", "parachute, chute", "犬"],
        "parity": {"max_abs": 0.01, "cosine": 0.999, "agreement": 1.0, "samples": SAMPLES, "passed": True},
    }


def fill(folder: Path, artifact: bytes = ARTIFACT) -> None:
    (folder / "model.bin").write_bytes(artifact)
    (folder / "golden.npz").write_bytes(golden().to_bytes())
    write_manifest(folder, manifest())


def write(folder: Path, artifact: bytes = ARTIFACT, *, overwrite: bool = False) -> Path:
    with bundle_writer(folder, overwrite=overwrite) as scratch:
        fill(scratch, artifact)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole bundle, alone in its parent."""
    return write(tmp_path / "a-bundle")


def contents(folder: Path) -> dict[str, bytes]:
    """{path: bytes} of everything below, hidden or not; folders have no bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")
    }


# Writing


def test_what_is_written(folder: Path) -> None:
    assert sorted(p.name for p in folder.iterdir()) == ["golden.npz", MANIFEST, "model.bin"]
    assert os.listdir(folder.parent) == ["a-bundle"]
    assert folder.stat().st_mode & 0o777 == 0o755  # mkdtemp's own is 0o700: nobody else could read it
    data = json.loads((folder / MANIFEST).read_text("utf-8"))
    assert data["format"] == FORMAT == 1
    assert set(data) == {"format", "files", "digest", *manifest()}
    assert set(data["files"]) == {"model.bin", "golden.npz"}
    assert data["files"]["model.bin"] == {"bytes": 1024, "sha256": hashlib.sha256(ARTIFACT).hexdigest()}


def test_what_is_read(folder: Path) -> None:
    opened = open_bundle(str(folder))
    assert opened.artifact == folder / "model.bin"
    assert opened.artifact.read_bytes() == ARTIFACT
    assert opened.labels == ["église", "parachute, chute", "犬"]
    assert opened.image_size == 32
    assert opened.preprocessing == Preprocessing(40, 32)
    assert opened.damage() == []
    read, made = opened.golden(), golden()
    assert np.array_equal(read.pixels, made.pixels)
    assert np.array_equal(read.logits, made.logits)
    assert read.logits.dtype == np.float32


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = contents(write(tmp_path / "one")), contents(write(tmp_path / "two"))
    assert one == two
    assert len(one) == 3


def test_files_in_folders_are_listed_too(tmp_path: Path) -> None:
    with bundle_writer(tmp_path / "deep", overwrite=False) as scratch:
        (scratch / "parts").mkdir()
        (scratch / "parts" / "weights.bin").write_bytes(b"12345")
        fill(scratch)
    opened = open_bundle(tmp_path / "deep")
    assert opened.manifest["files"]["parts/weights.bin"]["bytes"] == 5
    assert opened.damage() == []
    (tmp_path / "deep" / "parts" / "weights.bin").unlink()
    assert opened.damage() == ["parts/weights.bin is missing"]


# An artifact that is a folder


def write_package(folder: Path) -> Path:
    with bundle_writer(folder, overwrite=False) as scratch:
        (scratch / "model.bin" / "Data").mkdir(parents=True)
        (scratch / "model.bin" / "Manifest.json").write_bytes(b"{}")
        (scratch / "model.bin" / "Data" / "weights.bin").write_bytes(ARTIFACT)
        (scratch / "model.bin.txt").write_bytes(b"not a part of it")
        (scratch / "golden.npz").write_bytes(golden().to_bytes())
        write_manifest(scratch, manifest())
    return folder


def test_an_artifact_that_is_a_folder(tmp_path: Path) -> None:
    opened = open_bundle(write_package(tmp_path / "deep"))
    assert opened.artifact == tmp_path / "deep" / "model.bin"
    assert opened.artifact.is_dir()
    assert opened.artifact_bytes == len(ARTIFACT) + 2
    assert set(opened.manifest["files"]) == {
        "golden.npz",
        "model.bin.txt",
        "model.bin/Data/weights.bin",
        "model.bin/Manifest.json",
    }
    assert opened.damage() == []
    assert open_bundle(write(tmp_path / "flat")).artifact_bytes == len(ARTIFACT)


def test_the_artifact_is_checked_whole_before_it_is_opened(tmp_path: Path) -> None:
    opened = open_bundle(write_package(tmp_path / "deep"))
    opened.check_artifact()
    (tmp_path / "deep" / "more.txt").touch()  # beside it: verify's business
    opened.check_artifact()
    extra = opened.artifact / "Data" / "more.bin"
    extra.touch()
    with pytest.raises(BundleError, match=r"deep: model\.bin/Data/more\.bin is not in the manifest$"):
        opened.check_artifact()
    extra.unlink()
    (opened.artifact / "Data").rename(tmp_path / "elsewhere")
    (opened.artifact / "Data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match=r"deep: model\.bin/Data is not in the manifest$"):
        opened.check_artifact()


def test_the_digest_of_an_artifact_is_that_of_its_files(tmp_path: Path) -> None:
    one, two = open_bundle(write_package(tmp_path / "one")), open_bundle(write_package(tmp_path / "two"))
    assert one.artifact_digest == two.artifact_digest != open_bundle(write(tmp_path / "flat")).artifact_digest
    one.manifest["files"]["model.bin/Manifest.json"]["sha256"] = "0" * 64
    assert one.artifact_digest != two.artifact_digest
    digest = two.artifact_digest
    two.manifest["files"]["golden.npz"]["sha256"] = "0" * 64
    assert two.artifact_digest == digest


def test_damage_inside_an_artifact_that_is_a_folder(tmp_path: Path) -> None:
    folder = write_package(tmp_path / "deep")
    weights = folder / "model.bin" / "Data" / "weights.bin"
    weights.write_bytes(ARTIFACT[::-1])
    (folder / "model.bin" / "Manifest.json").unlink()
    (folder / "model.bin" / "Data" / "more.bin").touch()
    opened = open_bundle(folder)
    assert sorted(opened.damage()) == [
        "model.bin/Data/more.bin is not in the manifest",
        "model.bin/Data/weights.bin was changed: its sha256 is not the manifest's",
        "model.bin/Manifest.json is missing",
    ]
    weights.write_bytes(ARTIFACT[:-1])
    assert "model.bin/Data/weights.bin has 1023 bytes, the manifest says 1024" in opened.damage()


def test_a_folder_with_nothing_in_it_is_no_artifact(tmp_path: Path) -> None:
    """A name that only begins like the artifact's is no part of it."""
    folder = write_package(tmp_path / "deep")
    data = json.loads((folder / MANIFEST).read_text("utf-8"))
    for name in ("model.bin/Data/weights.bin", "model.bin/Manifest.json"):
        del data["files"][name]
    (folder / MANIFEST).write_text(json.dumps(data), "utf-8")
    with pytest.raises(BundleError, match=r"manifest\.json: does not list its artifact and golden inputs$"):
        open_bundle(folder)


def test_parents_are_made(tmp_path: Path) -> None:
    assert open_bundle(write(tmp_path / "x" / "y" / "z")).damage() == []
    assert os.listdir(tmp_path / "x" / "y") == ["z"]


def test_nothing_is_seen_before_it_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with bundle_writer(out, overwrite=False) as scratch:
        fill(scratch)
        assert not out.exists()
        assert scratch.parent == tmp_path  # one file system: a rename, not a copy
        assert scratch.name.startswith(".out.")
    assert out.is_dir()


class OddError(Exception):
    """No error of this toolkit."""


@pytest.mark.parametrize("error", [OddError, KeyboardInterrupt, SystemExit, MemoryError, BundleError])
@pytest.mark.parametrize("replacing", [False, True])
def test_what_fails_inside_leaves_nothing(error: type[BaseException], replacing: bool, tmp_path: Path) -> None:
    out = tmp_path / "out"
    if replacing:
        write(out, b"old")
    before = contents(tmp_path)
    with pytest.raises(error), bundle_writer(out, overwrite=True) as scratch:  # noqa: PT012  (it is all inside)
        fill(scratch)
        raise error
    assert contents(tmp_path) == before
    assert len(before) == (4 if replacing else 0)


@pytest.mark.parametrize("error", [OddError, KeyboardInterrupt, OSError])
def test_parents_that_were_made_go_with_what_fails(
    error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    expected = ExportError if error is OSError else error
    for out in (Path("mine/a/b/out"), Path("c/../d/out"), tmp_path / "e" / "out"):
        with pytest.raises(expected), bundle_writer(out, overwrite=True) as scratch:  # noqa: PT012  (it is all inside)
            fill(scratch)
            raise error
    assert list(contents(tmp_path)) == ["mine"]  # empty, but it was there


def test_parents_that_somebody_else_uses_stay(tmp_path: Path) -> None:
    with pytest.raises(OddError), bundle_writer(tmp_path / "a/b/out", overwrite=True):  # noqa: PT012
        (tmp_path / "a" / "note").touch()
        raise OddError
    assert contents(tmp_path) == {"a": b"", "a/note": b""}


# What may be replaced


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_vacant_place_is_known_without_writing(overwrite: bool, folder: Path, tmp_path: Path) -> None:
    before = contents(tmp_path)
    check_vacant(tmp_path / "new", overwrite=overwrite)
    check_vacant(tmp_path / "new" / "deeper", overwrite=overwrite)
    with pytest.raises(ExportError, match="it is no bundle: type another --out"):
        check_vacant(folder / "model.bin", overwrite=overwrite)
    with contextlib.nullcontext() if overwrite else pytest.raises(ExportError, match="type --overwrite to replace it"):
        check_vacant(folder, overwrite=overwrite)
    assert contents(tmp_path) == before


def test_a_bundle_is_not_replaced_unasked(folder: Path) -> None:
    before = contents(folder.parent)
    with pytest.raises(ExportError) as raised:
        write(folder, b"new")
    assert str(raised.value) == f"{folder} is already there; type --overwrite to replace it"
    assert contents(folder.parent) == before


def test_a_bundle_is_replaced_when_asked(folder: Path) -> None:
    (folder / "left over").write_bytes(b"")
    write(folder, b"new", overwrite=True)
    assert (folder / "model.bin").read_bytes() == b"new"
    assert open_bundle(folder).damage() == []
    assert os.listdir(folder.parent) == ["a-bundle"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("kind", ["folder with files", "empty folder", "file", "link to nowhere"])
def test_what_is_no_bundle_is_never_replaced(kind: str, overwrite: bool, tmp_path: Path) -> None:
    out = tmp_path / "thesis"
    if kind == "file":
        out.write_text("42 pages")
    elif kind == "link to nowhere":
        out.symlink_to(tmp_path / "gone")
    else:
        out.mkdir()
        if kind == "folder with files":
            (out / "chapter1.tex").write_text("Once")
    before = contents(tmp_path)
    with pytest.raises(ExportError) as raised:
        write(out, overwrite=overwrite)
    assert str(raised.value) == f"{out} is already there; it is no bundle: type another --out"
    assert contents(tmp_path) == before
    assert os.path.lexists(out)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "bad disk"), KeyboardInterrupt(), SystemExit(143)])
@pytest.mark.parametrize("failing", [1, 2])
def test_the_old_bundle_comes_back(
    failing: int, error: BaseException, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where names cannot be exchanged, the old one steps aside first: either step may fail, or be interrupted."""
    monkeypatch.setattr(placing, "exchange", lambda one, other: False)
    before, rename, calls = contents(folder.parent), Path.rename, 0

    def broken(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", broken)
    expected = ExportError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected):
        write(folder, b"new", overwrite=True)
    assert contents(folder.parent) == before
    assert calls == failing + (failing == 2)


def test_an_old_bundle_that_cannot_come_back_is_kept_aside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the next time that a bundle of this name is written."""
    monkeypatch.setattr(placing, "exchange", lambda one, other: False)
    before, rename, calls = contents(folder), Path.rename, 0

    def broken(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise OSError(errno.EIO, "bad disk")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", broken)
    with pytest.raises(ExportError):
        write(folder, b"new", overwrite=True)
    (aside,) = folder.parent.iterdir()
    assert aside.name.startswith(".a-bundle.old.")
    assert contents(aside / "a-bundle") == before
    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(ExportError, match="type --overwrite to replace it"):
        write(folder, b"new")
    assert contents(folder) == before
    assert os.listdir(folder.parent) == [folder.name]


def test_a_link_to_a_bundle_is_replaced_not_followed(folder: Path, tmp_path: Path) -> None:
    before = contents(folder)
    link = tmp_path / "link"
    link.symlink_to(folder)
    write(link, b"new", overwrite=True)
    assert contents(folder) == before
    assert not link.is_symlink()
    assert (link / "model.bin").read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == ["a-bundle", "link"]


# What the file system refuses


def refused_to_write(out: Path) -> str:
    """What the error says after the folder's name."""
    with pytest.raises(ExportError) as raised:
        write(out)
    assert raised.value.exit_code == 2
    message = str(raised.value)
    assert message.startswith(f"cannot write {out}: ")
    return message.removeprefix(f"cannot write {out}: ")


@pytest.mark.parametrize("path", ["file/out", "file/deeper/out"])
def test_below_a_file(path: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert refused_to_write(tmp_path / path) == "a part of the path is a file; type another folder with --out"
    assert contents(tmp_path) == {"file": b"x"}


def test_too_long_a_name(tmp_path: Path) -> None:
    assert refused_to_write(tmp_path / ("x" * 300)) == "the name is too long; type another folder with --out"


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EACCES, "no permission to write there"),
        (errno.EPERM, "no permission to write there"),
        (errno.EROFS, "the file system is read-only"),
        (errno.ENOSPC, "no space left on the disk"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EIO, f"[Errno {errno.EIO}] Input/output error"),
    ],
)
def test_a_parent_that_takes_nothing(number: int, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests may run as root, who may write anywhere: the system's answer is acted."""

    def refuse(**_: Any) -> str:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(placing.tempfile, "mkdtemp", refuse)
    assert refused_to_write(tmp_path / "out") == f"{reason}; type another folder with --out"
    assert contents(tmp_path) == {}


def test_files_of_others_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A converter writes elsewhere too; another --out would not help."""
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))

    def fail(number: int, file: Path) -> str:
        with pytest.raises(ExportError) as raised, bundle_writer(tmp_path / "mine" / "out", overwrite=False):
            raise OSError(number, os.strerror(number), str(file))
        return str(raised.value)

    there = tmp_path / "temporary" / "x"
    assert fail(errno.EACCES, there) == (
        f"cannot write {there}: no permission to write there; set TMPDIR to another folder for temporary files"
    )
    other = tmp_path / "weights"
    assert fail(errno.EISDIR, other) == f"[Errno 21] Is a directory: '{other}'"
    ours = f"cannot write {tmp_path / 'mine' / 'out'}: the file system is read-only; type another folder with --out"
    assert {fail(errno.EROFS, file) for file in (tmp_path / "mine", tmp_path / "mine" / ".out.1" / "model.pte")} == {
        ours
    }


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_disk_that_fills_up_half_way(tmp_path: Path) -> None:
    def fill_up() -> None:
        with bundle_writer(tmp_path / "out", overwrite=False) as scratch:
            (scratch / "model.bin").write_bytes(ARTIFACT)
            Path("/dev/full").write_bytes(ARTIFACT)

    with pytest.raises(ExportError, match="no space left on the disk"):
        fill_up()
    assert contents(tmp_path) == {}


# Damage


def changed_bytes(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def test_a_missing_file(folder: Path) -> None:
    opened = open_bundle(folder)
    (folder / "model.bin").unlink()
    assert opened.damage() == ["model.bin is missing"]
    (folder / "model.bin").mkdir()
    assert opened.damage() == ["model.bin is missing"]


def test_one_bit(folder: Path) -> None:
    changed_bytes(folder / "model.bin")
    assert open_bundle(folder).damage() == ["model.bin was changed: its sha256 is not the manifest's"]


@pytest.mark.parametrize("size", [0, 1, 1023, 1025])
def test_another_size(size: int, folder: Path) -> None:
    (folder / "model.bin").write_bytes((ARTIFACT + b"x")[:size])
    assert open_bundle(folder).damage() == [f"model.bin has {size} bytes, the manifest says 1024"]


@pytest.mark.parametrize("name", ["extra.txt", ".hidden", "sub/extra.bin"])
def test_a_file_too_many(name: str, folder: Path) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"")
    assert open_bundle(folder).damage() == [f"{name} is not in the manifest"]


def test_links(folder: Path, tmp_path: Path) -> None:
    """A link's target can change behind the manifest's back, and may be anything on the disk."""
    (tmp_path / "elsewhere").mkdir()
    (folder / "model.bin").rename(tmp_path / "elsewhere" / "model.bin")
    (folder / "model.bin").symlink_to(tmp_path / "elsewhere" / "model.bin")
    (folder / "more").symlink_to(tmp_path / "elsewhere")
    (folder / "nowhere").symlink_to(tmp_path / "gone")
    assert open_bundle(folder).damage() == [
        "model.bin is a link, not a file",
        "more is not in the manifest",
        "nowhere is not in the manifest",
    ]


def test_all_damage_is_told_at_once(folder: Path) -> None:
    changed_bytes(folder / "golden.npz")
    (folder / "model.bin").unlink()
    (folder / "new").write_bytes(b"")
    assert open_bundle(folder).damage() == [
        "golden.npz was changed: its sha256 is not the manifest's",
        "model.bin is missing",
        "new is not in the manifest",
    ]


def test_a_file_that_cannot_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(module, "file_digest", refuse)
    assert open_bundle(folder).damage() == [
        "golden.npz cannot be read (Permission denied)",
        "model.bin cannot be read (Permission denied)",
    ]


def test_a_name_that_no_file_can_have(folder: Path) -> None:
    edit(folder, lambda m: m["files"].update({"x" * 300: m["files"]["model.bin"]}))
    assert open_bundle(folder).damage()[1:] == [f"{'x' * 300} cannot be read (File name too long)"]


EDITED = "manifest.json was edited: its digest is not that of what it says"


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["parity"].update(max_abs=0.001),
        lambda m: m["labels"].reverse(),
        lambda m: m.update(more=1),
        lambda m: m.pop("digest"),
        lambda m: m.update(digest="0" * 64),
    ],
    ids=["parity", "labels", "more", "no digest", "other digest"],
)
def test_an_edited_manifest(change: Callable[[dict[str, Any]], Any], folder: Path) -> None:
    edit(folder, change)
    assert open_bundle(folder).damage() == [EDITED]


def test_a_manifest_in_another_layout_says_the_same(folder: Path) -> None:
    data = json.loads((folder / MANIFEST).read_text("utf-8"))
    text = json.dumps(dict(reversed(data.items())), indent=7)
    assert text != (folder / MANIFEST).read_text("utf-8")
    (folder / MANIFEST).write_text(text)
    assert open_bundle(folder).damage() == []


def test_file_digest(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert file_digest(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


# Manifests that are refused


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    data = json.loads((folder / MANIFEST).read_text("utf-8"))
    change(data)
    (folder / MANIFEST).write_text(json.dumps(data), "utf-8")


def refused(folder: Path) -> str:
    """What the error says after the manifest's name."""
    with pytest.raises(BundleError) as raised:
        open_bundle(folder)
    assert raised.value.exit_code == 1
    message = str(raised.value)
    assert message.startswith(f"{folder / MANIFEST}: ")
    return message.removeprefix(f"{folder / MANIFEST}: ")


@pytest.mark.parametrize("name", ["none", "x" * 300, "nul\0byte"])
def test_no_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError) as raised:
        open_bundle(tmp_path / name)
    assert str(raised.value) == (
        f"{tmp_path / name}: no such bundle; make one with: levit-export --target tflite --int8"
    )


def test_a_file_is_no_bundle(folder: Path) -> None:
    with pytest.raises(BundleError, match="no such bundle"):
        open_bundle(folder / "model.bin")


def test_no_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    with pytest.raises(BundleError) as raised:
        open_bundle(folder)
    assert str(raised.value) == f"{folder}: not a bundle, it has no manifest.json"


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xfe", b"{", b"not JSON", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000, b"\x00" * 10],
    ids=["empty", "no text", "cut", "prose", "deep list", "deep object", "long number", "zeros"],
)
def test_no_json(data: bytes, folder: Path) -> None:
    (folder / MANIFEST).write_bytes(data)
    assert refused(folder).startswith("cannot be read (")


def test_a_manifest_that_is_a_folder(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    (folder / MANIFEST).mkdir()
    assert refused(folder).startswith("cannot be read ([Errno 21] Is a directory")


def test_a_manifest_that_is_huge(folder: Path) -> None:
    """16 MiB is a thousand times what a manifest needs; a sparse file, so that the test needs no room."""
    os.truncate(folder / MANIFEST, 2**24 + 1)
    assert refused(folder) == "too large to be a manifest"


@pytest.mark.parametrize("key", ["format", "more"])
def test_depth_near_the_parsers_limit(key: str, folder: Path) -> None:
    """What the parser still takes, the rest must still be able to say and to sum up."""
    whole = json.loads((folder / MANIFEST).read_text("utf-8"))
    whole.pop(key, None)
    outcomes = set()
    limit = 0
    with contextlib.suppress(RecursionError):
        for limit in range(10, 200_000, 10):
            json.loads("[" * limit + "]" * limit)
    for depth in range(limit - 40, limit + 10):
        text = f'{{"{key}": {"[" * depth}{"]" * depth}, ' + json.dumps(whole)[1:]
        (folder / MANIFEST).write_text(text, "utf-8")
        try:
            outcomes.add("edited" if open_bundle(folder).damage() == [EDITED] else "whole")
        except BundleError as error:
            assert len(str(error)) < 300  # noqa: PT017  (only some are refused)
            outcomes.add("refused")
    assert outcomes == ({"refused"} if key == "format" else {"edited", "refused"})


@pytest.mark.parametrize("data", ["null", "[]", "3", '"manifest"'])
def test_json_of_another_kind(data: str, folder: Path) -> None:
    (folder / MANIFEST).write_text(data)
    assert refused(folder) == "is not an object"


@pytest.mark.parametrize(("found", "told"), [(2, "2"), (0, "0"), ("1", "'1'"), (None, "None")])
def test_another_format(found: Any, told: str, folder: Path) -> None:
    edit(folder, lambda m: m.update(format=found))
    assert refused(folder) == f"has format {told}; this version reads 1"


@pytest.mark.parametrize(
    "name",
    ["../model.bin", "/etc/passwd", "a/../../b", "..", "a\\..\\b", "//host/share", "sub/..", MANIFEST],
)
@pytest.mark.parametrize("role", ["listed", "artifact"])
def test_a_file_outside_the_bundle(role: str, name: str, folder: Path) -> None:
    def point_out(data: dict[str, Any]) -> None:
        data["files"][name] = data["files"]["model.bin"]
        if role == "artifact":
            data["artifact"]["file"] = name

    edit(folder, point_out)
    assert refused(folder) == f"names a file outside the bundle: {name!r}"


@pytest.mark.parametrize("name", ["../model.bin", "other.bin", "", MANIFEST, None, 3])
def test_an_artifact_that_is_not_listed(name: Any, folder: Path) -> None:
    edit(folder, lambda m: m["artifact"].update(file=name))
    assert refused(folder) == "does not list its artifact and golden inputs"


def test_no_golden_inputs_listed(folder: Path) -> None:
    edit(folder, lambda m: m["files"].pop("golden.npz"))
    assert refused(folder) == "does not list its artifact and golden inputs"


@pytest.mark.parametrize("size", [-1, 2**30 + 1, 10**400, 1e3, float("inf"), float("nan"), "1024", None, [1024]])
def test_a_size_that_makes_no_sense(size: Any, folder: Path) -> None:
    edit(folder, lambda m: m["files"]["model.bin"].update(bytes=size))
    assert refused(folder) == "has a bad size for 'model.bin'"


@pytest.mark.parametrize("digest", ["", "ab", "g" * 64, "AB" * 32, "ab" * 33, None, 0, ["ab"] * 64])
def test_a_digest_that_is_none(digest: Any, folder: Path) -> None:
    edit(folder, lambda m: m["files"]["model.bin"].update(sha256=digest))
    assert refused(folder) == "has a bad sha256 for 'model.bin'"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", "b"], "has 2 labels for 3 classes"),
        (["a"] * 4, "has 4 labels for 3 classes"),
        ([], "has 0 labels for 3 classes"),
        ("abc", "has labels that are not a list of names"),
        (["a", "b", 3], "has labels that are not a list of names"),
        (["a", "b", None], "has labels that are not a list of names"),
        ({"a": 0}, "has labels that are not a list of names"),
        (["a", "b", "\ud800"], "lacks or garbles 'utf-8' codec can't encode"),
    ],
)
def test_labels_that_do_not_fit(labels: Any, message: str, folder: Path) -> None:
    edit(folder, lambda m: m.update(labels=labels))
    assert refused(folder).startswith(message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resize": 5000}, "resizes pictures to 5000 pixels"),
        ({"resize": 5000, "crop": 5000}, "resizes pictures to 5000 pixels"),
        ({"resize": 10**400}, "resizes pictures to 1000"),
        ({"crop": 0}, "lacks or garbles preprocessing makes no sense"),
        ({"crop": "32"}, "lacks or garbles preprocessing lacks or garbles"),
        ({"interpolation": "nearest"}, "lacks or garbles interpolation 'nearest' is not supported"),
        ({"std": [1, 1, 0]}, "lacks or garbles preprocessing makes no sense"),
        ({"mean": [10**400, 0, 0]}, "lacks or garbles"),
    ],
)
def test_preprocessing_that_makes_no_sense(change: dict[str, Any], message: str, folder: Path) -> None:
    edit(folder, lambda m: m["preprocessing"].update(change))
    assert refused(folder).startswith(message)


@pytest.mark.parametrize(
    "port",
    [
        {"scale": 0.5},
        {"zero_point": 3},
        {"scale": None, "zero_point": None},
        {"scale": "x", "zero_point": 3},
        {"scale": [0.5], "zero_point": 3},
        {"scale": 0, "zero_point": 3},
        {"scale": -0.5, "zero_point": 3},
        {"scale": float("nan"), "zero_point": 3},
        {"scale": float("inf"), "zero_point": 3},
        {"scale": 0.5, "zero_point": 3.0},
        {"scale": 0.5, "zero_point": "3"},
    ],
    ids=str,
)
@pytest.mark.parametrize("side", ["input", "output"])
def test_a_scale_that_makes_no_sense(side: str, port: dict[str, Any], folder: Path) -> None:
    edit(folder, lambda m: m[side].update(port))
    assert refused(folder) == f"has a bad scale or zero_point in {side}; whole numbers have both, floats neither"


def test_a_scale_that_is_too_large_to_be_a_number(folder: Path) -> None:
    edit(folder, lambda m: m["input"].update(scale=10**400, zero_point=0))
    assert refused(folder).startswith("lacks or garbles int too large")


@pytest.mark.parametrize("scale", [1, 0.0473])
def test_whole_numbers_have_a_scale(scale: float, folder: Path) -> None:
    edit(folder, lambda m: m["output"].update(scale=scale, zero_point=-128))
    assert open_bundle(folder).manifest["output"]["scale"] == scale


REQUIRED = [
    (section, key)
    for section, entries in manifest().items()
    if section not in ("labels", "preprocessing")
    for key in entries
]


@pytest.mark.parametrize("section", [*manifest(), "files"])
@pytest.mark.parametrize("other", ["missing", None, 3, "text", [1, 2]])
def test_every_section_is_needed(other: Any, section: str, folder: Path) -> None:
    edit(folder, lambda m: m.pop(section) if other == "missing" else m.update({section: other}))
    assert refused(folder)


@pytest.mark.parametrize(("section", "key"), REQUIRED)
@pytest.mark.parametrize("other", ["missing", None, {"a": 1}, {}])
def test_every_entry_is_needed(other: Any, section: str, key: str, folder: Path) -> None:
    """Unhashable, uncountable and absent: what reads the manifest later need not think of it."""
    edit(folder, lambda m: m[section].pop(key) if other == "missing" else m[section].update({key: other}))
    assert refused(folder)


@pytest.mark.parametrize("key", ["name", "sha256"])
def test_the_checkpoint_is_told(key: str, folder: Path) -> None:
    edit(folder, lambda m: m["model"]["checkpoint"].update({key: 3}))
    assert refused(folder) == "does not tell the checkpoint's name and sha256"
    edit(folder, lambda m: m["model"]["checkpoint"].pop(key))
    assert refused(folder) == f"lacks or garbles '{key}'"


def test_more_than_is_known_does_not_matter(folder: Path) -> None:
    edit(folder, lambda m: m.update(future={"x": [1]}))
    assert open_bundle(folder).manifest["future"] == {"x": [1]}


def read_all(folder: Path) -> None:
    """Everything that a command asks of a bundle before it runs it."""
    opened = open_bundle(folder)
    opened.damage()
    assert isinstance(opened.artifact, Path)
    assert len(opened.labels) == opened.manifest["model"]["num_classes"]
    assert opened.preprocessing.crop == opened.image_size > 0
    opened.golden()


FUZZ = settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FUZZ
@given(flips=st.lists(st.tuples(st.integers(0, 2**16), st.integers(1, 255)), min_size=1, max_size=4))
def test_bytes_exchanged_in_the_manifest(flips: list[tuple[int, int]], folder: Path) -> None:
    whole = (folder / MANIFEST).read_bytes()
    data = bytearray(whole)
    for place, mask in flips:
        data[place % len(data)] ^= mask
    message = str(folder)
    try:
        (folder / MANIFEST).write_bytes(data)
        read_all(folder)
    except BundleError as error:
        message = str(error)
    finally:
        (folder / MANIFEST).write_bytes(whole)
    assert str(folder) in message


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([10**400, "..", "/"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(p for key, value in inside for p in places(value, (*path, key)))]


@FUZZ
@given(data=st.data(), value=ANYTHING)
def test_values_exchanged_in_the_manifest(data: st.DataObject, value: Any, folder: Path) -> None:
    whole = (folder / MANIFEST).read_bytes()
    changed = json.loads(whole)
    path = data.draw(st.sampled_from(places(changed)[1:]))
    part = changed
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = copy.deepcopy(value)
    message = str(folder)
    try:
        (folder / MANIFEST).write_text(json.dumps(changed))
        read_all(folder)
    except BundleError as error:
        message = str(error)
    finally:
        (folder / MANIFEST).write_bytes(whole)
    assert str(folder) in message


# Golden inputs


def bundle_with(folder: Path, data: bytes) -> Bundle:
    (folder / "golden.npz").write_bytes(data)
    return open_bundle(folder)


def refused_golden(bundle: Bundle) -> str:
    with pytest.raises(BundleError) as raised:
        bundle.golden()
    path = bundle.folder / "golden.npz"
    assert str(raised.value).startswith(f"{path}: ")
    return str(raised.value).removeprefix(f"{path}: ")


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_golden_bytes_are_always_the_same() -> None:
    assert golden().to_bytes() == golden().to_bytes()
    with zipfile.ZipFile(io.BytesIO(golden().to_bytes())) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_no_golden_file(folder: Path) -> None:
    bundle = open_bundle(folder)
    (folder / "golden.npz").unlink()
    assert refused_golden(bundle).startswith("cannot be read ([Errno 2]")


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04", b"\x93NUMPY", npz(pixels=golden().pixels)])
def test_no_golden_arrays(data: bytes, folder: Path) -> None:
    assert refused_golden(bundle_with(folder, data)).startswith("cannot be read (")


def test_one_array_is_not_two(folder: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, golden().pixels)
    assert refused_golden(bundle_with(folder, buffer.getvalue())).startswith("cannot be read (")


@pytest.mark.parametrize("seed", range(4))
def test_damaged_anywhere_golden_is_read_or_refused(seed: int, folder: Path) -> None:
    rng, whole = np.random.default_rng(seed), golden().to_bytes()
    refusals = 0
    for i in range(50):
        data = bytearray(whole)
        if i % 2:
            del data[int(rng.integers(len(data))) :]
        else:
            for place in rng.integers(0, len(data), 3):
                data[place] ^= int(rng.integers(1, 256))
        try:
            bundle_with(folder, bytes(data)).golden()
        except BundleError:
            refusals += 1
    assert refusals > 40


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixels": np.zeros((2, 31, 32, 3), np.uint8)}, "pixels are uint8(2, 31, 32, 3)"),
        ({"pixels": np.zeros((2, 32, 32), np.uint8)}, "pixels are uint8(2, 32, 32)"),
        ({"pixels": np.zeros((2, 32, 32, 3), np.float32)}, "pixels are float32(2, 32, 32, 3)"),
        ({"pixels": np.uint8(3)}, "pixels are uint8()"),
        ({"logits": np.zeros((2, 4), np.float32)}, "logits are float32(2, 4), expected float32(2, 3)"),
        ({"logits": np.zeros((3, 3), np.float32)}, "logits are float32(3, 3), expected float32(2, 3)"),
        ({"logits": np.zeros((2, 3), np.float64)}, "logits are float64(2, 3), expected float32(2, 3)"),
        ({"logits": np.full((2, 3), "1")}, "logits are <U1(2, 3), expected float32(2, 3)"),
    ],
)
def test_golden_arrays_that_do_not_fit(change: dict[str, Any], message: str, folder: Path) -> None:
    arrays: dict[str, Any] = {"pixels": golden().pixels, "logits": golden().logits, **change}
    assert refused_golden(bundle_with(folder, npz(**arrays))) == message


def test_golden_members_that_are_no_arrays(folder: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("pixels", b"not an array")
        archive.writestr("logits", b"neither")
    assert refused_golden(bundle_with(folder, buffer.getvalue())) == "cannot be read ('pixels')"


class Trap:
    """Runs code where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_golden_arrays_are_never_unpickled(folder: Path, tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    objects = np.empty(1, object)
    objects[0] = Trap(trap)
    data = npz(pixels=objects, logits=golden().logits)
    pickle.loads(pickle.dumps(objects))
    trap.rmdir()  # it was there: the trap works
    assert "allow_pickle" in refused_golden(bundle_with(folder, data))
    assert refused_golden(bundle_with(folder, pickle.dumps(objects))).startswith("cannot be read (")
    assert not trap.exists()
