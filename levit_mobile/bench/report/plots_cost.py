"""Figures of cost: accuracy against it, where the time goes, what is executed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from levit_mobile.bench.report import words
from levit_mobile.bench.report.entries import Artifact, Count, Material
from levit_mobile.bench.report.plots import HALF, NARROW, STEPS, Plot, colour_of, plot, scaled, shortened
from levit_mobile.bench.report.reading import Share
from levit_mobile.bench.report.svg import COLOURS, FAINT, INK, MUTED, PAPER, canvas, plain

__all__ = ["Point", "accuracy_against_cost", "front", "instructions", "operators"]

_FIGURES = 6  # of one kind; the tables have all
_BARS = 8
_ROWS = 40
_MARKERS = {"tflite": "o", "executorch": "s", "onnx": "^", "coreml": "D"}
_CLASSES = {  # as bench counts them: (name for people, colour)
    "dot": ("int8 dot products", COLOURS[1]),
    "simd": ("other SIMD", COLOURS[0]),
    "simd_memory": ("SIMD loads and stores", COLOURS[2]),
    "load_store": ("loads and stores", COLOURS[2]),
    "memory": ("loads and stores", COLOURS[4]),
    "branch": ("branches", COLOURS[3]),
    "other": ("other", FAINT),
}


@dataclass(frozen=True)
class Point:
    """An artifact in a figure of accuracy against cost."""

    artifact: Artifact
    cost: float
    top1: Share


def front(points: Sequence[Point]) -> list[Point]:
    """Those that no other one beats in both: Pareto's front, cheapest first."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.top1.value)):
        if not best or point.top1.value > best[-1].top1.value:
            best.append(point)
    return best


def accuracy_against_cost(material: Material) -> list[Plot]:
    """For each place and number of threads, and each counted processor: top-1 over p50 or instructions."""
    groups: dict[tuple[str, str, int | None], list[Point]] = {}
    for run in material.runs:
        top1 = material.top1(run.artifact)
        if run.timed and run.summary is not None and top1 is not None:
            title = ", ".join(filter(None, [run.place.label, run.setting]))
            key = (title, "median milliseconds", run.artifact.classes)
            groups.setdefault(key, []).append(Point(run.artifact, run.summary.p50, top1))
    for count in material.counts:
        top1 = material.top1(count.artifact)
        if top1 is not None:
            key = (f"{count.cpu}, counted", "million instructions", count.artifact.classes)
            groups.setdefault(key, []).append(Point(count.artifact, count.total / 1e6, top1))
    found: list[Plot] = []
    for number, ((title, unit, classes), points) in enumerate(groups.items()):
        if len({p.artifact.key for p in points}) < 2 or len(found) == _FIGURES:
            continue
        best = front(points)
        told = "; ".join(f"{p.artifact.label}: {p.cost:.3g} {unit}, {words.percent(p.top1.value)}" for p in best)
        task = "" if classes is None else f", {words.plural(classes, 'class', 'classes')}"
        draw = partial(_scatter, points=points, unit=unit)
        found.append(plot(f"acc{number}", title + task, f"On the Pareto front: {told}", draw, half=True))
    return found


