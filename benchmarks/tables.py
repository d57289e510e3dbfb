"""Write the tables in the documents from the results.

python benchmarks/tables.py
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from markdown_table import table
from matrix import NAME, cells
from matrix_page import matrix_page
from precision_page import precision_tables
from results import FOLDER, add_results_option
from trust_page import trust_tables

from levit_mobile.cli.console import guarded
from levit_mobile.errors import UsageError

ROOT = Path(__file__).parent.parent
PRECISIONS = ("fp32", "fp16", "int8", "int8-dynamic")
TARGETS = {"tflite": "TFLite", "executorch": "ExecuTorch"}
SCRIPTS = ("accuracy", "latency", "export_cost", "policy", "agreement", "calibration", "qat")
BASE = "tflite fp32"
Results = dict[str, dict[str, Any]]


def load(folder: Path) -> Results:
    """{script: its figures}.

    Raises:
        UsageError: some are missing, or not all are of the same weights.
    """
    found: Results = {}
    for script in SCRIPTS:
        path = folder / f"{script}.json"
        if not path.exists():
            raise UsageError(f"{path} is missing; run benchmarks/{script}.py first (see benchmarks/README.md)")
        found[script] = json.loads(path.read_text())
        if found[script].get("checkpoint") != found[SCRIPTS[0]].get("checkpoint"):
            raise UsageError(f"{path} and {SCRIPTS[0]}.json are of other weights; run benchmarks/{script}.py anew")
    if found["latency"]["base"] != BASE:
        raise UsageError(f"latency.json's base is {found['latency']['base']}; run it anew with --base '{BASE}'")
    return found


def summary(results: Results, target: str) -> str:
    """One row a precision: size, parts, accuracy, agreement, latency."""
    header = ("size", "XNNPACK parts", "top-1", "agreement with PyTorch", f"latency to {_title(BASE)}")
    rows = []
    for precision in PRECISIONS:
        name = f"{target} {precision}"
        made, right = _row(results, "export_cost", name), _row(results, "accuracy", name)
        ratio = _row(results, "latency", name)["ratio_of_p50"]
        shares = (_percent(right[key]["share"]) for key in ("top1", "agreement"))
        rows.append([precision, _megabytes(made), made["parts"], *shares, f"{ratio:.2f}"])
    return table([TARGETS[target], *header], rows)


def with_conditions(results: Results, table: str) -> str:
    """The table, and below it how its figures were measured."""
    pictures, latency = results["accuracy"]["pictures"], results["latency"]
    return (
        f"{table}\n\nTop-1 and agreement: all {pictures:,} validation pictures. Latency: median of {latency['rounds']} "
        f"interleaved rounds,\n{_threads(latency)} of {_processor(latency)}; only the ratio means something."
    )


def details(results: Results) -> str:
    """Every result with its interval."""
    accuracy, latency, cost = results["accuracy"], results["latency"], results["export_cost"]
    about = f"Measured on {cost['machine']}; {', '.join(f'{k} {v}' for k, v in cost['packages'].items())}."
    right = [
        [name, _percent(row["top1"]["share"]), _interval(row["top1"]), _percent(row["agreement"]["share"])]
        for name, row in accuracy["rows"].items()
    ]
    times = [
        [name, f"{row['ratio_of_p50']:.3f}", "{:.3f} to {:.3f}".format(*row["interval95"])]
        for name, row in latency["rows"].items()
    ]
    costs = [
        [
            *(name, f"{row['seconds']:.0f}", f"{row['peak_mb']:,} MB", _megabytes(row), row["operators"]),
            *(row["parts"], row["operators_outside"]),
        ]
        for name, row in cost["rows"].items()
    ]
    return "\n\n".join(
        (
            about,
            with_conditions(results, summary(results, "executorch")),
            f"`accuracy.py`, {accuracy['pictures']:,} pictures:",
            table(["", "top-1", "95 % interval", "agreement"], right),
            agreement(results),
            f"`latency.py`, {latency['rounds']} interleaved rounds, {_threads(latency)}:",
            table(["", f"p50 to {latency['base']}", "95 % interval"], times),
            "`export_cost.py`, each in a process of its own; 10 classes if not told otherwise:",
            table(["", "seconds", "peak memory", "artifact", "operators", "XNNPACK parts", "outside"], costs),
        )
    )


def agreement(results: Results) -> str:
    """The int8 artifacts beside the quantised program in PyTorch, and beside each other."""
    found = results["agreement"]
    limit = f"{found['limit']:.0%}"
    header = [
        "",
        f"within {limit}",
        f"within {limit} of its own range",
        "mean",
        "99th percentile",
        "greatest",
        "same first class",
    ]
    rows = [
        [
            *(name, _percent(row["within"]["share"]), _percent(row["within_own_range"]["share"])),
            *(_percent(row[key]) for key in ("mean", "p99", "greatest")),
            _percent(row["same_first"]["share"]),
        ]
        for name, row in found["rows"].items()
    ]
    pairs = [
        [" and ".join(pair["between"]), _percent(pair["same_first"]["share"]), _interval(pair["same_first"])]
        for pair in found["pairs"]
    ]
    notes = (
        f"`agreement.py`, {found['pictures']:,} pictures, beside the quantised program in PyTorch. A picture's difference is "
        "that of the logit\nwhich is farthest off, as a share of the range of all logits; in one column, of that picture's:"
    )
    return "\n\n".join(
        (
            notes,
            table(header, rows),
            "The same, each beside each other:",
            table(["", "same first class", "95 % interval"], pairs),
        )
    )


def policy(results: Results) -> str:
    """What each part of the int8 policy gives."""
    found = results["policy"]
    header = ["", "top-1", "agreement with PyTorch", "XNNPACK parts", "operators outside", "size", "latency"]
    rows = [
        [
            *(name, _percent(row["top1"]["share"]), _percent(row["agreement"]["share"]), row["xnnpack_parts"]),
            *(row["operators_outside"], _megabytes(row), f"{row['latency']['ratio_of_p50']:.2f}"),
        ]
        for name, row in found["rows"].items()
    ]
    notes = (
        f"`benchmarks/policy.py`: {found['pictures']:,} pictures; latency to the shipped one, {found['rounds']} interleaved "
        f"rounds,\n{_threads(found)} of {_processor(found)}."
    )
    return f"{table(header, rows)}\n\n{notes}"


def calibration(results: Results) -> str:
    """What each part of the calibration gives, for both checkpoints."""
    found, exact = results["calibration"], results["accuracy"]["rows"]["PyTorch fp32"]["top1"]["share"]
    bundled, hardened = found["tables"]["bundled"], found["tables"]["hardened"]
    header = ["", "top-1", "agreement", "signal to noise", "hardened: top-1", "agreement", "signal to noise"]
    rows = [[name, *_calibrated(bundled[name]), *_calibrated(hardened[name])] for name in bundled]
    return f"{table(header, rows)}\n\n`benchmarks/calibration.py`: {found['pictures']:,} pictures; PyTorch {_percent(exact)}."


def calibration_methods(results: Results) -> str:
    """Where ranges end, with the rest of the calibration and without."""
    found = results["calibration"]["tables"]["methods"]
    header = ["", "top-1", "agreement", "signal to noise", "alone: top-1", "agreement", "signal to noise"]
    names = [name for name in found if f"{name} alone" in found]
    rows = [[name, *_calibrated(found[name]), *_calibrated(found[f"{name} alone"])] for name in names]
    return table(header, rows)


def calibration_pictures(results: Results) -> str:
    """How much the calibration depends on its pictures."""
    rows = [[name, *_calibrated(row)] for name, row in results["calibration"]["tables"]["pictures"].items()]
    return table(["", "top-1", "agreement", "signal to noise"], rows)


def trained(results: Results) -> str:
    """Quantisation-aware training beside training on without it."""
    header = ["", "float: top-1", "int8: top-1", "agreement", "signal to noise"]
    header += ["min-max alone: top-1", "agreement", "signal to noise"]
    rows = [
        [name, _percent(row["float"]["share"]), *_calibrated(row["int8"]), *_calibrated(row["alone"])]
        for name, row in results["qat"]["rows"].items()
    ]
    return table(header, rows)


def _calibrated(row: dict[str, Any]) -> list[str]:
    return [_percent(row["top1"]["share"]), _percent(row["agreement"]["share"]), f"{row['decibels']:.1f} dB"]


def accuracy_of_pytorch(results: Results) -> str:
    """The checkpoint's own accuracy, as a phrase."""
    pictures, row = results["accuracy"]["pictures"], results["accuracy"]["rows"]["PyTorch fp32"]["top1"]
    return f"{_percent(row['share'])} top-1 of the {pictures:,} validation pictures (95 % interval {_interval(row)})"


