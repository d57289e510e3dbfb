"""Figures of time: latency and ratios. Each is drawn for a desk and for a telephone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from levit_mobile.bench.report import words
from levit_mobile.bench.report.entries import Material, Place, RatioRow, Run
from levit_mobile.bench.report.svg import COLOURS, FAINT, INK, MARK, MUTED, canvas, plain, styled, to_svg

__all__ = [
    "HALF",
    "NARROW",
    "WIDE",
    "Plot",
    "colour_of",
    "latency",
    "plot",
    "ratios",
    "scaled",
    "shortened",
]

WIDE, HALF, NARROW = 1040, 496, 328
STEPS = (1, 2, 5, 10)  # between ticks: round numbers
_ROWS = 40  # of one figure; the table has all
_PRECISIONS = ("fp32", "int8", "fp16", "int8-dynamic", "int8-weights", "palettised-4bit")


@dataclass(frozen=True)
class Plot:
    """A figure with its title, twice: ``wide`` (or half as wide, where ``half``) and ``narrow`` SVG."""

    title: str
    alt: str
    wide: str
    narrow: str
    half: bool = False
    note: str = ""


def plot(name: str, title: str, alt: str, draw: Callable[[int], Figure], *, half: bool = False, note: str = "") -> Plot:
    """Draw it for both widths."""
    with styled():
        wide = to_svg(draw(HALF if half else WIDE), f"{name}w", f"{title}. {alt}")
        narrow = to_svg(draw(NARROW), f"{name}n", f"{title}. {alt}")
    return Plot(title, alt, wide, narrow, half, note)


def colour_of(precision: str) -> str:
    """Each precision has its colour, in all figures."""
    return COLOURS[_PRECISIONS.index(precision)] if precision in _PRECISIONS else COLOURS[7]


def shortened(label: str, width: int) -> str:
    """A name that fits into so many pixels."""
    most = max(12, width // 7)
    return label if len(label) <= most else label[: most - 1] + "…"


def scaled(axes: Axes, least: float, most: float, unit: str, far: float = 12) -> bool:
    """The x axis: from 0, or (True) logarithmic where the values are further apart than ``far`` times."""
    log = most > far * least
    if log:
        axes.set_xscale("log")
        axes.set_xlim(least / 1.25, most * 1.3)
        subs: Sequence[float] = (1, 2, 5) if most < 200 * least else (1,)
        axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=12))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_xlim(0, most * 1.12)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=STEPS))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.10g}"))
    axes.set_xlabel(f"{unit} (logarithmic)" if log else unit)
    return log


def latency(material: Material) -> list[Plot]:
    """For each place: how long inferences took, an artifact a row, the fastest first."""
    found = []
    for number, place in enumerate(material.places):
        runs = [run for run in material.runs if run.place == place and run.samples]
        runs.sort(key=lambda run: run.summary.p50 if run.summary else 0)
        if runs:
            told = "; ".join(f"{r.artifact.label} {r.setting}: {words.ms(_p50(r))}" for r in runs[:_ROWS])
            alt = f"Medians: {told}"
            note = f"The fastest {_ROWS} of {len(runs)} runs are drawn." if len(runs) > _ROWS else ""
            found.append(plot(f"lat{number}", place.label, alt, partial(_ridges, runs=runs[:_ROWS]), note=note))
    return found


def _p50(run: Run) -> float:
    return float(np.median(run.samples))


def _ridges(width: int, runs: Sequence[Run]) -> Figure:
    return _bars_and_hills(runs) if width > NARROW else _hills_on_the_axis(runs)


def _bars_and_hills(runs: Sequence[Run]) -> Figure:
    """At a desk: bars of the medians, and beside them each run around its own median, where its shape is seen."""
    figure = canvas(WIDE, 46 + 46 * len(runs))
    bars, hills = figure.subplots(1, 2, sharey=True, width_ratios=(1.25, 1))
    medians = [_p50(run) for run in runs]
    log = scaled(bars, min(medians), max(medians), "median milliseconds", far=60)
    left, right = bars.get_xlim()
    bars.set_xlim(left, right**1.15 / left**0.15 if log else right * 1.15)  # the figures stand behind the bars
    tails = [float(np.quantile(run.samples, 0.99)) / p50 - 1 for run, p50 in zip(runs, medians, strict=True)]
    heads = [float(np.min(run.samples)) / p50 - 1 for run, p50 in zip(runs, medians, strict=True)]
    hills.set_xlim(max(-0.5, 1.1 * min(heads)) - 0.01, min(1.5, 1.1 * max(tails)) + 0.01)
    hills.xaxis.set_major_locator(MaxNLocator(6, steps=STEPS))
    hills.xaxis.set_major_formatter(FuncFormatter(lambda v, _: words.change_of(1 + v, 0) if v else "0"))
    hills.set_xlabel("single inferences, around the median")
    hills.axvline(0, color=FAINT, linewidth=1)
    for y, run in enumerate(reversed(runs)):
        colour = FAINT if run.invalid else colour_of(run.artifact.precision)
        if log:  # where lengths would mean nothing
            bars.plot([_p50(run)], [y], marker="o", markersize=9, color=colour)
        else:
            bars.barh(y, _p50(run), height=0.42, color=colour)
        _say(bars, _p50(run), y, run)
        _hill(hills, y, run, _p50(run), 0.62)
    bars.set_yticks(range(len(runs)))
    for text in bars.set_yticklabels([_two_lines(run) for run in reversed(runs)]):
        text.set_color(INK)
    bars.set_ylim(-0.45, len(runs) - 0.3)
    for axes in (bars, hills):
        plain(axes)
    hills.tick_params(labelleft=False)
    return figure


def _hills_on_the_axis(runs: Sequence[Run]) -> Figure:
    """On a telephone: one picture, with names above the rows."""
    figure = canvas(NARROW, 44 + 58 * len(runs))
    axes = figure.subplots()
    most = max(float(np.quantile(run.samples, 0.99)) for run in runs)
    least = min(float(np.min(run.samples)) for run in runs)
    log = scaled(axes, least, most, "milliseconds")
    left, right = axes.get_xlim()
    axes.set_xlim(left, right**1.23 / left**0.23 if log else right * 1.23)
    plain(axes)
    for y, run in enumerate(reversed(runs)):
        _hill(axes, y, run, None, 0.32)
        _say(axes, float(np.quantile(run.samples, 0.99)), y, run)
        said = shortened(", ".join(filter(None, [run.artifact.label, run.setting])), NARROW - 30)
        axes.annotate(said, (0, y + 0.52), xycoords=("axes fraction", "data"), va="center")
    axes.set_yticks([])
    axes.set_ylim(-0.45, len(runs) - 0.2)
    return figure


def _two_lines(run: Run) -> str:
    first = " ".join(filter(None, [run.artifact.name, run.artifact.precision]))
    rest = [run.artifact.target, *(value for _, value in run.artifact.unusual), run.setting]
    return f"{shortened(first, 260)}\n{shortened(', '.join(filter(None, rest)), 260)}"


def _say(axes: Axes, x: float, y: float, run: Run) -> None:
    """The median behind a row."""
    said = words.ms(_p50(run)) + (" not valid" if run.invalid else "")
    axes.annotate(
        said,
        (x, y),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontweight="bold",
        color=MARK if run.invalid else INK,
    )


def _hill(axes: Axes, y: float, run: Run, unit: float | None, tall: float) -> None:
    """Density, median, p90 and p99; in milliseconds, or around ``unit`` and in its parts."""
    colour = FAINT if run.invalid else colour_of(run.artifact.precision)
    values = np.asarray(run.samples, np.float64)
    if unit is not None:
        values = values / unit - 1
    low, p50, p90, p99 = np.quantile(values, [0.005, 0.5, 0.9, 0.99])
    x, height = _density(values, low, p99, log=axes.get_xscale() == "log")
    y -= tall / 3
    axes.fill_between(x, y, y + tall * height, color=colour, alpha=0.35, linewidth=0)
    axes.plot(x, y + tall * height, color=colour, linewidth=1.2)
    axes.plot([low, p99], [y, y], color=colour, linewidth=1.5)
    axes.plot([p90, p99], [y, y], linestyle="", marker="|", markersize=9, markeredgewidth=1.5, color=colour)
    axes.plot([p50], [y], marker="o", markersize=7, color=colour)


def _density(
    values: npt.NDArray[np.float64], low: float, high: float, *, log: bool
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Where samples are dense, smoothed, 1 at most, between two ends."""
    if log:
        values, low, high = np.log(values), float(np.log(low)), float(np.log(high))
    if not high - low > 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.005 * abs(low) - 1e-9, high + 0.005 * abs(high) + 1e-9
    bins = 72
    counts, edges = np.histogram(values, bins=bins, range=(low, high))
    reach = np.arange(-9, 10)
    smooth = np.convolve(counts, np.exp(-0.5 * (reach / 2.6) ** 2), mode="same")
    middle = (edges[:-1] + edges[1:]) / 2
    return np.exp(middle) if log else middle, smooth / max(float(smooth.max()), 1e-12)


