"""Results by hand, from another version, or broken: what is there is shown, and nothing crashes."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from benched import EMULATED, HOST, PI, about, artifact, count, health, night, profile, run, samples

from levit_mobile.bench.report.entries import gather
from levit_mobile.bench.report.markdown import markdown
from levit_mobile.bench.report.page import page
from levit_mobile.bench.report.reading import Share, number, share, text, texts, whole
from levit_mobile.bench.report.summary import figures
from levit_mobile.bench.result import Results, read_results
from levit_mobile.errors import BundleError

ODD: list[Any] = [None, True, -1, 0, 1e308, "", "x" * 5000, "\ud800\x00\u202e", [], [None, {}], {}, {"a": []}, 10**400]


def small() -> Results:
    """One of each."""
    one = run(health=health(0), profile=profile(6.3)[:4], invalid=["too hot"], samples_ms=samples(6.3, 30))
    other = run(artifact(precision="fp32"), samples_ms=samples(16, 30))
    ratio = {"base": artifact(precision="fp32"), "other": artifact(), "where": PI, "threads": 1, "ratio": 0.4}
    ratio |= {"interval95": [0.39, 0.41], "rounds": 100}
    right: dict[str, Any] = {"artifact": artifact(), "where": HOST, "samples": 1938, "top1": {"share": 0.9}}
    # A copy, for places are shared, and what is done to it must stay here.
    return copy.deepcopy(Results(about(), [one, other], [ratio], [count(artifact(), 46.5e6)], [right]))


def holders(value: Any) -> Iterator[tuple[Any, Any]]:
    """(list or object, key) of everything inside; of samples only the first few."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    for key, inner in list(pairs):
        yield value, key
        yield from holders(inner)


def all_holders(results: Results) -> list[tuple[Any, Any]]:
    lists = (results.about, results.runs, results.ratios, results.counts, results.accuracy)
    found = [pair for part in lists for pair in holders(part)]
    needed = ("artifact", "where", "samples_ms")  # what read_results insists on
    return [(at, key) for at, key in found if not (isinstance(key, str) and key in needed and at in results.runs)]


@pytest.mark.parametrize("value", range(len(ODD)))
def test_odd_values_do_no_harm(value: int) -> None:
    places = len(all_holders(small()))
    assert places > 150
    for number_of in range(places):
        results = small()
        at, key = all_holders(results)[number_of]
        if isinstance(at, list) and at and isinstance(at[0], float | dict):
            continue  # read_results has looked at these
        at[key] = copy.deepcopy(ODD[value])
        material = gather([results])
        markdown(material, None).encode()
        figures(material, None)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_odd_values_can_be_drawn(seed: int) -> None:
    chance = random.Random(seed)
    results = small()
    for at, key in chance.sample(all_holders(results), 25):
        if isinstance(at, list) and at and isinstance(at[0], float | dict):
            continue
        at[key] = copy.deepcopy(chance.choice(ODD))
    assert page(gather([results])).encode().startswith(b"<!doctype html>")


def test_nothing_at_all() -> None:
    html = page(gather([Results({})]))
    assert "<h1>LeViT</h1>" in html
    assert "<svg" not in html
    assert markdown(gather([Results({})])).startswith("# LeViT\n")


@pytest.mark.slow
def test_only_what_must_be_there() -> None:
    bare = [{"artifact": {}, "where": {}, "samples_ms": ms} for ms in ([], [5.0], [5.0] * 50)]
    html = page(gather([Results({}, runs=bare)]))
    assert "unnamed" in html
    assert "5.00 ms" in html
    assert "an unknown place" in html


def test_what_is_no_results(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"kind": "levit-bench", "format": 1, "about": {}, "runs": [{"artifact": 1}]}')
    with pytest.raises(BundleError, match=r"runs\[0\].artifact is not an object"):
        read_results(tmp_path / "x.json")


def test_values() -> None:
    assert (number(True), number("1"), number(10**400), number(float("nan")), number(-1, 0), number(2)) == (
        *[None] * 5,
        2,
    )
    assert (whole(3.6), whole(-1)) == (4, None)
    assert text("a\x00b\u202e\n c\ud800") == "a b c"
    assert len(text("x" * 1000)) == 300
    assert (text(0.5), text(7), text(True), text(None), text([1]), text({})) == ("0.5", "7", "yes", "", "", "")
    assert texts(["a", 1, None]) == ("a", "1")
    assert texts("alone") == ("alone",)
    assert texts(None) == ()


def test_shares() -> None:
    assert share({"share": 0.9, "interval95": [0.8, 0.95]}) == Share(0.9, 0.8, 0.95)
    assert share({"share": 0.9, "interval95": [0.95, 0.8]}) == Share(0.9)
    assert share(0.5) == Share(0.5)
    assert (share(2), share({"share": "0.9"}), share(None)) == (None, None, None)


def test_times_of_emulated_boards_stay_outside() -> None:
    material = gather([night()])
    (row,) = [r for r in material.runs if r.place.emulated]
    assert (row.samples, row.summary, row.load_ms, row.first_ms, row.profile, row.health) == (
        (),
        None,
        None,
        None,
        (),
        (),
    )
    assert not row.timed


def test_a_board_that_says_it_is_emulated() -> None:
    where = {"kind": "board", "name": "pi@guest", "facts": {"emulated": True}}
    (row,) = gather([Results({}, runs=[run(where=where)])]).runs
    assert row.place.emulated
    assert row.summary is None


def test_an_unfinished_run_is_not_valid() -> None:
    (row,) = gather([Results({}, runs=[run(complete=False)])]).runs
    assert row.invalid == ("it did not come to its end",)
    assert not row.timed


def test_places_come_boards_first_and_are_told_apart() -> None:
    other = {**PI, "name": "pi@second"}
    places = gather([Results({}, runs=[run(where=w) for w in (EMULATED, HOST, PI, other)])]).places
    model = "Raspberry Pi 5 Model B"
    assert [p.label for p in places] == [
        f"{model} (pi@raspberrypi.local)",
        f"{model} (pi@second)",
        "this machine",
        "cortex-a76",
    ]


def test_options_that_are_the_default_are_not_told() -> None:
    for options, kind in (
        ({"via": "litert-torch"}, "int8 · tflite"),
        ({"via": "onnx2tf"}, "int8 · tflite · via onnx2tf"),
    ):
        (row,) = gather([Results({}, runs=[run(artifact(options=options))])]).runs
        assert row.artifact.kind == kind


def test_ratios_between_names() -> None:
    row = {"base": "a", "other": "b", "where": PI, "threads": 1, "ratio": 0.5, "interval95": [0.6, 0.7]}
    (ratio,) = gather([Results({}, ratios=[row])]).ratios
    assert (ratio.base, ratio.other, ratio.ratio) == ("a", "b", 0.5)
    assert ratio.interval is None  # it does not hold the ratio
