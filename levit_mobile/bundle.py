"""A bundle: one folder with an artifact, its manifest and its golden inputs; written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import math
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from levit_mobile.arrays import read_arrays
from levit_mobile.errors import BundleError, ExportError
from levit_mobile.placing import hidden_folder, put_in_place, sweep
from levit_mobile.preprocess import Preprocessing

__all__ = [
    "FORMAT",
    "MANIFEST",
    "Bundle",
    "Golden",
    "bundle_writer",
    "check_vacant",
    "file_digest",
    "open_bundle",
    "write_manifest",
]

FORMAT = 1
MANIFEST = "manifest.json"
GOLDEN = "golden.npz"
_MOST_BYTES = 2**30  # no LeViT comes near it; a manifest that claims more is not read
_MOST_GOLDEN = 2**28  # bytes of golden inputs, unpacked: eight pictures of 1024 pixels a side are a tenth of it
_MOST_PIXELS = 4096  # a side
_ENTRIES: dict[str, dict[str, type | tuple[type, ...]]] = {  # what the toolkit reads from a manifest
    "artifact": {"file": str, "target": str, "precision": str, "scheme": str},
    "model": {"variant": str, "num_classes": int, "checkpoint": dict},
    "input": {"name": str, "shape": list, "dtype": str, "layout": str, "takes": str},
    "output": {"name": str, "shape": list, "dtype": str},
    "parity": {
        "max_abs": (int, float),
        "cosine": (int, float),
        "agreement": (int, float),
        "samples": int,
        "passed": bool,
    },
}


@dataclass(frozen=True)
class Golden:
    """Inputs and what PyTorch made of them.

    Attributes:
        pixels: uint8 (N, S, S, 3).
        logits: float32 (N, classes), of the trained module in float64.
    """

    pixels: npt.NDArray[np.uint8]
    logits: npt.NDArray[np.float32]

    def to_bytes(self) -> bytes:
        """As an ``.npz``; the same arrays give the same bytes."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, pixels=self.pixels, logits=self.logits)
        return buffer.getvalue()


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: its folder and its manifest, whose shape has been checked (its files have not: see ``verify``)."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def artifact(self) -> Path:
        """The file that runs, or the folder (Core ML's package is one)."""
        return self.folder / str(self.manifest["artifact"]["file"])

    @property
    def artifact_bytes(self) -> int:
        """Its size as the manifest has it, of all files together."""
        files = self.manifest["files"]
        return sum(files[name]["bytes"] for name in _parts_of(self.manifest["artifact"]["file"], files))

    @property
    def labels(self) -> list[str]:
        """Names of the classes."""
        return [str(label) for label in self.manifest["labels"]]

    @property
    def image_size(self) -> int:
        """Pixels a side of the input."""
        return int(self.manifest["preprocessing"]["crop"])

    @property
    def preprocessing(self) -> Preprocessing:
        """What pictures go through."""
        return Preprocessing.from_dict(self.manifest["preprocessing"])

    def golden(self) -> Golden:
        """The golden inputs and reference outputs.

        Raises:
            BundleError: not there or not whole.
        """
        path = self.folder / GOLDEN
        try:
            data = read_arrays(path, most=_MOST_GOLDEN)
            golden = Golden(data["pixels"], data["logits"])
        except Exception as error:  # zip, zlib and numpy each raise their own on a damaged file
            raise BundleError(f"{path}: cannot be read ({error})") from error
        size, classes = self.image_size, len(self.manifest["labels"])
        if golden.pixels.shape[1:] != (size, size, 3) or golden.pixels.dtype != np.uint8:
            raise BundleError(f"{path}: pixels are {golden.pixels.dtype}{golden.pixels.shape}")
        if golden.logits.shape != (len(golden.pixels), classes) or golden.logits.dtype != np.float32:
            raise BundleError(
                f"{path}: logits are {golden.logits.dtype}{golden.logits.shape}, "
                f"expected float32{(len(golden.pixels), classes)}"
            )
        return golden

    def damage(self) -> list[str]:
        """What differs from the manifest: files that are missing, changed or left over. Empty when all is well."""
        found: list[str] = []
        try:
            edited = self.manifest.get("digest") != _manifest_digest(self.manifest)
        except RecursionError:  # nested as no manifest of ours is
            edited = True
        if edited:
            found.append(f"{MANIFEST} was edited: its digest is not that of what it says")
        wanted: dict[str, Any] = self.manifest["files"]
        found += self._changed(wanted)
        inside = [path for path in self.folder.rglob("*") if path.is_symlink() or not path.is_dir()]
        present = {path.relative_to(self.folder).as_posix() for path in inside}
        found += [f"{name} is not in the manifest" for name in sorted(present - set(wanted) - {MANIFEST})]
        return found

    @property
    def artifact_digest(self) -> str:
        """sha256 of names and digests of the artifact's files, as the manifest has them."""
        files = self.manifest["files"]
        parts = sorted(_parts_of(self.manifest["artifact"]["file"], files))
        return hashlib.sha256("".join(f"{name} {files[name]['sha256']}\n" for name in parts).encode()).hexdigest()

    def check_artifact(self) -> None:
        """Make sure that the artifact is the one that was exported, before a parser written in C looks at it.

        Raises:
            BundleError: a part of it is missing or changed.
        """
        parts = _parts_of(self.manifest["artifact"]["file"], self.manifest["files"])
        found = self._changed(parts)
        for path in [self.artifact, *sorted(self.artifact.rglob("*"))] if os.path.isdir(self.artifact) else ():
            name = path.relative_to(self.folder).as_posix()
            if path.is_symlink() or not (path.is_dir() or name in parts):
                found.append(f"{name} is not in the manifest")
        if found:
            raise BundleError(f"{self.folder}: {'; '.join(found)}")

    def _changed(self, names: Iterable[str]) -> list[str]:
        """Which of these files are not as in the manifest."""
        found = []
        for name in sorted(names):
            path, about = self.folder / name, self.manifest["files"][name]
            try:
                if not path.is_file():
                    found.append(f"{name} is missing")
                elif path.is_symlink():
                    found.append(f"{name} is a link, not a file")
                elif path.stat().st_size != about["bytes"]:
                    found.append(f"{name} has {path.stat().st_size} bytes, the manifest says {about['bytes']}")
                elif file_digest(path) != about["sha256"]:
                    found.append(f"{name} was changed: its sha256 is not the manifest's")
            except OSError as error:
                found.append(f"{name} cannot be read ({error.strerror})")
        return found