def _scatter(width: int, points: Sequence[Point], unit: str) -> Figure:
    targets = list(dict.fromkeys(p.artifact.target for p in points))
    precisions = list(dict.fromkeys(p.artifact.precision for p in points))
    figure = canvas(width, 400 if width > NARROW else 390)
    axes = figure.subplots()
    costs = [p.cost for p in points]
    scaled(axes, min(costs), max(costs), unit)
    plain(axes, grid="both")
    best = front(points)
    edge = axes.get_xlim()[1]
    x = [*[v for p in best for v in (p.cost, p.cost)][1:], edge]
    y = [v * 100 for p in best for v in (p.top1.value, p.top1.value)]
    axes.plot(x, y, color=MUTED, linewidth=1.5, linestyle=(0, (4, 3)), zorder=1)
    for point in points:
        colour = colour_of(point.artifact.precision)
        value = point.top1.value * 100
        if point.top1.interval is not None:
            low, high = (v * 100 for v in point.top1.interval)
            axes.plot([point.cost] * 2, [low, high], color=colour, linewidth=1.5, alpha=0.35, zorder=2)
        marker = _MARKERS.get(point.artifact.target, "P")
        axes.plot([point.cost], [value], marker=marker, markersize=10, color=colour, markeredgecolor=PAPER, zorder=3)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=STEPS))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.10g} %"))
    axes.set_title("top-1", loc="left", fontsize=12, color=MUTED)
    handles = [
        Line2D([], [], marker="o", linestyle="", color=colour_of(p), markersize=8, label=p or "?") for p in precisions
    ]
    if len(targets) > 1:
        marks = ((_MARKERS.get(t, "P"), t) for t in targets)
        handles += [Line2D([], [], marker=m, linestyle="", color=MUTED, markersize=8, label=t or "?") for m, t in marks]
    handles.append(Line2D([], [], color=MUTED, linestyle=(0, (4, 3)), label="Pareto front"))
    columns = 4 if width >= HALF else 3
    figure.legend(
        handles=handles, loc="outside lower left", ncols=columns, fontsize=12, handletextpad=0.3, columnspacing=1.2
    )
    figure.draw_without_rendering()  # where the axes are is known only now
    _name(axes, best, points)
    return figure


def _name(axes: Axes, best: Sequence[Point], points: Sequence[Point]) -> None:
    """Write names beside the points of the front, where each covers no point and no other name; above left is best."""
    frame = axes.get_window_extent()
    dots = [tuple(axes.transData.transform((p.cost, p.top1.value * 100))) for p in points]
    placed: list[tuple[float, float, float, float]] = []
    for point in best:
        x, y = axes.transData.transform((point.cost, point.top1.value * 100))
        wide = 7.5 * len(point.artifact.name)
        for dx, dy, side in ((-9, 10, "right"), (9, 10, "left"), (9, -12, "left"), (-9, -12, "right")):
            left = x + dx - (wide if side == "right" else 0)
            box = (left, y + dy - 8, left + wide, y + dy + 8)
            outside = box[0] < frame.x0 or box[2] > frame.x1 or box[1] < frame.y0 or box[3] > frame.y1
            covers = any(box[0] - 5 < a < box[2] + 5 and box[1] - 5 < b < box[3] + 5 for a, b in dots)
            if not (outside or covers or any(_meet(box, other) for other in placed)):
                placed.append(box)
                where: dict[str, Any] = {"xytext": (dx, dy), "textcoords": "offset points", "ha": side, "va": "center"}
                at = (point.cost, point.top1.value * 100)
                axes.annotate(point.artifact.name, at, color=INK, zorder=4, **where)
                break


