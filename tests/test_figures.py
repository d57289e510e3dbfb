"""What the documents show was measured: tables are the results, and the picture is of ``make demo``."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import defaultdict
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest
from documents import ROOT, script
from exports import Exported

RESULTS = ("accuracy", "agreement", "calibration", "export_cost", "latency", "policy", "qat")
PICTURE = ROOT / "docs" / "demo.svg"


# Results


@pytest.mark.parametrize("name", RESULTS)
def test_results_are_of_the_weights_in_the_package(name: str) -> None:
    from levit_mobile.weights import resolve_weights

    result = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())
    assert result.get("checkpoint") == resolve_weights("demo").sha256, f"run benchmarks/{name}.py anew"


def test_every_result_is_looked_at() -> None:
    known = {*RESULTS, "instructions", "matrix", "memory", "peers"}
    known |= {"reproducible", "fuzz", "kills", "long_use", "versions"}
    assert {path.stem for path in (ROOT / "benchmarks" / "results").glob("*.json")} <= known
    assert set(script("benchmarks", "tables").SCRIPTS) == set(RESULTS)


def test_tables_are_the_results() -> None:
    for page, text in script("benchmarks", "tables").pages().items():
        assert page.read_text() == text, f"{page.name} is not what python benchmarks/tables.py writes"


# The picture


def drawn(svg: str) -> list[str]:
    """The lines of the terminal that ``tools/draw_demo.py`` drew."""
    width = 12.2  # of a character, in the SVG's units
    lines: defaultdict[int, str] = defaultdict(str)
    for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):
        place = re.fullmatch(r"url\(#demo-line-(\d+)\)", text.get("clip-path", ""))
        if place:
            line, column = int(place[1]), round(float(text.get("x", "")) / width)
            lines[line] = (lines[line].ljust(column) + (text.text or "").replace("\xa0", " ")).rstrip("\n")
    return [lines[number].rstrip() for number in range(max(lines) + 1)]


def test_the_picture_needs_no_network() -> None:
    svg = PICTURE.read_text()
    assert "@font-face" not in svg
    assert "url(http" not in svg


def test_the_picture_is_of_make_demo() -> None:
    lines = drawn(PICTURE.read_text())
    assert lines[0] == "$ make demo"
    assert ".venv/bin/levit-export --target tflite --int8 --overwrite --out build/levit_128s-int8-tflite" in lines
    assert [line for line in lines if line.startswith(".venv/bin/levit predict build/levit_128s-int8-tflite ")]
    assert lines[-1] == "The bundle is in ~/levit-mobile/build/levit_128s-int8-tflite"


@pytest.mark.slow
def test_the_picture_shows_what_an_export_gives(exported: Exported) -> None:
    blocks = exported.stdout.strip().split("\n\n")
    printed = next(block for block in blocks if block.startswith("levit_128s-int8-tflite\n")).splitlines()
    shown = drawn(PICTURE.read_text())
    for fact in ("artifact", "runs as"):
        assert next(line for line in printed if line.startswith(f"  {fact} ")) in shown
    # The last bits of float kernels depend on the processor, and can move a value to the next int8 step.
    ours, theirs = (next(line for line in lines if line.startswith("  parity ")) for lines in (printed, shown))
    numbers = re.compile(r"\d+(?:\.\d+)?(?:e[+-]\d+)?")
    assert numbers.sub("*", ours) == numbers.sub("*", theirs)
    measured, kept = ([float(number) for number in numbers.findall(line)] for line in (ours, theirs))
    assert kept[0] == pytest.approx(measured[0], rel=0.3)
    assert kept[1] == pytest.approx(measured[1], abs=1e-3)
    assert kept[2:] == measured[2:]


@pytest.fixture
def draw_demo() -> ModuleType:
    return script("tools", "draw_demo")


def test_drawing(draw_demo: ModuleType) -> None:
    lines = ['a  <b> & "c" [red]d[/red]', "", "  indented: " + 200 * "x", "~/levit-mobile/build"]
    assert drawn(draw_demo.draw(lines)) == ["$ make demo", *lines]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_recording(draw_demo: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is built already is built anew; installing is not in the picture, nor is the place of the checkout."""
    (tmp_path / "Makefile").write_text(
        "demo: .venv/demo.stamp build/bundle\n\techo in $(CURDIR)/build >&2\n\t@echo $$PATH $$FORCE_COLOR\n"
        "build/bundle:\n\tmkdir -p $@\n.venv/demo.stamp:\n\tmkdir .venv\n\ttouch $@\n"
    )
    (tmp_path / "build" / "bundle").mkdir(parents=True)
    monkeypatch.setattr(draw_demo, "ROOT", tmp_path)
    monkeypatch.setattr(draw_demo, "BUNDLE", tmp_path / "build" / "bundle")
    monkeypatch.setenv("PATH", f"{tmp_path}/.venv/bin{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FORCE_COLOR", "1")
    lines = draw_demo.record()
    assert lines[:-1] == ["mkdir -p build/bundle", "echo in ~/levit-mobile/build >&2", "in ~/levit-mobile/build"]
    assert "levit-mobile/.venv" not in lines[-1]
    assert not lines[-1].endswith(" 1")
