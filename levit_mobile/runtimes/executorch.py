"""Run a ``.pte`` with ExecuTorch's own runtime (the executorch package).

Where that runtime lacks the delegate that a program is made for, a reference interpreter reads the delegate's graph out of
the file and computes it. It tells what the program computes; it tells nothing about speed.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path
from platform import machine
from typing import Any

import numpy as np
import numpy.typing as npt

from levit_mobile.errors import BundleError, RuntimeMissingError, cannot_load, install_hint
from levit_mobile.preprocess import Preprocessing, normalise
from levit_mobile.quantize import HALF_METHOD
from levit_mobile.quiet import quiet
from levit_mobile.runtimes.base import Anatomy, Port, refusing, takes_nhwc, time_inferences
from levit_mobile.runtimes.executorch_graph import DelegateGraph
from levit_mobile.runtimes.executorch_program import DELEGATES, read_method

__all__ = ["ExecutorchRuntime", "open_artifact"]

_QUANTIZED = "quantized_decomposed::"  # operators whose kernels are a library of their own


def open_artifact(path: Path, *, size: int, spec: Preprocessing, threads: int = 1) -> ExecutorchRuntime:
    """Load a ``.pte``.

    Raises:
        BundleError: the file is not a program that this runtime can run.
        RuntimeMissingError: executorch is not installed, or cannot be loaded, or lacks a delegate that nothing stands in for.
    """
    return ExecutorchRuntime(path, size=size, spec=spec, threads=threads)


class ExecutorchRuntime:
    """A loaded ``.pte``; see ``Runtime``.

    Args:
        path: the file.
        size: pixels a side of its input.
        spec: how pixels are normalised.
        threads: that XNNPACK may use; of the whole process, since ExecuTorch has one pool.
        method: which one to run; None takes ``forward_float16`` on an ARM processor that can load it, else ``forward``.

    Attributes:
        method: the one that runs.
        stand_in: what runs in the artifact's place, where this host has not got its delegate; else None.
    """

    stand_in: str | None = None

    def __init__(
        self, path: Path, *, size: int, spec: Preprocessing, threads: int = 1, method: str | None = None
    ) -> None:
        try:
            with quiet():
                from executorch.extension.pybindings import portable_lib
                from executorch.runtime import Runtime
        except ImportError as error:
            if not isinstance(error, ModuleNotFoundError) or error.name != "executorch":
                raise cannot_load("executorch", error) from error
            raise RuntimeMissingError(f"running a .pte needs ExecuTorch; {install_hint('executorch')}") from error
        self._path, self._spec, self._size = path, spec, size
        try:
            self._data = path.read_bytes()
            with quiet():
                portable_lib._unsafe_reset_threadpool(threads)
                self._program = Runtime.get().load_program(self._data)
                if "forward" not in self._program.method_names:
                    raise RuntimeError("it has no method forward")
                self._load_kernels(Runtime.get().operator_registry.operator_names)
                self.method, self._method = self._loaded(method)
                about = self._program.metadata(self.method)
        except (OSError, RuntimeError, ValueError) as error:
            raise BundleError(f"{path}: ExecuTorch cannot load it ({error})") from error
        if (about.num_inputs(), about.num_outputs()) != (1, 1):
            raise BundleError(
                f"{path}: has {about.num_inputs()} inputs and {about.num_outputs()} outputs, expected one of each"
            )
        self.input, self.output = (
            _port("image", about.input_tensor_meta(0)),
            _port("logits", about.output_tensor_meta(0)),
        )
        self._nhwc = takes_nhwc(path, self.input, size)

    def _loaded(self, method: str | None) -> tuple[str, Any]:
        """A method's name, and what executes it."""
        arm = machine().lower() in ("aarch64", "arm64")
        if method == HALF_METHOD or (method is None and arm and HALF_METHOD in self._program.method_names):
            try:
                return HALF_METHOD, self._program.load_method(HALF_METHOD)
            except RuntimeError:
                if method is not None:
                    raise
        try:
            return "forward", self._program.load_method("forward")
        except RuntimeError as error:
            from executorch.runtime import Runtime

            return "forward", self._interpreter(Runtime.get().backend_registry, error)

    def others(self) -> list[ExecutorchRuntime]:
        """The same program by its other method, if it has one that this host can load."""
        found = []
        for name in {"forward", HALF_METHOD} - {self.method}:
            with contextlib.suppress(BundleError):
                if name in self._program.method_names:
                    found.append(ExecutorchRuntime(self._path, size=self._size, spec=self._spec, method=name))
        return found

    def logits(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 (B, S, S, 3) -> float32 (B, classes)."""
        rows = np.empty((len(pixels), self.output.shape[-1]), np.float32)
        for index, picture in enumerate(pixels):
            with refusing(self._path, "ExecuTorch"):
                rows[index] = self._method.execute([self._feed(picture)])[0].numpy()[0]
        return rows

    def _feed(self, picture: npt.NDArray[np.uint8]) -> Any:
        import torch

        x = normalise(picture[None], self._spec)
        return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if self._nhwc else x)

    def _load_kernels(self, present: set[str]) -> None:
        """ExecuTorch's package has the kernels for int8 without a delegate in a library that is loaded on demand."""
        if _QUANTIZED.encode() in self._data and not any(name.startswith(_QUANTIZED) for name in present):
            import executorch.kernels.quantized  # noqa: F401

    def _interpreter(self, registry: Any, error: RuntimeError) -> _Interpreter:
        """What stands in for the method, if it could not be loaded for want of a delegate; otherwise ``error``."""
        try:
            plan = read_method(self._data, "forward")
        except RuntimeMissingError:
            raise
        except Exception:  # flatc, JSON, protobuf and MIL's reader each raise their own
            raise error from None
        absent = [name for name in plan.delegates if not registry.is_available(name)]
        if not absent:
            raise error
        lacking = f"this host's ExecuTorch has no {_names(absent)} delegate"
        if not plan.in_order or plan.calls[0].run is None:
            other = "none" if "XnnpackBackend" in absent else "xnnpack"
            raise RuntimeMissingError(
                f"{self._path}: {lacking}; run it in an app that has, or export anew with --delegate {other}"
            )
        self.stand_in = f"a reference interpreter of the {_names(absent)} graph; {lacking}"
        return _Interpreter(self._path, plan.calls[0])

    def told(self, name: str) -> list[Any]:
        """What the constant method ``name`` gives (``labels``, ``image_mean``, ...).

        Raises:
            BundleError: the program has no such method.
        """
        if name not in self._program.method_names:
            raise BundleError(f"{self._path}: has no method {name}")
        with quiet():
            return list(self._program.load_method(name).execute([]))

    def anatomy(self) -> Anatomy:
        with refusing(self._path, "ExecuTorch"):
            plan = read_method(self._data, "forward")
        operators, constants = Counter(plan.outside), list(plan.constants)
        for graph in plan.calls:
            operators.update(graph.operators)
            constants += graph.constants
        return Anatomy(
            operators=dict(sorted(operators.items())),
            delegate=_names(plan.delegates) or "none",
            parts=len(plan.calls),
            outside=dict(sorted(plan.outside.items())),
            largest=sorted(constants, key=lambda row: (-row[1], row[0])),
        )

    def profile(self, runs: int) -> list[tuple[str, float]]:
        blank = self._feed(np.zeros((self._size, self._size, 3), np.uint8))
        return time_inferences(self._path, "ExecuTorch", lambda: self._method.execute([blank]), runs)


class _Interpreter:
    """A delegate's graph in place of ExecuTorch's method."""

    def __init__(self, path: Path, graph: DelegateGraph) -> None:
        self._path, self._graph = path, graph

    def execute(self, inputs: list[Any]) -> list[Any]:
        """Torch tensors in, torch tensors out.

        Raises:
            BundleError: the graph is not one that this toolkit writes.
        """
        assert self._graph.run is not None
        try:
            return self._graph.run(inputs)
        except BundleError as error:
            raise BundleError(f"{self._path}: {error}") from error
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise BundleError(f"{self._path}: its graph cannot be run ({' '.join(str(error).split())})") from error


def _names(delegates: list[str]) -> str:
    return " and ".join(DELEGATES[name][0] if name in DELEGATES else name for name in dict.fromkeys(delegates))


def _port(name: str, about: Any) -> Port:
    kinds = {0: "uint8", 1: "int8", 5: "float16", 6: "float32"}  # ExecuTorch's ScalarType
    return Port(name, tuple(int(v) for v in about.sizes()), kinds.get(int(about.dtype()), str(about.dtype())))
