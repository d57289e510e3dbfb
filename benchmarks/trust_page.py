"""The tables of docs/trust.md, from what was tried."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markdown_table import table

__all__ = ["trust_tables"]


def trust_tables(folder: Path) -> dict[str, str]:
    """{mark: Markdown} of the results that are there."""
    parts: dict[str, Callable[[dict[str, Any]], str]] = {
        "reproducible": reproducible,
        "fuzz": fuzz,
        "kills": kills,
        "long_use": long_use,
        "versions": versions,
    }
    paths = {mark: folder / f"{mark}.json" for mark in parts}
    return {mark: parts[mark](json.loads(path.read_text())) for mark, path in paths.items() if path.exists()}


def reproducible(found: dict[str, Any]) -> str:
    """Which files differ."""
    rows = [
        [
            name,
            row["files"],
            ", ".join(row["differs"]) or "none",
            ", ".join(row.get("differs_with_oldest_instructions", ["not tried"])) or "none",
        ]
        for name, row in found["rows"].items()
    ]
    same = sum(not row["differs"] for row in found["rows"].values())
    notes = (
        f"`benchmarks/reproducible.py`: {same} of {len(rows)} the same, in two processes with other hash seeds, time zones, "
        f"languages\n({found['language']}), folders, threads, umask and order of the exports; {found['machine']}."
    )
    header = ["", "files", "differ in the second process", "differ with the processor's oldest instructions"]
    return f"{table(header, rows)}\n\n{notes}"


def fuzz(found: dict[str, Any]) -> str:
    """How much was tried."""
    rows = [
        [
            name,
            f"{row['tried']:,}",
            f"{row['read']:,}",
            f"{row['refused']:,}",
            f"{row['seconds'] / 60:.0f}",
            len(row["found"]),
        ]
        for name, row in found["readers"].items()
    ]
    total = sum(row["tried"] for row in found["readers"].values())
    header = ["reader", "inputs tried", "read", "refused", "minutes", "broke it"]
    return f"{table(header, rows)}\n\n{total:,} inputs; the guide: {found['guide']}."


def kills(found: dict[str, Any]) -> str:
    """What was left after kills."""
    return (
        f"`benchmarks/kills.py`, {found['export']}: {found['points']} exports were ended with SIGKILL at random points "
        f"({found['killed']} of them still ran).\nAfterwards the earlier bundle was there, whole, {found['earlier']} times, and "
        f"the new one {found['new']} times; the next export worked, and removed\nthe {found['hidden_folders_left']} hidden "
        "folders that were left."
    )


def long_use(found: dict[str, Any]) -> str:
    """Memory after a hundred predictions and after all, and a validation that was interrupted."""
    rows = [
        [name, f"{row['predictions']:,}", f"{row['mb_settled']:.0f} MB", f"{row['mb_at_the_end']:.0f} MB"]
        for name, row in found["predictions"].items()
    ]
    runtimes = table(["in one process", "predictions", "memory after 100", "after all"], rows)
    whole = found["validation"]
    stops = " and ".join(f"{count:,}" for count in whole["interrupted_after"])
    return (
        f"{runtimes}\n\n`benchmarks/long_use.py`, {found['machine']}. `levit validate` on {whole['pictures']:,} pictures: "
        f"{whole['seconds']} s, {whole['cores_used']} of {whole['cores']} cores\nbusy, {whole['peak_mb']} MB at most, and "
        f"{whole['peak_mb_of_a_twentieth']} MB on a twentieth of them. Ended by Ctrl-C after {stops}, and started again, it "
        f"took\n{whole['seconds_with_interruptions']} s in all and gave the same answer."
    )


def versions(found: dict[str, Any]) -> str:
    """What works with what."""
    names = list(dict.fromkeys(name for row in found.values() for name in row.get("versions", {})))
    rows = [
        ["works", *("; ".join(_outcomes(row)) for row in found.values())],
        *([name, *(row.get("versions", {}).get(name, "") for row in found.values())] for name in names),
        ["Python", *(row.get("python", "") for row in found.values())],
    ]
    return table(["", *found], rows)


def _outcomes(row: dict[str, Any]) -> list[str]:
    if not row["installed"]:
        return [f"cannot be installed: {row['problem']}"]
    return [name if said == "works" else f"NOT {name}: {said}" for name, said in row["outcomes"].items()]
