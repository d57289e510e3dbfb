"""What fills docs/trust.md: that everything is compared, and that tables say what the results do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from levit_mobile.errors import BundleError
from levit_mobile.targets import TARGETS, check_request

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_every_target_and_precision_is_compared() -> None:
    from reproducible import OPTIONS, cases

    assert {(t, p) for t, row in TARGETS.items() for p in row.precisions} <= set(cases())
    for target, precision, option, value in OPTIONS:
        name = option.removeprefix("--")
        asked = (
            {"io_dtype": value}
            if name == "io-dtype"
            else {"layout": value}
            if name == "layout"
            else {"options": {name: value}}
        )
        check_request(target, precision, **asked)  # type: ignore[arg-type]
    for target, row in TARGETS.items():
        for option, values in row.options.items():
            known = {value for t, _, o, value in OPTIONS if (t, o) == (target, f"--{option}")}
            assert known <= set(values), (target, option)
            assert known, (target, option)


def test_what_differs() -> None:
    from reproducible import apart

    assert apart({"a": "1", "b": "2"}, {"a": "1", "b": "2"}) == []
    assert apart({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == ["b", "c"]


def test_the_places_agree_in_nothing(tmp_path: Path) -> None:
    from reproducible import places

    found = places(tmp_path)
    (first, near, mask), (second, far, other) = found["first"], found["second"]
    assert (near, mask) != (far, other)
    assert {name for name in first.keys() & second.keys() if first[name] == second[name]} == {"LEVIT_MOBILE_CACHE"}
    assert {"PYTHONHASHSEED", "TZ", "LC_ALL", "OMP_NUM_THREADS", "TMPDIR"} <= first.keys()


def test_a_lost_bundle_is_noticed(tmp_path: Path) -> None:
    from kills import seen

    with pytest.raises(BundleError):
        seen(tmp_path / "bundle", set())


def test_an_export_that_fails_is_no_kill(tmp_path: Path) -> None:
    code = "import kills; kills.finish(kills.start(['--target', 'none']))"
    settings = {**os.environ, "PYTHONPATH": str(BENCHMARKS.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=BENCHMARKS, env=settings, capture_output=True, text=True, check=False
    )
    assert "an export that nobody disturbed ended with 70" in done.stderr


def test_tables() -> None:
    from trust_page import fuzz, kills, long_use, reproducible, versions

    rows = {
        "a": {"files": 4, "differs": [], "differs_with_oldest_instructions": ["m"]},
        "b": {"files": 5, "differs": ["x", "y"]},
    }
    text = reproducible({"rows": rows, "language": "tr", "machine": "here"})
    assert "| a | 4 | none | m |\n| b | 5 | x, y | not tried |\n" in text
    assert "1 of 2 the same" in text
    row = {"tried": 12345, "read": 1, "refused": 12344, "seconds": 600, "found": ["x"], "unrepaired": 0}
    assert "| r | 12,345 | 1 | 12,344 | 10 | 1 |" in fuzz({"guide": "g", "readers": {"r": row}})
    left = {"export": "onnx fp32", "points": 50, "killed": 49, "earlier": 40, "new": 10, "hidden_folders_left": 7}
    assert "50 exports were ended with SIGKILL at random points (49 of them still ran)" in kills(left)
    often = {"predictions": 1000, "mb_settled": 99.6, "mb_at_the_end": 101.2, "grew_mb": 1.6}
    long = {
        "pictures": 20000,
        "cores": 2,
        "cores_used": 1.9,
        "seconds": 60,
        "peak_mb": 180,
        "peak_mb_of_a_twentieth": 175,
    }
    stops = {"interrupted_after": [6000, 12000], "seconds_with_interruptions": 65}
    text = long_use({"machine": "here", "predictions": {"tflite int8": often}, "validation": {**long, **stops}})
    assert "| tflite int8 | 1,000 | 100 MB | 101 MB |" in text
    assert "Ended by Ctrl-C after 6,000 and 12,000, and started again, it took\n65 s in all" in text
    good = {
        "installed": True,
        "python": "3.11",
        "versions": {"torch": "2"},
        "outcomes": {"x fp32": "works", "y int8": "died"},
    }
    text = versions({"new": good, "old": {"installed": False, "problem": "no wheel"}})
    assert "| works | x fp32; NOT y int8: died | cannot be installed: no wheel |" in text
    assert "| torch | 2 |  |" in text


def test_sets_of_versions_are_within_the_bounds() -> None:
    """Each pin is one that pip would also accept for the extras alone; tried for real by the script itself."""
    import tomllib

    from packaging.requirements import Requirement
    from versions import SETS, works

    project = tomllib.loads((BENCHMARKS.parent / "pyproject.toml").read_text())["project"]
    texts = [*project["dependencies"], *(t for row in project["optional-dependencies"].values() for t in row)]
    bounds = {r.name: r.specifier for r in map(Requirement, texts) if r.name != "levit-mobile"}
    for tried in SETS.values():
        for pin in map(Requirement, tried.pins):
            version = str(next(iter(pin.specifier)).version).replace(".*", ".0")
            assert bounds[pin.name].contains(version), pin
    assert SETS["newest"].pins == ()
    assert {target for target, _ in SETS["newest"].exports} == set(TARGETS)
    assert not works({"installed": False, "problem": "x"})
    assert not works({"installed": True, "outcomes": {"a": "works", "b": "x"}})


def test_versions_that_were_tried_work() -> None:
    from versions import SETS, works

    results = BENCHMARKS / "results" / "versions.json"
    if not results.exists():
        pytest.skip("the versions were not tried yet: benchmarks/versions.py")
    found = json.loads(results.read_text())
    assert "newest" in found
    assert "newest" in found
    assert all(works(found[name]) for name in SETS if name in found)
    assert not [name for name in found.keys() - SETS.keys() if not name.startswith("below the bounds: ")]
