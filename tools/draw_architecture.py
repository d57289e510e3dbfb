"""Draw which modules stand on which, docs/architecture.svg, and tell it in a table of docs/architecture.md.

    python tools/draw_architecture.py

The levels are those that tests/test_house.py holds the imports to; what a module is for is its docstring's first sentence.
"""

from __future__ import annotations

import argparse
import ast
import re
from html import escape
from importlib.util import resolve_name
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "architecture.svg"
PAGE = ROOT / "docs" / "architecture.md"
TITLES = (
    "names and errors",
    "plain parts",
    "checkpoint and pictures",
    "program and bundle",
    "exporters and runtimes",
    "export and measure",
    "command line",
)
_WIDTH, _LEFT, _HIGH, _GAP, _LETTER = 960, 216, 28, 8, 7.3  # pixels; of a letter, of 12 pixels' monospace
_COLOURS = {"levit_mobile": "#dbeafe", "exporters": "#dcfce7", "calib": "#fef3c7"}
_MODULE = re.compile(r"(levit_mobile|exporters|calib)(\.\w+)+")


def levels() -> tuple[tuple[str, ...], ...]:
    """The table LEVELS, lowest first."""
    tree = ast.parse((ROOT / "tests" / "test_house.py").read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "LEVELS":
            assert node.value is not None
            found: tuple[tuple[str, ...], ...] = ast.literal_eval(node.value)
            return found
    raise SystemExit("tests/test_house.py has no table LEVELS any more")


def files_of(entry: str) -> list[Path]:
    """The files of a module, or of a package with all in it; levit_mobile stands for itself alone."""
    base = ROOT / entry.replace(".", "/")
    if base.is_dir():
        return [base / "__init__.py"] if entry == "levit_mobile" else sorted(base.rglob("*.py"))
    return [base.with_suffix(".py")]


def purpose(entry: str) -> str:
    """The first sentence of its docstring."""
    text = " ".join((ast.get_docstring(ast.parse(files_of(entry)[0].read_text("utf-8"))) or "").split())
    return re.split(r"(?<!\bal)\.(?:\s|$)", text)[0].replace("``", "`").replace("|", "\\|")


def stands_on(entry: str, entries: tuple[str, ...]) -> list[str]:
    """Those of ``entries`` that it imports, wherever in its files, or names in a string, as tables of lazy imports do."""
    found: set[str] = set()
    for path in files_of(entry):
        parts = path.relative_to(ROOT).with_suffix("").parts
        package = ".".join(parts[:-1])
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = (
                    resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module or ""
                )
                names = [f"{base}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _MODULE.fullmatch(node.value):
                names = [node.value]
            else:
                continue
            for name in names:
                owners = [e for e in entries if f"{name}.".startswith(f"{e}.")]
                found |= {max(owners, key=len)} if owners else set()
    return sorted(found - {entry, "levit_mobile"})


def draw(rows: tuple[tuple[str, ...], ...]) -> str:
    """An SVG: the highest level on top."""
    assert len(rows) == len(TITLES), "a level was added or taken away: TITLES names each"
    parts, y = [], 16
    for title, row in zip(reversed(TITLES), reversed(rows), strict=True):
        x, top = float(_LEFT), y
        for entry in row:
            name = entry.removeprefix("levit_mobile.")
            wide = round(len(name) * _LETTER) + 16
            if x + wide > _WIDTH - 16:
                x, y = float(_LEFT), y + _HIGH + _GAP
            colour = _COLOURS[entry.partition(".")[0]]
            parts.append(f'<rect x="{x:g}" y="{y}" width="{wide}" height="{_HIGH}" rx="5" fill="{colour}"/>')
            parts.append(f'<text class="m" x="{x + wide / 2:g}" y="{y + 18}">{escape(name)}</text>')
            x += wide + _GAP
        y += _HIGH
        parts.append(f'<text class="t" x="16" y="{(top + y) / 2 + 5:g}">{escape(title)}</text>')
        y += 20
        parts.append(f'<path class="l" d="M16 {y - 10} H{_WIDTH - 16}"/>')
    parts.pop()
    style = (
        ".m{font:12px ui-monospace,monospace;text-anchor:middle;fill:#111}.t{font:14px sans-serif;fill:#111}"
        ".l{stroke:#bbb;stroke-dasharray:4 4}"
    )
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" width="{_WIDTH}" height="{y}" role="img">',
            "<title>Modules by level; each imports only from its own level and those below</title>",
            f'<style>{style}</style><rect width="{_WIDTH}" height="{y}" fill="#fff"/>',
            *parts,
            "</svg>\n",
        )
    )


def table(rows: tuple[tuple[str, ...], ...]) -> str:
    """Every module, what it is for, and which it imports; the lowest first."""
    entries = tuple(entry for row in rows for entry in row)
    lines = ["| module | what it is | imports |", "| --- | --- | --- |"]
    for entry in entries:
        if entry not in ("levit_mobile", "levit_mobile.__main__"):
            names = ", ".join(f"`{name.removeprefix('levit_mobile.')}`" for name in stands_on(entry, entries))
            lines.append(f"| `{entry}` | {purpose(entry)} | {names} |")
    return "\n".join(lines)


def page(text: str, rows: tuple[tuple[str, ...], ...]) -> str:
    """The page's text with the table between its two marks."""
    new, count = re.subn(
        r"(<!-- modules -->\n).*?(<!-- /modules -->)", lambda m: f"{m[1]}{table(rows)}\n{m[2]}", text, flags=re.DOTALL
    )
    if count != 1:
        raise SystemExit(f"{PAGE.name} needs one <!-- modules --> with one <!-- /modules --> after it, and has {count}")
    return new


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    rows = levels()
    PICTURE.write_text(draw(rows), "utf-8")
    PAGE.write_text(page(PAGE.read_text("utf-8"), rows), "utf-8")
    print("wrote docs/architecture.svg and the table in docs/architecture.md")


if __name__ == "__main__":
    main()
