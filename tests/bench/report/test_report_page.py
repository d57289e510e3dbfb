"""The page: whole, escaped, the same each time, and without emulated times."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import pytest
from benched import EMULATED, PI, about, artifact, count, night, run

from levit_mobile import __version__
from levit_mobile.bench.report.compare import compare
from levit_mobile.bench.report.entries import gather
from levit_mobile.bench.report.page import page
from levit_mobile.bench.result import Results, read_results

EVIL = '<script>alert("1")</script>&\'$x$ {{ 7*7 }}'
VOID = {"meta", "link", "br"}


class Outline(HTMLParser):
    """What a screen reader goes by, and whether tags are closed as they were opened."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def html() -> str:
    return page(gather([night()]), compare(gather([night()]), gather([night(1.09, 500)])))


@pytest.mark.slow
def test_the_outline(html: str) -> None:
    outline = Outline(html)
    assert outline.open == []
    assert outline.all("html") == [{"lang": "en"}]
    assert len(outline.all("h1")) == 1
    headings = [name for name, _ in outline.tags if re.fullmatch("h[1-6]", name)]
    assert set(headings) == {"h1", "h2"}
    assert {a["scope"] for a in outline.all("th")} == {"col", "row"}
    assert len(outline.all("caption")) == len(outline.all("table")) > 8
    scrolled = [a for a in outline.all("div") if a.get("class") == "scroll"]
    assert len(scrolled) == len(outline.all("table"))
    assert all(a["tabindex"] == "0" and a["role"] == "region" and a["aria-label"] for a in scrolled)


@pytest.mark.slow
def test_figures(html: str) -> None:
    outline = Outline(html)
    figures, drawings = outline.all("figure"), outline.all("svg")
    assert len(drawings) == 2 * len(figures)
    # 2 places; ratios; 3 settings and a processor of accuracy; 6 of operators; instructions; a board's climate
    assert len(figures) == 2 + 1 + 4 + 6 + 1 + 1
    assert all(a["role"] == "img" and len(a["aria-label"] or "") > 40 for a in drawings)
    assert any("levit_128s int8 tflite 4 threads: 2.74 ms" in (a["aria-label"] or "") for a in drawings)
    ids = [a["id"] for _, a in outline.tags if "id" in a]
    assert len(ids) == len(set(ids))
    wanted = set(re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', html))
    assert {a or b for a, b in wanted} <= set(ids)
    assert "#fe0" not in html
    assert not re.search(r"(?:fill|stroke): (?!none|var)", html)  # each colour follows the scheme


@pytest.mark.slow
def test_nothing_comes_from_elsewhere(html: str) -> None:
    outline = Outline(html)
    assert not outline.all("script")
    assert not outline.all("img")
    assert outline.all("link") == [{"rel": "icon", "href": "data:,"}]
    assert "://" not in html
    assert not re.search(r"@import|@font-face|url\((?!#)", html)
    assert not [a for _, a in outline.tags if "src" in a or "srcset" in a or any(k.startswith("on") for k in a)]
    policy = next(a["content"] for a in outline.all("meta") if a.get("http-equiv"))
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@pytest.mark.slow
def test_figures_in_the_text(html: str) -> None:
    assert html.count("NOT VALID") == 2
    assert "1 of 16 runs not valid." in html
    assert "the board was throttled: its clock is capped" in html
    assert f"levit-mobile {__version__}" in html
    assert re.search(r"<td[^>]*>2\.74 ms<small>2\.73 to 2\.74</small></td>", html)
    assert "throttled at 1 reading" in html


@pytest.mark.slow
def test_the_same_results_give_the_same_bytes(
    html: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    """Also from a file, on another day, and whatever a user's matplotlibrc says."""
    night().write(tmp_path / "now.json")
    night(1.09, 500).write(tmp_path / "before.json")
    now, before = (gather([read_results(tmp_path / name)]) for name in ("now.json", "before.json"))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    with matplotlib.rc_context({"font.size": 30, "axes.grid": True, "svg.fonttype": "path", "lines.linewidth": 9}):
        assert page(now, compare(now, before)) == html
    assert not recwarn.list


@pytest.mark.slow
def test_what_comes_from_results_is_escaped() -> None:
    made = artifact(variant="levit_128s") | {"variant": EVIL, "bundle": EVIL, "precision": EVIL, "target": EVIL}
    made |= {"options": {EVIL: EVIL}, "sha256": EVIL}
    where = {"kind": EVIL, "name": EVIL, "facts": {**PI["facts"], "model": EVIL, "features": [EVIL]}}
    rows = [run({**made, "variant": EVIL + str(n)}, where, invalid=[EVIL] * n, runtime={"name": EVIL}) for n in (0, 1)]
    rows[0]["profile"] = [{"operator": EVIL, "name": EVIL, "ms": 1.0}]
    counted = {
        **count(artifact(), 1e6),
        "artifact": made,
        "cpu": EVIL,
        "classes": {EVIL: 5e5},
        "runtime": {"name": EVIL},
    }
    ratio = {"base": made, "other": made, "where": where, "threads": 1, "ratio": 0.4, "interval95": [0.3, 0.5]}
    right = {"artifact": made, "where": where, "top1": {"share": 0.9}}
    results = Results({"created": EVIL, "tool": EVIL, "settings": {EVIL: EVIL}, "warnings": [EVIL]}, rows, [ratio])
    results.counts, results.accuracy = [counted], [right]
    material = gather([results])
    html = page(material, compare(material, material))
    outline = Outline(html)
    assert outline.open == []
    assert not outline.all("script")
    assert "<script" not in html
    assert "49" not in re.sub(r"[\d.]{3,}", "", html[html.index("<h1>") : html.index("</h1>")])
    assert html.count("&lt;script&gt;") > 40
    assert "{{ 7*7 }}" in html
    assert "$x$" in html  # no mathematics


@pytest.mark.slow
def test_emulated_milliseconds_are_nowhere() -> None:
    slow = run(where=EMULATED, ms=471.11, load_ms=4711.1, first_ms=47.11, profile=[{"operator": "X", "ms": 4.711}])
    ratio = {"base": artifact(), "other": artifact(), "where": EMULATED, "threads": 1, "ratio": 0.4711}
    material = gather([Results(about(), runs=[slow], ratios=[ratio])])
    html = page(material, compare(material, material))
    assert "471" not in html.replace(artifact()["sha256"][:12], "")
    assert not re.search(r"\d ms\b", html)
    assert "<svg" not in html
    assert "On emulated boards" in html
    assert "No times are shown: an emulator translates each instruction" in html
