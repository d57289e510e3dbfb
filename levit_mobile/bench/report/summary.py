"""What the report says first: fastest, smallest, most accurate, and int8 against fp32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from levit_mobile.bench.report.compare import Comparison
from levit_mobile.bench.report.entries import Artifact, Material, Place, Run
from levit_mobile.bench.report.noise import SAME, difference_of_shares, ratio_of_medians
from levit_mobile.bench.report.reading import Share

__all__ = ["Accurate", "Gain", "Summing", "figures", "sum_up"]


@dataclass(frozen=True)
class Gain:
    """What int8 brings over fp32: time, bytes and instructions of int8 in units of fp32, difference of top-1."""

    artifact: Artifact
    place: Place | None
    threads: int | None
    time: float | None
    time_interval: tuple[float, float] | None
    in_turn: bool
    size: float | None
    instructions: float | None
    top1: float | None
    top1_interval: tuple[float, float] | None

    @property
    def top1_in_noise(self) -> bool:
        """Whether the difference of top-1 may be none at all."""
        return self.top1_interval is not None and self.top1_interval[0] <= 0 <= self.top1_interval[1]

    @property
    def time_in_noise(self) -> bool:
        """The same of time."""
        ends = self.time_interval
        return self.time is not None and (ends is None or ends[0] <= 1 <= ends[1] or abs(self.time - 1) <= SAME)


@dataclass(frozen=True)
class Accurate:
    """The most accurate artifact, and how many others are not told apart from it."""

    artifact: Artifact
    top1: Share
    rivals: int


@dataclass(frozen=True)
class Summing:
    """All of it; lists are empty and the rest None where nothing can be said."""

    fastest: tuple[Run, ...]
    smallest: Artifact | None
    accurate: tuple[Accurate, ...]
    gains: tuple[Gain, ...]
    invalid: tuple[Run, ...]


def sum_up(material: Material) -> Summing:
    """Invalid runs have no say, emulated ones no times."""
    timed = [run for run in material.runs if run.timed]
    fastest = [_fastest([r for r in timed if r.place == p]) for p in material.places]
    sized = [a for a in material.artifacts if a.bytes]
    return Summing(
        tuple(run for run in fastest if run is not None),
        min(sized, key=lambda a: a.bytes or 0, default=None),
        tuple(_accurate(material)),
        tuple(_gains(material)),
        tuple(run for run in material.runs if run.invalid),
    )


def _fastest(runs: list[Run]) -> Run | None:
    return min(runs, key=lambda run: run.summary.p50 if run.summary else 0, default=None)


def _accurate(material: Material) -> list[Accurate]:
    """One for each number of classes: shares of other tasks are not to be compared."""
    found = []
    known = [(a, top1) for a in material.artifacts if (top1 := material.top1(a)) is not None]
    for classes in dict.fromkeys(a.classes for a, _ in known):
        group = [(a, top1) for a, top1 in known if a.classes == classes]
        best, share = max(group, key=lambda pair: pair[1].value)
        rivals = 0
        for artifact, other in group:
            ends = difference_of_shares(share, other)[1]
            rivals += artifact is not best and ends is not None and ends[1] >= 0
        found.append(Accurate(best, share, rivals))
    return found


def _gains(material: Material) -> list[Gain]:
    artifacts = {a.key: a for a in material.artifacts}
    found = []
    for key, small in artifacts.items():
        # The key is (target, variant, precision, options): the twin differs in its precision only.
        twin = (*key[:2], "fp32", key[3]) if len(key) == 4 and key[2] == "int8" else None
        if twin in artifacts:
            found += _gain(material, artifacts[twin], small)
    return found


def _gain(material: Material, large: Artifact, small: Artifact) -> list[Gain]:
    size = small.bytes / large.bytes if small.bytes and large.bytes else None
    totals = [{c.cpu: c.total for c in material.counts if c.artifact.key == a.key} for a in (large, small)]
    cpu = next((cpu for cpu in totals[0] if cpu in totals[1]), None)
    instructions = None if cpu is None else totals[1][cpu] / totals[0][cpu]
    shares = material.top1(large), material.top1(small)
    top1, ends = None, None
    if shares[0] is not None and shares[1] is not None and large.classes == small.classes:
        top1, ends = difference_of_shares(shares[0], shares[1])
    runs = [
        {(r.place, r.threads): r for r in material.runs if r.timed and r.artifact.key == a.key} for a in (large, small)
    ]
    rest = (size, instructions, top1, ends)
    found = []
    for place, threads in (key for key in runs[0] if key in runs[1]):
        turns = [r for r in material.ratios if (r.place, r.threads) == (place, threads)]
        known = [r for r in turns if r.keys == (large.key, small.key)]
        if known:
            time, interval = known[-1].ratio, known[-1].interval
        else:
            time, interval = ratio_of_medians(*(part[place, threads].samples for part in runs))
        found.append(Gain(small, place, threads, time, interval, bool(known), *rest))
    if not found and any(v is not None for v in rest):
        found.append(Gain(small, None, None, None, None, False, *rest))
    return found


def figures(material: Material, comparison: Comparison | None) -> dict[str, Any]:
    """The same for machines."""
    summing = sum_up(material)
    told: dict[str, Any] = {
        "runs": len(material.runs),
        "invalid": [
            {"artifact": r.artifact.label, "place": r.place.name, "why": list(r.invalid)} for r in summing.invalid
        ],
        "fastest": [
            {
                "place": run.place.name,
                "artifact": run.artifact.label,
                "threads": run.threads,
                "p50_ms": run.summary and round(run.summary.p50, 6),
            }
            for run in summing.fastest
        ],
        "smallest": summing.smallest and {"artifact": summing.smallest.label, "bytes": summing.smallest.bytes},
        "most_accurate": [
            {
                "artifact": a.artifact.label,
                "classes": a.artifact.classes,
                "top1": a.top1.value,
                "not_told_apart": a.rivals,
            }
            for a in summing.accurate
        ],
        "int8_against_fp32": [
            {
                "variant": gain.artifact.variant,
                "target": gain.artifact.target,
                "place": gain.place and gain.place.name,
                "threads": gain.threads,
                "time": _rounded(gain.time),
                "interval95": gain.time_interval and [_rounded(v) for v in gain.time_interval],
                "in_turn": gain.in_turn,
                "size": _rounded(gain.size),
                "instructions": _rounded(gain.instructions),
                "top1": _rounded(gain.top1),
            }
            for gain in summing.gains
        ],
    }
    if comparison is not None:
        verdicts = ("better", "worse", "same", "unclear")
        told["baseline"] = {
            **{v: sum(c.verdict == v for c in comparison.changes) for v in verdicts},
            "changes": [
                {k: v.label if isinstance(v, Artifact) else v for k, v in vars(change).items() if v}
                for change in comparison.changes
            ],
            "only_now": list(comparison.only_now),
            "only_before": list(comparison.only_before),
        }
    return told


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
