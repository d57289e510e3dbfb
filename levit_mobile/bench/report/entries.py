"""Results as the report needs them: typed, merged from several files, and without the times of emulated boards."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from levit_mobile.bench.report.reading import Share, flag, items, number, record, share, text, texts, whole
from levit_mobile.bench.result import Results
from levit_mobile.bench.statistics import Summary, summarise
from levit_mobile.targets import TARGETS

__all__ = ["Accuracy", "Artifact", "Count", "Drift", "Material", "Place", "RatioRow", "Reading", "Run", "gather"]


_Entry = TypeVar("_Entry")
_NAME = 80  # letters; a headline can take no more
_EONS = 1e9  # milliseconds; whoever took as long was not measured
_REVISION = re.compile(r" Rev [\d.]+$")  # of a Raspberry Pi's model; the table of facts has it


@dataclass(frozen=True)
class Artifact:
    """What was measured. ``key`` is what it is compared by: the same model, made the same way."""

    variant: str = ""
    precision: str = ""
    target: str = ""
    options: tuple[tuple[str, str], ...] = ()
    bundle: str = ""
    sha256: str = ""
    bytes: int | None = None
    classes: int | None = None
    top1: Share | None = None
    samples: int | None = None
    parity: bool | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """Target, variant, precision and options; the bundle's name where there is nothing else."""
        named = (self.target, self.variant, self.precision, self.options)
        return named if any(named) else (self.bundle,)

    @property
    def kind(self) -> str:
        """Precision, target and those options that are not the default, in words."""
        options = ", ".join(f"{name} {value}" for name, value in self.unusual)
        return " · ".join(filter(None, [self.precision, self.target, options]))

    @property
    def unusual(self) -> list[tuple[str, str]]:
        """Options that somebody chose."""
        row = TARGETS.get(self.target)
        known = {} if row is None else {name: row.default(name, self.precision) for name in row.options}
        return [(name, value) for name, value in self.options if known.get(name) != value]

    @property
    def name(self) -> str:
        """The variant, or what else it is called."""
        return self.variant or self.bundle or "unnamed"

    @property
    def label(self) -> str:
        """All of it in one line."""
        return f"{self.name} {self.kind}".strip().replace(" ·", "")


@dataclass(frozen=True)
class Place:
    """Where something ran; ``emulated`` ones have no times worth telling. ``label`` is its model, or its name."""

    kind: str
    name: str
    emulated: bool = False
    label: str = field(default="", compare=False)
    facts: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Drift:
    """Last third of a run over the first."""

    ratio: float
    drifted: bool


@dataclass(frozen=True)
class Reading:
    """Of a place, ``seconds`` after the start; None of what it cannot tell."""

    seconds: float
    temperature: float | None
    mhz: float | None
    throttled: bool | None


@dataclass(frozen=True)
class Run:
    """Latency of an artifact on a place; ``summary`` is None where no time is to be told."""

    artifact: Artifact
    place: Place
    threads: int | None
    runtime: str = ""
    samples: tuple[float, ...] = ()
    summary: Summary | None = None
    load_ms: float | None = None
    first_ms: float | None = None
    peak_mb: float | None = None
    before_mb: float | None = None
    drift: Drift | None = None
    health: tuple[Reading, ...] = ()
    profile: tuple[tuple[str, str, float], ...] = ()
    invalid: tuple[str, ...] = ()

    @property
    def timed(self) -> bool:
        """Whether its times are to be believed."""
        return self.summary is not None and not self.invalid

    @property
    def setting(self) -> str:
        """Threads in words."""
        return "" if self.threads is None else f"{self.threads} thread{'' if self.threads == 1 else 's'}"

    @property
    def label(self) -> str:
        """What ran where, in one line."""
        return ", ".join(filter(None, [self.artifact.label, self.setting, self.place.label]))


@dataclass(frozen=True)
class RatioRow:
    """Time of ``other`` in units of ``base``, from rounds in turn."""

    base: str
    other: str
    keys: tuple[Any, Any]
    place: Place
    threads: int | None
    ratio: float
    interval: tuple[float, float] | None
    rounds: int | None


