"""LiteRT's own profiler, driven through its C interface: which operator ran when, XNNPACK's included.

Standard library only, and nothing of this toolkit: the file also runs as a script under another Python, on a board or an
emulated processor. There it is asked, and answers, by lines of JSON:

    {"model": PATH, "runs": N, "threads": N}
    {"input": {"shape": [1, 224, 224, 3], "dtype": "float32"}}    then the input's bytes are read, as many as it takes
    {"operators": ["Fully Connected (NC, F32) GEMM", ...], "us": [[4, ...], ...], "whole_us": [1234, ...]}

The functions and structures are those of LiteRT's public headers ``litert/c/*.h``.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import sys
from collections.abc import Callable
from ctypes import byref, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = ["MARK", "main", "profile"]

MARK = 0x51450000  # what is added to a border's number, see native/count.c
_EVENTS = 1 << 14  # that the profiler keeps, of one inference
_CPU = 1
_HOST_MEMORY = 1
_WRITE = 1
_ELEMENTS = {1: ("float32", 4), 3: ("uint8", 1), 9: ("int8", 1)}  # LiteRtElementType -> dtype, bytes
_PLAIN, _OPERATOR, _INSIDE = 1 << 0, 1 << 1, (1 << 2, 1 << 3)  # LiteRtProfilerEventType; inside: of a delegate


class _Layout(ctypes.Structure):
    _fields_ = [("rank", c_uint32), ("dimensions", ctypes.c_int32 * 8), ("strides", c_uint32 * 8)]


class _TensorType(ctypes.Structure):
    _fields_ = [("element", c_int), ("layout", _Layout)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("tag", c_char_p),
        ("kind", c_int),
        ("start_us", c_uint64),
        ("elapsed_us", c_uint64),
        ("memory", c_size_t * 6),
        ("metadata", c_uint64 * 2),
        ("source", c_int),
    ]


class _Library:
    """``libLiteRt.so`` of the ai-edge-litert package; a status other than 0 becomes a RuntimeError."""

    def __init__(self) -> None:
        found = find_spec("ai_edge_litert")
        folders = list(found.submodule_search_locations or []) if found else []
        if not folders:
            raise RuntimeError("ai-edge-litert is not installed")
        self._library = ctypes.CDLL(os.path.join(folders[0], "libLiteRt.so"))

    def __call__(self, name: str, *arguments: Any) -> None:
        try:
            function = self._library[name]
        except AttributeError:
            raise RuntimeError(f"this ai-edge-litert has no {name}") from None
        status = function(*arguments)
        if status:
            raise RuntimeError(f"{name} failed with status {status}")

    def made(self, name: str, *arguments: Any) -> c_void_p:
        """What a function gives through its last argument."""
        made = c_void_p()
        self(name, *arguments, byref(made))
        return made


_NOTHING = ctypes.CFUNCTYPE(None, c_void_p)(lambda _: None)  # the options' text is Python's to free


def profile(
    model: str | Path,
    give: Callable[[tuple[int, ...], str], bytes],
    runs: int,
    *,
    threads: int = 1,
) -> dict[str, Any]:
    """Run a ``.tflite`` under LiteRT's profiler, after one inference that is not told of.

    It draws border 0 before the first of them, and border i after the i-th (see native/count.c).

    Args:
        model: the file.
        give: is called with the shape and dtype of the input, and gives its bytes.
        runs: inferences that are told of.
        threads: that XNNPACK may use.

    Returns:
        ``operators``, names in the order in which they ran; ``us``, for each inference the microseconds of each operator;
        ``whole_us``, microseconds of each whole inference, the profiler's own work included.

    Raises:
        RuntimeError: LiteRT refused something, or two inferences did not run the same operators.
    """
    litert = _Library()
    texts = [(b"runtime_options_string", b"enable_profiling = true\n"), (b"xnnpack", b"num_threads = %d\n" % threads)]
    environment = litert.made("LiteRtCreateEnvironment", 0, None)
    loaded = litert.made("LiteRtCreateModelFromFile", environment, os.fsencode(model))
    options = litert.made("LiteRtCreateOptions")
    litert("LiteRtSetOptionsHardwareAccelerators", options, _CPU)
    kept = [(kind, ctypes.create_string_buffer(text)) for kind, text in texts]
    for kind, text in kept:
        litert("LiteRtAddOpaqueOptions", options, litert.made("LiteRtCreateOpaqueOptions", kind, text, _NOTHING))
    compiled = litert.made("LiteRtCreateCompiledModel", environment, loaded, options)
    signature = litert.made("LiteRtGetModelSignature", loaded, c_size_t(0))
    inputs, outputs = (_buffer(litert, environment, compiled, signature, side) for side in ("Input", "Output"))
    _fill(litert, inputs, give)
    profiler = litert.made("LiteRtCompiledModelGetProfiler", compiled)

    def infer() -> list[tuple[str, int, int]]:
        litert("LiteRtStartProfiler", profiler)
        litert("LiteRtRunCompiledModel", compiled, c_size_t(0), c_size_t(1), byref(inputs), c_size_t(1), byref(outputs))
        litert("LiteRtStopProfiler", profiler)
        return _events(litert, profiler)

    infer()
    told = []
    _draw(0)
    for index in range(1, runs + 1):
        told.append(infer())
        _draw(index)
    return _sorted_out(told)


def _buffer(litert: _Library, environment: c_void_p, compiled: c_void_p, signature: c_void_p, side: str) -> c_void_p:
    """Memory for the one input, or the one output."""
    needs = litert.made(f"LiteRtGetCompiledModel{side}BufferRequirements", compiled, c_size_t(0), c_size_t(0))
    size, kind = c_size_t(), _TensorType()
    litert("LiteRtGetTensorBufferRequirementsBufferSize", needs, byref(size))
    tensor = litert.made(f"LiteRtGetSignature{side}TensorByIndex", signature, c_size_t(0))
    litert("LiteRtGetRankedTensorType", tensor, byref(kind))
    return litert.made("LiteRtCreateManagedTensorBuffer", environment, _HOST_MEMORY, byref(kind), size)


def _fill(litert: _Library, buffer: c_void_p, give: Callable[[tuple[int, ...], str], bytes]) -> None:
    kind, address = _TensorType(), c_void_p()
    litert("LiteRtGetTensorBufferTensorType", buffer, byref(kind))
    if kind.element not in _ELEMENTS:
        raise RuntimeError(f"the input is of LiteRT's element type {kind.element}")
    dtype, size = _ELEMENTS[kind.element]
    shape = tuple(kind.layout.dimensions[: kind.layout.rank & 0x7F])  # the bit above says whether there are strides
    data = give(shape, dtype)
    if len(data) != size * math.prod(shape):
        raise RuntimeError(f"the input has {len(data)} bytes, and the model takes {size * math.prod(shape)}")
    litert("LiteRtLockTensorBuffer", buffer, byref(address), _WRITE)
    ctypes.memmove(address, data, len(data))
    litert("LiteRtUnlockTensorBuffer", buffer)


def _events(litert: _Library, profiler: c_void_p) -> list[tuple[str, int, int]]:
    """(name, kind, microseconds)."""
    many = c_int()
    litert("LiteRtGetNumProfilerEvents", profiler, byref(many))
    events = (_Event * many.value)()
    litert("LiteRtGetProfilerEvents", profiler, many, events)
    return [(event.tag.decode(errors="replace"), event.kind, event.elapsed_us) for event in events]


def _draw(index: int) -> None:
    with contextlib.suppress(OSError):  # as always: there is no such process
        os.getpgid(MARK + index)


def _sorted_out(told: list[list[tuple[str, int, int]]]) -> dict[str, Any]:
    names, times, wholes = [], [], []
    for events in told:
        operators = [(name, us) for name, kind, us in events if kind in (_OPERATOR, *_INSIDE)]
        names.append([name for name, _ in operators])
        times.append([us for _, us in operators])
        wholes.append(next((us for name, kind, us in events if (name, kind) == ("Invoke", _PLAIN)), 0))
    if any(other != names[0] for other in names):
        raise RuntimeError("two inferences did not run the same operators")
    return {"operators": names[0] if names else [], "us": times, "whole_us": wholes}


def main() -> None:
    """Answer the request on standard input."""
    request = json.loads(sys.stdin.buffer.readline())

    def give(shape: tuple[int, ...], dtype: str) -> bytes:
        say({"input": {"shape": shape, "dtype": dtype}})
        size = next(size for name, size in _ELEMENTS.values() if name == dtype)
        return sys.stdin.buffer.read(size * math.prod(shape))

    def say(answer: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()

    try:
        say(profile(request["model"], give, request["runs"], threads=request["threads"]))
    except RuntimeError as error:
        say({"error": str(error)})


if __name__ == "__main__":
    main()
