"""Run a ``.pte`` with ExecuTorch's own runtime (the executorch package); XNNPACK computes."""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from levit_mobile.errors import BundleError, RuntimeMissingError, cannot_load, install_hint
from levit_mobile.preprocess import Preprocessing, normalise
from levit_mobile.runtimes.base import Anatomy, Port, quiet, takes_nhwc

__all__ = ["ExecutorchRuntime", "open_artifact"]

_DELEGATE = "XnnpackBackend"


def open_artifact(path: Path, *, size: int, spec: Preprocessing, threads: int = 1) -> ExecutorchRuntime:
    """Load a ``.pte``.

    Raises:
        BundleError: the file is not a program that this runtime can run.
        RuntimeMissingError: executorch is not installed, or cannot be loaded.
    """
    return ExecutorchRuntime(path, size=size, spec=spec, threads=threads)


class ExecutorchRuntime:
    """A loaded ``.pte``; see ``Runtime``.

    Args:
        path: the file.
        size: pixels a side of its input.
        spec: how pixels are normalised.
        threads: that XNNPACK may use; of the whole process, since ExecuTorch has one pool.
    """

    def __init__(self, path: Path, *, size: int, spec: Preprocessing, threads: int = 1) -> None:
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
                self._method: Any = self._program.load_method("forward")
        except (OSError, RuntimeError, ValueError) as error:
            raise BundleError(f"{path}: ExecuTorch cannot load it ({error})") from error
        about = self._method.metadata
        if (about.num_inputs(), about.num_outputs()) != (1, 1):
            raise BundleError(
                f"{path}: has {about.num_inputs()} inputs and {about.num_outputs()} outputs, expected one of each"
            )
        self.input, self.output = (
            _port("image", about.input_tensor_meta(0)),
            _port("logits", about.output_tensor_meta(0)),
        )
        self._nhwc = takes_nhwc(path, self.input, size)

    def logits(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 (B, S, S, 3) -> float32 (B, classes)."""
        rows = np.empty((len(pixels), self.output.shape[-1]), np.float32)
        for index, picture in enumerate(pixels):
            rows[index] = self._method.execute([self._feed(picture)])[0].numpy()[0]
        return rows

    def _feed(self, picture: npt.NDArray[np.uint8]) -> Any:
        import torch

        x = normalise(picture[None], self._spec)
        return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if self._nhwc else x)

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
        with quiet():
            from executorch.exir._serialize._program import deserialize_pte_binary

            read = deserialize_pte_binary(self._data).program
        plan = next(plan for plan in read.execution_plan if plan.name == "forward")
        calls = [instruction.instr_args for instruction in plan.chains[0].instructions]
        outside = Counter(
            plan.operators[call.op_index].name.rpartition("::")[2] for call in calls if hasattr(call, "op_index")
        )
        operators, largest = Counter(outside), []
        for delegate in plan.delegates:
            if delegate.id == _DELEGATE:
                graph = _xnnpack_graph(bytes(read.backend_delegate_data[delegate.processed.index].data))
                operators.update(node["xnode_union_type"].removeprefix("XNN") for node in graph["xnodes"])
                largest += _constants(graph)
        return Anatomy(
            operators=dict(sorted(operators.items())),
            delegate="XNNPACK" if plan.delegates else "none",
            parts=sum(hasattr(call, "delegate_index") for call in calls),
            outside=dict(sorted(outside.items())),
            largest=sorted(largest, key=lambda row: (-row[1], row[0])),
        )

    def profile(self, runs: int) -> list[tuple[str, float]]:
        blank = self._feed(np.zeros((self._size, self._size, 3), np.uint8))
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            self._method.execute([blank])
            times.append(("inference", 1000 * (time.perf_counter() - start)))
        return times


def _port(name: str, about: Any) -> Port:
    kinds = {0: "uint8", 1: "int8", 5: "float16", 6: "float32"}  # ExecuTorch's ScalarType
    return Port(name, tuple(int(v) for v in about.sizes()), kinds.get(int(about.dtype()), str(about.dtype())))


def _xnnpack_graph(payload: bytes) -> dict[str, Any]:
    """The delegate's graph; its format is the package's ``backends/xnnpack/serialization/schema.fbs``."""
    from executorch.backends.xnnpack import serialization
    from executorch.backends.xnnpack.serialization.xnnpack_graph_serialize import XNNHeader
    from executorch.exir._serialize._flatbuffer import _flatc_decompile

    header = XNNHeader.from_bytes(payload[: XNNHeader.EXPECTED_LENGTH])
    start = header.flatbuffer_offset
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "graph.bin"
        binary.write_bytes(payload[start : start + header.flatbuffer_size])
        schema = Path(folder) / "schema.fbs"
        schema.write_bytes(resources.files(serialization).joinpath("schema.fbs").read_bytes())
        _flatc_decompile(folder, str(schema), str(binary))
        graph: dict[str, Any] = json.loads((Path(folder) / "graph.json").read_text("utf-8"))
    return graph


def _constants(graph: dict[str, Any]) -> list[tuple[str, int]]:
    return [
        (row["named_key"] or f"constant {index}", int(row["size"])) for index, row in enumerate(graph["constant_data"])
    ]
