"""``levit report``."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from benched import about, run
from commands import Levit

from levit_mobile.bench.result import Results


@pytest.fixture(autouse=True)
def _there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, ms in (("now", 6.0), ("slower", 7.0)):
        Results(about(), runs=[run(ms=ms)]).write(tmp_path / f"{name}.json")


@pytest.mark.slow
def test_html(levit: Levit) -> None:
    answer = levit("report", "now.json")
    assert (answer.code, answer.out) == (0, "levit-report.html: 1 run\n")
    assert answer.err.startswith("  drawing figures ...\n")
    assert Path("levit-report.html").read_text("utf-8").startswith("<!doctype html>\n")
    assert sorted(path.name for path in Path().iterdir()) == ["levit-report.html", "now.json", "slower.json"]


def test_markdown(levit: Levit) -> None:
    answer = levit("report", "now.json", "slower.json", "--out", "reports/all.md")
    assert (answer.code, answer.out) == (0, "reports/all.md: 2 runs\n")
    text = Path("reports/all.md").read_text("utf-8")
    assert text.startswith("# levit\\_128s on Raspberry Pi 5 Model B\n")
    assert "**6.00 ms" in text
    assert "**7.00 ms" in text


def test_baseline(levit: Levit) -> None:
    answer = levit("report", "slower.json", "--baseline", "now.json", "--out", "a.md")
    assert (answer.code, answer.err) == (0, "")
    assert "  against the baseline: 1 worse, 0 better, 3 within noise, 0 not to be told\n" in answer.out
    assert "  worse: levit_128s int8 tflite, p50: 6.00 ms before, 7.00 ms now\n" in answer.out


def test_fail_if_worse(levit: Levit) -> None:
    answer = levit("report", "slower.json", "--baseline", "now.json", "--out", "a.md", "--fail-if-worse")
    assert (answer.code, answer.err) == (1, "error: 1 of 4 figures are worse than the baseline's; a.md shows which\n")
    assert Path("a.md").is_file()
    answer = levit("report", "now.json", "--baseline", "slower.json", "--out", "b.md", "--fail-if-worse")
    assert (answer.code, answer.err) == (0, "")
    answer = levit("report", "now.json", "--fail-if-worse")
    assert answer.code == 2
    assert "type --baseline FILE too" in answer.err


def test_a_baseline_of_another_place_is_no_pass(levit: Levit) -> None:
    other = {"kind": "host", "name": "other"}
    made = {"variant": "levit_384", "precision": "int8", "target": "onnx"}
    Results(about(), runs=[run(made | {"bytes": 1}, where=other)]).write(Path("other.json"))
    answer = levit("report", "now.json", "--baseline", "other.json", "--out", "a.md", "--fail-if-worse")
    assert answer.code == 1
    assert "nothing to compare" in answer.err


def test_json(levit: Levit) -> None:
    told = levit("report", "slower.json", "--baseline", "now.json", "--out", "a.md", "--json").data
    assert (told["report"], told["runs"], told["baseline"]["worse"]) == ("a.md", 1, 1)
    assert told["fastest"][0]["p50_ms"] == pytest.approx(7.0)
    (worse,) = [c for c in told["baseline"]["changes"] if c["verdict"] == "worse"]
    assert (worse["figure"], worse["artifact"]) == ("p50", "levit_128s int8 tflite")


def test_invalid_runs_are_told(levit: Levit) -> None:
    Results(about(), runs=[run(invalid=["too hot"])]).write(Path("hot.json"))
    assert levit("report", "hot.json", "--out", "a.md").out == "a.md: 1 run, 1 NOT VALID\n"


def test_overwrite(levit: Levit) -> None:
    Path("a.md").write_text("mine")
    answer = levit("report", "now.json", "--out", "a.md")
    assert (answer.code, answer.err[:29]) == (2, "error: a.md is already there;")
    assert Path("a.md").read_text() == "mine"
    assert levit("report", "now.json", "--out", "a.md", "--overwrite").code == 0


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (["missing.json"], 1, "missing.json: cannot be read (No such file or directory)"),
        (["now.json", "--baseline", "missing.json"], 1, "missing.json: cannot be read"),
        (["now.json", "--out", "a.pdf"], 2, "end it in .html or .md"),
        (["now.json", "--out", "now.json", "--overwrite"], 2, "end it in .html or .md"),
        (["now.json", "--out", "folder.md"], 2, "folder.md is a folder"),
        (["now.json", "--out", "now.json/a.md"], 2, "cannot write now.json/a.md"),
        ([], 2, "Missing argument 'RESULTS...'"),
    ],
)
def test_mistakes(levit: Levit, args: list[str], code: int, told: str) -> None:
    Path("folder.md").mkdir()
    answer = levit("report", *args)
    assert answer.code == code
    assert told in answer.err
    assert not Path("levit-report.html").exists()


def test_results_are_not_overwritten(levit: Levit) -> None:
    Path("now.json").rename("now.md")
    answer = levit("report", "now.md", "--out", "now.md", "--overwrite")
    assert answer.code == 2
    assert "is one of the files to read" in answer.err


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_packages_that_are_not_there(levit: Levit, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    for name in [name for name in sys.modules if name.startswith("levit_mobile.bench.report")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    real = sys.meta_path

    class Refuse:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            if name.partition(".")[0] == package:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [Refuse, *real])
    answer = levit("report", "now.json")
    assert answer.code == 2
    assert f"this needs the package {package}, which is not installed" in answer.err
    assert "'.[bench]'" in answer.err