def _row(results: Results, script: str, name: str) -> dict[str, Any]:
    rows: dict[str, Any] = results[script]["rows"]
    if name not in rows:
        raise UsageError(f"{script}.json has no row {name}; run benchmarks/{script}.py for it too")
    return dict(rows[name])


def _title(name: str) -> str:
    target, _, precision = name.partition(" ")
    return f"{TARGETS[target]} {precision}"


def _percent(share: float) -> str:
    return f"{share:.2%}"


def _interval(row: dict[str, Any]) -> str:
    low, high = row["interval95"]
    return f"{low:.2%} to {high:.2%}"


def _megabytes(row: dict[str, Any]) -> str:
    return f"{row['artifact_bytes'] / 1e6:.2f} MB"


def _threads(row: dict[str, Any]) -> str:
    return f"{row['threads']} thread{'s' * (row['threads'] > 1)}"


def _processor(row: dict[str, Any]) -> str:
    return str(row["machine"].partition(",")[0])


def filled(page: Path, mark: str, text: str, before: str | None = None) -> str:
    """The page's text with ``text`` between its two marks; ``before`` is what it will say but for that, if not what it says.

    Raises:
        UsageError: the page has no such marks.
    """
    pattern = rf"(<!-- {mark} -->)(\n?).*?(<!-- /{mark} -->)"
    new, count = re.subn(
        pattern, lambda m: f"{m[1]}{m[2]}{text}{m[2]}{m[3]}", before or page.read_text(), flags=re.DOTALL
    )
    if count != 1:
        raise UsageError(f"{page.name} needs one <!-- {mark} --> with one <!-- /{mark} --> after it, and has {count}")
    return new