def _meet(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def operators(material: Material) -> list[Plot]:
    """Where the time of an inference goes, for each run with a profile."""
    found = []
    for number, run in enumerate(run for run in material.runs if run.profile):
        sums: dict[str, float] = {}
        for operator, _, cost in run.profile:
            sums[operator] = sums.get(operator, 0) + cost
        where = ", ".join(filter(None, [run.place.label, run.setting]))
        found.append(_bars(f"op{number}", run.artifact, where, sums, "ms", 1.0, "time"))
    cpus = [count for count in material.counts if count.operators]
    found += [
        _bars(f"oi{n}", c.artifact, c.cpu, dict(c.operators), "M", 1e6, "instructions") for n, c in enumerate(cpus)
    ]
    return found[:_FIGURES]


def _bars(
    name: str, artifact: Artifact, where: str, sums: dict[str, float], unit: str, scale: float, thing: str
) -> Plot:
    rows = sorted(((v / scale, k) for k, v in sums.items()), reverse=True)
    total = sum(v for v, _ in rows) or 1.0
    if len(rows) > _BARS:
        rest = rows[_BARS - 1 :]
        rows = [*rows[: _BARS - 1], (sum(v for v, _ in rest), f"{len(rest)} others")]
    bars = [(v, v / total, k) for v, k in rows]
    alt = "; ".join(f"{k} {v:.3g} {unit}, {words.percent(share, 0)}" for v, share, k in bars)
    draw = partial(_operator_bars, bars=bars, unit=unit, colour=colour_of(artifact.precision))
    return plot(
        name, artifact.label, f"{thing} of each operator, {where}: {alt}", draw, half=True, note=f"{thing}, {where}"
    )


def _operator_bars(width: int, bars: Sequence[tuple[float, float, str]], unit: str, colour: str) -> Figure:
    figure = canvas(width, 16 + 40 * len(bars))
    axes = figure.subplots()
    most = max(v for v, _, _ in bars) or 1.0
    for y, (value, share, name) in enumerate(reversed(bars)):
        axes.barh(y, most, height=0.24, color=FAINT, alpha=0.25)
        axes.barh(y, value, height=0.24, color=colour)
        axes.annotate(shortened(name, width - 160), (0, y + 0.36), fontsize=12, va="center")
        said = f"{value:,.3g} {unit} · {words.percent(share, 0)}"
        axes.annotate(said, (most, y + 0.36), fontsize=12, va="center", ha="right", color=MUTED)
    axes.set_xlim(0, most)
    axes.set_ylim(-0.25, len(bars) - 0.4)
    axes.set_axis_off()
    return figure


def instructions(material: Material) -> list[Plot]:
    """What an inference executes, by class, an artifact a row; one figure for each processor."""
    found = []
    for number, cpu in enumerate(dict.fromkeys(count.cpu for count in material.counts)):
        counts = sorted((c for c in material.counts if c.cpu == cpu), key=lambda c: c.total)[:_ROWS]
        told = "; ".join(f"{c.artifact.label}: {words.millions(c.total)}" for c in counts)
        draw = partial(_stacks, counts=counts)
        found.append(plot(f"ins{number}", cpu, f"Instructions an inference: {told}", draw))
    return found


def _stacks(width: int, counts: Sequence[Count]) -> Figure:
    figure = canvas(width, 84 + 46 * len(counts) + (40 if width == NARROW else 0))
    axes = figure.subplots()
    most = max(c.total for c in counts) / 1e6
    seen = {name for c in counts for name, _ in c.classes}
    names = [*(n for n in _CLASSES if n in seen), *sorted(seen - _CLASSES.keys())]
    looks = {name: _CLASSES.get(name, (name, COLOURS[5])) for name in names}
    for y, count in enumerate(reversed(counts)):
        start, parts = 0.0, dict(count.classes)
        for name in names or ["other"]:
            size = parts.get(name, 0.0) / 1e6
            axes.barh(y, size, left=start, height=0.4, color=looks[name][1] if looks else FAINT, edgecolor=PAPER)
            start += size
        axes.barh(y, max(0.0, count.total / 1e6 - start), left=start, height=0.4, color=FAINT, alpha=0.4)
        said = f"{shortened(count.artifact.label, width - 90)}"
        axes.annotate(said, (0, y + 0.4), fontsize=12, va="center")
        axes.annotate(
            words.millions(count.total),
            (count.total / 1e6, y),
            xytext=(6, 0),
            textcoords="offset points",
            fontsize=12,
            fontweight="bold",
            va="center",
        )
    plain(axes)
    axes.set_xlim(0, most * (1.12 if width > NARROW else 1.28))
    axes.set_ylim(-0.4, len(counts) - 0.3)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=STEPS))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.10g}"))
    axes.set_xlabel("million instructions an inference")
    handles = [
        Line2D([], [], marker="s", linestyle="", color=colour, markersize=9, label=name)
        for name, colour in looks.values()
    ]
    columns = 5 if width > NARROW else 2
    figure.legend(
        handles=handles, loc="outside lower left", ncols=columns, fontsize=12, handletextpad=0.3, columnspacing=1.2
    )
    return figure
