"""Tables of the report: the same rows for HTML and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from levit_mobile.bench.report import words
from levit_mobile.bench.report.compare import Comparison, Verdict
from levit_mobile.bench.report.entries import Artifact, Material, Place
from levit_mobile.bench.report.noise import median_interval
from levit_mobile.bench.report.reading import text, texts
from levit_mobile.bench.report.summary import Summing
from levit_mobile.bench.report.words import MISSING

__all__ = [
    "Cell",
    "Table",
    "accuracy",
    "artifacts",
    "changes",
    "emulated",
    "facts",
    "gains",
    "instructions",
    "latency",
    "ratios",
    "settings",
]

_FACTS = {  # as a place tells them -> for people
    "model": "model",
    "cpu": "processor",
    "midr": "MIDR",
    "machine": "architecture",
    "cores": "cores",
    "memory_mb": "memory, MB",
    "governor": "governor",
    "os": "system",
    "kernel": "kernel",
    "libc": "C library",
    "python": "Python",
    "features": "features",
}


_NAMES = {  # of instructions' classes, in the figure's order
    "dot": "int8 dot",
    "simd": "other SIMD",
    "simd_memory": "SIMD memory",
    "load_store": "memory",
    "memory": "memory",
    "branch": "branch",
    "other": "other",
}
_CLASSES = list(_NAMES)


@dataclass(frozen=True)
class Cell:
    """``sub`` is a second line, smaller; ``tone`` is good, bad or quiet."""

    text: str
    sub: str = ""
    tone: str = ""


_Row = tuple[Cell | str, ...]


@dataclass(frozen=True)
class Table:
    """``align`` has < or > for each column; the first cell of a row is its heading. ``title`` says what it is a table of.
    A ``folded`` one is opened by who wants it."""

    title: str
    head: tuple[str, ...]
    align: str
    rows: tuple[tuple[Cell, ...], ...]
    folded: bool = False


def _table(title: str, head: Sequence[str], align: str, rows: Sequence[_Row]) -> Table:
    """Columns in which nobody has anything are left out."""
    cells = [tuple(c if isinstance(c, Cell) else Cell(c) for c in row) for row in rows]
    kept = [at for at in range(len(head)) if at == 0 or any(row[at].text not in ("", MISSING) for row in cells)]
    picked = tuple(tuple(row[at] for at in kept) for row in cells)
    return Table(title, tuple(head[at] for at in kept), "".join(align[at] for at in kept), picked)


def _artifact(artifact: Artifact) -> Cell:
    return Cell(artifact.name, artifact.kind)


def _threads(count: int | None) -> str:
    return MISSING if count is None else str(count)


def latency(material: Material, place: Place) -> Table:
    """Times of a place, fastest first; what is not valid last."""
    runs = [run for run in material.runs if run.place == place and run.summary is not None]
    runs.sort(key=lambda r: (bool(r.invalid), r.summary.p50 if r.summary else 0))
    head = ("artifact", "threads", "p50 (95 %)", "p90", "p99", "least", "load", "drift", "peak memory", "n")
    rows: list[_Row] = []
    for run in runs:
        s = run.summary
        assert s is not None
        ends = median_interval(run.samples)
        spread = "" if ends is None else words.interval(ends)
        median = Cell(words.ms(s.p50), *(("NOT VALID", "bad") if run.invalid else (spread, "strong")))
        peak = MISSING if run.peak_mb is None else words.megabytes(run.peak_mb * 1e6)
        more = "" if run.before_mb is None else f"{words.megabytes(run.before_mb * 1e6)} before"
        rows.append(
            (
                _artifact(run.artifact),
                _threads(run.threads),
                median,
                *(words.ms(v) for v in (s.p90, s.p99, s.min)),
                Cell(words.ms(run.load_ms), "" if run.first_ms is None else f"first {words.ms(run.first_ms)}"),
                words.times(None if run.drift is None else run.drift.ratio),
                Cell(peak, more if run.peak_mb is not None else ""),
                f"{s.count:,}",
            )
        )
    return _table(f"Latency on {place.label}", head, "<" + ">" * 9, rows)


def emulated(material: Material) -> Table:
    """What ran where times mean nothing."""
    runs = [run for run in material.runs if run.place.emulated]
    head = ("artifact", "place", "threads", "runtime", "state")
    rows = []
    for run in runs:
        state = Cell("NOT VALID", "; ".join(run.invalid), "bad") if run.invalid else Cell("ran", tone="good")
        rows.append((_artifact(run.artifact), run.place.label, _threads(run.threads), run.runtime, state))
    return _table("Runs on emulated boards", head, "<<><<", rows)


def ratios(material: Material) -> Table:
    """From rounds in turn."""
    rows = [
        (
            r.other,
            r.base,
            r.place.label,
            _threads(r.threads),
            Cell(words.times(r.ratio, 3), tone="strong"),
            words.interval(r.interval, 3),
            MISSING if r.rounds is None else f"{r.rounds:,}",
        )
        for r in material.ratios
        if not r.place.emulated
    ]
    head = ("artifact", "in units of", "place", "threads", "time", "95 %", "rounds")
    return _table("Time of one artifact in units of another's", head, "<<<>>>>", rows)


def gains(summing: Summing) -> Table:
    """int8 in units of fp32, for each pair."""
    rows = []
    for gain in summing.gains:
        noise = "may be noise" if gain.time_in_noise else words.interval(gain.time_interval, 3)
        tone = "" if gain.time is None or gain.time_in_noise else "good" if gain.time < 1 else "bad"
        method = "" if gain.time is None else "in turn" if gain.in_turn else "apart"
        top1 = MISSING if gain.top1 is None else words.points(gain.top1)
        where = MISSING if gain.place is None else gain.place.label
        time = Cell(words.times(gain.time), "" if gain.time is None else noise, tone)
        difference = Cell(top1, "within noise" if gain.top1_in_noise else "")
        shares = (words.times(gain.size), words.times(gain.instructions))
        rows.append((_artifact(gain.artifact), _threads(gain.threads), time, difference, *shares, where, method))
    head = ("artifact", "threads", "time (95 %)", "top-1", "size", "instructions", "place", "measured")
    return _table("int8 in units of fp32", head, "<>>>>><<", rows)


def artifacts(material: Material) -> Table:
    """Each artifact: its size, its accuracy when it was exported."""
    rows = []
    for artifact in material.artifacts:
        parity = {True: Cell("passed", tone="good"), False: Cell("FAILED", tone="bad"), None: Cell(MISSING)}[
            artifact.parity
        ]
        samples = MISSING if artifact.samples is None else f"{artifact.samples:,}"
        classes = MISSING if artifact.classes is None else f"{artifact.classes:,}"
        size, sha = words.megabytes(artifact.bytes), artifact.sha256[:12]
        rows.append((_artifact(artifact), size, words.share_of(artifact.top1), samples, classes, parity, sha))
    head = ("artifact", "size", "top-1 (95 %)", "pictures", "classes", "parity", "SHA-256")
    return _table("Artifacts", head, "<>>>><<", rows)


def accuracy(material: Material) -> Table:
    """Pictures that ran on a place."""
    rows = [
        (
            _artifact(a.artifact),
            a.place.label,
            MISSING if a.samples is None else f"{a.samples:,}",
            Cell(words.share_of(a.top1), tone="strong"),
            words.share_of(a.top5),
            words.share_of(a.agreement),
            MISSING if a.max_abs is None else f"{a.max_abs:.2g}",
        )
        for a in material.accuracy
    ]
    head = ("artifact", "place", "pictures", "top-1 (95 %)", "top-5 (95 %)", "as PyTorch", "largest difference")
    return _table("Accuracy where it ran", head, "<<>>>>>", rows)


def instructions(material: Material) -> Table:
    """Counted on emulated processors."""
    seen = {name for count in material.counts for name, _ in count.classes}
    names = sorted(seen, key=lambda name: (_CLASSES.index(name) if name in _CLASSES else len(_CLASSES), name))
    rows: list[_Row] = []
    for count in sorted(material.counts, key=lambda c: (c.cpu, c.total)):
        parts = dict(count.classes)
        spread = MISSING if count.repeatability is None else f"{count.repeatability * 100:.3f} %"
        shares = [words.millions(parts.get(name)) for name in names]
        total = Cell(words.millions(count.total), tone="strong")
        rows.append((_artifact(count.artifact), count.cpu, total, *shares, spread, count.runtime))
    head = ("artifact", "processor", "total", *(_NAMES.get(n, n) for n in names), "spread", "runtime")
    return _table("Instructions of one inference", head, "<<>" + ">" * len(names) + "><", rows)


def changes(comparison: Comparison) -> list[Table]:
    """Worse first, then better, then what cannot be told; apart from them what is the same."""
    said: dict[Verdict, Cell] = {
        "worse": Cell("worse", tone="bad"),
        "better": Cell("better", tone="good"),
        "unclear": Cell("cannot tell"),
        "same": Cell("within noise", tone="quiet"),
    }
    rows: dict[bool, list[_Row]] = {False: [], True: []}
    for verdict, cell in said.items():
        for c in comparison.of(verdict):
            noted = Cell(cell.text, c.note, cell.tone)
            changed = Cell(c.change, c.interval)
            row = (_artifact(c.artifact), noted, c.figure, changed, c.before, c.after, c.where or MISSING)
            rows[verdict == "same"].append(row)
    head, align = ("artifact", "verdict", "figure", "change (95 %)", "before", "now", "where"), "<<<>>><"
    same = _table(f"Within noise: {words.plural(len(rows[True]), 'figure')}", head, align, rows[True])
    return [_table("What changed", head, align, rows[False]), replace(same, folded=True)]


def facts(place: Place) -> Table:
    """What a place says of itself."""
    rows = [("kind", place.kind or MISSING), ("name", place.name or MISSING)]
    for key, name in _FACTS.items():
        value = place.facts.get(key)
        told = ", ".join(texts(value)) if isinstance(value, list) else text(value)
        if told:
            rows.append((name, told))
    return _table(place.label, ("fact", "value"), "<<", rows)


def settings(material: Material) -> list[Table]:
    """How it was measured, a table for each file."""
    found = []
    for number, about in enumerate(material.abouts, 1):
        rows = [("measured", text(about.get("created"))), ("by", text(about.get("tool")))]
        chosen = about.get("settings")
        for key, value in sorted(chosen.items(), key=lambda pair: str(pair[0])) if isinstance(chosen, dict) else ():
            told = ", ".join(texts(value)) if isinstance(value, list) else text(value)
            rows.append((_setting(text(key)), told or "not set"))
        rows += [("warning", line) for line in texts(about.get("warnings"))]
        title = "Settings" if len(material.abouts) == 1 else f"Settings of file {number}"
        found.append(_table(title, ("setting", "value"), "<<", [row for row in rows if row[1]]))
    return found


def _setting(key: str) -> str:
    stem, _, unit = key.rpartition("_")
    units = {"s": "seconds", "mb": "MB", "ms": "milliseconds"}
    return f"{stem.replace('_', ' ')}, {units[unit]}" if stem and unit in units else key.replace("_", " ")
