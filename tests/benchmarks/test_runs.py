"""The scripts themselves, on a few pictures and rounds: what they write is what ``tables.py`` reads."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from exports import PRECISIONS, Exported, labelled_pictures

from levit_mobile.weights import resolve_weights

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures") / "labelled"
    labelled_pictures(folder)
    return folder


@pytest.fixture(scope="module")
def bundles(exported: Exported, executorch_exported: Exported) -> list[Path]:
    return [
        folder.bundle(f"levit_128s-{precision}-{target}")
        for target, folder in (("tflite", exported), ("executorch", executorch_exported))
        for precision in PRECISIONS
    ]


def run(script: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / f"{script}.py"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)


def result(script: str, folder: Path, *words: object) -> dict[str, Any]:
    done = run(script, "--results", folder, *words)
    assert done.returncode == 0, done.stderr
    assert os.listdir(folder) == [f"{script}.json"]
    found: dict[str, Any] = json.loads((folder / f"{script}.json").read_text())
    assert found["checkpoint"] == resolve_weights("demo").sha256
    assert "int8 dot products" in found["machine"] or not Path("/proc/cpuinfo").exists()
    assert found["packages"].keys() >= {"torch", "ai-edge-litert", "executorch"}
    return found


def test_latency(bundles: list[Path], tmp_path: Path) -> None:
    found = result("latency", tmp_path, "--rounds", 3, *bundles)
    assert (found["rounds"], found["threads"], found["base"]) == (3, 1, "tflite fp32")
    assert set(found["rows"]) == {f"{target} {name}" for target in ("tflite", "executorch") for name in PRECISIONS}
    for row in found["rows"].values():
        assert 0 < row["p50_ms"] <= row["p90_ms"]
        low, high = row["interval95"]
        assert 0 < low <= row["ratio_of_p50"] <= high
    assert found["rows"]["tflite fp32"]["ratio_of_p50"] == 1


def test_latency_without_the_base(exported: Exported, tmp_path: Path) -> None:
    done = run("latency", "--results", tmp_path, exported.bundle("levit_128s-int8-tflite"))
    assert done.returncode == 2
    assert done.stderr == "error: --base 'tflite fp32' is none of these bundles; type one of: tflite int8\n"
    assert os.listdir(tmp_path) == []


def test_accuracy(bundles: list[Path], pictures: Path, tmp_path: Path) -> None:
    found = result("accuracy", tmp_path, "--data", pictures, *bundles)
    assert found["pictures"] == 6
    rows = found["rows"]
    assert list(rows) == ["PyTorch fp32", *(f"{t} {name}" for t in ("tflite", "executorch") for name in PRECISIONS)]
    assert rows["PyTorch fp32"]["agreement"]["share"] == 1
    for name in ("tflite fp32", "executorch fp32"):
        assert rows[name] == rows["PyTorch fp32"]


@pytest.mark.parametrize("target", ["tflite", pytest.param("executorch", marks=pytest.mark.xdist_group("etrun"))])
def test_memory(target: str, request: pytest.FixtureRequest) -> None:
    """What is looked at is there at the least: the weights, once as they are packed."""
    if target == "executorch" and shutil.which("g++") is None:
        pytest.skip("no g++: the ExecuTorch runner is not compiled")
    exports: Exported = request.getfixturevalue("exported" if target == "tflite" else "executorch_exported")
    taken, weights = {}, {"fp32": 28, "int8": 7}
    for precision in weights:
        (artifact,) = exports.bundle(f"levit_128s-{precision}-{target}").glob("model.*")
        done = run("memory", "--one", artifact, target)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout.splitlines()[-1])
        taken[precision] = found["peak"]
        assert weights[precision] < found["after"] <= found["peak"] < 6 * weights[precision]
        file = artifact.stat().st_size / 1e6
        assert 0.9 * file < found["mapped"] < 1.1 * file if target == "tflite" else found["mapped"] == 0
    assert taken["int8"] < 0.6 * taken["fp32"]


@pytest.mark.parametrize(
    ("kinds", "calibrated"),
    [
        ([("tflite", "fp32")], False),
        ([("executorch", "fp16")], False),
        ([("tflite", "fp32"), ("tflite", "int8")], True),
    ],
)
def test_a_calibration_goes_where_ranges_are_needed(
    kinds: list[tuple[str, str]], calibrated: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """levit-export refuses it elsewhere."""
    import instructions

    asked: list[list[str]] = []

    def ended(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(instructions.subprocess, "run", ended)
    instructions.export(tmp_path, kinds)
    assert [("--calib-data" in command) for command in asked] == [calibrated]


@pytest.mark.long
def test_agreement(bundles: list[Path], onnx_exported: Exported, pictures: Path, tmp_path: Path) -> None:
    static = [folder for folder in bundles if "-int8-tflite" in folder.name or "-int8-executorch" in folder.name]
    words = ["--data", pictures, "--pictures", 5, "--seed", 1]
    found = result("agreement", tmp_path, *words, *static, onnx_exported.bundle("levit_128s-int8-onnx"))
    assert (found["pictures"], found["seed"], found["limit"]) == (5, 1, 0.02)
    assert list(found["rows"]) == ["tflite int8", "executorch int8", "onnx int8"]
    for row in found["rows"].values():
        assert row["within"]["share"] == 1
        assert 0 <= row["mean"] <= row["p99"] <= row["greatest"] <= 0.02
    pairs = [["tflite int8", "executorch int8"], ["tflite int8", "onnx int8"], ["executorch int8", "onnx int8"]]
    assert [pair["between"] for pair in found["pairs"]] == pairs


@pytest.mark.long
def test_policy(exported: Exported, pictures: Path, tmp_path: Path) -> None:
    two = [exported.bundle(f"levit_128s-{name}-tflite") for name in ("int8", "fp32")]
    words = ["--data", pictures, "--calib-data", pictures, "--calib-samples", 4, "--rounds", 3]
    found = result("policy", tmp_path, *words, *two)
    rows = found["rows"]
    assert list(rows) == [
        "as shipped",
        "nothing in int8",
        "bias tables and zero points not packed",
        "reshape, transpose, pad in float",
        "residual and bias adds in int8 too",
        "everything in int8",
    ]
    assert rows["as shipped"]["artifact_bytes"] == (two[0] / "model.tflite").stat().st_size
    assert rows["as shipped"]["latency"]["ratio_of_p50"] == 1
    unpacked = rows["bias tables and zero points not packed"]["artifact_bytes"]
    assert unpacked > 1.15 * rows["as shipped"]["artifact_bytes"]
    for name, row in rows.items():
        assert 0 <= row["top1"]["share"] <= 1
        whole = (row["xnnpack_parts"], row["operators_outside"]) == (1, 0)
        assert whole == (name != "everything in int8")


@pytest.mark.long
def test_calibration(pictures: Path, tmp_path: Path) -> None:
    words = ["--data", pictures, "--calib-data", pictures, "--samples", 3, "--seeds", 0, 4, "--methods", "mse"]
    found = result("calibration", tmp_path, *words)
    assert found["pictures"] == 6
    assert list(found["tables"]) == ["bundled", "hardened", "methods", "pictures"]
    assert list(found["tables"]["bundled"]) == list(found["tables"]["hardened"])
    assert list(found["tables"]["methods"]) == ["mse", "mse alone"]
    assert list(found["tables"]["pictures"]) == ["3 pictures, seed 0", "3 pictures, seed 4"]
    bundled, hardened = (
        {name: row["decibels"] for name, row in found["tables"][model].items()} for model in ("bundled", "hardened")
    )
    # Hardening does next to nothing to what is equalised, and undoes what is not.
    assert abs(bundled["as shipped"] - hardened["as shipped"]) < 2
    for name in ("channels not equalised", "ranges by min-max alone"):
        assert hardened[name] < bundled[name] - 10


@pytest.mark.long
def test_qat(pictures: Path, tmp_path: Path) -> None:
    words = ["--data", pictures, "--calib-data", pictures, "the same again=demo"]
    rows = result("qat", tmp_path, *words)["rows"]
    assert list(rows) == ["as it is in the package", "the same again"]
    first, again = rows.values()
    assert first == again
    assert first["pictures"] == 6
    assert first["alone"]["decibels"] < first["int8"]["decibels"] - 3
    done = run("qat", "--results", tmp_path, "--data", pictures, "--calib-data", pictures, "demo")
    assert (done.returncode, "demo has no name; type NAME=FILE" in done.stderr) == (2, True)


def test_policy_of_one_bundle(exported: Exported, pictures: Path, tmp_path: Path) -> None:
    words = ["--results", tmp_path, "--data", pictures, "--calib-data", pictures]
    done = run("policy", *words, exported.bundle("levit_128s-int8-tflite"))
    assert done.returncode == 2
    assert "tflite fp32 and tflite int8, not: tflite int8; make them with: levit-export" in done.stderr
