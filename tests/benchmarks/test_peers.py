"""Which rows the comparison with peers has, that it goes on where it was, and the page and plot made of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from exports import Exported

from levit_mobile.errors import ExportError, UsageError
from levit_mobile.variants import VARIANTS

ROOT = Path(__file__).parents[2]
BENCHMARKS, RESULTS = ROOT / "benchmarks", ROOT / "benchmarks" / "results" / "peers.json"
CPUS = ("cortex-a76", "cortex-a72")


def counted(total: int) -> dict[str, Any]:
    core = {
        "total": total,
        "runs": [total],
        "runtime": {"name": "ai-edge-litert", "version": "2.3.0"},
        "qemu": "7.2.22",
    }
    return {"cortex-a76": core, "cortex-a72": {**core, "total": 2 * total}}


def made_up() -> dict[str, Any]:
    """Results with figures for all rows but ncnn's."""
    from peers import about
    from peers_rows import rows

    everything = {
        row.name: {**about(row), **({"failed": "no quantiser"} if row.tool == "ncnn" else counted(10_000_000 * at))}
        for at, row in enumerate(rows(), 4)
    }
    everything["LeViT-128S, litert-torch fp32"]["host"] = {"ratio": 1.034, "interval95": [1.02, 1.06], "rounds": 100}
    cpus = {"cortex-a76": "Raspberry Pi 5", "cortex-a72": "Raspberry Pi 4"}
    base = "LeViT-128S, this toolkit, TFLite fp32"
    return {"cpus": cpus, "packages": {"torch": "2.13.0"}, "base": base, "rows": everything}


def test_the_rows() -> None:
    from peers_networks import NETWORKS
    from peers_rows import OWN, rows

    found = list(rows())
    assert len({row.name for row in found}) == len(found)
    own = {(row.network, row.runtime, row.precision) for row in found if row.tool.startswith(OWN)}
    kinds = [(runtime, precision) for runtime in ("tflite", "executorch") for precision in ("fp32", "fp16", "int8")]
    assert own == {(variant, *kind) for variant in VARIANTS for kind in kinds}
    others = {row.tool for row in found if row.network == "levit_128s"}
    assert others >= {"litert-torch", "onnx2tf", "ONNX Runtime", "ncnn", "MNN", "OpenVINO"}
    assert {row.network for row in found} == set(NETWORKS)
    assert NETWORKS["levit_128s"].title == "LeViT-128S"


def test_every_row_can_be_made_and_run() -> None:
    from peers_convert import ENVIRONMENT
    from peers_inside import PACKAGES
    from peers_makers import MAKERS
    from peers_others import MAKERS as OTHERS
    from peers_rows import rows

    for row in rows():
        assert row.maker in {*MAKERS, *OTHERS, "", "onnx2tf", "onnx2tf-int8"}
        assert row.runtime in PACKAGES
    pins = [line for line in ENVIRONMENT.requirements.splitlines() if line and not line.startswith("#")]
    assert all(line.count("==") == 1 for line in pins)
    assert not [line for line in pins if "telemetry" in line]


def run(monkeypatch: pytest.MonkeyPatch, results: Path, *words: str) -> list[str]:
    """The script without conversions and QEMU; which rows it would have measured."""
    import peers

    asked: list[str] = []

    def artifact(_: Any, row: Any) -> Path:
        if row.maker == "ncnn-int8":
            raise ExportError("no quantiser")
        return Path("model")

    def instructions(_: Path, runtime: str, cpu: str, size: int, version: str, runs: int) -> dict[str, Any]:
        assert size >= 224
        assert runs == 2
        asked.append(f"{runtime} {version} {cpu}")
        return dict(counted(123)[cpu])

    monkeypatch.setattr(peers.Work, "artifact", artifact)
    monkeypatch.setattr(peers, "instructions", instructions)
    monkeypatch.setattr(sys, "argv", ["peers.py", "--results", str(results), "--rounds", "0", *words])
    peers.main()
    return asked


def test_it_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from peers_rows import rows

    assert run(monkeypatch, tmp_path, "--only", "128S, MNN fp32") == ["mnn 3.6.1 cortex-a76", "mnn 3.6.1 cortex-a72"]
    stored = json.loads((tmp_path / "peers.json").read_text())["rows"]
    assert list(stored) == [row.name for row in rows()]
    assert stored["LeViT-128S, MNN fp32"]["cortex-a72"]["total"] == 246
    assert stored["LeViT-128S, MNN fp16"]["missing"] == "not measured yet"
    assert run(monkeypatch, tmp_path, "--only", "128S, MNN fp32") == []
    assert len(run(monkeypatch, tmp_path, "--only", "128S, MNN fp32", "--only", "128S, MNN fp16")) == 2
    assert len(run(monkeypatch, tmp_path, "--only", "128S, MNN fp32", "--again")) == 2
    assert run(monkeypatch, tmp_path, "--only", "ncnn int8") == []
    row = json.loads((tmp_path / "peers.json").read_text())["rows"]["LeViT-128S, ncnn int8"]
    assert row["failed"] == "no quantiser"
    assert "missing" not in row


