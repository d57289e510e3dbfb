"""Figures as SVG inside a page: colours are the page's variables, so that they follow its light or dark scheme."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["COLOURS", "FAINT", "GRID", "INK", "MARK", "MUTED", "PAPER", "canvas", "plain", "styled", "to_svg"]

# Stand-ins that nobody else draws with; each becomes var(--NAME) of page.css.
INK, MUTED, FAINT, GRID, PAPER, MARK = (f"#fe00{n:02x}" for n in range(1, 7))
_NAMES = {INK: "ink", MUTED: "muted", FAINT: "faint", GRID: "grid", PAPER: "card", MARK: "bad"}
COLOURS = tuple(f"#fe01{n:02x}" for n in range(8))
_NAMES |= {colour: f"c{n}" for n, colour in enumerate(COLOURS)}

_STYLE = {
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched, and has the page's letters
    "svg.hashsalt": "levit-mobile",
    "text.parse_math": False,  # a $ in a name is a $
    "font.size": 12,
    "font.family": ["DejaVu Sans"],  # ships with matplotlib: widths are the same everywhere
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.linewidth": 1,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 1,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.solid_capstyle": "round",
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the report's style, whatever the user's own settings of matplotlib are."""
    with matplotlib.style.context(["default", _STYLE]), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # letters that the font lacks: the browser's has them
        yield


def canvas(width: float, height: float) -> Figure:
    """An empty figure, in pixels of the page."""
    return Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")


def plain(axes: Axes, *, grid: str = "x") -> None:
    """Only the lines that help reading: along one axis, and none around."""
    axes.spines[:].set_visible(False)
    axes.grid(visible=True, axis=grid)  # type: ignore[arg-type]


_TAG = re.compile(r"<[^<>]*>")
_STYLED = re.compile(r"#fe0[0-9a-f]{3}\b")
_FONT = re.compile(r"font-family: [^;\"]*;?\s*")
_SHORTHAND = re.compile(r"(font: [^;\"']*)'DejaVu Sans'[^;\"]*")  # of matplotlib before 3.10
_LONG = re.compile(r"(-?\d+\.\d\d)\d+")
_STILL = re.compile(r' transform="rotate\(-?0 [^"]*\)"')
_USED = re.compile(r'(?:url\(#|href="#)([\w.]+)')


def to_svg(figure: Figure, name: str, alt: str) -> str:
    """``<svg role="img">``: one element, whose ids begin with ``name``, and whose text for those who do not see is ``alt``."""
    out = io.StringIO()
    nobody = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(out, format="svg", transparent=True, metadata=nobody)
    text = out.getvalue()
    used = set(_USED.findall(text))
    body = text[text.index("</defs>", text.index("<style")) + len("</defs>") :]  # that style would be the whole page's
    body = _TAG.sub(lambda tag: _tag(tag[0], name, used), body)
    width, height = (round(v * 72) for v in figure.get_size_inches())
    head = f'<svg role="img" aria-label="{escape(alt)}" viewBox="0 0 {width} {height}" style="max-width:{width}px">'
    return head + re.sub(r">\s*\n\s*<", "><", body).strip()


def _tag(tag: str, name: str, used: set[str]) -> str:
    def own(found: re.Match[str]) -> str:
        return f' id="{name}-{found[1]}"' if found[1] in used else ""

    tag = re.sub(r' id="([^"]*)"', own, tag)
    tag = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", tag).replace("xlink:href", "href")
    tag = _STYLED.sub(lambda found: f"var(--{_NAMES[found[0]]})", tag)
    tag = _LONG.sub(r"\1", _STILL.sub("", _FONT.sub("", _SHORTHAND.sub(r"\1var(--sans)", tag))))
    return " ".join(tag.split())
