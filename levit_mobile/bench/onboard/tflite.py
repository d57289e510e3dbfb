"""A ``.tflite`` in LiteRT or tflite-runtime."""

from __future__ import annotations

import time
from importlib import import_module
from typing import Any

from .events import RefusedError
from .memory import resident, version_of

__all__ = ["Tflite"]


class Tflite:
    """A ``.tflite`` in LiteRT or tflite-runtime."""

    def __init__(self, path: str, threads: int, job: dict[str, Any]) -> None:
        for package in ("ai-edge-litert", "tflite-runtime"):
            try:
                interpreter = import_module(package.replace("-", "_") + ".interpreter").Interpreter
                break
            except ModuleNotFoundError:
                continue
        else:
            raise RefusedError("runtime", "neither ai-edge-litert nor tflite-runtime can be imported")
        self.about, self.pids = version_of(package), []  # type: ignore[var-annotated]
        self.before, self.begun = resident(), time.perf_counter()
        self.model = interpreter(model_path=path, num_threads=threads)
        self.model.allocate_tensors()
        (entry,), (answer,) = self.model.get_input_details(), self.model.get_output_details()
        self.entry, self.answer, self.quantised = entry["index"], answer["index"], answer["quantization"]
        self.shape, self.dtype = tuple(int(v) for v in entry["shape"]), entry["dtype"].__name__

    def put(self, x: Any) -> None:
        """The input of the inferences to come."""
        self.model.set_tensor(self.entry, x)

    def run(self) -> None:
        """One inference."""
        self.model.invoke()

    def output(self) -> Any:
        """Of the last one: float32 (1, classes)."""
        row, (scale, zero_point) = self.model.get_tensor(self.answer), self.quantised
        return (row.astype("float32") - zero_point) * scale if scale else row
