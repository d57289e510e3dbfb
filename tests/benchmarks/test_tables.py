"""Results -> tables, from results that are made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from levit_mobile.errors import UsageError

NAMES = [f"{target} {name}" for target in ("tflite", "executorch") for name in ("fp32", "fp16", "int8", "int8-dynamic")]
SHARE = {"share": 0.87654, "interval95": [0.86, 0.89]}
RIGHT = {"top1": SHARE, "agreement": {"share": 0.9912, "interval95": [0.98, 0.995]}}
TIME = {"p50_ms": 2.0, "p90_ms": 2.5, "ratio_of_p50": 0.4567, "interval95": [0.45, 0.46]}
MADE = {"artifact_bytes": 7_654_321, "operators": 457, "xnnpack_parts": 1, "parts": 1, "operators_outside": 0}
APART = {
    "within": SHARE,
    "within_own_range": SHARE,
    "mean": 0.0123,
    "p99": 0.0234,
    "greatest": 0.0345,
    "same_first": SHARE,
}
ABOUT = {
    "checkpoint": "a",
    "machine": "riscv64 without int8 dot products, 3 cores, Python 3.14.0",
    "packages": {"torch": "2.13.0"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    cost = {**MADE, "seconds": 21.6, "peak_mb": 1234}
    results: dict[str, dict[str, Any]] = {
        "accuracy": {"pictures": 1938, "rows": dict.fromkeys(["PyTorch fp32", *NAMES], RIGHT)},
        "latency": {"rounds": 400, "threads": 1, "base": "tflite fp32", "rows": dict.fromkeys(NAMES, TIME)},
        "export_cost": {"rows": dict.fromkeys([*NAMES, "tflite int8, 1000 classes"], cost)},
        "policy": {
            "pictures": 1938,
            "rounds": 400,
            "threads": 2,
            "rows": {"as shipped": {**RIGHT, **MADE, "latency": TIME}},
        },
        "agreement": {
            "pictures": 500,
            "seed": 0,
            "limit": 0.02,
            "rows": {"tflite int8": APART},
            "pairs": [{"between": ["tflite int8", "onnx int8"], "same_first": SHARE}],
        },
    }
    row = {**RIGHT, "decibels": 31.36}
    ways = {"as shipped": row, "ranges by min-max alone": {**row, "decibels": 3.21}}
    methods = {"mse": row, "mse alone": {**row, "decibels": 28.06}}
    tables = {"bundled": ways, "hardened": ways, "methods": methods, "pictures": {"16 pictures, seed 0": row}}
    results["calibration"] = {"pictures": 1938, "tables": tables}
    results["qat"] = {"rows": {"as it is in the package": {"float": SHARE, "int8": row, "alone": row}}}
    for name, found in results.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({**ABOUT, **found}))
    return tmp_path


def change(folder: Path, name: str, **values: object) -> None:
    path = folder / f"{name}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_every_page_gets_its_figures(folder: Path) -> None:
    import tables

    pages = {page.relative_to(tables.ROOT).as_posix(): text for page, text in tables.pages(folder).items()}
    readme, benchmarks = pages["README.md"], pages["benchmarks/README.md"]
    assert "| TFLite | size | XNNPACK parts | top-1 | agreement with PyTorch | latency to TFLite fp32 |" in readme
    assert "| int8-dynamic | 7.65 MB | 1 | 87.65% | 99.12% | 0.46 |" in readme
    assert "all 1,938 validation pictures. Latency: median of 400" in readme
    assert "1 thread of riscv64 without int8 dot products;" in readme
    assert "| ExecuTorch | size |" not in readme
    assert "| ExecuTorch | size | XNNPACK parts |" in benchmarks
    assert "| executorch fp16 | 87.65% | 86.00% to 89.00% | 99.12% |" in benchmarks
    assert "| tflite int8 | 0.457 | 0.450 to 0.460 |" in benchmarks
    assert "| tflite int8, 1000 classes | 22 | 1,234 MB | 7.65 MB | 457 | 1 | 0 |" in benchmarks
    assert "`agreement.py`, 500 pictures, beside the quantised program in PyTorch." in benchmarks
    assert (
        "|  | within 2% | within 2% of its own range | mean | 99th percentile | greatest | same first class |"
        in benchmarks
    )
    assert "| tflite int8 | 87.65% | 87.65% | 1.23% | 2.34% | 3.45% | 87.65% |" in benchmarks
    assert "| tflite int8 and onnx int8 | 87.65% | 86.00% to 89.00% |" in benchmarks
    assert "| as shipped | 87.65% | 99.12% | 1 | 0 | 7.65 MB | 0.46 |" in pages["docs/quantisation.md"]
    assert "2 threads of riscv64 without int8 dot products" in pages["docs/quantisation.md"]
    assert "| as shipped | 87.65% | 99.12% | 31.4 dB | 87.65% | 99.12% | 31.4 dB |" in pages["docs/quantisation.md"]
    assert "| 16 pictures, seed 0 | 87.65% | 99.12% | 31.4 dB |" in pages["docs/quantisation.md"]
    assert (
        "| as it is in the package | 87.65% | 87.65% | 99.12% | 31.4 dB | 87.65% | 99.12% | 31.4 dB |"
        in pages["docs/quantisation.md"]
    )
    assert (
        "-->87.65% top-1 of the 1,938 validation pictures (95 % interval 86.00% to 89.00%)<!--"
        in pages["docs/model_card.md"]
    )


def test_precisions_have_instructions_where_they_were_counted(folder: Path) -> None:
    import tables

    def page() -> str:
        return str(tables.pages(folder)[tables.ROOT / "docs" / "precision.md"])

    assert "| ExecuTorch int8-dynamic | 7.65 MB | 87.65% | 99.12% | 0.46 |  |  |\n" in page()
    assert "1938 validation" not in page()
    assert "on riscv64 without int8 dot products. On A76" in page()
    counted = {"cortex-a76": {"total": 12_345_678}, "cortex-a72": {"total": 23_456_789}}
    (folder / "instructions.json").write_text(json.dumps({"rows": {"tflite int8": counted}}))
    assert "| TFLite int8 | 7.65 MB | 87.65% | 99.12% | 0.46 | 12.3 | 23.5 |\n" in page()
    mine = {"network": "LeViT-128S", "precision": "int8", **counted}
    less = {"cortex-a76": {"total": 1_000_000}, "cortex-a72": {"total": 2_000_000}}
    peers = {
        "a": {**mine, "tool": "slow"},
        "b": {**mine, "tool": "quick", **less},
        "c": {**mine, "tool": "float", "precision": "fp32"},
        "d": {**mine, "tool": "other", "network": "DeiT-S"},
        "e": {"network": "LeViT-128S", "precision": "int8", "tool": "impossible"},
    }
    (folder / "peers.json").write_text(json.dumps({"rows": peers}))
    table = page().partition("<!-- others -->\n")[2].partition("\n\n")[0].splitlines()
    assert table[2:] == ["| quick | int8 | 1.0 | 2.0 |", "| slow | int8 | 12.3 | 23.5 |"]


def test_memory_is_beside_that_of_others(folder: Path) -> None:
    import tables

    rows = {
        "tflite int8": {"peak_mb": 26.95, "after_mb": 20.04, "mapped_mb": 8, "artifact_mb": 8.2},
        "ExecuTorch fp32": {"peak_mb": 70, "after_mb": 69, "mapped_mb": 0, "artifact_mb": 31.5, "parts": 35},
    }
    (folder / "memory.json").write_text(json.dumps({"machine": "riscv64, 2 cores", "rows": rows}))
    page = str(tables.pages(folder)[tables.ROOT / "docs" / "precision.md"])
    table = page.partition("<!-- memory -->\n")[2].partition("\n\n")[0].splitlines()
    assert table[2:] == [
        "| this toolkit, TFLite int8 | 26.9 MB | 20.0 MB | 8.0 MB | 8.20 MB |  |",
        "| ExecuTorch fp32 | 70.0 MB | 69.0 MB | 0.0 MB | 31.50 MB | 35 |",
    ]


def test_filling_twice_is_filling_once(folder: Path, tmp_path: Path) -> None:
    from tables import filled

    page = tmp_path / "page.md"
    page.write_text("a\n<!-- results -->\nold\n<!-- /results -->\nb <!-- other -->old<!-- /other --> c\n")
    for _ in range(2):
        page.write_text(filled(page, "results", "| new |\n| rows |"))
        page.write_text(filled(page, "other", "new"))
        assert page.read_text() == (
            "a\n<!-- results -->\n| new |\n| rows |\n<!-- /results -->\nb <!-- other -->new<!-- /other --> c\n"
        )
    page.write_text("<!-- empty -->\n<!-- /empty -->\n")
    assert filled(page, "empty", "new") == "<!-- empty -->\nnew\n<!-- /empty -->\n"
    with pytest.raises(UsageError, match=r"page\.md needs one <!-- policy -->"):
        filled(page, "policy", "new")


@pytest.mark.parametrize("name", ["accuracy", "agreement", "calibration", "export_cost", "latency", "policy", "qat"])
def test_missing_results(folder: Path, name: str) -> None:
    from tables import load

    (folder / f"{name}.json").unlink()
    with pytest.raises(UsageError, match=rf"{name}\.json is missing; run benchmarks/{name}\.py first"):
        load(folder)


@pytest.mark.parametrize("name", ["agreement", "calibration", "export_cost", "latency", "policy", "qat"])
def test_results_of_other_weights(folder: Path, name: str) -> None:
    from tables import load

    change(folder, name, checkpoint="b")
    with pytest.raises(UsageError, match=rf"of other weights; run benchmarks/{name}\.py anew"):
        load(folder)


def test_latency_to_another_base(folder: Path) -> None:
    from tables import load

    change(folder, "latency", base="tflite int8")
    with pytest.raises(UsageError, match="run it anew with --base 'tflite fp32'"):
        load(folder)


@pytest.mark.parametrize("name", ["accuracy", "export_cost", "latency"])
def test_a_row_is_missing(folder: Path, name: str) -> None:
    import tables

    change(folder, name, rows={"tflite fp32": {**RIGHT, **TIME, **MADE}})
    with pytest.raises(UsageError, match=rf"{name}\.json has no row tflite fp16; run benchmarks/{name}\.py for it"):
        tables.summary(tables.load(folder), "tflite")
