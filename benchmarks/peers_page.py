"""Write ``docs/peers.md`` and ``docs/peers.svg`` from ``results/peers.json``.

python benchmarks/peers_page.py
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from markdown_table import table
from peers_plot import draw, front, points
from results import add_results_option

from levit_mobile.cli.console import guarded
from levit_mobile.errors import UsageError

DOCS = Path(__file__).parent.parent / "docs"
CORES = ("cortex-a76", "cortex-a72")
_OWN = "this toolkit"
# The paper's table of speed, images a second: facebookresearch/LeViT, timings.txt; one thread, 16 pictures at once.
NAMES = (
    *("LeViT-128S", "LeViT-128", "LeViT-192", "LeViT-256", "LeViT-384", "DeiT-Ti", "DeiT-S"),
    *("EfficientNet-B0", "EfficientNet-B1", "EfficientNet-B2"),
)
XEON = dict(zip(NAMES, (131.08, 94.03, 65.01, 42.51, 23.12, 39.11, 13.75, 30.09, 20.04, 13.16), strict=True))
GRAVITON = dict(zip(NAMES, (39.056, 30.81, 24.215, 16.365, 9.372, 16.789, 7.57, 3.437, 2.277, 1.259), strict=True))
PAIRS = (
    ("LeViT-192", "EfficientNet-B2"),  # the claim's: both 80 %
    ("LeViT-128", "EfficientNet-B1"),
    ("LeViT-128S", "EfficientNet-B0"),
    ("LeViT-128S", "DeiT-Ti"),
    ("LeViT-256", "DeiT-S"),
)
_CLAIM = 5
Rows = Mapping[str, dict[str, Any]]


def page(result: Mapping[str, Any]) -> str:
    """The whole page."""
    rows: Rows = result["rows"]
    mine = {name: row for name, row in rows.items() if row["network"] == "LeViT-128S"}
    return "\n\n".join(
        (
            "# LeViT beside its peers",
            _how(result),
            "![Published top-1 against instructions](peers.svg)",
            _pareto(rows),
            "## LeViT-128S, by this toolkit and by others",
            "The same network through each converter and runtime as it comes.",
            table(("", "precision", *_titles(result), "to the least", "latency here", "note"), _beside(mine, result)),
            "## Networks",
            table(("", "", "precision", "top-1", *_titles(result)), _networks(rows)),
            "Top-1 is what was published of the float weights: of "
            + "; ".join(f"{source}: {', '.join(names)}" for source, names in _sources(rows).items())
            + ". No accuracy was measured here.",
            '## "5 times faster than EfficientNet"',
            _claim(rows),
            *_pairs(rows),
            *_absent(rows),
        )
    ) + "\n"  # fmt: skip


def _how(result: Mapping[str, Any]) -> str:
    cores = " and ".join(f"{cpu.replace('cortex-a', 'Cortex-A')} ({model})" for cpu, model in result["cpus"].items())
    found = [row for row in result["rows"].values() if CORES[0] in row]
    told = {(row[CORES[0]]["runtime"]["name"], row[CORES[0]]["runtime"]["version"]) for row in found}
    versions = ", ".join(" ".join(pair) for pair in sorted(told))
    return (
        f"Millions of executed instructions of one inference (one picture, one thread), on an emulated\n"
        f"{cores}:\n"
        "a figure that repeats, and not a time. An instruction of one kernel may take longer than one of another, and waiting\n"
        "for memory is not counted. Random weights, 1000 classes. Latency is on the x86-64 host, in turn with, and in units of,\n"
        f"{result['base']}, with its 95 % interval; that host is not ARM, and was busy.\n\n"
        f"Runtimes: {versions}. Converters: {', '.join(f'{k} {v}' for k, v in result['packages'].items())}."
    )


def _pareto(rows: Rows) -> str:
    best = "; ".join(f"{point.title} ({point.top1}, {point.millions:.1f} M)" for point in front(points(rows)))
    return f"On the front, where nothing has both more top-1 and fewer instructions on the Cortex-A76: {best or 'nothing yet'}."


def _titles(result: Mapping[str, Any]) -> list[str]:
    return [cpu.replace("cortex-a", "A") for cpu in result["cpus"]]


def _beside(rows: Rows, result: Mapping[str, Any]) -> Iterable[list[str]]:
    counted = {name: row for name, row in rows.items() if CORES[0] in row}
    least = min((row[CORES[0]]["total"] for row in counted.values()), default=1)
    for row in sorted(counted.values(), key=lambda row: int(row[CORES[0]]["total"])):
        notes = [row.get("note", ""), *(row[cpu].get("note", "") for cpu in CORES[:1])]
        tool = f"**{row['tool']}**" if row["tool"].startswith(_OWN) else row["tool"]
        share = f"{row[CORES[0]]['total'] / least:.2f}"
        yield [tool, row["precision"], *_millions(row), share, _latency(row), "; ".join(filter(None, notes))]


def _networks(rows: Rows) -> Iterable[list[str]]:
    for row in rows.values():
        if CORES[0] in row and (row["network"] != "LeViT-128S" or row["tool"].startswith(_OWN)):
            yield [row["network"], row["tool"], row["precision"], f"{row['top1']}", *_millions(row)]


def _claim(rows: Rows) -> str:
    first, second = PAIRS[0]
    published = (
        f"{XEON[first] / XEON[second]:.1f} times on a Xeon, {GRAVITON[first] / GRAVITON[second]:.0f} times on ARM"
    )
    said = (
        "The paper says so of 80 % top-1 and a CPU. There it is one thread, 16 pictures at once, PyTorch: "
        f"{first} beside {second}, {published}.\n"
    )
    ratio = _ratio(rows, first, second, "fp32")
    if ratio is None:
        return f"{said}Not measured here yet."
    holds = "It holds" if ratio >= _CLAIM else "It does not hold"
    return (
        f"{said}{holds} in instructions of today's runtime, one picture at a time: {second} needs {ratio:.1f} times as many\n"
        f"as {first}, both in fp32 on LiteRT. The figures below are such ratios; below 1 the other network needs fewer."
    )


def _pairs(rows: Rows) -> Iterable[str]:
    lines = []
    for first, second in PAIRS:
        ratio = _ratio(rows, first, second, "fp32")
        shown = "not measured yet" if ratio is None else f"{ratio:.2f}"
        lines.append(
            [first, second, f"{XEON[first] / XEON[second]:.1f}", f"{GRAVITON[first] / GRAVITON[second]:.1f}", shown]
        )
    yield table(("", "beside", "published, Xeon", "published, Graviton 2", "instructions, fp32, A76"), lines)
    lines = []
    for first, second in (("LeViT-128S", f"EfficientNet-Lite{n}") for n in range(3)):
        ratios = [_ratio(rows, first, second, precision) for precision in ("fp32", "int8")]
        lines.append([first, second, *("not measured yet" if ratio is None else f"{ratio:.2f}" for ratio in ratios)])
    yield "And beside what was made for phones:"
    yield table(("", "beside", "instructions, fp32, A76", "instructions, int8, A76"), lines)


def _ratio(rows: Rows, first: str, second: str, precision: str) -> float | None:
    """How many times as many instructions the second needs, both on LiteRT; None if one is not measured."""
    found = [
        row[CORES[0]]["total"]
        for network in (first, second)
        for row in rows.values()
        if row["network"] == network
        and row["runtime"] == "tflite"
        and row["precision"] == precision
        and CORES[0] in row
        if row["tool"].startswith(_OWN) or not network.startswith("LeViT")
    ]
    return found[1] / found[0] if len(found) == 2 else None


def _absent(rows: Rows) -> Iterable[str]:
    reasons: dict[str, list[str]] = {}
    for name, row in rows.items():
        if CORES[0] not in row:
            reasons.setdefault(row.get("failed") or row["missing"], []).append(name)
    if reasons:
        yield "## What is not there"
        yield "\n".join(f"- {reason}: {'; '.join(names)}" for reason, names in reasons.items())


def _sources(rows: Rows) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in rows.values():
        names = found.setdefault(row["top1_source"], [])
        if row["network"] not in names:
            names.append(row["network"])
    return found


def _millions(row: Mapping[str, Any]) -> list[str]:
    return [f"{row[cpu]['total'] / 1e6:.1f}" if cpu in row else "" for cpu in CORES]


def _latency(row: Mapping[str, Any]) -> str:
    host = row.get("host", {})
    if "ratio" not in host:
        return ""
    low, high = host["interval95"]
    return f"{host['ratio']:.2f} ({low:.2f} to {high:.2f})"


def load(folder: Path) -> dict[str, Any]:
    """The figures.

    Raises:
        UsageError: there are none.
    """
    path = folder / "peers.json"
    if not path.exists():
        raise UsageError(f"{path} is missing; run benchmarks/peers.py first")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_results_option(parser)
    with guarded():
        figures = load(parser.parse_args().results)
        (DOCS / "peers.md").write_text(page(figures))
        (DOCS / "peers.svg").write_bytes(draw(figures["rows"]))
        print("wrote docs/peers.md and docs/peers.svg")
