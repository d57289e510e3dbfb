"""A ``.pte``: in the executorch package, or in a program of C++ that needs no torch."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from typing import Any

from .events import RefusedError
from .memory import resident, version_of

__all__ = ["Executorch", "ExecutorchProgram"]


class Executorch:
    """A ``.pte`` in the executorch package."""

    def __init__(self, path: str, threads: int, job: dict[str, Any]) -> None:
        import torch
        from executorch.extension.pybindings import portable_lib
        from executorch.runtime import Runtime

        self.torch = torch
        self.about, self.pids = version_of("executorch"), []  # type: ignore[var-annotated]
        with open(path, "rb") as file:
            program = file.read()
        if b"quantized_decomposed::" in program:  # kernels that are a library of their own
            import executorch.kernels.quantized  # noqa: F401
        self.before, self.begun = resident(), time.perf_counter()
        portable_lib._unsafe_reset_threadpool(threads)
        self.program = Runtime.get().load_program(program)
        name, self.method = self.load()
        self.shape, self.dtype = tuple(self.program.metadata(name).input_tensor_meta(0).sizes()), "float32"

    def load(self) -> Any:
        """(name, method): the one for half precision where the processor can load it."""
        half = "forward_float16"
        if half in self.program.method_names and platform.machine().lower() in ("aarch64", "arm64"):
            try:
                return half, self.program.load_method(half)
            except RuntimeError:  # no half-precision arithmetic
                pass
        return "forward", self.program.load_method("forward")

    def put(self, x: Any) -> None:
        """The input of the inferences to come."""
        self.x = [self.torch.from_numpy(x)]

    def run(self) -> None:
        """One inference."""
        self.y = self.method.execute(self.x)

    def output(self) -> Any:
        """Of the last one: float32 (1, classes)."""
        return self.y[0].numpy()


class ExecutorchProgram:
    """A ``.pte`` in a program of C++ beside this file, which needs no torch."""

    def __init__(self, path: str, threads: int, job: dict[str, Any]) -> None:
        self.about = {"name": "executorch", "version": job["etrun_version"]}
        self.process = subprocess.Popen(
            [job["etrun"], path, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sys.stderr
        )
        self.pids = [self.process.pid]
        self.before = 0.0
        told = self.say("describe")
        self.shape, self.dtype = tuple(told["input"]["shape"]), told["input"]["dtype"]
        self.load_ms = told["load_ms"]

    def say(self, line: str, data: bytes = b"") -> Any:
        """A line for the program, with bytes behind it; its answer.

        Raises:
            RefusedError: it says that something is wrong, or ended.
        """
        assert self.process.stdin
        assert self.process.stdout
        try:
            self.process.stdin.write(line.encode() + b"\n" + data)
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except OSError:
            answer = b""
        if not answer:
            status = self.process.wait()
            if status < 0:  # die as it did
                os.kill(os.getpid(), -status)
            raise RefusedError("artifact", f"the ExecuTorch runner ended with status {status}")
        if answer.strip() == b"ok":
            return None
        found = json.loads(answer)
        if "error" in found:
            raise RefusedError("artifact", found["error"])
        return found

    def put(self, x: Any) -> None:
        """The input of the inferences to come."""
        data = x.tobytes()
        self.say(f"input {len(data)}", data)

    def run(self) -> None:
        """One inference."""
        self.say("run 1")

    def timed(self) -> int:
        """Nanoseconds of one inference, measured where it is made."""
        return int(self.say("run 1")["ns"][0])

    def marked(self, runs: int) -> None:
        """Inferences between marks; see ``jobs.marked``."""
        self.say(f"marked {runs}")

    def output(self) -> Any:
        """Of the last one: float32 (1, classes)."""
        import numpy as np

        size = self.say("output")["bytes"]
        assert self.process.stdout
        return np.frombuffer(self.process.stdout.read(size), np.float32)[None]
