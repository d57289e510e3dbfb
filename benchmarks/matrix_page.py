"""``results/matrix.json`` as a page: a table for each variant, and at the end what cannot be and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from matrix import Cell

_HEADER = (
    *("", "size", "operators", "parts", "outside", "difference", "cosine", "parity"),
    *("processor time", "peak memory"),
)


def matrix_page(result: dict[str, Any], cells: Iterable[Cell]) -> str:
    """Markdown; cells that were not measured are not in it."""
    rows = result["rows"]
    known = [(cell, rows[cell.name]) for cell in cells if cell.name in rows]
    parts = [f"Measured on {result['machine']}; {', '.join(f'{k} {v}' for k, v in result['packages'].items())}."]
    for variant in dict.fromkeys(cell.variant for cell, _ in known):
        table = [list(_HEADER), ["---"] * len(_HEADER)]
        table += [_row(cell, row) for cell, row in known if cell.variant == variant and "impossible" not in row]
        parts += [f"## {variant}", "\n".join(f"| {' | '.join(cells)} |" for cells in table)]
    reasons = dict.fromkeys(row["impossible"] for _, row in known if "impossible" in row)
    parts += ["## What cannot be", "\n".join(f"- {reason}" for reason in reasons)]
    return "\n\n".join(parts)


def _row(cell: Cell, row: dict[str, Any]) -> list[str]:
    title = " ".join([cell.target, *cell.options.values(), cell.precision])
    if "failed" in row:
        return [title, f"failed: {row['failed']}", *[""] * (len(_HEADER) - 2)]
    parity = row["parity"]
    return [
        title,
        f"{row['artifact_bytes'] / 1e6:.2f} MB",
        *(str(row[key]) for key in ("operators", "parts", "operators_outside")),
        f"{parity['max_abs']:.1e}",
        f"{parity['cosine']:.4f}",
        "passed" if parity["passed"] else "FAILED",
        f"{row['processor_seconds']:.0f} s",
        f"{row['peak_mb']:,} MB",
    ]
