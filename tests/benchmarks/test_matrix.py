"""Which cells the matrix has, why some cannot be, and the page made of it; the exports themselves are other tests'."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from levit_mobile.cli.main import cli
from levit_mobile.errors import ExportError, UsageError
from levit_mobile.quantize import PRECISIONS
from levit_mobile.targets import TARGETS
from levit_mobile.variants import VARIANTS

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MADE: dict[str, Any] = {
    "seconds": 12.3,
    "processor_seconds": 11.6,
    "peak_mb": 1234,
    "artifact_bytes": 7_654_321,
    "operators": 433,
    "parts": 1,
    "operators_outside": 0,
    "parity": {"max_abs": 0.0219, "cosine": 0.99931, "agreement": 1.0, "samples": 8, "passed": True},
}


def test_every_variant_target_and_precision_is_a_cell() -> None:
    from matrix import cells

    found = list(cells())
    assert len({cell.name for cell in found}) == len(found)
    plain = {(cell.variant, cell.target, cell.precision) for cell in found if not cell.options}
    assert plain == {(v, t, p) for v in VARIANTS for t in TARGETS for p in PRECISIONS}
    routes = {(cell.target, *cell.options.values()) for cell in found if cell.options}
    assert routes == {("tflite", "onnx2tf"), *(("executorch", d) for d in ("coreml", "vulkan", "none"))}


def test_what_cannot_be_says_why() -> None:
    from matrix import Cell, cells

    reasons = {cell.name: cell.impossible for cell in cells()}
    possible = {(cell.target, cell.precision) for cell in cells() if not cell.options and not cell.impossible}
    assert possible == {(target, p) for target, row in TARGETS.items() for p in row.precisions}
    assert reasons["levit_256 onnx fp16"] == "--target onnx cannot do --precision fp16; it can do: fp32, int8"
    cell = Cell("levit_384", "executorch", {"delegate": "vulkan"}, "int8-dynamic")
    assert cell.name == "levit_384 executorch vulkan int8-dynamic"
    assert cell.impossible == (
        "--target executorch --delegate vulkan cannot do --precision int8-dynamic; it can do: fp32, fp16, int8"
    )


def test_its_arguments_are_levit_exports() -> None:
    from matrix import cells

    export = cli.get_command(click.Context(cli), "export")
    assert export is not None
    for cell in cells():
        words = ["--target", cell.target, "--precision", cell.precision, *cell.arguments()]
        given = export.make_context("levit export", words).params
        assert given["calib_data"] == (Path("thousand.json") if cell.precision == "int8" else None)
        for name, value in cell.options.items():
            assert given[name] == value


def run(monkeypatch: pytest.MonkeyPatch, results: Path, *words: str) -> list[tuple[str, str]]:
    """The script without exports; which it would have made."""
    import matrix

    asked: list[tuple[str, str]] = []

    def measure(target: str, precision: str, options: list[str], folder: Path) -> dict[str, Any]:
        assert folder.is_dir()
        asked.append((target, precision))
        if precision == "fp16":
            raise ExportError("this failed, type it to see why: levit-export")
        return MADE

    monkeypatch.setattr(matrix, "measure", measure)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: None)
    monkeypatch.setattr(sys, "argv", ["matrix.py", "--results", str(results), *words])
    matrix.main()
    return asked


def test_it_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = run(monkeypatch, tmp_path, "--only", "levit_192 onnx")
    assert asked == [("onnx", "fp32"), ("onnx", "int8")]
    rows = json.loads((tmp_path / "matrix.json").read_text())["rows"]
    assert rows["levit_192 onnx fp32"] == MADE
    assert list(rows["levit_192 onnx fp16"]) == ["impossible"]
    assert run(monkeypatch, tmp_path, "--only", "levit_192 onnx") == []
    assert run(monkeypatch, tmp_path, "--only", "levit_192 onnx int8", "--again") == [("onnx", "int8")]
    assert run(monkeypatch, tmp_path, "--only", "levit_128 onnx") == asked
    assert next(iter(json.loads((tmp_path / "matrix.json").read_text())["rows"])) == "levit_128 onnx fp32"


def test_rows_of_another_machine_are_not_added_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, tmp_path, "--only", "levit_192 onnx")
    path = tmp_path / "matrix.json"
    stored = json.loads(path.read_text())
    for what, other in (("machine", "riscv64"), ("packages", {})):
        path.write_text(json.dumps({**stored, what: other}))
        with pytest.raises(UsageError, match=f"matrix.json was measured on other {what} .*type --again without --only"):
            run(monkeypatch, tmp_path, "--only", "levit_192 onnx int8", "--again")
    assert len(run(monkeypatch, tmp_path, "--again")) > 100
    assert json.loads(path.read_text())["machine"] == stored["machine"]


def test_a_failure_is_a_cell_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, tmp_path, "--only", "levit_128s tflite")
    rows = json.loads((tmp_path / "matrix.json").read_text())["rows"]
    assert rows["levit_128s tflite fp16"] == {"failed": "this failed, type it to see why: levit-export"}
    assert rows["levit_128s tflite onnx2tf int8"] == MADE
    assert run(monkeypatch, tmp_path, "--only", "levit_128s tflite") == [("tflite", "fp16")]  # tried again, alone


def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matrix import cells
    from matrix_page import matrix_page

    run(monkeypatch, tmp_path, "--only", "levit_128")
    text = matrix_page(json.loads((tmp_path / "matrix.json").read_text()), cells())
    lines = text.splitlines()
    assert [line for line in lines if line.startswith("## ")] == ["## levit_128s", "## levit_128", "## What cannot be"]
    assert "| tflite onnx2tf int8 | 7.65 MB | 433 | 1 | 0 | 2.2e-02 | 0.9993 | passed | 12 s | 1,234 MB |" in lines
    assert any(line.startswith("| executorch vulkan fp16 | failed: this failed") for line in lines)
    assert lines.count("- --target onnx cannot do --precision fp16; it can do: fp32, int8") == 1
    widths = {line.count("|") for line in lines if line.startswith("|")}
    assert len(widths) == 1


def test_a_cell_that_is_not_there() -> None:
    command = [sys.executable, str(BENCHMARKS / "matrix.py"), "--only", "int4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--only 'int4' is in no cell's name; one is: levit_128s tflite fp32" in done.stderr


def test_the_results_in_the_repository() -> None:
    """What is there is in order, went well and fits into 8 GB."""
    from matrix import cells

    rows = json.loads((BENCHMARKS / "results" / "matrix.json").read_text())["rows"]
    assert list(rows) == [cell.name for cell in cells() if cell.name in rows]
    assert [name for name, row in rows.items() if "failed" in row] == []
    assert max(row["peak_mb"] for row in rows.values() if "peak_mb" in row) < 8192
    for cell in cells():
        if cell.name in rows:
            assert rows[cell.name].get("impossible") == cell.impossible