@pytest.mark.parametrize("anew", [True, False])
def test_again_does_not_measure_what_was_made_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anew: bool
) -> None:
    """An older calibration gives another artifact, which counts other instructions."""
    import peers

    def run(command: list[Any], **_: Any) -> None:
        (Path(command[2]) / "thousand.json").write_text("new")

    monkeypatch.setattr(peers.subprocess, "run", run)
    monkeypatch.setattr(peers, "exported", lambda variant, target, precision, folder: folder / "model")
    folder = tmp_path / "levit_128s"
    folder.mkdir()
    (folder / "thousand.json").write_text("old")
    work = peers.Work(tmp_path, None, anew=anew)
    assert work.artifact(peers.BASE) == folder / "model"
    assert (folder / "thousand.json").read_text() == ("new" if anew else "old")
    (folder / "model").write_text("of this run")
    assert work.artifact(peers.BASE).read_text() == "of this run"


def test_a_reason_names_no_folder() -> None:
    from peers import without_folders

    assert without_folders("/opt/a/.venv/bin/python -m x: '/tmp/b c' see 1/2, https://host/page") == (
        "python -m x: 'b c' see 1/2, https://host/page"
    )


def test_threads_are_told() -> None:
    from peers_count import steady

    from levit_mobile.bench.guest import Border

    def borders(others: list[int]) -> list[Border]:
        return [Border("mark", at, 2, many, {"other": 100 * at + many}) for at, many in enumerate(others)]

    assert steady(borders([5, 5, 9])) == {"total": 100, "runs": [100]}
    assert steady(borders([5, 6, 8])) == {"total": 101, "runs": [101, 102], "note": "the sum of 2 threads"}


def test_the_page() -> None:
    from peers_page import page

    result = made_up()
    text = page(result)
    lines = text.splitlines()
    assert lines[0] == "# LeViT beside its peers"
    assert "| **this toolkit, TFLite** | fp32 | 40.0 | 80.0 | 1.00 |  |  |" in lines
    assert any(line.startswith("| litert-torch | fp32 |") and "| 1.03 (1.02 to 1.06) |" in line for line in lines)
    assert "- no quantiser: LeViT-128S, ncnn fp32; LeViT-128S, ncnn fp16; LeViT-128S, ncnn int8" in lines
    assert "![Published top-1 against instructions](peers.svg)" in lines
    for rows in text.split("\n\n"):
        if rows.startswith("| "):
            assert len({line.count("|") for line in rows.splitlines()}) == 1
    for name, many, says in (("EfficientNet-B2", 9, "It holds in"), ("EfficientNet-B2", 2, "It does not hold in")):
        own = result["rows"]["LeViT-192, this toolkit, TFLite fp32"]["cortex-a76"]["total"]
        result["rows"][f"{name}, litert-torch fp32"] |= counted(many * own)
        assert f"{says} instructions" in page(result)
        assert f"| LeViT-192 | EfficientNet-B2 | 4.9 | 19.2 | {many:.2f} |" in page(result)


def test_the_front() -> None:
    from peers_plot import Point, front

    found = [Point(str(at), "", "", top1, many) for at, (top1, many) in enumerate([(70, 5), (80, 9), (75, 9), (69, 6)])]
    assert [point.title for point in front(found)] == ["0", "1"]


def test_the_plot_is_the_same_bytes_every_time() -> None:
    pytest.importorskip("matplotlib")
    from peers_plot import draw

    rows = made_up()["rows"]
    assert draw(rows) == draw(rows)
    assert b"EfficientNet-Lite0" in draw(rows)


def test_the_results_in_the_repository() -> None:
    """Every row has figures or a reason, and the page is what they give."""
    from peers_page import page
    from peers_rows import rows

    result = json.loads(RESULTS.read_text())
    assert list(result["rows"]) == [row.name for row in rows()]
    for row in result["rows"].values():
        assert all(cpu in row for cpu in CPUS) or row.get("failed") or row.get("missing")
        assert 70 < row["top1"] < 90
    assert (ROOT / "docs" / "peers.md").read_text() == page(result)


@pytest.mark.parametrize("script", ["peers", "peers_page"])
def test_help(script: str) -> None:
    command = [sys.executable, str(BENCHMARKS / f"{script}.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert f"python benchmarks/{script}.py" in done.stdout


def test_a_row_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="'VGG' is in no row's name; one is: LeViT-128S, this toolkit, TFLite fp32"):
        run(monkeypatch, tmp_path, "--only", "VGG")


@pytest.mark.slow
@pytest.mark.xdist_group("executorch")
@pytest.mark.filterwarnings("ignore")  # of its package
def test_executorch_has_one_thread(executorch_exported: Exported) -> None:
    """Like all others that are timed here; its pool has one for each core until it is told."""
    from executorch.extension.pybindings import portable_lib
    from peers_inside import open_executorch

    portable_lib._unsafe_reset_threadpool(2)
    open_executorch(str(executorch_exported.bundle("levit_128s-fp32-executorch") / "model.pte"), False)()
    assert portable_lib._threadpool_get_thread_count() == 1
