"""Operator by operator: which counts are an operator's, and real times and counts that add up to the whole."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from counting import missing_for_counting
from exports import Exported

from levit_mobile.bench import operators
from levit_mobile.bench.guest import Border
from levit_mobile.bench.instructions import count
from levit_mobile.bench.operators import OperatorCounts, OperatorTimes, count_operators, time_operators
from levit_mobile.bench.root import EmulationError
from levit_mobile.errors import BundleError, RuntimeMissingError, UsageError

AMOUNTS = [50, 900, 20, 4000, 300]  # of the operators below
NAMES = ["conv", "softmax", "reshape", "conv", "add"]


def inference(before: Sequence[int], amounts: Sequence[int], after: Sequence[int]) -> list[Border]:
    """Borders of an inference: mark, clock after ``before``, after each of ``amounts`` and of ``after``, mark."""
    rows, at = [("mark", 0)], 1_000_000
    rows += [("clock", amount) for amount in (*before, *amounts, *after)]
    rows.append(("mark", 777))
    borders = []
    for kind, amount in rows:
        at += amount
        borders.append(Border(kind, 0, 1, 1, {"simd": at - 1000, "other": 1000}))
    return borders


@pytest.mark.parametrize("before", [[7], [5, 70, 3], [100, 200, 300, 400]])
@pytest.mark.parametrize("after", [[], [60], [9000, 10, 10]])
def test_operators_are_found_among_other_readings_of_the_clock(before: list[int], after: list[int]) -> None:
    times = np.array(AMOUNTS) * 1.1 + 3
    rows, outside = operators._located(NAMES, inference(before, AMOUNTS, after), times)
    assert [sum(row.values()) for row in rows] == AMOUNTS
    assert outside == sum(before) + sum(after) + 777


@pytest.mark.parametrize("given", [AMOUNTS[:3], [50, 900, 20, 4000], [4000, 20, 900, 300, 50], [8, 8, 8, 8, 8]])
def test_operators_that_cannot_be_told_apart(given: list[int]) -> None:
    with pytest.raises(EmulationError, match=f"read {len(given) + 1} times in an inference of 5 operators"):
        operators._located(NAMES, inference([9], given, []), np.array(AMOUNTS, float))


def test_kinds_together() -> None:
    counts = OperatorCounts(tuple(NAMES), tuple({"simd": n, "other": 0} for n in AMOUNTS), 12, 0)
    assert counts.totals == tuple(AMOUNTS)
    found = [(row.name, row.times, row.amount) for row in counts.by_kind()]
    assert found == [("conv", 2, 4050), ("softmax", 1, 900), ("add", 1, 300), ("reshape", 1, 20)]
    assert sum(row.part for row in counts.by_kind()) == pytest.approx(1)
    assert OperatorTimes(("a", "b"), (0.0, 0.0), 0.1).by_kind()[0].part == 0


def test_names() -> None:
    told = {"operators": ["Add (ND) #1", "Softmax (NC, F32)", "Add (ND) #12", "Reduce #2 of 3"]}
    assert operators._names(Path("m"), told) == ("Add (ND)", "Softmax (NC, F32)", "Add (ND)", "Reduce #2 of 3")
    with pytest.raises(BundleError, match=r"^m: no delegate told of operators"):
        operators._names(Path("m"), {"operators": []})


def test_a_target_that_does_not_tell() -> None:
    for function in (
        lambda: time_operators(Path("m"), "onnx"),
        lambda: count_operators(Path("m"), "onnx", "cortex-a76"),
    ):
        with pytest.raises(
            UsageError, match="for 'onnx' does not tell of its operators; those for executorch, tflite do"
        ):
            function()


def test_no_litert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators, "find_spec", lambda _: None)
    with pytest.raises(RuntimeMissingError, match=r"^the profile of a \.tflite needs LiteRT; type in the checkout"):
        time_operators(Path("model.tflite"), "tflite")


# Real ones


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_times_in_litert(exported: Exported, precision: str) -> None:
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed: nothing is timed")
    artifact = exported.bundle(f"levit_128s-{precision}-tflite") / "model.tflite"
    check_times(time_operators(artifact, "tflite", runs=10))


@pytest.mark.slow
def test_times_in_executorch(executorch_exported: Exported) -> None:
    if shutil.which("g++") is None or platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip("no g++ for this machine: the ExecuTorch runner is not compiled")
    artifact = executorch_exported.bundle("levit_128s-int8-executorch") / "model.pte"
    check_times(time_operators(artifact, "executorch", runs=10))


def check_times(found: OperatorTimes) -> None:
    assert len(found.names) == len(found.ms) > 200
    assert sum("Softmax" in name for name in found.names) == 11  # blocks with attention
    assert 0 < sum(found.ms) < found.whole_ms
    assert found.by_kind()[0].name.startswith("Fully Connected")
    assert sum(row.times for row in found.by_kind()) == len(found.names)


@pytest.mark.slow
def test_times_of_a_file_that_is_no_model(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed: nothing is timed")
    (tmp_path / "model.tflite").write_bytes(b"no model" * 100)
    with pytest.raises(
        BundleError, match=r"model\.tflite: the runtime cannot run it \(LiteRtCreateModelFromFile failed"
    ):
        time_operators(tmp_path / "model.tflite", "tflite")


@pytest.mark.slow
def test_counts_in_litert_add_up(exported: Exported) -> None:
    """What the operators take, found under the profiler, is what an inference takes without it."""
    if lacking := missing_for_counting():
        pytest.skip(lacking)
    artifact = exported.bundle("levit_128s-int8-tflite") / "model.tflite"
    found = count_operators(artifact, "tflite", "cortex-a76")
    check_counts(found, count(artifact, "tflite", "cortex-a76", runs=1).total)


@pytest.mark.slow
def test_counts_in_executorch_add_up(executorch_exported: Exported) -> None:
    if lacking := missing_for_counting("aarch64-linux-gnu-g++"):
        pytest.skip(lacking)
    artifact = executorch_exported.bundle("levit_128s-int8-executorch") / "model.pte"
    found = count_operators(artifact, "executorch", "cortex-a76")
    check_counts(found, count(artifact, "executorch", "cortex-a76", runs=1).total)


def check_counts(found: OperatorCounts, whole: int) -> None:
    """int8 with half precision between."""
    assert len(found.names) == len(found.classes) > 300
    assert 0.98 * whole < sum(found.totals) < whole
    assert found.repeatability < 1000
    dots = {name: row["dot"] for name, row in zip(found.names, found.classes, strict=True)}
    assert dots["Softmax (NC, F16)"] == 0
    assert sum(row["dot"] for row in found.classes) > 17e6
    first = next(row for name, row in zip(found.names, found.classes, strict=True) if "Convolution" in name)
    assert first["dot"] >= 112 * 112 * 16 * 27 / 16  # 3x3x3 multiplications for 112x112 pixels of 16 channels
