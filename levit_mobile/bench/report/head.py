"""The top of the report: four figures, and the same in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from levit_mobile.bench.report import words
from levit_mobile.bench.report.compare import VERDICTS, Comparison
from levit_mobile.bench.report.entries import Material
from levit_mobile.bench.report.summary import Gain, Summing

__all__ = ["Tile", "alarms", "sentences", "tiles", "title"]


@dataclass(frozen=True)
class Tile:
    """A figure large enough to be read from afar; ``tone`` is good, bad or nothing."""

    title: str
    figure: str
    unit: str
    what: str
    note: str = ""
    tone: str = ""


def title(material: Material) -> str:
    """What ran where."""
    variants = list(dict.fromkeys(a.variant for a in material.artifacts if a.variant))
    real = [place.label for place in material.places if not place.emulated]
    what = (
        words.listed(variants) if 0 < len(variants) < 3 else f"{len(variants)} LeViT variants" if variants else "LeViT"
    )
    places = list(dict.fromkeys(real))
    where = words.listed(places) if 0 < len(places) < 3 else words.plural(len(places), "place") if places else ""
    return f"{what} on {where}" if where else what


def tiles(summing: Summing) -> list[Tile]:
    """Fastest, smallest, most accurate, int8 against fp32; what is not known is left out."""
    found = []
    for run in summing.fastest[:1]:
        assert run.summary is not None
        figure, _, unit = words.ms(run.summary.p50).partition(" ")
        found.append(Tile("Fastest", figure, unit, run.artifact.label, _comma(run.setting, run.place.label)))
    if summing.smallest is not None:
        figure, _, unit = words.megabytes(summing.smallest.bytes).partition(" ")
        found.append(Tile("Smallest", figure, unit, summing.smallest.label))
    for best in summing.accurate[:1]:
        figure, _, unit = words.percent(best.top1.value).partition(" ")
        note = "top-1" if not best.rivals else f"top-1; {words.plural(best.rivals, 'other')} within noise"
        found.append(Tile("Most accurate", figure, unit, best.artifact.label, note))
    if summing.gains:
        found.append(_verdict(summing.gains[0]))
    return found


def _comma(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def _verdict(gain: Gain) -> Tile:
    """Of the first pair: time if it is known, or instructions, or bytes."""
    rest = []
    if gain.size is not None:
        rest.append(f"{words.times(gain.size)} the size")
    if gain.top1 is not None:
        rest.append(f"{words.points(gain.top1)} top-1" + (", within noise" if gain.top1_in_noise else ""))
    what = _comma(
        f"{gain.artifact.name} {gain.artifact.target}",
        "" if gain.threads is None else words.plural(gain.threads, "thread"),
    )
    known = [(gain.time, "time"), (gain.instructions, "instructions"), (gain.size, "size")]
    value, thing = next(((v, t) for v, t in known if v is not None), (None, ""))
    if value is None:
        return Tile("int8 against fp32", words.points(gain.top1 or 0).partition(" ")[0], "points", what)
    tone = "" if thing == "time" and gain.time_in_noise else "good" if value < 0.99 else "bad" if value > 1.01 else ""
    unit = {"time": "the time", "instructions": "the instructions", "size": "the size"}[thing]
    return Tile(
        "int8 against fp32", words.times(value), unit, what, "; ".join(rest if thing != "size" else rest[1:]), tone
    )


def sentences(material: Material, summing: Summing, comparison: Comparison | None) -> list[str]:
    """The same in words, and for each place."""
    found = []
    for run in summing.fastest:
        assert run.summary is not None
        by = f" with {run.setting}" if run.setting else ""
        found.append(
            f"On {run.place.label}, {run.artifact.label}{by} is the fastest: half of its inferences take "
            f"{words.ms(run.summary.p50)} or less, and 99 of 100 {words.ms(run.summary.p99)} or less."
        )
    for best in summing.accurate:
        task = "" if best.artifact.classes is None else f" of {words.plural(best.artifact.classes, 'class', 'classes')}"
        rivals = (
            f"; {words.plural(best.rivals, 'other artifact')} cannot be told apart from it by so many pictures"
            if best.rivals
            else ""
        )
        found.append(f"Most accurate{task}: {best.artifact.label}, {words.share_of(best.top1)} top-1{rivals}.")
    found += _gains(summing.gains)
    emulated = [run for run in material.runs if run.place.emulated]
    if emulated:
        found.append(
            f"{words.plural(len(emulated), 'run')} on an emulated board came without times: they would mean nothing."
        )
    if comparison is not None:
        counts = {verdict: len(comparison.of(verdict)) for verdict in VERDICTS}
        found.append(
            f"Against the baseline: {counts['worse']} worse, {counts['better']} better, {counts['same']} within noise"
            + (f", {counts['unclear']} not to be told" if counts["unclear"] else "")
            + "."
        )
    return found


def _gains(gains: Sequence[Gain]) -> list[str]:
    """All pairs of int8 and fp32 in a sentence."""
    parts = []
    for values, thing in (
        ([g.time for g in gains], "the time"),
        ([g.instructions for g in gains], "the instructions"),
        ([g.size for g in gains], "the size"),
    ):
        known = sorted({words.times(v): v for v in values if v is not None}.items(), key=lambda pair: pair[1])
        if known:
            parts.append(" to ".join(dict.fromkeys((known[0][0], known[-1][0]))) + f" {thing}")
    found = [f"int8 against fp32: {words.listed(parts)} ({words.plural(len(gains), 'pair')})."] if parts else []
    top1 = [g for g in gains if g.top1 is not None]
    lost = [g for g in top1 if g.top1_interval is not None and g.top1_interval[1] < 0]
    if lost:
        found.append("int8 costs accuracy, beyond noise: " + words.listed([_loss(g) for g in lost[:4]]) + ".")
    elif top1:
        least = min(g.top1 for g in top1 if g.top1 is not None)
        seen = f"at worst {words.points(least)} top-1 were seen" if least < 0 else "none was seen"
        found.append(f"int8 costs no accuracy that so many pictures could show; {seen}.")
    return found


def _loss(gain: Gain) -> str:
    return f"{gain.artifact.name} {gain.artifact.target} {words.points(gain.top1 or 0)}"


def alarms(summing: Summing) -> list[tuple[str, str]]:
    """(what, why) of each run that is not to be believed."""
    return [(run.label, "; ".join(run.invalid)) for run in summing.invalid]
