"""Run a ``.mlpackage``: with Core ML on a Mac, anywhere else with a reference interpreter.

Both read the package as it was saved, weights included. The interpreter tells what the program computes, in the declared
number formats; it tells nothing about speed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from levit_mobile.errors import BundleError, RuntimeMissingError, cannot_load, install_hint
from levit_mobile.preprocess import Preprocessing
from levit_mobile.runtimes.base import Anatomy, Port, quiet, refusing
from levit_mobile.runtimes.mil import run_operator

__all__ = ["CoremlRuntime", "open_artifact"]

_IMAGE, _LOGITS = "image", "logits"
_MODEL, _WEIGHTS = "com.apple.CoreML/model.mlmodel", "com.apple.CoreML/weights"  # below Data, in a package of ours
_NUMPY: dict[str, type[np.generic]] = {"fp16": np.float16, "fp32": np.float32, "int8": np.int8, "uint8": np.uint8}
_CONSTEXPR = "constexpr_"  # weights that are stored smaller than they are used


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
        tools = _package()
        try:
            with _hushed():
                self._spec, self._function = _read(path)
                self._engine: _Engine = (
                    _Interpreter(path, self._function) if interpret else _CoreML(path, tools.models.MLModel(str(path)))
                )
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
        operations = [op for op in self._function.operations if op.op_type != "const"]
        constants = [
            (op.outputs[0].name, np.asarray(op.outputs[0].val).nbytes)
            for op in self._function.operations
            if op.op_type == "const" and isinstance(op.outputs[0].val, np.ndarray)
        ]
        return Anatomy(
            operators=dict(sorted(Counter(op.op_type for op in operations).items())),
            delegate="Core ML",
            parts=1,
            outside={},
            largest=sorted(constants, key=lambda row: (-row[1], row[0])),
        )

    def profile(self, runs: int) -> list[tuple[str, float]]:
        blank = np.zeros((self._size, self._size, 3), np.uint8)
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            self._engine.run(blank)
            times.append(("inference", 1000 * (time.perf_counter() - start)))
        return times


class _CoreML:
    """The real one."""

    def __init__(self, path: Path, model: Any) -> None:
        self._path, self._model = path, model

    def run(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        try:
            said = self._model.predict({_IMAGE: Image.fromarray(picture)})
        except Exception as error:  # also what went wrong while it was loaded, of which there was only a warning
            raise BundleError(f"{self._path}: Core ML cannot run it ({' '.join(str(error).split())})") from error
        return np.asarray(said[_LOGITS], np.float32).reshape(-1)


class _Interpreter:
    """The program, operator by operator, in numpy; weights are unpacked once.

    Tensors are told apart by the object, not by the name: a file leaves some constants without one, and those that
    coremltools makes up depend on what it has read before and may be another tensor's.
    """

    def __init__(self, path: Path, function: Any) -> None:
        self._path = path
        self._image, self._outputs = function.inputs[_IMAGE], {var.name: var for var in function.outputs}
        self._constants: dict[Any, Any] = {}
        self._steps: list[Any] = []
        for op in function.operations:
            if op.op_type == "const":
                self._constants[op.outputs[0]] = _widened(op.outputs[0].val)
            elif op.op_type.startswith(_CONSTEXPR):
                value = np.asarray(op.materialized_val_inference())
                self._constants[op.outputs[0]] = _rounded(value, _declared(op.outputs[0]))
            elif op.op_type != "classify":  # the names of the classes, which are no numbers
                self._steps.append(op)

    def run(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        values: dict[Any, Any] = {self._image: picture.transpose(2, 0, 1)[None].astype(np.float32)}
        for op in self._steps:
            out = op.outputs[0]
            try:
                given = {key: self._value(var, values) for key, var in op.inputs.items()}
                with np.errstate(over="ignore", invalid="ignore"):  # float16 has infinities, here and on a phone
                    values[out] = _rounded(run_operator(op.op_type, out.name, given), _declared(out))
            except BundleError as error:
                raise BundleError(f"{self._path}: {error}") from error
            except (LookupError, TypeError, ValueError) as error:
                raise BundleError(f"{self._path}: {out.name}: {op.op_type} cannot be run so ({error})") from error
        return np.asarray(values[self._outputs[_LOGITS]], np.float32).reshape(-1)

    def _value(self, var: Any, values: dict[Any, Any]) -> Any:
        if isinstance(var, list | tuple):
            return [self._value(v, values) for v in var]
        if var is None:
            return None
        return values[var] if var in values else self._constants[var]


def _rounded(value: npt.NDArray[Any], kind: type[np.generic] | None) -> npt.NDArray[Any]:
    """As ``kind`` can hold it; floats then come as float32, in which every operator computes."""
    rounded: npt.NDArray[Any] = _widened(value if kind is None else value.astype(kind, copy=False))
    return rounded


def _widened(value: Any) -> Any:
    return value.astype(np.float32) if isinstance(value, np.ndarray) and value.dtype == np.float16 else value


def _declared(var: Any) -> type[np.generic] | None:
    """The number format that the program declares for a tensor."""
    from coremltools.converters.mil.mil import types

    return _NUMPY.get(types.builtin_to_string(var.dtype))


def _read(path: Path) -> tuple[Any, Any]:
    """The protobuf of a package, and the function ``main`` of its program.

    The files are read as they are: coremltools' own way to open a package writes its ``Manifest.json`` anew each time.
    """
    from coremltools.converters.mil.frontend.milproto.load import load
    from coremltools.proto.Model_pb2 import Model

    manifest = json.loads((path / "Manifest.json").read_text("utf-8"))
    items = manifest["itemInfoEntries"]
    root = items[manifest["rootModelIdentifier"]]
    if {item["path"] for item in items.values()} != {_MODEL, _WEIGHTS} or root["path"] != _MODEL:
        raise ValueError(f"its Manifest.json does not name {_MODEL} and {_WEIGHTS}, and nothing else")
    spec = Model.FromString((path / "Data" / _MODEL).read_bytes())
    if spec.WhichOneof("Type") != "mlProgram":
        raise ValueError("it is not an ML program")
    program = load(
        spec, specification_version=spec.specificationVersion, file_weights_dir=str(path / "Data" / _WEIGHTS)
    )
    return spec, program.functions["main"]


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


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """coremltools logs on import that it was not tested with this PyTorch and, off a Mac, that it cannot predict."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with quiet():
            yield
    finally:
        logging.disable(before)


def _package() -> Any:
    try:
        with _hushed():
            import coremltools
    except ModuleNotFoundError as error:
        if error.name != "coremltools":
            raise cannot_load("coremltools", error) from error
        raise RuntimeMissingError(f"running a .mlpackage needs coremltools; {install_hint('coreml')}") from error
    except ImportError as error:
        raise cannot_load("coremltools", error) from error
    return coremltools
