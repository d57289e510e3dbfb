"""Better, worse, or noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from benched import HOST, Json, about, artifact, count, night, run

from levit_mobile.bench.report.compare import Change, Comparison, compare
from levit_mobile.bench.report.entries import gather
from levit_mobile.bench.report.noise import SAME, difference_of_shares, median_interval, ratio_of_medians
from levit_mobile.bench.report.reading import Share
from levit_mobile.bench.result import Results


def compared(before: Json, after: Json) -> Comparison:
    return compare(gather([Results(about(), runs=[after])]), gather([Results(about(), runs=[before])]))


def change(comparison: Comparison, figure: str) -> Change:
    (found,) = [c for c in comparison.changes if c.figure == figure]
    return found


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(1.0, "same"), (1.02, "same"), (0.98, "same"), (1.06, "worse"), (0.94, "better"), (3.0, "worse")],
)
def test_latency(factor: float, verdict: str) -> None:
    found = change(compared(run(ms=6, seed=1), run(ms=6 * factor, seed=2)), "p50")
    assert found.verdict == verdict
    assert (found.before, found.after[-3:]) == ("6.00 ms", " ms")


def test_wide_noise_is_not_worse() -> None:
    rng = np.random.default_rng(0)
    before, after = (list(np.exp(rng.normal(m, 1.0, 60))) for m in (2.0, 2.1))
    found = change(compared(run(samples_ms=before), run(samples_ms=after)), "p50")
    assert found.verdict == "same"


def test_what_cannot_be_told() -> None:
    spoilt = change(compared(run(), run(ms=60, invalid=["too hot"])), "p50")
    assert (spoilt.verdict, spoilt.note) == ("unclear", "the run now is not valid")
    spoilt = change(compared(run(invalid=["too hot"]), run()), "p50")
    assert (spoilt.verdict, spoilt.note) == ("unclear", "the run before is not valid")
    few = change(compared(run(), run(samples_ms=[60.0] * 9)), "p50")
    assert (few.verdict, few.note) == ("unclear", "too few samples")


def test_of_several_runs_the_last_valid_one_counts() -> None:
    now = Results(about(), runs=[run(ms=6), run(ms=7), run(ms=60, invalid=["too hot"])])
    found = change(compare(gather([now]), gather([Results(about(), runs=[run(ms=7)])])), "p50")
    assert (found.after, found.verdict) == ("7.00 ms", "same")


def test_emulated_milliseconds_are_not_compared() -> None:
    where = {"kind": "emulated", "name": "cortex-a76"}
    found = compared(run(where=where, ms=400), run(where=where, ms=800))
    assert [c.figure for c in found.changes] == ["size", "top-1"]


@pytest.mark.parametrize(
    "other",
    [
        run(where=HOST),
        run(threads=4),
        run(artifact(precision="fp32")),
        run(artifact(target="executorch")),
        run(artifact(options={"via": "onnx2tf"})),
    ],
)
def test_what_does_not_belong_together(other: Json) -> None:
    found = compared(run(), other)
    assert "p50" not in {c.figure for c in found.changes}
    assert (len(found.only_now), len(found.only_before)) == (1, 1)


def test_runtimes_of_two_versions_are_told() -> None:
    newer = run(runtime={"name": "ai-edge-litert", "version": "2.4.0"})
    assert change(compared(run(), newer), "p50").note == "ai-edge-litert 2.3.0 before, ai-edge-litert 2.4.0 now"


@pytest.mark.parametrize(
    ("factor", "verdict", "told"),
    [
        (1, "same", "+0.0 %"),
        (1.0007, "same", "+0.1 %"),
        (1.01, "worse", "+1.0 %"),
        (0.9, "better", "\N{MINUS SIGN}10.0 %"),
    ],
)
def test_instructions_and_size(factor: float, verdict: str, told: str) -> None:
    before, after = (Results(about(), counts=[count(artifact(bytes=round(8e6 * f)), 46.5e6 * f)]) for f in (1, factor))
    found = compare(gather([after]), gather([before]))
    for figure in ("instructions", "size"):
        assert (change(found, figure).verdict, change(found, figure).change) == (verdict, told)


def test_counts_that_hardly_repeat() -> None:
    rows = [{**count(artifact(), total), "repeatability": 0.01} for total in (46e6, 47e6)]
    found = compare(*(gather([Results(about(), counts=[row])]) for row in rows))
    assert change(found, "instructions").verdict == "same"


@pytest.mark.parametrize(
    ("top1", "verdict"),
    [
        ({"share": 0.90, "interval95": [0.887, 0.912]}, "same"),
        ({"share": 0.85, "interval95": [0.833, 0.865]}, "worse"),
        ({"share": 0.97, "interval95": [0.961, 0.977]}, "better"),
        ({"share": 0.85}, "unclear"),
    ],
)
def test_accuracy(top1: Json, verdict: str) -> None:
    before = artifact(accuracy={"top1": {"share": 0.91, "interval95": [0.897, 0.922]}, "samples": 1938})
    found = change(compared(run(before), run(artifact(accuracy={"top1": top1}))), "top-1")
    assert found.verdict == verdict


def test_other_classes_are_another_task() -> None:
    assert "top-1" not in {c.figure for c in compared(run(), run(artifact(classes=1000))).changes}


def test_memory() -> None:
    for peak, verdict in ((61, "same"), (80, "worse"), (40, "better")):
        assert change(compared(run(peak_mb=60), run(peak_mb=peak)), "peak memory").verdict == verdict


def test_a_night_against_itself() -> None:
    material = gather([night()])
    found = compare(material, material)
    assert {c.verdict for c in found.changes} == {"same", "unclear"}  # the board that was too hot
    assert (found.only_now, found.only_before) == ((), ())


def test_the_interval_of_a_median_holds_it() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(300):
        ends = median_interval(list(np.exp(rng.normal(0, 0.05, 200))))
        assert ends is not None
        inside += ends[0] <= 1 <= ends[1]
    assert 270 <= inside <= 299  # 95 % of 300 is 285


def test_two_runs_of_the_same() -> None:
    rng = np.random.default_rng(2)
    false = 0
    for _ in range(200):
        ratio, ends = ratio_of_medians(*(list(np.exp(rng.normal(0, 0.2, 100))) for _ in range(2)))
        assert ends is not None
        false += not ends[0] <= 1 <= ends[1] and abs(ratio - 1) > SAME
    assert false <= 16


def test_a_difference_of_shares() -> None:
    # Newcombe 1998, table II, 56/70 against 48/80: 0.2, and 0.0524 to 0.3339 by method 10.
    first, second = Share(48 / 80, 0.4905, 0.7004), Share(56 / 70, 0.6918, 0.8769)
    difference, ends = difference_of_shares(first, second)
    assert difference == pytest.approx(0.2)
    assert ends == pytest.approx((0.0524, 0.3339), abs=5e-4)
    nothing: Any = difference_of_shares(Share(0.5), second)[1]
    assert nothing is None
