"""The tables of docs/precision.md: what each precision costs, in memory too, and what others' int8 does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markdown_table import table

__all__ = ["precision_tables"]

_TITLES = {"tflite": "TFLite", "executorch": "ExecuTorch"}
_CORES = {"cortex-a76": "A76", "cortex-a72": "A72"}
_INT8 = ("int8", "int8-dynamic")
Results = Mapping[str, dict[str, Any]]


def precision_tables(results: Results, folder: Path) -> dict[str, str]:
    """{mark: Markdown}; of instructions, others and memory only what is in ``folder``."""
    found = {"precisions": precisions(results, _read(folder / "instructions.json"))}
    for mark, name, page in (("others", "peers.json", others), ("memory", "memory.json", in_memory)):
        if measured := _read(folder / name):
            found[mark] = page(measured)
    return found


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())) if path.exists() else {}


def precisions(results: Results, counted: Mapping[str, Any]) -> str:
    """A row for each precision of each target that everything is known of."""
    cost, right, times = (results[name]["rows"] for name in ("export_cost", "accuracy", "latency"))
    header = ["", "size", "top-1", "agreement with PyTorch", "latency", *(f"on {core}" for core in _CORES.values())]
    rows = []
    for name in cost:
        target, _, precision = name.partition(" ")
        if target in _TITLES and name in times and name in right:
            of_cores = counted.get("rows", {}).get(name, {})
            rows.append(
                [
                    f"{_TITLES[target]} {precision}",
                    f"{cost[name]['artifact_bytes'] / 1e6:.2f} MB",
                    *(f"{right[name][key]['share']:.2%}" for key in ("top1", "agreement")),
                    f"{times[name]['ratio_of_p50']:.2f}",
                    *(f"{of_cores[core]['total'] / 1e6:.1f}" if core in of_cores else "" for core in _CORES),
                ]
            )
    latency, pictures = results["latency"], results["accuracy"]["pictures"]
    notes = (
        f"Top-1 and agreement: {pictures:,} validation pictures; PyTorch has {right['PyTorch fp32']['top1']['share']:.2%}. "
        f"Latency: to {latency['base'].replace('tflite', 'TFLite')},\n{latency['rounds']} rounds in turn, on "
        f"{latency['machine'].partition(',')[0]}. On A76, on A72: millions of instructions of one inference\non one thread of "
        "an emulated Cortex-A76 (Raspberry Pi 5) and A72 (Raspberry Pi 4), 1000 classes; a count, not a time."
    )
    return f"{table(header, rows)}\n\n{notes}"


def others(peers: Mapping[str, Any]) -> str:
    """LeViT-128S in int8 by everybody, the fewest instructions first."""
    core = next(iter(_CORES))
    mine = [row for row in peers["rows"].values() if row["network"] == "LeViT-128S" and row["precision"] in _INT8]
    counted = sorted((row for row in mine if all(c in row for c in _CORES)), key=lambda row: int(row[core]["total"]))
    rows = [[row["tool"], row["precision"], *(f"{row[c]['total'] / 1e6:.1f}" for c in _CORES)] for row in counted]
    notes = "Millions of instructions, as above, random weights."
    return f"{table(['', 'precision', *(f'on {name}' for name in _CORES.values())], rows)}\n\n{notes}"


def in_memory(measured: Mapping[str, Any]) -> str:
    """What an artifact takes, and of others' beside it."""
    rows = []
    for name, row in measured["rows"].items():
        target, _, precision = name.partition(" ")
        title = f"this toolkit, {_TITLES[target]} {precision}" if target in _TITLES else name
        sizes = [f"{row[what]:.1f} MB" for what in ("peak_mb", "after_mb", "mapped_mb")]
        rows.append([title, *sizes, f"{row['artifact_mb']:.2f} MB", row.get("parts", "")])
    notes = (
        "`benchmarks/memory.py`, LeViT-128S with 1000 classes: resident memory that loading and two inferences add to a process "
        f"that has\nthe runtime already (ExecuTorch: of the whole process, in C++), on {measured['machine'].partition(',')[0]}."
    )
    return f"{table(['', 'at most', 'once loaded', 'of that the mapped file', 'artifact', 'parts'], rows)}\n\n{notes}"
