"""A ``.onnx`` in ONNX Runtime."""

from __future__ import annotations

import os
import time
from typing import Any

from .memory import resident, version_of

__all__ = ["Onnx"]


class Onnx:
    """A ``.onnx`` in ONNX Runtime."""

    def __init__(self, path: str, threads: int, job: dict[str, Any]) -> None:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else it sends what is run to Microsoft
        import onnxruntime

        self.about, self.pids = version_of("onnxruntime"), []  # type: ignore[var-annotated]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 4
        self.before, self.begun = resident(), time.perf_counter()
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        (entry,) = self.session.get_inputs()
        self.name, self.shape, self.dtype = entry.name, tuple(entry.shape), "float32"

    def put(self, x: Any) -> None:
        """The input of the inferences to come."""
        self.x = {self.name: x}

    def run(self) -> None:
        """One inference."""
        self.y = self.session.run(None, self.x)

    def output(self) -> Any:
        """Of the last one: float32 (1, classes)."""
        return self.y[0]
