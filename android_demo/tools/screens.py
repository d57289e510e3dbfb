"""Draw the app's screens to scale, from its layouts, strings, sizes and colours: docs/screens.svg.

python android_demo/tools/screens.py

No phone took these pictures. What is shown of the sample is what the golden vectors say of it; times are left open (#.#), for
none was measured.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from layouts import Box, Resources, place

DEMO = Path(__file__).parents[1]
RES = DEMO / "app" / "src" / "main" / "res"
SAMPLE = DEMO / "app" / "src" / "main" / "assets" / "samples" / "40x60.png"
VECTORS = DEMO.parent / "tests" / "golden" / "vectors" / "vectors.json"
FILE = DEMO / "docs" / "screens.svg"
LONG, SHORT = 740.0, 360.0  # dp: a usual phone
BUNDLE = "levit_128s-int8-tflite"
_GAP = 32.0
_FIGURES = ("p50", "p90", "p99", "min", "count", "load", "first", "memory", "thermal")


def filled(template: str, *values: object) -> str:
    """A string of Android's with its places filled; a number may be given as text."""
    whole = re.sub(r"%(\d+)\$[^dfs]*[dfs]", lambda match: str(values[int(match[1]) - 1]), template)
    return whole.replace("%%", "%")


def scores() -> list[tuple[str, float]]:
    """The likeliest classes of the sample."""
    cases = json.loads(VECTORS.read_text())["cases"]
    top = next(case["top"] for case in cases if case["name"] == SAMPLE.stem)
    return [(row["label"], row["probability"]) for row in top]


def main_screen(resources: Resources) -> tuple[ElementTree.Element, dict[str, str | None]]:
    """With a sample on it."""
    root = resources.layout("activity_main")
    texts: dict[str, str | None] = {"preview": None, "still": "", "bundle": BUNDLE, "threads": "4"}
    texts["accelerator"] = resources.string("cpu")
    texts["timing"] = filled(resources.string("timing"), "#.#", "#.#", "LiteRT")
    rows = next(node for node in root.iter("LinearLayout") if (node.get(_id()) or "").endswith("/scores"))
    for at, (label, share) in enumerate(scores()):
        row = resources.layout("row_score")
        _rename(row, at)
        rows.append(row)
        texts[f"score_label{at}"] = label
        texts[f"score_percent{at}"] = filled(resources.string("score_percent"), f"{100 * share:.1f}")
        texts[f"score_bar{at}"] = f"{share}"
    return root, texts


def benchmark_screen(resources: Resources) -> tuple[ElementTree.Element, dict[str, str | None]]:
    """After a run."""
    root = resources.layout("activity_benchmark")
    texts: dict[str, str | None] = {
        "subject": filled(resources.string("benchmark_of"), BUNDLE, resources.string("cpu"), 4),
        "progress": resources.string("benchmark_done"),
        "doubts": None,
    }
    rows = next(node for node in root.iter("LinearLayout") if (node.get(_id()) or "").endswith("/figures"))
    values = {"count": "#", "memory": filled(resources.string("megabytes_of"), "#", "#"), "thermal": "#"}
    for at, figure in enumerate(_FIGURES):
        row = resources.layout("row_figure")
        _rename(row, at)
        rows.append(row)
        texts[f"figure_name{at}"] = resources.string(f"figure_{figure}")
        texts[f"figure_value{at}"] = values.get(figure, filled(resources.string("milliseconds"), "#.#"))
    return root, texts


def failed_screen(resources: Resources) -> tuple[ElementTree.Element, dict[str, str | None]]:
    """Without the permission for the camera."""
    root = resources.layout("activity_main")
    texts: dict[str, str | None] = {"state": "", "state_text": resources.string("no_permission")}
    texts |= {"state_action": resources.string("allow"), "bundle": BUNDLE, "threads": "4", "timing": None}
    texts["accelerator"] = resources.string("cpu")
    return root, texts


def _id() -> str:
    return "{http://schemas.android.com/apk/res/android}id"


def _rename(row: ElementTree.Element, at: int) -> None:
    for node in row.iter():
        if node.get(_id()):
            node.set(_id(), f"{node.get(_id())}{at}")


