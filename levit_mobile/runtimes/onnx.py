"""Run a ``.onnx`` with ONNX Runtime, on the processor."""

from __future__ import annotations

import contextlib
import io
import math
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from levit_mobile.errors import BundleError, RuntimeMissingError, cannot_load, install_hint
from levit_mobile.preprocess import Preprocessing, normalise
from levit_mobile.quiet import quiet
from levit_mobile.runtimes.base import Anatomy, Port, refusing, takes_nhwc, time_inferences

__all__ = ["OnnxRuntime", "open_artifact"]

_PROVIDER = "CPUExecutionProvider"
_SILENT = 4  # ONNX Runtime's log level: only what ends the process


def open_artifact(path: Path, *, size: int, spec: Preprocessing, threads: int = 1) -> OnnxRuntime:
    """Load a ``.onnx``.

    Raises:
        BundleError: the file is not a model that this runtime can run.
        RuntimeMissingError: onnxruntime is not installed.
    """
    return OnnxRuntime(path, size=size, spec=spec, threads=threads)


class OnnxRuntime:
    """A loaded ``.onnx``; see ``Runtime``.

    Args:
        path: the file.
        size: pixels a side of its input.
        spec: how pixels are normalised.
        threads: that ONNX Runtime may use within an operator.
    """

    def __init__(self, path: Path, *, size: int, spec: Preprocessing, threads: int = 1) -> None:
        ort = _package()
        self._path, self._spec, self._size = path, spec, size
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = _SILENT
        try:
            with quiet(), contextlib.redirect_stdout(io.StringIO()):  # it prints what it falls back from
                self._session = ort.InferenceSession(path.read_bytes(), options, providers=[_PROVIDER])
        except Exception as error:  # OSError, and ONNX Runtime's own kinds, which share no base of their own
            reason = " ".join(str(error).split())
            raise BundleError(f"{path}: ONNX Runtime cannot load it ({reason})") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise BundleError(f"{path}: has {len(inputs)} inputs and {len(outputs)} outputs, expected one of each")
        self.input, self.output = _port(inputs[0]), _port(outputs[0])
        self._nhwc = takes_nhwc(path, self.input, size)

    def logits(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 (B, S, S, 3) -> float32 (B, classes)."""
        together = max(1, len(pixels)) if self.input.shape[0] == -1 else 1  # pictures in one call
        with refusing(self._path, "ONNX Runtime"):
            rows = np.empty((len(pixels), self.output.shape[-1]), np.float32)
            for at in range(0, len(pixels), together):
                rows[at : at + together] = self._run(self._feed(pixels[at : at + together]))
        return rows

    def _run(self, x: npt.NDArray[np.float32]) -> Any:
        return self._session.run(None, {self.input.name: x})[0]

    def _feed(self, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        x = normalise(pictures, self._spec)
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if self._nhwc else x

    def told(self) -> dict[str, str]:
        """The model's ``metadata_props``."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def anatomy(self) -> Anatomy:
        """As the file has it; ONNX Runtime joins operators when it loads it."""
        import onnx

        with refusing(self._path, "onnx"):
            graph = onnx.load(self._path).graph
            sizes = [
                (t.name, math.prod(t.dims) * onnx.helper.tensor_dtype_to_np_dtype(t.data_type).itemsize)
                for t in graph.initializer
            ]
        return Anatomy(
            operators=dict(sorted(Counter(node.op_type for node in graph.node).items())),
            delegate="ONNX Runtime",
            parts=1,
            outside={},
            largest=sorted(sizes, key=lambda row: (-row[1], row[0])),
        )

    def profile(self, runs: int) -> list[tuple[str, float]]:
        blank = self._feed(np.zeros((1, self._size, self._size, 3), np.uint8))
        return time_inferences(self._path, "ONNX Runtime", lambda: self._run(blank), runs)


def _package() -> Any:
    # Else it writes a device's number into the home folder, and sends what is run to Microsoft.
    for name in ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED"):
        os.environ.setdefault(name, "1")
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        if error.name != "onnxruntime":
            raise cannot_load("onnxruntime", error) from error
        raise RuntimeMissingError(f"running a .onnx needs ONNX Runtime; {install_hint('onnx')}") from error
    except ImportError as error:
        raise cannot_load("onnxruntime", error) from error
    return onnxruntime


def _port(about: Any) -> Port:
    kind = {"tensor(float)": "float32", "tensor(float16)": "float16"}.get(about.type, about.type)
    return Port(about.name, tuple(v if isinstance(v, int) else -1 for v in about.shape), kind)
