"""How the cost of an export is measured; the exports themselves are other tests'."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from exports import Exported

from levit_mobile.errors import ExportError, UsageError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_measuring_process_is_small() -> None:
    """Else its own peak is the least that it can measure: Linux carries it over fork and exec."""
    code = (
        "import export_cost, json, sys\n"
        "from pathlib import Path\n"
        "peaks = [export_cost.run([sys.executable, '-c', what], Path('.')).peak_mb for what in ('pass', 'bytearray(2**28)')]\n"
        "print(json.dumps({'peaks': peaks, 'torch': 'torch' in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert not found["torch"]
    assert found["peaks"][0] < 60
    assert 256 < found["peaks"][1] < 320


def test_a_failed_export_is_told(tmp_path: Path) -> None:
    from export_cost import run

    code = "import sys; print('a step'); sys.stderr.write('chatter\\nerror: no such thing\\n'); raise SystemExit(3)"
    with pytest.raises(ExportError, match=r"SystemExit\(3\): ended with 3: error: no such thing$"):
        run([sys.executable, "-c", code], tmp_path)
    with pytest.raises(ExportError, match=r"ended with 1: $"):
        run([sys.executable, "-c", "import os; os._exit(1)"], tmp_path)


def test_rows_of_other_weights_are_not_mixed_in(tmp_path: Path) -> None:
    from export_cost import stored

    assert stored(tmp_path, "a") == {}
    (tmp_path / "export_cost.json").write_text(json.dumps({"checkpoint": "a", "rows": {"tflite int8": {}}}))
    assert stored(tmp_path, "a") == {"tflite int8": {}}
    with pytest.raises(UsageError, match="of other weights than the package has now; leave --only out"):
        stored(tmp_path, "b")


def test_a_row_that_is_not_there() -> None:
    command = [sys.executable, str(BENCHMARKS / "export_cost.py"), "--only", "int4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--only 'int4' is in no row's name; the rows are: tflite fp32; tflite fp16; " in done.stderr


@pytest.mark.slow
def test_a_row(executorch_exported: Exported, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import export_cost

    made = executorch_exported.bundle("levit_128s-int8-executorch")

    def ready_made(command: list[str], folder: Path) -> export_cost.Cost:
        words = command[command.index("export") + 1 :]
        assert words[:4] == ["--target", "executorch", "--precision", "int8"]
        assert words[-1] == "--verbose"
        assert folder == tmp_path
        shutil.copytree(made, words[words.index("--out") + 1])
        return export_cost.Cost(21.64, 19.87, 1234.4)

    monkeypatch.setattr(export_cost, "run", ready_made)
    row = export_cost.measure("executorch", "int8", ["--verbose"], tmp_path)
    assert (row["seconds"], row["processor_seconds"], row["peak_mb"]) == (21.6, 19.9, 1234)
    assert row["artifact_bytes"] == (made / "model.pte").stat().st_size
    assert (row["parts"], row["operators_outside"]) == (1, 0)
    assert row["parity"]["passed"]
