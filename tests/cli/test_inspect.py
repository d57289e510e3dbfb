"""``levit inspect``: its numbers are the flatbuffer's."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema
from commands import Levit
from exports import Exported, labelled_pictures

pytestmark = pytest.mark.slow

KINDS = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}


def operators_and_constants(file: Path) -> tuple[dict[str, int], dict[str, int]]:
    """How often each operator occurs, and the bytes of every constant, by the generated classes alone."""
    model = schema.ModelT.InitFromPackedBuf(file.read_bytes(), 0)
    (graph,) = model.subgraphs
    codes = [KINDS[max(c.builtinCode, c.deprecatedBuiltinCode)] for c in model.operatorCodes]
    constants = {}
    for tensor in graph.tensors:
        data = model.buffers[tensor.buffer].data
        if data is not None:
            constants[tensor.name.decode()] = len(data)
    return dict(Counter(codes[op.opcodeIndex] for op in graph.operators)), constants


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "int8-dynamic"])
def test_json(levit: Levit, exported: Exported, precision: str) -> None:
    bundle = exported.bundle(f"levit_128s-{precision}-tflite")
    answer = levit("inspect", bundle, "--json", "--runs", 3)
    assert (answer.code, answer.err) == (0, "")
    found = answer.data
    operators, constants = operators_and_constants(bundle / "model.tflite")
    assert found["operators"] == operators
    assert {row["name"]: row["bytes"] for row in found["constants"]} == constants
    sizes = [row["bytes"] for row in found["constants"]]
    assert sizes == sorted(sizes, reverse=True)
    assert 0.9 * found["bytes"] < sum(sizes) < found["bytes"] == (bundle / "model.tflite").stat().st_size
    assert found["delegate"] == {"name": "XNNPACK", "parts": 1, "outside": {}}
    assert found["input"]["shape"] == [1, 224, 224, 3]
    assert found["output"]["shape"] == [1, 10]
    assert found["artifact"]["precision"] == precision
    times = found["milliseconds"]
    assert (times["runs"], times["threads"]) == (3, 1)
    assert 0 < times["least"] <= times["median"]


def test_text(levit: Levit, exported: Exported) -> None:
    bundle = exported.bundle("levit_128s-int8-tflite")
    answer = levit("inspect", bundle, "--runs", 2, "--threads", 2)
    assert (answer.code, answer.err) == (0, "")
    size = (bundle / "model.tflite").stat().st_size
    lines = answer.out.splitlines()
    assert lines[0] == f"{bundle}: levit_128s, int8, {size / 1e6:.2f} MB"
    assert "input       image float32(1, 224, 224, 3)" in lines
    assert "delegate    XNNPACK, 1 part(s); outside: nothing" in lines
    assert any(line.endswith(" least, of 2 with 2 thread(s)") for line in lines)
    assert "FULLY_CONNECTED     65" in lines
    assert f"blocks.12.proj.weight  393,216  {393216 / size:>5.1%}" in lines


def test_raw_pixels(levit: Levit, other_kinds: Exported) -> None:
    answer = levit("inspect", other_kinds.bundle("uint8"), "--runs", 1)
    assert "input       image uint8(1, 224, 224, 3), scale 1, zero point 0\n" in answer.out
    assert "delegate    XNNPACK, 1 part(s); outside: 1 QUANTIZE\n" in answer.out


def test_no_bundle(levit: Levit, tmp_path: Path) -> None:
    answer = levit("inspect", tmp_path, "--json")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == f"error: {tmp_path}: not a bundle, it has no manifest.json\n"


def test_quant_error(levit: Levit, exported: Exported) -> None:
    """Every layer, in the program and in the artifact, which differ by roundings only; and which of them hurt most."""
    bundle = exported.bundle("levit_128s-int8-tflite")
    found = levit("inspect", bundle, "--quant-error", "--limit", 2, "--json")
    assert found.code == 0, found.err
    rows = found.data["layers"]
    assert (found.data["pictures"], len(rows)) == (2, 71)
    for row in rows:
        assert row["artifact"] == pytest.approx(row["program"], abs=3), row["name"]
        assert row["artifact"] > 15
    assert found.data["artifact"] == pytest.approx(found.data["program"], abs=3)
    assert found.data["artifact"] > 22
    told = levit("inspect", bundle, "--quant-error", "--limit", 2)
    lines = told.out.splitlines()
    assert lines[0].split() == [
        "signal",
        "to",
        "noise,",
        "dB",
        "alone",
        "in",
        "the",
        "program",
        "in",
        "the",
        "artifact",
        "logits,",
        "only",
        "it",
    ]
    assert [line.split()[0] for line in lines[1:73]] == [*(row["name"] for row in rows), "logits"]
    worst = sorted(rows, key=lambda row: row["logits"])[:5]
    assert {line.split()[0] for line in lines if line.endswith(" *")} == {row["name"] for row in worst}
    assert lines[-1] == "* the 5 layers that hurt the logits most; 2 pictures"


def test_quant_error_where_nothing_can_be_looked_into(
    levit: Levit, executorch_exported: Exported, tmp_path: Path
) -> None:
    labelled_pictures(tmp_path / "pictures")
    words = ["--quant-error", "--data", tmp_path / "pictures", "--limit", 1, "--json"]
    found = levit("inspect", executorch_exported.bundle("levit_128s-int8-dynamic-executorch"), *words)
    assert found.code == 0, found.err
    assert found.data["pictures"] == 1
    assert {row["artifact"] for row in found.data["layers"]} == {None}
    assert len(found.data["layers"]) == 71 - 6  # its convolutions are float


def test_quant_error_of_what_is_not_quantised(levit: Levit, exported: Exported) -> None:
    answer = levit("inspect", exported.bundle("levit_128s-fp16-tflite"), "--quant-error")
    assert (answer.code, answer.out) == (2, "")
    assert "fp16 has no quantised layers to look at; this is for int8 and int8-dynamic" in answer.err


def test_quant_error_of_other_weights(levit: Levit, exported: Exported, strange: Path) -> None:
    answer = levit("inspect", exported.bundle("levit_128s-int8-tflite"), "--quant-error", "--weights", strange)
    assert answer.code == 2
    assert "strange.safetensors is not what" in answer.err


@pytest.mark.parametrize("option", [("--weights", "demo"), ("--data", "x"), ("--limit", 3)])
def test_options_of_quant_error_alone(levit: Levit, exported: Exported, option: tuple[str, object]) -> None:
    answer = levit("inspect", exported.bundle("levit_128s-int8-tflite"), *option)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == f"error: {option[0]} is about --quant-error; type --quant-error too\n"
