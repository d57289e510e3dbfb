"""Run a ``.tflite`` with LiteRT (ai-edge-litert), else with tflite-runtime; XNNPACK computes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from levit_mobile.errors import BundleError, RuntimeMissingError, cannot_load, install_hint
from levit_mobile.preprocess import Preprocessing, normalise
from levit_mobile.quiet import quiet
from levit_mobile.runtimes.base import Anatomy, Port, refusing, takes_nhwc, time_inferences

__all__ = ["TfliteRuntime", "open_artifact"]

_PACKAGES = {"ai_edge_litert": "ai-edge-litert", "tflite_runtime": "tflite-runtime"}  # the first that loads


def open_artifact(path: Path, *, size: int, spec: Preprocessing, threads: int = 1) -> TfliteRuntime:
    """Load a ``.tflite``.

    Raises:
        BundleError: the file is not a model that this runtime can run.
        RuntimeMissingError: neither package is installed, or what is there cannot be loaded.
    """
    return TfliteRuntime(path, size=size, spec=spec, threads=threads)


class TfliteRuntime:
    """A loaded ``.tflite``; see ``Runtime``.

    Args:
        path: the file.
        size: pixels a side of its input.
        spec: how pixels are normalised, where the artifact does not do it itself.
        threads: that XNNPACK may use.
    """

    def __init__(self, path: Path, *, size: int, spec: Preprocessing, threads: int = 1) -> None:
        self._path, self._spec, self._size = path, spec, size
        try:
            with quiet():
                self._interpreter = _interpreter_class()(model_path=str(path), num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise _refusal(path, " ".join(str(error).split())) from error
        with refusing(path, "LiteRT"):  # names need not be text
            inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise BundleError(f"{path}: has {len(inputs)} inputs and {len(outputs)} outputs, expected one of each")
        self._in, self._out = inputs[0]["index"], outputs[0]["index"]
        self.input, self.output = _port(inputs[0]), _port(outputs[0])
        self._nhwc = takes_nhwc(path, self.input, size)

    def logits(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 (B, S, S, 3) -> float32 (B, classes), dequantised."""
        rows = np.empty((len(pixels), self.output.shape[-1]), np.float32)
        for index, picture in enumerate(pixels):
            with refusing(self._path, "LiteRT"):
                self._interpreter.set_tensor(self._in, self._feed(picture))
                self._interpreter.invoke()
                row = self._interpreter.get_tensor(self._out)[0]
            if self.output.scale:
                row = (row.astype(np.float32) - self.output.zero_point) * np.float32(self.output.scale)
            rows[index] = row
        return rows

    def _feed(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        if self.input.dtype == "float32":
            x = normalise(picture[None], self._spec)
            return x.transpose(0, 2, 3, 1) if self._nhwc else x
        # Whole numbers: the artifact takes pixels, and normalises them itself.
        level = picture if self.input.dtype == "uint8" else (picture.astype(np.int16) - 128).astype(np.int8)
        return level[None] if self._nhwc else np.ascontiguousarray(level.transpose(2, 0, 1)[None])

    def inside(self, pixels: npt.NDArray[np.uint8], layers: Iterable[str]) -> dict[str, npt.NDArray[np.float32]]:
        """{layer: its output, dequantised}, channels last, (B, ...); uint8 (B, S, S, 3) in.

        LiteRT's own kernels compute it: the delegate keeps nothing of what is between its ends. They may round a value that
        lies between two steps to the other side.

        Raises:
            BundleError: a layer is not in the file.
        """
        resolver = import_module(_interpreter_class().__module__).OpResolverType
        with quiet(), refusing(self._path, "LiteRT"):
            plain = _interpreter_class()(
                model_path=str(self._path),
                experimental_op_resolver_type=resolver.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
                experimental_preserve_all_tensors=True,
            )
            plain.allocate_tensors()
            known = {str(tensor["name"]).removesuffix(".out"): tensor for tensor in plain.get_tensor_details()}
            known.setdefault("head", known.get("logits"))  # what is nothing but the output has its name
            found: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in layers}
            if missing := next((name for name in found if name not in known), None):
                raise BundleError(f"{self._path}: has no layer {missing}")
            for picture in pixels:
                plain.set_tensor(self._in, self._feed(picture))
                plain.invoke()
                for name, parts in found.items():
                    scale, zero_point = known[name]["quantization"]
                    values = plain.get_tensor(known[name]["index"]).astype(np.float32)
                    parts.append((values - zero_point) * np.float32(scale) if scale else values)
        return {name: np.stack(parts) for name, parts in found.items()}

    def anatomy(self) -> Anatomy:
        with refusing(self._path, "LiteRT"):
            return self._anatomy()

    def _anatomy(self) -> Anatomy:
        ops = self._interpreter._get_ops_details()
        plain = [op for op in ops if op["op_name"] != "DELEGATE"]
        parts = [op for op in ops if op["op_name"] == "DELEGATE"]
        maker = {int(index): at for at, op in enumerate(plain) for index in op["outputs"]}
        inside: set[int] = set()
        for part in parts:
            border = {int(i) for i in part["inputs"]}
            waiting = [int(i) for i in part["outputs"]]
            while waiting:
                index = waiting.pop()
                at = maker.get(index)
                if at is None or at in inside or index in border:
                    continue
                inside.add(at)
                waiting += [int(i) for i in plain[at]["inputs"]]
        outside = Counter(op["op_name"] for at, op in enumerate(plain) if at not in inside)
        return Anatomy(
            operators=dict(sorted(Counter(op["op_name"] for op in plain).items())),
            delegate="XNNPACK" if parts else "none",
            parts=len(parts),
            outside=dict(sorted(outside.items())),
            largest=self._largest({int(index) for op in plain for index in op["inputs"]} - set(maker)),
        )

    def _largest(self, constants: set[int]) -> list[tuple[str, int]]:
        sizes = [
            (str(tensor["name"]), int(np.prod(tensor["shape"])) * np.dtype(tensor["dtype"]).itemsize)
            for tensor in self._interpreter.get_tensor_details()
            if tensor["index"] in constants and tensor["index"] != self._in
        ]
        return sorted(sizes, key=lambda row: (-row[1], row[0]))

    def profile(self, runs: int) -> list[tuple[str, float]]:
        blank = np.zeros((self._size, self._size, 3), np.uint8)
        self._interpreter.set_tensor(self._in, self._feed(blank))
        return time_inferences(self._path, "LiteRT", self._interpreter.invoke, runs)


def _refusal(path: Path, said: str) -> BundleError:
    if "Didn't find op" in said:
        return BundleError(
            f"{path}: this host's runtime is too old for it ({said}); type levit-export --precision fp32, fp16 or int8 "
            "for one that it can run, or install ai-edge-litert"
        )
    return BundleError(f"{path}: LiteRT cannot load it ({said})")


def _interpreter_class() -> Any:
    broken = None
    for module, package in _PACKAGES.items():
        try:
            return import_module(f"{module}.interpreter").Interpreter
        except ImportError as error:
            if not isinstance(error, ModuleNotFoundError) or error.name != module:
                broken = broken or cannot_load(package, error)
    raise broken or RuntimeMissingError(f"running a .tflite needs LiteRT; {install_hint('tflite-runtime')}")


def _port(details: dict[str, Any]) -> Port:
    scale, zero_point = details["quantization"]
    name = str(details["name"]).removeprefix("serving_default_").removesuffix(":0")
    shape = tuple(int(v) for v in details["shape"])
    return Port(name, shape, np.dtype(details["dtype"]).name, float(scale), int(zero_point))
