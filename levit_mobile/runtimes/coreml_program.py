"""An ML program as Core ML keeps it in files: read without Core ML, and run by a reference interpreter in numpy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from levit_mobile.errors import BundleError, RuntimeMissingError, cannot_load, install_hint
from levit_mobile.quiet import quiet
from levit_mobile.runtimes.mil import run_operator

__all__ = ["Interpreter", "constants", "import_coremltools", "operators", "read_program"]

_NUMPY: dict[str, type[np.generic]] = {"fp16": np.float16, "fp32": np.float32, "int8": np.int8, "uint8": np.uint8}
_CONSTEXPR = "constexpr_"  # weights that are stored smaller than they are used
_LABELS = "classify"  # the names of the classes, which are no numbers


def import_coremltools() -> Any:
    """The package.

    Raises:
        RuntimeMissingError: it is not installed, or cannot be loaded, or not made for this machine.
    """
    try:
        with quiet():
            import coremltools
            from coremltools.converters.mil.frontend.milproto import load
    except ModuleNotFoundError as error:
        if error.name != "coremltools":
            raise cannot_load("coremltools", error) from error
        raise RuntimeMissingError(f"reading a Core ML model needs coremltools; {install_hint('coreml')}") from error
    except ImportError as error:
        raise cannot_load("coremltools", error) from error
    if load.BlobReader is None:
        raise RuntimeMissingError(
            "coremltools is here without its native library, which reads weights: it has one on macOS and on x86-64 Linux"
        )
    return coremltools


def read_program(model: bytes, weights: Path) -> tuple[Any, Any]:
    """A model's protobuf, and the function ``main`` of its program.

    What is wrong with a damaged file is said by whichever exception its reader raises.

    Args:
        model: the serialised protobuf.
        weights: the folder with the file of weights.

    Raises:
        ValueError: it is a model of another kind.
        RuntimeMissingError: as ``import_coremltools``.
    """
    import_coremltools()
    with quiet():
        from coremltools.converters.mil.frontend.milproto.load import load
        from coremltools.proto.Model_pb2 import Model

        spec = Model.FromString(model)
        if spec.WhichOneof("Type") != "mlProgram":
            raise ValueError("it is not an ML program")
        program = load(spec, specification_version=spec.specificationVersion, file_weights_dir=str(weights))
    return spec, program.functions["main"]


def operators(function: Any) -> Counter[str]:
    """How often each operator occurs; a constant is none."""
    return Counter(op.op_type for op in function.operations if op.op_type != "const")


def constants(function: Any) -> list[tuple[str, int]]:
    """(name, bytes) of each, in the order of the program."""
    stored = [op.outputs[0] for op in function.operations if op.op_type == "const"]
    return [(var.name, np.asarray(var.val).nbytes) for var in stored if isinstance(var.val, np.ndarray)]


class Interpreter:
    """A function, operator by operator, in the number formats that it declares; weights are unpacked once.

    Tensors are told apart by the object, not by the name: a file leaves some constants without one, and those that
    coremltools makes up depend on what it has read before and may be another tensor's.
    """

    def __init__(self, function: Any) -> None:
        self._inputs, self._outputs = function.inputs, {var.name: var for var in function.outputs}
        self._constants: dict[Any, Any] = {}
        self._steps: list[Any] = []
        for op in function.operations:
            if op.op_type == "const":
                self._constants[op.outputs[0]] = _widened(op.outputs[0].val)
            elif op.op_type.startswith(_CONSTEXPR):
                value = np.asarray(op.materialized_val_inference())
                self._constants[op.outputs[0]] = _rounded(value, _declared(op.outputs[0]))
            elif op.op_type != _LABELS:
                self._steps.append(op)

    def run(self, given: Mapping[str, npt.NDArray[Any]], wanted: str) -> npt.NDArray[np.float32]:
        """The output ``wanted`` for these inputs.

        Raises:
            BundleError: an operator that is not known here, or that cannot be run on what it is given.
        """
        values: dict[Any, Any] = {self._inputs[name]: _widened(value) for name, value in given.items()}
        for op in self._steps:
            out = op.outputs[0]
            try:
                read = {key: self._value(var, values) for key, var in op.inputs.items()}
                with np.errstate(over="ignore", invalid="ignore"):  # float16 has infinities, here and on a phone
                    values[out] = _rounded(run_operator(op.op_type, out.name, read), _declared(out))
            except (LookupError, TypeError, ValueError) as error:
                raise BundleError(f"{out.name}: {op.op_type} cannot be run so ({error})") from error
        return np.asarray(values[self._outputs[wanted]], np.float32)

    def _value(self, var: Any, values: dict[Any, Any]) -> Any:
        if isinstance(var, list | tuple):
            return [self._value(v, values) for v in var]
        if var is None:
            return None
        return values[var] if var in values else self._constants[var]


def _rounded(value: npt.NDArray[Any], kind: type[np.generic] | None) -> npt.NDArray[Any]:
    """As ``kind`` can hold it; floats then come as float32, in which every operator computes."""
    rounded: npt.NDArray[Any] = _widened(value if kind is None else value.astype(kind, copy=False))
    return rounded


def _widened(value: Any) -> Any:
    return value.astype(np.float32) if isinstance(value, np.ndarray) and value.dtype == np.float16 else value


def _declared(var: Any) -> type[np.generic] | None:
    """The number format that the program declares for a tensor."""
    from coremltools.converters.mil.mil import types

    return _NUMPY.get(types.builtin_to_string(var.dtype))
