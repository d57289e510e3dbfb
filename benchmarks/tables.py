"""Write the tables in README.md and benchmarks/README.md from the results.

python benchmarks/tables.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from results import FOLDER

ROOT = Path(__file__).parent.parent
PRECISIONS = ("fp32", "fp16", "int8", "int8-dynamic")


def load(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((FOLDER / name).read_text())
    return data


def summary() -> str:
    """One row a precision: size, parts, accuracy, agreement, latency."""
    accuracy, latency, cost = load("accuracy.json"), load("latency.json"), load("export_cost.json")
    lines = [
        "| TFLite | size | XNNPACK parts | top-1 | agreement with PyTorch | latency to fp32 |",
        "|---|---|---|---|---|---|",
    ]
    for name in PRECISIONS:
        row, made = accuracy["rows"][f"tflite {name}"], cost["rows"][f"10 classes, {name}"]
        ratio = latency["rows"][name]["ratio_of_p50"]
        lines.append(
            f"| {name} | {made['artifact_bytes'] / 1e6:.2f} MB | {made['xnnpack_parts']} | {row['top1']:.2%} | "
            f"{row['agreement']:.2%} | {ratio:.2f} |"
        )
    return "\n".join(lines)


def details() -> str:
    """Every result with its interval."""
    accuracy, latency, cost = load("accuracy.json"), load("latency.json"), load("export_cost.json")
    lines = [f"Measured on {cost['machine']}; {', '.join(f'{k} {v}' for k, v in cost['packages'].items())}.", ""]
    lines += [
        f"`accuracy.py`, {accuracy['pictures']} pictures:",
        "",
        "| | top-1 | 95 % interval | agreement |",
        "|---|---|---|---|",
    ]
    for name, row in accuracy["rows"].items():
        low, high = row["interval95"]
        lines.append(f"| {name} | {row['top1']:.2%} | {low:.2%} to {high:.2%} | {row['agreement']:.2%} |")
    lines += ["", f"`latency.py`, {latency['rounds']} interleaved rounds, {latency['threads']} thread:", ""]
    lines += [f"| | p50 to {latency['base']} | 95 % interval |", "|---|---|---|"]
    for name, row in latency["rows"].items():
        low, high = row["interval95"]
        lines.append(f"| {name} | {row['ratio_of_p50']:.3f} | {low:.3f} to {high:.3f} |")
    lines += ["", "`export_cost.py`, each in a process of its own:", ""]
    lines += [
        "| | seconds | peak memory | artifact | operators | XNNPACK parts | operators outside |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in cost["rows"].items():
        lines.append(
            f"| {name} | {row['seconds']:.0f} | {row['peak_mb']:,} MB | {row['artifact_bytes'] / 1e6:.2f} MB | "
            f"{row['operators']} | {row['xnnpack_parts']} | {row['operators_outside']} |"
        )
    return "\n".join(lines)


def filled(page: Path, table: str) -> str:
    """The page's text with the table between its two marks."""
    return re.sub(
        r"(<!-- results -->\n).*?(<!-- /results -->)",
        lambda m: f"{m[1]}{table}\n{m[2]}",
        page.read_text(),
        flags=re.DOTALL,
    )


def pages() -> dict[Path, str]:
    """{page: what it should say}."""
    return {
        page: filled(page, table)
        for page, table in ((ROOT / "README.md", summary()), (ROOT / "benchmarks" / "README.md", details()))
    }


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text)
        print(f"wrote {page.relative_to(ROOT)}")
