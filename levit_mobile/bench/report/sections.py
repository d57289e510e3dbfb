"""The report's parts in their order; HTML shows all of a part, Markdown all but its figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from levit_mobile.bench.report import tables, words
from levit_mobile.bench.report.compare import Comparison
from levit_mobile.bench.report.entries import Material
from levit_mobile.bench.report.noise import SAME
from levit_mobile.bench.report.summary import sum_up
from levit_mobile.bench.report.tables import Table

if TYPE_CHECKING:
    from levit_mobile.bench.report.plots import Plot

__all__ = ["Section", "sections"]


@dataclass(frozen=True)
class Section:
    """A heading, what to know before reading, and what there is."""

    id: str
    title: str
    intro: str = ""
    plots: list[Plot] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def sections(material: Material, comparison: Comparison | None, *, figures: bool) -> list[Section]:
    """Those that have anything to show."""
    found = [
        *([_baseline(comparison)] if comparison is not None else []),
        Section(
            "int8",
            "int8 against fp32",
            "In units of fp32: 0.5 is half of it. Measured in turn: both in the same rounds. Apart: in separate runs, which "
            f"differ by up to {words.percent(SAME, 0)} for no reason.",
            tables=[tables.gains(sum_up(material))],
        ),
        _latency(material),
        Section(
            "ratios",
            "Side by side",
            "The artifacts took turns on the same machine, one inference each a round: what slows the machine slows both.",
            tables=[tables.ratios(material)],
        ),
        _accuracy(material),
        Section(
            "on-place", "Accuracy where it ran", "Labelled pictures that ran there.", tables=[tables.accuracy(material)]
        ),
        Section("operators", "Where it goes", "Operators of one kind are added up."),
        Section(
            "instructions",
            "Instructions",
            "Counted on an emulated processor, where times mean nothing but the number of instructions repeats.",
            tables=[tables.instructions(material)],
        ),
        Section(
            "climate",
            "Temperature and clock",
            "A board that gets too hot lowers its clock; crosses mark readings at which it was throttled.",
        ),
        Section(
            "emulated",
            "On emulated boards",
            "The artifacts ran there, with the board's own kind of runtime. No times are shown: an emulator translates each "
            "instruction, and how long that takes says nothing of a real board.",
            tables=[tables.emulated(material)],
        ),
        Section("places", "Where it ran", tables=[tables.facts(place) for place in material.places]),
        Section(
            "method",
            "How it was measured",
            "Latency is the time of single inferences, one after the other, without loading the model or decoding pictures. "
            "p50 is the median: half of the inferences take that long or less; below it is its 95 % interval within the run. "
            "Memory is the largest resident set of the process; on an iPhone, its largest footprint between inferences.",
            tables=tables.settings(material),
        ),
    ]
    if figures:
        _draw(found, material)
    return [part for part in found if part.plots or part.notes or any(table.rows for table in part.tables)]


def _latency(material: Material) -> Section:
    timed = [p for p in material.places if any(r.place == p and r.summary for r in material.runs)]
    intro = (
        "Hills show where the inferences of a run lie; the dot is the median, the two ticks are p90 and p99."
        if timed
        else ""
    )
    told = [tables.latency(material, place) for place in timed]
    wrong = [run for run in material.runs if run.invalid and run.summary]
    notes = [f"NOT VALID: {run.label}: {'; '.join(run.invalid)}." for run in wrong]
    return Section("latency", "Latency", intro, tables=told, notes=notes)


def _accuracy(material: Material) -> Section:
    told = [tables.artifacts(material)]
    if not any(material.top1(artifact) for artifact in material.artifacts):
        return Section("accuracy", "Artifacts", tables=told)
    intro = (
        "Up is more accurate, left is cheaper. The dashed line joins those that no other one beats in both; faint bars are "
        "95 % intervals."
    )
    return Section("accuracy", "Accuracy against cost", intro, tables=told)


def _baseline(comparison: Comparison) -> Section:
    notes = []
    for names, side in ((comparison.only_now, "now"), (comparison.only_before, "in the baseline")):
        if names:
            more = "" if len(names) <= 10 else f" and {len(names) - 10} more"
            notes.append(f"Only {side}: {'; '.join(names[:10])}{more}.")
    if not comparison.of("worse") and not comparison.of("better") and comparison.changes:
        notes.insert(0, "Nothing changed beyond noise.")
    if not comparison.changes:
        notes.insert(0, "Nothing matched: no artifact of the baseline ran at the same place with as many threads.")
    intro = (
        f"Better and worse are told only beyond noise: the 95 % interval leaves out no change, and separate runs differ by more "
        f"than {words.percent(SAME, 0)}."
    )
    return Section("baseline", "Against the baseline", intro, tables=tables.changes(comparison), notes=notes)


def _draw(found: list[Section], material: Material) -> None:
    from levit_mobile.bench.report import plots, plots_climate, plots_cost

    drawn = {
        "latency": plots.latency,
        "ratios": plots.ratios,
        "accuracy": plots_cost.accuracy_against_cost,
        "operators": plots_cost.operators,
        "instructions": plots_cost.instructions,
        "climate": plots_climate.climate,
    }
    for part in found:
        if part.id in drawn:
            part.plots.extend(drawn[part.id](material))