def ratios(material: Material) -> list[Plot]:
    """Time in units of another artifact's, with 95 % intervals, from rounds in turn."""
    rows = [row for row in material.ratios if not row.place.emulated]
    found = []
    for number, (place, part) in enumerate(_by_place(rows)):
        part = sorted(part, key=lambda row: row.ratio)[:_ROWS]
        alt = "; ".join(f"{r.other} over {r.base}: {words.times(r.ratio)} ({words.interval(r.interval)})" for r in part)
        found.append(plot(f"rat{number}", place.label, alt, partial(_forest, rows=part)))
    return found


def _by_place(rows: Sequence[RatioRow]) -> list[tuple[Place, list[RatioRow]]]:
    places = list(dict.fromkeys(row.place for row in rows))
    return [(place, [row for row in rows if row.place == place]) for place in places]


def _forest(width: int, rows: Sequence[RatioRow]) -> Figure:
    figure = canvas(width, 50 + 48 * len(rows))
    axes = figure.subplots()
    axes.set_xscale("log")
    ends = [v for row in rows for v in (row.ratio, *(row.interval or ()))]
    axes.set_xlim(min(*ends, 1) / 1.15, max(*ends, 1) * 1.15)
    ticks = [
        v
        for v in (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20)
        if min(*ends, 1) / 1.15 <= v <= max(*ends, 1) * 1.15
    ]
    axes.set_xticks(ticks, [words.times(v, 2 if v < 0.1 else 1) for v in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("time, in units of the other artifact's: less is faster")
    if width == NARROW:
        axes.set_xlabel("less is faster")
    plain(axes)
    axes.axvline(1, color=MUTED, linewidth=1.5)
    names = []
    for y, row in enumerate(reversed(rows)):
        noise = row.interval is not None and row.interval[0] <= 1 <= row.interval[1]
        colour = MUTED if noise else COLOURS[1] if row.ratio < 1 else COLOURS[3]
        if row.interval:
            axes.plot(row.interval, [y, y], color=colour, linewidth=4)
        axes.plot([row.ratio], [y], marker="o", markersize=8, color=colour)
        axes.annotate(
            words.times(row.ratio, 3),
            (row.interval[1] if row.interval else row.ratio, y),
            xytext=(10, 0),
            textcoords="offset points",
            va="center",
            fontweight="bold",
        )
        setting = None if row.threads is None else words.plural(row.threads, "thread")
        names.append((row.other, ", ".join(filter(None, [f"over {row.base}", setting]))))
        if width == NARROW:
            said = shortened(", ".join(filter(None, [row.other, setting])), width - 20)
            axes.annotate(said, (0, y + 0.42), xycoords=("axes fraction", "data"), va="center")
    axes.set_yticks([])
    if width > NARROW:
        axes.set_yticks(range(len(rows)))
        for text in axes.set_yticklabels([f"{shortened(a, 300)}\n{shortened(b, 300)}" for a, b in names]):
            text.set_color(INK)
    axes.set_ylim(-0.5, len(rows) - (0.5 if width > NARROW else 0.25))
    return figure
