"""Published top-1 against instructions on the Cortex-A76, as an SVG whose bytes depend on the figures only."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_CORE = "cortex-a76"
_OWN = "this toolkit"


@dataclass(frozen=True)
class Point:
    """A row in the plot."""

    title: str
    label: str
    series: str
    top1: float
    millions: float


def points(rows: Mapping[str, dict[str, Any]]) -> list[Point]:
    """Rows with figures, in their order."""
    found = []
    for name, row in rows.items():
        if _CORE in row:
            whole = row["precision"].startswith("int8")
            if row["tool"].startswith(_OWN):
                series = f"LeViT, this toolkit, {'int8' if whole else 'float'}"
            elif row["network"].startswith("LeViT"):
                series = f"LeViT-128S by others, {'int8' if whole else 'float'}"
            else:
                series = f"other networks, {'int8' if whole else 'float'}"
            found.append(Point(name, row["network"], series, row["top1"], row[_CORE]["total"] / 1e6))
    return found


def front(found: Iterable[Point]) -> list[Point]:
    """Those that no other point beats in one and matches in the other, from few instructions to many."""
    best: list[Point] = []
    for point in sorted(found, key=lambda point: (point.millions, -point.top1)):
        if not best or point.top1 > best[-1].top1:
            best.append(point)
    return best


_STYLES = {
    "LeViT, this toolkit, int8": ("o", "#0b5fa5", "#0b5fa5"),
    "LeViT, this toolkit, float": ("o", "#0b5fa5", "none"),
    "LeViT-128S by others, int8": ("|", "#777777", "#777777"),
    "LeViT-128S by others, float": ("x", "#777777", "#777777"),
    "other networks, int8": ("s", "#c0561a", "#c0561a"),
    "other networks, float": ("s", "#c0561a", "none"),
}


def draw(rows: Mapping[str, dict[str, Any]]) -> bytes:
    """The plot."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot
    from matplotlib.ticker import ScalarFormatter

    found = points(rows)
    settings = {"svg.hashsalt": "peers", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9}
    with matplotlib.rc_context(settings):
        figure, axes = pyplot.subplots(figsize=(8, 5.2))
        for series, (marker, edge, face) in _STYLES.items():
            mine = [point for point in found if point.series == series]
            if mine:
                colours = {"color": edge} if marker in "|x" else {"edgecolors": edge, "facecolors": face}
                x, y = [point.millions for point in mine], [point.top1 for point in mine]
                axes.scatter(x, y, s=34, marker=marker, label=series, zorder=3, **colours)
        best = front(found)
        axes.plot(
            [point.millions for point in best], [point.top1 for point in best], color="#333333", linewidth=1,
            linestyle="--", label="Pareto front", zorder=2,
        )  # fmt: skip
        for network in dict.fromkeys(point.label for point in found):
            left = min((point for point in found if point.label == network), key=lambda point: point.millions)
            axes.annotate(network, (left.millions, left.top1), (-4, 5), textcoords="offset points", fontsize=7.5)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(ScalarFormatter())
        axes.tick_params(axis="x", which="minor", labelsize=7)
        axes.set_xlabel("million instructions of an inference, emulated Cortex-A76, one thread")
        axes.set_ylabel("published ImageNet top-1 of the float weights, %")
        axes.grid(True, which="both", color="#eeeeee", zorder=0)
        axes.legend(loc="lower right", fontsize=8)
        figure.tight_layout()
        stored = io.BytesIO()
        figure.savefig(stored, format="svg", metadata={"Date": None, "Creator": None})
        pyplot.close(figure)
    return b"\n".join(line.rstrip() for line in stored.getvalue().splitlines()) + b"\n"
