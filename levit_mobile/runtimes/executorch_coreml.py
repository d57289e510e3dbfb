"""The package that Core ML got, and a reference interpreter of its program, for hosts without Core ML."""

from __future__ import annotations

import json
import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from levit_mobile.errors import BundleError
from levit_mobile.folder_bytes import unpack_folder
from levit_mobile.runtimes.executorch_graph import DelegateGraph
from levit_mobile.runtimes.mil import run_operator

__all__ = ["read_graph"]

_Array = npt.NDArray[Any]
_DATA = "model.mlpackage/Data/com.apple.CoreML"
_NUMPY = {"fp16": np.float16, "fp32": np.float32, "int8": np.int8, "uint8": np.uint8}
_CONSTEXPR = "constexpr_"  # weights that are stored smaller than they are used


def read_graph(payload: bytes, constants: Mapping[str, bytes]) -> DelegateGraph:
    """Operators, constants and interpreter of a delegate call."""
    files = unpack_folder(payload)
    function, about = _function(files), json.loads(files["metadata.json"])
    stored = [op for op in function.operations if op.op_type == "const" and isinstance(op.outputs[0].val, np.ndarray)]
    return DelegateGraph(
        operators=Counter(op.op_type for op in function.operations if op.op_type != "const"),
        constants=[(op.outputs[0].name, np.asarray(op.outputs[0].val).nbytes) for op in stored],
        run=_interpreter(function, about["inputNames"], about["outputNames"]),
    )


def _function(files: Mapping[str, bytes]) -> Any:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # it was not tested with this PyTorch
    try:
        from coremltools.converters.mil.frontend.milproto.load import load
        from coremltools.proto.Model_pb2 import Model
    finally:
        logging.disable(before)
    spec = Model()
    spec.ParseFromString(files[f"{_DATA}/model.mlmodel"])
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "weight.bin").write_bytes(files[f"{_DATA}/weights/weight.bin"])
        program = load(spec, specification_version=spec.specificationVersion, file_weights_dir=folder)
    return program.functions["main"]


def _interpreter(function: Any, inputs: list[str], outputs: list[str]) -> Callable[[list[Any]], list[Any]]:
    import torch

    known: dict[int, Any] = {}  # by the variable: MIL's reader may give several one name
    steps = []
    for op in function.operations:
        name = id(op.outputs[0])
        if op.op_type == "const":
            known[name] = _widened(op.outputs[0].val)
        elif op.op_type.startswith(_CONSTEXPR):
            known[name] = _rounded(np.asarray(op.materialized_val_inference()), op.outputs[0])
        else:
            steps.append(op)

    def run(given: list[Any]) -> list[Any]:
        values = dict(known)
        values.update({id(function.inputs[name]): x.numpy() for name, x in zip(inputs, given, strict=True)})
        for op in steps:
            (out,) = op.outputs
            read = {key: None if var is None else values[id(var)] for key, var in op.inputs.items()}
            compute = _MORE.get(op.op_type)
            try:
                y = run_operator(op.op_type, out.name, read) if compute is None else compute(read)
            except BundleError as error:
                raise BundleError(f"the Core ML package cannot be run here: {error}") from error
            values[id(out)] = _rounded(y, out)
        results = {var.name: values[id(var)] for var in function.outputs}
        return [torch.from_numpy(np.asarray(results[name], np.float32)) for name in outputs]

    return run


def _rounded(value: _Array, var: Any) -> _Array:
    """As the format that the program declares can hold it; floats then come as float32, in which every operator computes."""
    from coremltools.converters.mil.mil import types

    kind = _NUMPY.get(types.builtin_to_string(var.dtype))
    return np.asarray(_widened(value if kind is None else np.asarray(value).astype(kind, copy=False)))


def _widened(value: Any) -> Any:
    return value.astype(np.float32) if isinstance(value, np.ndarray) and value.dtype == np.float16 else value


def _thresholded_relu(given: Mapping[str, Any]) -> _Array:
    x = np.asarray(given["x"], np.float32)
    return np.where(x >= np.float32(given["alpha"]), x, np.float32(0))


def _transpose(given: Mapping[str, Any]) -> _Array:
    return np.asarray(given["x"]).transpose([int(d) for d in given["perm"]])


# What the deploy form becomes here and not in a package of its own, where channels come first.
_MORE: Mapping[str, Callable[[Mapping[str, Any]], _Array]] = {
    "thresholded_relu": _thresholded_relu,
    "transpose": _transpose,
}
