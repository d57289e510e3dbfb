"""The report as Markdown: the same words and tables, without figures."""

from __future__ import annotations

import re

from levit_mobile import __version__
from levit_mobile.bench.report.compare import Comparison
from levit_mobile.bench.report.entries import Material
from levit_mobile.bench.report.head import alarms, sentences, title
from levit_mobile.bench.report.sections import sections
from levit_mobile.bench.report.summary import sum_up
from levit_mobile.bench.report.tables import Cell, Table

__all__ = ["markdown"]

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~$]|(?<!\w)[#@!](?=\w)|&(?=[#\w]+;)|://)")


def markdown(material: Material, comparison: Comparison | None = None) -> str:
    """A document for GitHub, a wiki, or a terminal."""
    summing = sum_up(material)
    lines = [f"# {_plain(title(material))}", ""]
    wrong = alarms(summing)
    if wrong:
        lines += [f"> **{len(wrong)} of {len(material.runs)} runs NOT VALID.**", ">"]
        lines += [f"> - {_plain(what)}: {_plain(why)}" for what, why in wrong] + [""]
    lines += [f"- {_plain(sentence)}" for sentence in sentences(material, summing, comparison)]
    for part in sections(material, comparison, figures=False):
        lines += ["", f"## {_plain(part.title)}"]
        # What is said of figures only would be about nothing here.
        if part.intro and part.id not in ("latency", "accuracy"):
            lines += ["", _plain(part.intro)]
        for table in part.tables:
            if table.rows:
                lines += ["", *([f"### {_plain(table.title)}", ""] if len(part.tables) > 1 else []), *_table(table)]
        for note in part.notes:
            lines += ["", _plain(note)]
    lines += ["", f"Made by levit report, levit-mobile {__version__}."]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Text that means nothing to Markdown or HTML."""
    return _SPECIAL.sub(lambda found: f"\\{found[0]}" if found[0] != "://" else ":\\//", text)


def _cell(cell: Cell) -> str:
    text = _plain(cell.text) + (f" ({_plain(cell.sub)})" if cell.sub else "")
    return f"**{text}**" if cell.tone in ("bad", "strong") and text else text


def _table(table: Table) -> list[str]:
    rule = ["---:" if side == ">" else "---" for side in table.align]
    rows = [map(_plain, table.head), rule, *(map(_cell, row) for row in table.rows)]
    return [f"| {' | '.join(row)} |" for row in rows]
