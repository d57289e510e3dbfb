"""Fastest, smallest, most accurate, int8 against fp32, and how figures are written."""

from __future__ import annotations

import pytest
from benched import HOST, MODELS, Json, about, artifact, night, run

from levit_mobile.bench.report import words
from levit_mobile.bench.report.compare import compare
from levit_mobile.bench.report.entries import gather
from levit_mobile.bench.report.head import alarms, sentences, tiles, title
from levit_mobile.bench.report.plots_cost import Point, front
from levit_mobile.bench.report.reading import Share
from levit_mobile.bench.report.summary import figures, sum_up
from levit_mobile.bench.result import Results

X = "\N{MULTIPLICATION SIGN}"


def test_a_night_in_tiles() -> None:
    told = {tile.title: (tile.figure, tile.unit, tile.what) for tile in tiles(sum_up(gather([night()])))}
    assert told == {
        "Fastest": ("2.74", "ms", "levit_128s int8 tflite"),
        "Smallest": ("8.25", "MB", "levit_128s int8 tflite"),
        "Most accurate": ("95.1", "%", "levit_256 fp32 tflite"),
        "int8 against fp32": (f"0.41{X}", "the time", "levit_128s tflite, 1 thread"),
    }


def test_a_night_in_words() -> None:
    material = gather([night()])
    said = sentences(material, sum_up(material), compare(material, material))
    assert said[0] == (
        "On Raspberry Pi 5 Model B, levit_128s int8 tflite with 4 threads is the fastest: half of its inferences take "
        "2.74 ms or less, and 99 of 100 3.40 ms or less."
    )
    assert (
        f"int8 against fp32: 0.41{X} to 0.59{X} the time, 0.39{X} the instructions and 0.26{X} the size (6 pairs)."
        in said
    )
    assert "1 run on an emulated board came without times: they would mean nothing." in said
    assert said[-1] == "Against the baseline: 0 worse, 0 better, 49 within noise, 1 not to be told."
    assert title(material) == "3 LeViT variants on Raspberry Pi 5 Model B and this machine"


def test_figures_for_machines() -> None:
    told = figures(gather([night()]), None)
    assert told["runs"] == 16
    assert [row["artifact"] for row in told["invalid"]] == ["levit_256 fp32 tflite"]
    assert told["fastest"][0]["p50_ms"] == pytest.approx(MODELS["levit_128s"][0] * 0.41 * 0.42, rel=1e-4)
    assert told["smallest"] == {"artifact": "levit_128s int8 tflite", "bytes": 8245140}
    assert told["most_accurate"][0]["top1"] == 0.951
    first = told["int8_against_fp32"][0]
    assert (first["time"], first["in_turn"], first["size"]) == (pytest.approx(0.41, abs=0.01), True, 0.262)
    assert (first["instructions"], first["top1"]) == (0.39, -0.003)
    assert "baseline" not in told


def test_an_invalid_run_is_never_the_fastest() -> None:
    results = Results(about(), runs=[run(ms=6), run(artifact(precision="fp32"), ms=2, invalid=["too hot"])])
    summing = sum_up(gather([results]))
    assert [r.artifact.precision for r in summing.fastest] == ["int8"]
    assert alarms(summing) == [("levit_128s fp32 tflite, 1 thread, Raspberry Pi 5 Model B", "too hot")]
    assert summing.gains[0].time is None  # sizes can be compared all the same
    assert summing.gains[0].size == pytest.approx(0.262, abs=1e-3)


def test_without_turns_int8_is_compared_by_separate_runs() -> None:
    results = Results(about(), runs=[run(artifact(precision="fp32"), HOST, ms=8), run(where=HOST, ms=7.9, seed=1)])
    (gain,) = sum_up(gather([results])).gains
    assert not gain.in_turn
    assert gain.time == pytest.approx(7.9 / 8, abs=1e-3)
    assert gain.time_in_noise
    tile = tiles(sum_up(gather([results])))[-1]
    assert (tile.title, tile.tone) == ("int8 against fp32", "")


def test_a_loss_of_accuracy_is_told() -> None:
    worse = artifact(accuracy={"top1": {"share": 0.85, "interval95": [0.833, 0.865]}})
    material = gather([Results(about(), runs=[run(artifact(precision="fp32"), ms=15), run(worse)])])
    said = sentences(material, sum_up(material), None)
    assert "int8 costs accuracy, beyond noise: levit_128s tflite \N{MINUS SIGN}7.1 points." in said


def test_tasks_are_not_mixed() -> None:
    other = artifact("levit_256", classes=1000, accuracy={"top1": 0.81})
    accurate = sum_up(gather([Results(about(), runs=[run(), run(other, ms=24)])])).accurate
    assert [(a.artifact.classes, a.top1.value) for a in accurate] == [(10, 0.9175), (1000, 0.81)]


def test_pareto() -> None:
    made = gather([Results(about(), runs=[run()])]).runs[0].artifact
    rows = [(1, 0.5), (2, 0.4), (2, 0.7), (3, 0.7), (4, 0.9), (0.5, 0.2)]
    points = [Point(made, cost, Share(top1)) for cost, top1 in rows]
    assert [(p.cost, p.top1.value) for p in front(points)] == [(0.5, 0.2), (1, 0.5), (2, 0.7), (4, 0.9)]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0.0, "0 ms"),
        (0.01234, "0.012 ms"),
        (0.99961, "1.00 ms"),
        (9.994, "9.99 ms"),
        (9.996, "10.0 ms"),
        (1234.5, "1,234 ms"),
        (123456.0, "123 s"),
    ],
)
def test_three_digits(value: float, told: str) -> None:
    assert words.ms(value) == told


def test_words() -> None:
    rows: list[tuple[str, str]] = [
        (words.megabytes(8_245_140), "8.25 MB"),
        (words.millions(46.5e6), "46.5 M"),
        (words.times(0.4104, 3), f"0.410{X}"),
        (words.times(0.0123), f"0.012{X}"),
        (words.points(-0.003), "\N{MINUS SIGN}0.3 points"),
        (words.plural(1, "run") + ", " + words.plural(1200, "run"), "1 run, 1,200 runs"),
        (words.listed(["a", "b", "c"]), "a, b and c"),
        (words.share_of(Share(0.9175, 0.9045, 0.9285)), "91.8 % (90.5 to 92.8)"),
        (words.ms(None), words.MISSING),
    ]
    assert [told for told, _ in rows] == [wanted for _, wanted in rows]


def test_a_place_without_a_name() -> None:
    nowhere: Json = {"kind": "host"}
    assert title(gather([Results({}, runs=[run(where=nowhere)])])) == "levit_128s on host"
