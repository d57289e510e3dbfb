"""Other runtimes, one thread each: inferences between marks that an emulator sees, or in turn against the clock.

python peers_inside.py count RUNTIME MODEL RUNS
python peers_inside.py turns ROUNDS RUNTIME MODEL [RUNTIME MODEL]...

It runs in the emulated ARM's Python and in this host's, and needs NumPy and the runtimes only. The last line that it prints
is a JSON object.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = {
    "tflite": "ai-edge-litert",
    "executorch": "executorch",
    "onnx": "onnxruntime",
    "ncnn": "ncnn",
    "ncnn-fp16": "ncnn",
    "mnn": "mnn",
    "mnn-fp16": "mnn",
    "openvino": "openvino",
    "openvino-fp16": "openvino",
}
Inference = Callable[[], Any]


def picture(shape: tuple[int, ...]) -> Any:
    """The same values for every runtime; which they are costs nothing."""
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def open_tflite(path: str, _: bool) -> Inference:
    model = import_module("ai_edge_litert.interpreter").Interpreter(model_path=path, num_threads=1)
    model.allocate_tensors()
    (entry,) = model.get_input_details()
    x = picture(tuple(entry["shape"]))
    scale, zero_point = entry["quantization"]
    if entry["dtype"] is not np.float32:
        limits = np.iinfo(entry["dtype"])
        x = np.clip(np.round(x / scale + zero_point), limits.min, limits.max).astype(entry["dtype"])
    model.set_tensor(entry["index"], x)
    return lambda: model.invoke()


def open_onnx(path: str, _: bool) -> Inference:
    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    given = {entry.name: picture(tuple(entry.shape))}
    return lambda: session.run(None, given)


def open_executorch(path: str, _: bool) -> Inference:
    """On this host only: its package needs torch."""
    torch, runtime = import_module("torch"), import_module("executorch.runtime").Runtime.get()
    torch.set_num_threads(1)
    pool = import_module("executorch.extension.pybindings.portable_lib")
    pool._unsafe_reset_threadpool(1)  # it does not go by torch's number
    method = runtime.load_program(Path(path)).load_method("forward")
    given = [torch.from_numpy(picture(tuple(method.metadata.input_tensor_meta(0).sizes())))]
    return lambda: method.execute(given)


def open_ncnn(path: str, half: bool) -> Inference:
    ncnn = import_module("ncnn")
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_vulkan_compute = False
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = half
    net.opt.use_bf16_storage = False
    net.load_param(path)
    net.load_model(str(Path(path).with_suffix(".bin")))
    (entry,), (answer,) = net.input_names(), net.output_names()
    size = json.loads(Path(path).with_suffix(".json").read_text())["size"]
    x = picture((3, size, size))

    def infer() -> Any:
        extractor = net.create_extractor()
        extractor.input(entry, ncnn.Mat(x))
        status, y = extractor.extract(answer)
        if status:
            raise RuntimeError(f"ncnn ended with {status}")
        return np.array(y)

    return infer


def open_mnn(path: str, half: bool) -> Inference:
    mnn = import_module("MNN")
    interpreter = mnn.Interpreter(path)
    session = interpreter.createSession({"backend": "CPU", "numThread": 1, "precision": "low" if half else "high"})
    entry = interpreter.getSessionInput(session)
    shape = tuple(entry.getShape())
    given = mnn.Tensor(shape, mnn.Halide_Type_Float, picture(shape), mnn.Tensor_DimensionType_Caffe)
    answer = interpreter.getSessionOutput(session)

    def infer() -> Any:
        entry.copyFrom(given)
        interpreter.runSession(session)
        out = mnn.Tensor(
            answer.getShape(),
            mnn.Halide_Type_Float,
            np.zeros(answer.getShape(), np.float32),
            mnn.Tensor_DimensionType_Caffe,
        )
        answer.copyToHostTensor(out)
        return out

    return infer


def open_openvino(path: str, half: bool) -> Inference:
    settings = {
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f16" if half else "f32",
        "ENABLE_CPU_PINNING": False,
    }
    model = import_module("openvino").Core().compile_model(path, "CPU", settings)
    request = model.create_infer_request()
    x = picture(tuple(model.inputs[0].shape))
    return lambda: request.infer({0: x})


_OPEN = {
    "tflite": open_tflite,
    "executorch": open_executorch,
    "onnx": open_onnx,
    "ncnn": open_ncnn,
    "mnn": open_mnn,
    "openvino": open_openvino,
}


def open_model(runtime: str, path: str) -> Inference:
    """A call that does one inference."""
    name, _, half = runtime.partition("-")
    return _OPEN[name](path, bool(half))


def _mark(number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.getpgid(0x51450000 + number)


def count(runtime: str, path: str, runs: int) -> dict[str, Any]:
    """Inferences between marks, the first one and ``runs`` more."""
    infer = open_model(runtime, path)
    _mark(0)
    for at in range(1, runs + 2):
        infer()
        _mark(at)
    return {"name": PACKAGES[runtime], "version": metadata.version(PACKAGES[runtime])}


def turns(rounds: int, models: list[tuple[str, str]]) -> list[list[int]]:
    """Nanoseconds of every model in every round; every other round is in reverse."""
    calls = [open_model(runtime, path) for runtime, path in models]
    for call in calls:
        for _ in range(5):
            call()
    order = list(range(len(calls)))
    times: list[list[int]] = [[] for _ in calls]
    for _ in range(rounds):
        order.reverse()
        for at in order:
            start = time.perf_counter_ns()
            calls[at]()
            times[at].append(time.perf_counter_ns() - start)
    return times


def main(words: list[str]) -> Any:
    if words[0] == "count":
        return count(words[1], words[2], int(words[3]))
    return turns(int(words[1]), list(zip(words[2::2], words[3::2], strict=True)))


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])), flush=True)
    os._exit(0)  # without the destructors of models