@dataclass(frozen=True)
class Count:
    """Instructions of one inference on an emulated processor."""

    artifact: Artifact
    cpu: str
    total: float
    classes: tuple[tuple[str, float], ...] = ()
    operators: tuple[tuple[str, float], ...] = ()
    repeatability: float | None = None
    runtime: str = ""


@dataclass(frozen=True)
class Accuracy:
    """Pictures that ran on a place; ``agreement`` is with PyTorch's first class."""

    artifact: Artifact
    place: Place
    samples: int | None
    top1: Share | None
    top5: Share | None
    agreement: Share | None
    max_abs: float | None


@dataclass(frozen=True)
class Material:
    """All files of a report, in their order."""

    abouts: tuple[Mapping[str, Any], ...]
    runs: tuple[Run, ...]
    ratios: tuple[RatioRow, ...]
    counts: tuple[Count, ...]
    accuracy: tuple[Accuracy, ...]

    @property
    def places(self) -> list[Place]:
        """Each once: boards, telephones, hosts, then what is emulated."""
        order = ("board", "android", "ios", "host")
        found = dict.fromkeys(_places(self))
        rank = {kind: at for at, kind in enumerate(order)}
        return sorted(found, key=lambda p: (p.emulated, rank.get(p.kind, len(order))))

    @property
    def artifacts(self) -> list[Artifact]:
        """Each once, by what it is compared by; the entry that knows most of it stands for it."""
        found: dict[Any, Artifact] = {}
        named = [
            *(run.artifact for run in self.runs),
            *(count.artifact for count in self.counts),
            *(accuracy.artifact for accuracy in self.accuracy),
        ]
        for artifact in named:
            known = found.get(artifact.key)
            if known is None or (known.top1 is None and artifact.top1 is not None):
                found[artifact.key] = artifact
        return list(found.values())

    def top1(self, artifact: Artifact) -> Share | None:
        """Measured when it was exported, or else on a place."""
        on_place = (a.top1 for a in self.accuracy if a.artifact.key == artifact.key and a.top1 is not None)
        return artifact.top1 or next(on_place, None)


def gather(results: Sequence[Results]) -> Material:
    """Merge files; what is of a wrong type counts as missing."""
    material = Material(
        tuple(r.about for r in results),
        tuple(_run(row) for r in results for row in r.runs),
        tuple(_known(_ratio(row) for r in results for row in r.ratios)),
        tuple(_known(_count(row) for r in results for row in r.counts)),
        tuple(_known(_accuracy(row) for r in results for row in r.accuracy)),
    )
    _tell_apart(material)
    return material


def _places(material: Material) -> list[Place]:
    return [
        *(run.place for run in material.runs),
        *(ratio.place for ratio in material.ratios),
        *(accuracy.place for accuracy in material.accuracy),
    ]


def _known(entries: Iterable[_Entry | None]) -> list[_Entry]:
    return [entry for entry in entries if entry is not None]


def _tell_apart(material: Material) -> None:
    """Two boards of one model are called by their names, too."""
    names: dict[str, set[str]] = {}
    places = _places(material)
    for place in places:
        names.setdefault(place.label, set()).add(place.name)
    for place in places:
        if len(names[place.label]) > 1 and place.name:
            object.__setattr__(place, "label", f"{place.label} ({place.name})")


def _artifact(value: Any) -> Artifact:
    if isinstance(value, str):
        return Artifact(bundle=text(value))
    row = record(value)
    accuracy = record(row.get("accuracy"))
    parity = record(row.get("parity")).get("passed")
    return Artifact(
        **{key: text(row.get(key), _NAME) for key in ("variant", "precision", "target", "bundle", "sha256")},
        options=tuple(sorted((text(k, _NAME), text(v, _NAME)) for k, v in record(row.get("options")).items())),
        bytes=whole(row.get("bytes")),
        classes=whole(row.get("classes")),
        top1=share(accuracy.get("top1")),
        samples=whole(accuracy.get("samples")),
        parity=parity if isinstance(parity, bool) else None,
    )


def _place(value: Any) -> Place:
    row = record(value)
    facts = record(row.get("facts"))
    kind, name = text(row.get("kind"), _NAME), text(row.get("name"), _NAME)
    label = _REVISION.sub("", text(facts.get("model"), _NAME)) or name or kind or "an unknown place"
    return Place(kind, name, kind == "emulated" or flag(facts.get("emulated")), label, facts)