# Drawing


class Pen:
    """Draws boxes as SVG in a theme's colours."""

    def __init__(self, resources: Resources, texts: Mapping[str, str | None]) -> None:
        self._texts = texts
        self._colour = {name: _css(resources.value(f"@color/{name}")) for name in ("accent", "track", "ink", "ground")}

    def draw(self, box: Box) -> str:
        """A box and all inside."""
        return "".join(self._own(part) for part in box.all())

    def _own(self, box: Box) -> str:
        out = self._rectangle(box, _css(box.background)) if box.background else ""
        if box.kind == "ImageView":
            data = base64.b64encode(SAMPLE.read_bytes()).decode()
            place = f'x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}"'
            out += f'<image {place} href="data:image/png;base64,{data}"/>'
        elif box.kind == "ProgressBar":
            share = float(self._texts.get(box.name) or 0)
            line = Box(box.kind, "", box.x, box.y + box.height / 2 - 2, box.width, 4)
            done = Box(box.kind, "", box.x, line.y, box.width * share, 4)
            return out + self._rectangle(line, self._colour["track"]) + self._rectangle(done, self._colour["accent"])
        elif box.kind == "Button":
            inner = Box(box.kind, "", box.x + 4, box.y + (box.height - 36) / 2, box.width - 8, 36)
            out += self._rectangle(inner, self._colour["track"], radius=2)
            box.lines = tuple(line.upper() for line in box.lines)
            box.size = 14
        elif box.kind == "Spinner":
            x, y = box.x + box.width - 20, box.y + box.height / 2 - 2
            out += f'<path d="M{x:g},{y:g}h10l-5,5z" fill="{self._colour["ink"]}"/>'
            box.x += 8
        return out + self._text(box)

    def _text(self, box: Box) -> str:
        colour = _css(box.colour) if box.colour else self._colour["ink"]
        height = len(box.lines) * box.size * 1.33
        x = box.x + box.width / 2 if box.centred else box.x
        y = box.y + (box.height - height) / 2 + box.size
        anchor = ' text-anchor="middle"' if box.centred else ""
        return "".join(
            f'<text x="{x:g}" y="{y + at * box.size * 1.33:.1f}" font-size="{box.size:g}" fill="{colour}"{anchor}>'
            f"{escape(line)}</text>"
            for at, line in enumerate(box.lines)
        )

    @staticmethod
    def _rectangle(box: Box, colour: str, radius: int = 0) -> str:
        corner = f' rx="{radius}"' if radius else ""
        place = f'x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}"'
        return f'<rect {place} fill="{colour}"{corner}/>'


def _css(argb: str) -> str:
    return f"#{argb[3:]}" if re.fullmatch("#[0-9a-f]{8}", argb) else argb


def drawn() -> str:
    """The SVG: four screens."""
    made = [
        (main_screen, False, False, SHORT, LONG),
        (benchmark_screen, False, False, SHORT, LONG),
        (failed_screen, True, False, SHORT, LONG),
        (main_screen, True, True, LONG, SHORT),
    ]
    places = [(_GAP, _GAP), (2 * _GAP + SHORT, _GAP), (3 * _GAP + 2 * SHORT, _GAP), (_GAP, 2 * _GAP + LONG)]
    width, height = 4 * _GAP + 3 * SHORT, 3 * _GAP + LONG + SHORT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        'font-family="Roboto, DejaVu Sans, sans-serif">'
        f'<rect width="{width:g}" height="{height:g}" fill="#c9ccd3"/>'
    ]
    for at, ((x, y), (screen, night, across, w, h)) in enumerate(zip(places, made, strict=True)):
        resources = Resources(RES, night=night, across=across)
        root, texts = screen(resources)
        inside = Pen(resources, texts).draw(place(resources, root, w, h, texts))
        parts.append(
            f'<clipPath id="s{at}"><rect width="{w:g}" height="{h:g}" rx="16"/></clipPath>'
            f'<g transform="translate({x:g} {y:g})"><g clip-path="url(#s{at})">{inside}</g></g>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(drawn())
    print(f"wrote {FILE.relative_to(DEMO)}")


if __name__ == "__main__":
    main()
