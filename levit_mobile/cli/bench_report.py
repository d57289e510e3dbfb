"""What ``levit bench`` prints: tables of times, ratios and instructions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from levit_mobile.cli.console import Output

__all__ = ["say_counts", "say_ratios", "say_runs"]

_MOST = 12  # kinds of operators that are shown; the file has all


def say_runs(output: Output, runs: Sequence[Mapping[str, Any]]) -> None:
    """Latency, and what makes it doubtful."""
    timed = [run for run in runs if run.get("summary")]
    if timed:
        head = ["bundle", "on", "threads", "p50", "p90", "p99", "min", "CV", "load", "first", "memory"]
        output.table([head, *(_row(run) for run in timed)], align="<<>>>>>>>>>")
    for run in runs:
        name = f"{run['artifact']['bundle']} on {run['where']['name']}"
        if run["where"]["kind"] == "emulated" and not run.get("wrong"):
            output.say(
                f"{name}: {run['inferences']} inferences, and the right answer; times of an emulated board mean nothing, "
                "type --emulate cortex-a76 for the cost"
            )
        if not run["complete"]:
            output.say(f"{click.style('not complete', fg='yellow')}  {name}")
        for reason in run["invalid"]:
            output.say(f"{click.style('invalid', fg='red', bold=True)}   {name}: {reason}")
    for run in runs:
        if run.get("profile"):
            output.say()
            _say_shares(output, f"{run['artifact']['bundle']}, milliseconds", run["profile"], "ms", "{:.3f}")


def _row(run: Mapping[str, Any]) -> list[str]:
    s = run["summary"]
    return [
        run["artifact"]["bundle"],
        run["where"]["name"],
        str(run["threads"]),
        *(f"{s[key]:.2f} ms" for key in ("p50", "p90", "p99", "min")),
        f"{s['cv']:.1%}",
        _number(run.get("load_ms"), "{:.0f} ms"),
        _number(run.get("first_ms"), "{:.1f} ms"),
        _number(run.get("peak_mb"), "{:.0f} MB"),
    ]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def say_ratios(output: Output, ratios: Sequence[Mapping[str, Any]]) -> None:
    """One sentence each."""
    if ratios:
        output.say()
    for row in ratios:
        low, high = row["interval95"]
        threads = f", {row['threads']} threads" if row["threads"] > 1 else ""
        output.say(
            f"{row['other']['bundle']} takes {row['ratio']:.2f} times what {row['base']['bundle']} takes on "
            f"{row['where']['name']}{threads} (95 % interval {low:.2f} to {high:.2f}, {row['rounds']} rounds in turn)"
        )


def say_counts(output: Output, counts: Sequence[Mapping[str, Any]], budget: int | None) -> bool:
    """Millions of instructions; whether one is over the budget."""
    if counts:
        classes = list(counts[0]["classes"])
        head = ["bundle", "core", "million instructions", *(name.replace("_", " ") for name in classes), "repeats to"]
        rows = [
            [
                row["artifact"]["bundle"],
                row["cpu"],
                f"{row['total'] / 1e6:.2f}",
                *(f"{row['classes'][name] / 1e6:.2f}" for name in classes),
                f"{row['repeatability']:.5%}",
            ]
            for row in counts
        ]
        output.table([head, *rows], align="<<" + ">" * (len(head) - 2))
    for row in counts:
        if row.get("operators"):
            output.say()
            title = f"{row['artifact']['bundle']} on {row['cpu']}, million instructions"
            _say_shares(output, title, row["operators"], "instructions", "{:.3f}", 1e6)
    over = [row for row in counts if budget is not None and row["total"] > budget]
    for row in over:
        assert budget is not None
        output.say(
            f"{click.style('over budget', fg='red', bold=True)}  {row['artifact']['bundle']} on {row['cpu']}: "
            f"{row['total'] / 1e6:.2f} million instructions, {row['total'] / budget - 1:.1%} more than {budget / 1e6:g}"
        )
    return bool(over)


def _say_shares(
    output: Output, title: str, rows: Sequence[Mapping[str, Any]], key: str, form: str, unit: float = 1.0
) -> None:
    whole = sum(row[key] for row in rows) or 1.0
    output.say(title)
    shown = [
        [f"  {row['operator']}", f"{row['times']}x", form.format(row[key] / unit), f"{row[key] / whole:.1%}"]
        for row in rows[:_MOST]
    ]
    output.table(shown, align="<>>>")