def _runtime(value: Any) -> str:
    return " ".join(filter(None, (text(record(value).get(key)) for key in ("name", "version"))))


def _run(row: Mapping[str, Any]) -> Run:
    place = _place(row["where"])
    invalid = texts(row.get("invalid"))
    if row.get("complete") is False:
        invalid = (*invalid, "it did not come to its end")
    known = Run(
        _artifact(row["artifact"]),
        place,
        whole(row.get("threads"), 1),
        _runtime(row.get("runtime")),
        peak_mb=number(row.get("peak_mb"), 0),
        before_mb=number(row.get("before_mb"), 0),
        invalid=invalid,
    )
    if place.emulated:
        return known  # here is the one door for times, and they stay outside
    samples = tuple(float(v) for v in row["samples_ms"] if v < _EONS)
    drift = record(row.get("drift"))
    ratio = number(drift.get("ratio"), 0)
    return Run(
        **{name: getattr(known, name) for name in ("artifact", "place", "threads", "runtime", "peak_mb", "before_mb")},
        samples=samples,
        summary=summarise(samples) if samples else None,
        load_ms=number(row.get("load_ms"), 0),
        first_ms=number(row.get("first_ms"), 0),
        drift=None if ratio is None else Drift(ratio, flag(drift.get("drifted"))),
        health=tuple(found for reading in items(row.get("health")) if (found := _reading(record(reading)))),
        profile=_profile(row.get("profile"), "ms"),
        invalid=invalid,
    )


def _reading(row: Mapping[str, Any]) -> Reading | None:
    seconds = number(row.get("seconds"))
    if seconds is None:
        return None
    flags = whole(row.get("throttled"))
    throttled = None if flags is None else flags & 0xFFFF != 0  # the higher bits tell what was before
    return Reading(seconds, number(row.get("temperature_c")), number(row.get("mhz"), 0), throttled)


def _profile(value: Any, key: str) -> tuple[tuple[str, str, float], ...]:
    rows = ((record(row), number(record(row).get(key), 0)) for row in items(value))
    return tuple(
        (text(row.get("operator")) or "?", text(row.get("name")), cost) for row, cost in rows if cost is not None
    )


def _ratio(row: Mapping[str, Any]) -> RatioRow | None:
    base, other, place = _artifact(row.get("base")), _artifact(row.get("other")), _place(row.get("where"))
    ratio = number(row.get("ratio"), 0)
    if not ratio:
        return None
    ends = [number(v, 0) for v in items(row.get("interval95"))]
    interval = (ends[0], ends[1]) if len(ends) == 2 and ends[0] and ends[1] and ends[0] <= ratio <= ends[1] else None
    names = (base.label, other.label)
    threads, rounds = whole(row.get("threads"), 1), whole(row.get("rounds"))
    return RatioRow(*names, (base.key, other.key), place, threads, ratio, interval, rounds)


def _count(row: Mapping[str, Any]) -> Count | None:
    total = number(row.get("total"), 1)
    if total is None:
        return None
    classes = ((text(name), number(v, 0)) for name, v in record(row.get("classes")).items())
    sums: dict[str, float] = {}
    for operator, _, cost in _profile(row.get("operators"), "instructions"):
        sums[operator] = sums.get(operator, 0) + cost
    return Count(
        _artifact(row.get("artifact")),
        text(row.get("cpu")) or "unknown processor",
        total,
        tuple((name, v) for name, v in classes if name and v is not None),
        tuple(sorted(sums.items(), key=lambda pair: -pair[1])),
        number(row.get("repeatability"), 0),
        _runtime(row.get("runtime")),
    )


def _accuracy(row: Mapping[str, Any]) -> Accuracy | None:
    top1, top5, agreement = (share(row.get(key)) for key in ("top1", "top5", "agreement"))
    if top1 is None and top5 is None and agreement is None:
        return None
    artifact, place = _artifact(row.get("artifact")), _place(row.get("where"))
    samples, furthest = whole(row.get("samples")), number(row.get("max_abs"), 0)
    return Accuracy(artifact, place, samples, top1, top5, agreement, furthest)