def file_digest(path: Path) -> str:
    """sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _manifest_digest(manifest: dict[str, Any]) -> str:
    """sha256 of what a manifest says, apart from its own digest; layout and order of the entries do not count."""
    bare = {key: value for key, value in manifest.items() if key != "digest"}
    return hashlib.sha256(json.dumps(bare, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def open_bundle(folder: str | os.PathLike[str]) -> Bundle:
    """Read a bundle's manifest and check its shape.

    Raises:
        BundleError: no bundle there, a manifest of another format, or one whose entries make no sense.
    """
    path = Path(folder)
    manifest = path / MANIFEST
    if not os.path.isdir(path):  # Path.is_dir raises on a name that is too long
        raise BundleError(f"{path}: no such bundle; make one with: levit-export --target tflite --int8")
    try:
        if manifest.stat().st_size > _MOST_BYTES >> 6:
            raise BundleError(f"{manifest}: too large to be a manifest")
        data = json.loads(manifest.read_text("utf-8"))
        problem = _problem(data)
    except FileNotFoundError as error:
        raise BundleError(f"{path}: not a bundle, it has no {MANIFEST}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{manifest}: cannot be read ({error})") from error
    if problem:
        raise BundleError(f"{manifest}: {problem}")
    return Bundle(path, data)


def _problem(data: Any) -> str | None:
    """What is wrong with a manifest, or None."""
    if not isinstance(data, dict):
        return "is not an object"
    if data.get("format") != FORMAT:
        return f"has format {repr(data.get('format'))[:80]}; this version reads {FORMAT}"
    try:
        files: dict[str, Any] = data["files"]
        for name, about in files.items():
            if Path(name).is_absolute() or ".." in Path(name).parts or "\\" in name or name == MANIFEST:
                return f"names a file outside the bundle: {name!r}"
            size, digest = about["bytes"], about["sha256"]
            if not isinstance(size, int) or not 0 <= size <= _MOST_BYTES:
                return f"has a bad size for {name!r}"
            if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
                return f"has a bad sha256 for {name!r}"
        if not _parts_of(data["artifact"]["file"], files) or GOLDEN not in files:
            return "does not list its artifact and golden inputs"
        spec = Preprocessing.from_dict(data["preprocessing"])
        if spec.resize > _MOST_PIXELS:  # the crop is never larger
            return f"resizes pictures to {spec.resize} pixels"
        if not isinstance(data["labels"], list) or not all(isinstance(label, str) for label in data["labels"]):
            return "has labels that are not a list of names"
        "".join(data["labels"]).encode()  # half a surrogate pair is no text
        for section, entries in _ENTRIES.items():
            for key, kind in entries.items():
                if not isinstance(data[section][key], kind):
                    return f"has a bad {key} in {section}: {str(data[section][key])[:80]!r}"
        for side in ("input", "output"):
            if not _is_port(data[side]):
                return f"has a bad scale or zero_point in {side}; whole numbers have both, floats neither"
        if not all(isinstance(data["model"]["checkpoint"][key], str) for key in ("name", "sha256")):
            return "does not tell the checkpoint's name and sha256"
        if len(data["labels"]) != data["model"]["num_classes"]:
            return f"has {len(data['labels'])} labels for {data['model']['num_classes']} classes"
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        return f"lacks or garbles {error}"
    return None


def _parts_of(artifact: str, files: Iterable[str]) -> list[str]:
    """The artifact's files: itself, or what lies in it where it is a folder."""
    return [name for name in files if name == artifact or name.startswith(f"{artifact}/")]


