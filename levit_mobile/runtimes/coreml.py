"""Run a ``.mlpackage``: with Core ML on a Mac, anywhere else with a reference interpreter.

Both read the package as it was saved, weights included. The interpreter tells what the program computes, in the declared
number formats; it tells nothing about speed.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from levit_mobile.errors import BundleError, LevitMobileError
from levit_mobile.preprocess import Preprocessing
from levit_mobile.quiet import quiet
from levit_mobile.runtimes.base import Anatomy, Port, refusing, time_inferences
from levit_mobile.runtimes.coreml_program import Interpreter, constants, import_coremltools, operators, read_program

__all__ = ["CoremlRuntime", "open_artifact"]

_IMAGE, _LOGITS = "image", "logits"
_MODEL, _WEIGHTS = "com.apple.CoreML/model.mlmodel", "com.apple.CoreML/weights"  # below Data, in a package of ours


class _Engine(Protocol):
    def run(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 (S, S, 3) -> float32 (classes,)."""
        ...


def open_artifact(path: Path, *, size: int, spec: Preprocessing, threads: int = 1) -> CoremlRuntime:
    """Load a ``.mlpackage``.

    Args:
        path: the package, a folder.
        size: pixels a side of its input.
        spec: is in the package, and not looked at.
        threads: Core ML and the interpreter each choose for themselves.

    Raises:
        BundleError: the folder is not a package that this runtime can run.
        RuntimeMissingError: coremltools is not installed, or cannot be loaded.
    """
    return CoremlRuntime(path, size=size)


class CoremlRuntime:
    """A loaded ``.mlpackage``; see ``Runtime``.

    Args:
        path: the package.
        size: pixels a side of its input.
        interpret: use the interpreter; by default wherever Core ML is not.

    Attributes:
        stand_in: what runs in the artifact's place, where Core ML is not; else None.
    """

    stand_in: str | None

    def __init__(self, path: Path, *, size: int, interpret: bool = sys.platform != "darwin") -> None:
        self._path, self._size = path, size
        tools = import_coremltools()
        try:
            self._spec, self._function = _read(path)
            self._engine: _Engine = _InPython(path, self._function) if interpret else _CoreML(path, tools)
        except LevitMobileError:
            raise
        except Exception as error:  # protobuf, MIL's reader and the file system each raise their own
            raise BundleError(f"{path}: coremltools cannot load it ({' '.join(str(error).split())})") from error
        self.input, self.output = _ports(path, self._spec.description, size)
        self.stand_in = (
            "a reference interpreter of the saved package; Core ML itself runs on a Mac" if interpret else None
        )

    def logits(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 (B, S, S, 3) -> float32 (B, classes)."""
        rows = np.empty((len(pixels), self.output.shape[-1]), np.float32)
        for index, picture in enumerate(pixels):
            with refusing(self._path, "coremltools"):
                rows[index] = self._engine.run(picture)
        return rows

    def told(self) -> dict[str, str]:
        """What is in the package beside the program: texts for people, and ``userDefined`` entries."""
        about = self._spec.description.metadata
        texts = {
            "author": about.author,
            "license": about.license,
            "description": about.shortDescription,
            "version": about.versionString,
        }
        return {**texts, **dict(about.userDefined)}

    @property
    def labels(self) -> list[str]:
        """Names of the classes, as ``classLabel`` gives them."""
        labels: Any = next((op.classes.val for op in self._function.operations if op.op_type == "classify"), [])
        return [str(getattr(label, "val", label)) for label in labels]

    def anatomy(self) -> Anatomy:
        return Anatomy(
            operators=dict(sorted(operators(self._function).items())),
            delegate="Core ML",
            parts=1,
            outside={},
            largest=sorted(constants(self._function), key=lambda row: (-row[1], row[0])),
        )

    def profile(self, runs: int) -> list[tuple[str, float]]:
        blank = np.zeros((self._size, self._size, 3), np.uint8)
        return time_inferences(self._path, "coremltools", lambda: self._engine.run(blank), runs)


class _CoreML:
    """The real one, on a copy: Apple's reader may write a package's ``Manifest.json`` anew, and a bundle knows each byte."""

    def __init__(self, path: Path, tools: Any) -> None:
        self._path = path
        with tempfile.TemporaryDirectory() as folder, quiet():
            copy = shutil.copytree(path, Path(folder) / path.name)
            self._model = tools.models.MLModel(str(copy))

    def run(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        try:
            said = self._model.predict({_IMAGE: Image.fromarray(picture)})
        except Exception as error:  # also what went wrong while it was loaded, of which there was only a warning
            raise BundleError(f"{self._path}: Core ML cannot run it ({' '.join(str(error).split())})") from error
        return np.asarray(said[_LOGITS], np.float32).reshape(-1)


class _InPython:
    """The reference interpreter."""

    def __init__(self, path: Path, function: Any) -> None:
        self._path, self._interpreter = path, Interpreter(function)

    def run(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        image = picture.transpose(2, 0, 1)[None].astype(np.float32)
        try:
            return self._interpreter.run({_IMAGE: image}, _LOGITS).reshape(-1)
        except BundleError as error:
            raise BundleError(f"{self._path}: {error}") from error


def _read(path: Path) -> tuple[Any, Any]:
    """The protobuf of a package, and the function ``main`` of its program.

    The files are read as they are: coremltools' own way to open a package writes its ``Manifest.json`` anew each time.
    """
    manifest = json.loads((path / "Manifest.json").read_text("utf-8"))
    items = manifest["itemInfoEntries"]
    root = items[manifest["rootModelIdentifier"]]
    if {item["path"] for item in items.values()} != {_MODEL, _WEIGHTS} or root["path"] != _MODEL:
        raise ValueError(f"its Manifest.json does not name {_MODEL} and {_WEIGHTS}, and nothing else")
    return read_program((path / "Data" / _MODEL).read_bytes(), path / "Data" / _WEIGHTS)


def _ports(path: Path, description: Any, size: int) -> tuple[Port, Port]:
    inputs = {feature.name: feature.type for feature in description.input}
    outputs = {feature.name: feature.type for feature in description.output}
    if set(inputs) != {_IMAGE} or _LOGITS not in outputs:
        raise BundleError(
            f"{path}: goes from {', '.join(inputs)} to {', '.join(outputs)}, expected {_IMAGE} and {_LOGITS}"
        )
    image, shape = inputs[_IMAGE].imageType, tuple(int(v) for v in outputs[_LOGITS].multiArrayType.shape)
    if (image.width, image.height) != (size, size):
        raise BundleError(f"{path}: takes a picture of {image.width} x {image.height}, expected {size} x {size}")
    if image.colorSpace != image.RGB:
        raise BundleError(f"{path}: takes a picture in {image.ColorSpace.Name(image.colorSpace)}, expected RGB")
    return Port(_IMAGE, (1, 3, size, size), "uint8"), Port(_LOGITS, shape, "float32")
