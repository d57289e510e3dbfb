"""The package that Core ML got in a ``.pte``, and its reference interpreter, for hosts without Core ML."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from levit_mobile.folder_bytes import unpack_folder
from levit_mobile.runtimes.coreml_program import Interpreter, constants, operators, read_program
from levit_mobile.runtimes.executorch_graph import DelegateGraph

__all__ = ["read_graph"]

_DATA = "model.mlpackage/Data/com.apple.CoreML"


def read_graph(payload: bytes, constants_of_program: Mapping[str, bytes]) -> DelegateGraph:
    """Operators, constants and interpreter of a delegate call."""
    files = unpack_folder(payload)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "weight.bin").write_bytes(files[f"{_DATA}/weights/weight.bin"])
        _, function = read_program(files[f"{_DATA}/model.mlmodel"], Path(folder))
    about, interpreter = json.loads(files["metadata.json"]), Interpreter(function)

    def run(given: list[Any]) -> list[Any]:
        import torch

        named = {name: x.numpy() for name, x in zip(about["inputNames"], given, strict=True)}
        return [torch.from_numpy(interpreter.run(named, name)) for name in about["outputNames"]]

    return DelegateGraph(operators(function), constants(function), run)