def pages(folder: Path = FOLDER) -> dict[Path, str]:
    """{page: what it should say}."""
    results = load(folder)
    places = (
        ("README.md", "results", with_conditions(results, summary(results, "tflite"))),
        ("benchmarks/README.md", "results", details(results)),
        ("docs/quantisation.md", "policy", policy(results)),
        ("docs/quantisation.md", "calibration", calibration(results)),
        ("docs/quantisation.md", "methods", calibration_methods(results)),
        ("docs/quantisation.md", "pictures", calibration_pictures(results)),
        ("docs/quantisation.md", "qat", trained(results)),
        ("docs/model_card.md", "accuracy", accuracy_of_pytorch(results)),
    )
    found: dict[Path, str] = {}
    for name, mark, text in places:
        found[ROOT / name] = filled(ROOT / name, mark, text, found.get(ROOT / name))
    matrix = folder / NAME
    if matrix.exists():  # of random weights, and so of none of the others' results
        page = ROOT / "benchmarks" / "matrix.md"
        found[page] = filled(page, "matrix", matrix_page(json.loads(matrix.read_text()), cells()))
    page = ROOT / "docs" / "precision.md"
    for mark, text in precision_tables(results, folder).items():  # instructions are of random weights
        found[page] = filled(page, mark, text, found.get(page))
    page = ROOT / "docs" / "trust.md"
    for mark, text in trust_tables(folder).items():  # each of its own day
        found[page] = filled(page, mark, text, found.get(page))
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_results_option(parser)
    with guarded():
        for page, text in pages(parser.parse_args().results).items():
            page.write_text(text)
            print(f"wrote {page.relative_to(ROOT)}")