def _is_port(port: dict[str, Any]) -> bool:
    """Whether scale and zero point are numbers that can be, or neither is there."""
    if "scale" not in port and "zero_point" not in port:
        return True
    scale, zero_point = port.get("scale", 0), port.get("zero_point")
    return isinstance(scale, int | float) and isinstance(zero_point, int) and math.isfinite(scale) and scale > 0


def check_vacant(folder: Path, *, overwrite: bool) -> None:
    """Refuse a place where a bundle cannot go; nothing is written.

    Raises:
        ExportError: ``folder`` is there and may not be replaced.
    """
    there, is_bundle = _look(folder)
    if there and not (overwrite and is_bundle):
        hint = "type --overwrite to replace it" if is_bundle else "it is no bundle: type another --out"
        raise ExportError(f"{folder} is already there; {hint}")


def _look(folder: Path) -> tuple[bool, bool]:
    """Whether something is there, and whether that is a bundle; another export may put its own there meanwhile."""
    while True:
        before = _number(folder)
        is_bundle = os.path.isfile(folder / MANIFEST)  # not Path.is_file, which raises on a name that is too long
        if is_bundle or _number(folder) == before:
            return is_bundle or before is not None, is_bundle


def _number(path: Path) -> int | None:
    try:
        return os.lstat(path).st_ino
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def bundle_writer(folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """A hidden folder beside ``folder`` to write into; renamed into place when all went well, removed otherwise.

    So are the parents of ``folder`` that were made for it. What a killed process left there is removed first.

    Raises:
        ExportError: ``folder`` is there and may not be replaced (somebody else may have put it there meanwhile), or the disk
            is full or read-only.
    """
    sweep(folder)
    check_vacant(folder, overwrite=overwrite)
    made = [parent for parent in folder.parents if not os.path.lexists(parent)]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with hidden_folder(folder) as scratch:
            scratch.chmod(0o755)
            yield scratch
            check_vacant(folder, overwrite=overwrite)
            put_in_place(scratch, folder, replace=overwrite)
    except OSError as error:
        raise ExportError(_told(error, folder)) from error
    finally:
        for parent in made:  # the deepest first
            with contextlib.suppress(OSError):  # not empty: the bundle is there, or somebody else's file
                parent.rmdir()


def _told(error: OSError, folder: Path) -> str:
    """What went wrong while ``folder`` was written, perhaps with another file: converters have theirs."""
    known = {
        errno.ENOSPC: "no space left on the disk",
        errno.EDQUOT: "the disk quota is used up",
        errno.EROFS: "the file system is read-only",
        errno.EACCES: "no permission to write there",
        errno.EPERM: "no permission to write there",
        errno.ENOTDIR: "a part of the path is a file",
        errno.EEXIST: "a part of the path is a file",
        errno.ENAMETOOLONG: "the name is too long",
        errno.ENOTEMPTY: "another export has put a bundle there meanwhile",
    }
    folder_or_above = (folder.absolute(), *folder.absolute().parents)
    file = Path(error.filename).absolute() if isinstance(error.filename, str) else folder.absolute()
    reason = known.get(error.errno or 0, str(error))
    if file in folder_or_above or file.is_relative_to(folder.absolute().parent):
        return f"cannot write {folder}: {reason}; type another folder with --out"
    if file.is_relative_to(tempfile.gettempdir()):
        return f"cannot write {file}: {reason}; set TMPDIR to another folder for temporary files"
    return str(error)


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Add size and sha256 of every file in ``folder``, and of the manifest itself, and write it beside them."""
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": file_digest(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    whole = {"format": FORMAT, **manifest, "files": files}
    text = json.dumps({**whole, "digest": _manifest_digest(whole)}, indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", "utf-8")
