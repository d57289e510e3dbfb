"""Figures of a place while it measured: temperature and clock over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from levit_mobile.bench.report import words
from levit_mobile.bench.report.entries import Material, Reading
from levit_mobile.bench.report.plots import STEPS, Plot, plot
from levit_mobile.bench.report.svg import COLOURS, MARK, MUTED, canvas, plain

__all__ = ["climate"]

_FEWEST = 3  # readings; fewer are no course


def climate(material: Material) -> list[Plot]:
    """Readings of each place over time, with what was throttled marked."""
    known = []
    for place in material.places:
        health = [run.health for run in material.runs if run.place == place and run.health]
        lines = [h for h in health if any(r.temperature is not None or r.mhz is not None for r in h)]
        if sum(map(len, lines)) >= _FEWEST:
            known.append((place, lines))
    found = []
    for number, (place, lines) in enumerate(known):
        told = _told([reading for line in lines for reading in line])
        draw = partial(_climate, lines=lines)
        found.append(plot(f"temp{number}", place.label, told, draw, half=len(known) > 1, note=told))
    return found


def _told(readings: Sequence[Reading]) -> str:
    degrees = [r.temperature for r in readings if r.temperature is not None]
    clocks = [r.mhz for r in readings if r.mhz is not None]
    flags = [r.throttled for r in readings if r.throttled is not None]
    told = [f"{min(degrees):.0f} to {max(degrees):.0f} °C"] if degrees else []
    told += [f"{min(clocks):,.0f} to {max(clocks):,.0f} MHz"] if clocks else []
    told += (
        [f"throttled at {words.plural(sum(flags), 'reading')}" if any(flags) else "never throttled"] if flags else []
    )
    return ", ".join(told)


def _climate(width: int, lines: Sequence[Sequence[Reading]]) -> Figure:
    all_kinds: tuple[tuple[str, Callable[[Reading], float | None], str], ...] = (
        ("°C", lambda r: r.temperature, COLOURS[3]),
        ("MHz", lambda r: r.mhz, COLOURS[0]),
    )
    kinds = [kind for kind in all_kinds if any(kind[1](r) is not None for line in lines for r in line)]
    figure = canvas(width, 40 + 130 * len(kinds))
    grid = figure.subplots(len(kinds), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (unit, of, colour) in zip(grid, kinds, strict=True):
        plain(axes, grid="y")
        for line in lines:
            told = [(r.seconds, value, r.throttled) for r in line if (value := of(r)) is not None]
            style = "steps-post" if unit == "MHz" else "default"
            axes.plot([x for x, _, _ in told], [y for _, y, _ in told], color=colour, linewidth=2, drawstyle=style)
            hot = [(x, y) for x, y, throttled in told if throttled]
            axes.plot([x for x, _ in hot], [y for _, y in hot], "X", color=MARK, markersize=9)
        low, high = axes.get_ylim()
        axes.set_ylim(0 if unit == "MHz" else low - 2, high * 1.1 if unit == "MHz" else high + 3)
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=STEPS))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.10g}"))
        axes.set_title(unit, loc="left", fontsize=12, color=MUTED)
    grid[-1].set_xlabel("seconds")
    return figure
