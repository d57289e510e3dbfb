"""The same report as Markdown."""

from __future__ import annotations

import re

from benched import EMULATED, about, artifact, night, run

from levit_mobile.bench.report.compare import compare
from levit_mobile.bench.report.entries import gather
from levit_mobile.bench.report.markdown import markdown
from levit_mobile.bench.result import Results

CELL = re.compile(r"(?<!\\)\|")


def tables(text: str) -> list[list[list[str]]]:
    """Rows of cells of each table, the rule left out."""
    found: list[list[list[str]]] = []
    inside = False
    for line in text.splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        if not inside:
            found.append([])
        inside = True
        found[-1].append([cell.strip() for cell in CELL.split(line)[1:-1]])
    return [[rows[0], *rows[2:]] for rows in found]


def test_a_night() -> None:
    text = markdown(gather([night()]), compare(gather([night()]), gather([night(1.09, 500)])))
    assert text.startswith("# 3 LeViT variants on Raspberry Pi 5 Model B and this machine\n")
    assert "> **1 of 16 runs NOT VALID.**" in text
    headings = re.findall("^## (.*)$", text, re.MULTILINE)
    assert headings[:4] == ["Against the baseline", "int8 against fp32", "Latency", "Side by side"]
    assert headings[-1] == "How it was measured"
    for rows in tables(text):
        assert len({len(row) for row in rows}) == 1
    latency = next(rows for rows in tables(text) if rows[0][2] == "p50 (95 %)")
    assert latency[1][:3] == [r"levit\_128s (int8 · tflite)", "4", "**2.74 ms (2.73 to 2.74)**"]
    assert latency[-1][2] == "**24.7 ms (NOT VALID)**"
    changed = tables(text)[0]
    assert changed[1][:5] == [
        r"levit\_128s (int8 · tflite)",
        "better",
        "p50",
        "0.92\N{MULTIPLICATION SIGN} (0.92 to 0.92)",
        "7.11 ms",
    ]


def test_the_same_results_give_the_same_text() -> None:
    assert markdown(gather([night()])) == markdown(gather([night()]))


def test_nothing_from_results_is_markup() -> None:
    evil = "<script>|[x](https://y)*`\n# #1 @me ![i](j) &lt;"
    made = {**artifact(), "variant": evil}
    text = markdown(gather([Results(about(created=evil), runs=[run(made, invalid=[evil])])]))
    assert not re.search(r"(?<!\\)[<\[*`]script|(?<!\\)<|(?<!\\)\]\(", text)
    assert "https://" not in text
    assert "\n# #1" not in text
    for rows in tables(text):
        assert len({len(row) for row in rows}) == 1


def test_emulated_milliseconds_are_nowhere() -> None:
    text = markdown(gather([Results(about(), runs=[run(where=EMULATED, ms=471.11)])]))
    assert not re.search(r"\d ms\b|471", text.replace(artifact()["sha256"][:12], ""))
    assert "No times are shown" in text
