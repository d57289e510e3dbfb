from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from levit_mobile.bench.result import Results, read_results
from levit_mobile.errors import BundleError, LevitMobileError

RUN: dict[str, Any] = {"artifact": {"bundle": "a"}, "where": {"kind": "host"}, "samples_ms": [1.5, 2]}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    results = Results({"tool": "x"}, [RUN], [{"ratio": 0.5}], [{"total": 1}], [{"samples": 3}])
    results.write(tmp_path / "new" / "r.json")
    assert read_results(tmp_path / "new" / "r.json") == results
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["r.json"]


def test_the_same_results_are_the_same_bytes(tmp_path: Path) -> None:
    Results({"b": 1, "a": 2}).write(tmp_path / "1")
    Results({"a": 2, "b": 1}).write(tmp_path / "2")
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(LevitMobileError, match=r"cannot write .*Permission denied.*--out"):
        Results({}).write(tmp_path / "r.json")


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "r.json").mkdir()
    with pytest.raises(LevitMobileError, match=r"cannot write .*r.json"):
        Results({}).write(tmp_path / "r.json")
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("[]", "no results of levit bench"),
        ('{"kind": "other"}', "no results of levit bench"),
        ('{"kind": "levit-bench", "format": 2}', "results of format 2; this version reads 1"),
        ('{"kind": "levit-bench", "format": 1}', "about is not an object"),
        ('{"kind": "levit-bench", "format": 1, "about": {}, "runs": 3}', "runs is not a list of objects"),
        ('{"kind": "levit-bench", "format": 1, "about": {}, "counts": [3]}', "counts is not a list of objects"),
    ],
)
def test_what_is_no_results(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(BundleError, match=said):
        read_results(tmp_path / "r.json")


@pytest.mark.parametrize(
    "samples", [None, "1", [True], [0], [-1.0], [10**400 * -1], [float("nan")], [float("inf")], [1.0, "2"]]
)
def test_samples_that_are_no_milliseconds(samples: Any, tmp_path: Path) -> None:
    data = {"kind": "levit-bench", "format": 1, "about": {}, "runs": [{**RUN, "samples_ms": samples}]}
    (tmp_path / "r.json").write_text(json.dumps(data))
    with pytest.raises(BundleError, match=r"runs\[0\].samples_ms is not a list of milliseconds"):
        read_results(tmp_path / "r.json")


def test_not_there(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"none.json: cannot be read \(No such file or directory\)"):
        read_results(tmp_path / "none.json")


def test_a_file_in_the_way_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LevitMobileError, match=r"cannot write .*file/r.json \("):
        Results({}).write(tmp_path / "file" / "r.json")
