"""Two results side by side: what got better or worse, by more than noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from levit_mobile.bench.report.entries import Artifact, Material, Run
from levit_mobile.bench.report.noise import SAME, difference_of_shares, ratio_of_medians
from levit_mobile.bench.report.reading import Share
from levit_mobile.bench.report.words import change_of, megabytes, millions, ms, points, share_of, times

__all__ = ["VERDICTS", "Change", "Comparison", "Verdict", "compare"]

Verdict = Literal["better", "worse", "same", "unclear"]
VERDICTS: tuple[Verdict, ...] = ("worse", "better", "same", "unclear")
_EXACT = 0.001  # of what repeats: instructions, bytes
_MEMORY = 0.05


@dataclass(frozen=True)
class Change:
    """One figure of one artifact, before and now; ``interval`` is of ``change``, at 95 %."""

    figure: str
    artifact: Artifact
    where: str
    before: str
    after: str
    change: str
    interval: str
    verdict: Verdict
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """Changes, and what had nothing to be compared with."""

    changes: tuple[Change, ...]
    only_now: tuple[str, ...]
    only_before: tuple[str, ...]

    def of(self, verdict: Verdict) -> list[Change]:
        """Changes of one kind."""
        return [change for change in self.changes if change.verdict == verdict]


def compare(now: Material, before: Material) -> Comparison:
    """Match by target, variant, precision, options, place and threads. Of several runs the last valid one counts."""
    changes: list[Change] = []
    here, there = _runs(now), _runs(before)
    changes += [_latency(there[key], here[key]) for key in here if key in there]
    changes += [c for key in here if key in there for c in _memory(there[key], here[key])]
    changes += _counts(now, before)
    mine, theirs = _artifacts(now), _artifacts(before)
    for key in (key for key in mine if key in theirs):
        changes += _size(theirs[key], mine[key])
        pair = before.top1(theirs[key]), now.top1(mine[key])
        if pair[0] is not None and pair[1] is not None and theirs[key].classes == mine[key].classes:
            changes.append(_top1(mine[key], pair[0], pair[1]))
    return Comparison(tuple(changes), _names(here, there), _names(there, here))


def _runs(material: Material) -> dict[Any, Run]:
    found: dict[Any, Run] = {}
    for run in material.runs:
        key = (run.artifact.key, run.place, run.threads)
        if not run.place.emulated and run.summary is not None and (run.timed or key not in found):
            found[key] = run
    return found


def _artifacts(material: Material) -> dict[Any, Artifact]:
    return {artifact.key: artifact for artifact in material.artifacts}


def _names(these: Mapping[Any, Run], those: Mapping[Any, Run]) -> tuple[str, ...]:
    return tuple(run.label for key, run in these.items() if key not in those)


def _where(run: Run) -> str:
    return ", ".join(filter(None, [run.place.label, run.setting]))


def _latency(before: Run, after: Run) -> Change:
    ratio, ends = ratio_of_medians(before.samples, after.samples)
    verdict: Verdict = "same"
    note = ""
    if not (before.timed and after.timed):
        verdict, note = "unclear", f"the run {'before' if after.timed else 'now'} is not valid"
    elif ends is None:
        verdict, note = "unclear", "too few samples"
    elif abs(ratio - 1) > SAME and not ends[0] <= 1 <= ends[1]:
        verdict = "worse" if ratio > 1 else "better"
    if before.runtime != after.runtime and before.runtime and after.runtime:
        note = "; ".join(filter(None, [note, f"{before.runtime} before, {after.runtime} now"]))
    told = "" if ends is None else f"{ends[0]:.2f} to {ends[1]:.2f}"
    was, now = (ms(run.summary.p50 if run.summary else None) for run in (before, after))
    return Change("p50", after.artifact, _where(after), was, now, times(ratio), told, verdict, note)


def _memory(before: Run, after: Run) -> Iterable[Change]:
    if before.peak_mb and after.peak_mb:
        said: Callable[[float | None], str] = lambda mb: megabytes(None if mb is None else mb * 1e6)  # noqa: E731
        yield _exact("peak memory", after.artifact, _where(after), before.peak_mb, after.peak_mb, said, _MEMORY)


def _counts(now: Material, before: Material) -> Iterable[Change]:
    theirs = {(count.artifact.key, count.cpu): count for count in before.counts}
    for key, count in {(count.artifact.key, count.cpu): count for count in now.counts}.items():
        if key in theirs:
            noise = max(_EXACT, 3 * max(count.repeatability or 0, theirs[key].repeatability or 0))
            made = count.artifact
            yield _exact("instructions", made, count.cpu, theirs[key].total, count.total, millions, noise)


def _size(before: Artifact, after: Artifact) -> Iterable[Change]:
    if before.bytes and after.bytes:
        yield _exact("size", after, "", before.bytes, after.bytes, megabytes, _EXACT)


def _exact(
    figure: str,
    artifact: Artifact,
    where: str,
    before: float,
    after: float,
    said: Callable[[float | None], str],
    noise: float,
) -> Change:
    """A figure that is less when it is better, and that has no spread."""
    ratio = after / before
    verdict: Verdict = "same" if abs(ratio - 1) <= noise else "worse" if ratio > 1 else "better"
    return Change(figure, artifact, where, said(before), said(after), change_of(ratio), "", verdict)


def _top1(artifact: Artifact, before: Share, after: Share) -> Change:
    difference, ends = difference_of_shares(before, after)
    verdict: Verdict = "same"
    if difference and ends is None:
        verdict = "unclear"
    elif ends is not None and not ends[0] <= 0 <= ends[1]:
        verdict = "better" if difference > 0 else "worse"
    told = "" if ends is None else f"{points(ends[0]).removesuffix(' points')} to {points(ends[1])}"
    note = "no interval is known" if verdict == "unclear" else ""
    figures = share_of(before), share_of(after), points(difference), told
    return Change("top-1", artifact, "", *figures, verdict, note)
