"""Draw the app's screens to scale, one unit a point of an iPhone 15 (393 x 852): screens.svg.

python ios_demo/tools/draw_screens.py

A drawing, not a photograph: no Mac and no phone was at hand. Texts are the catalogue's; classes and probabilities are what the
checkpoint in the package says of the drawn samples, in PyTorch. Times are left out, for none were measured.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from PIL import Image

from levit_mobile.evaluate import top_k
from levit_mobile.pipeline import reference_model
from levit_mobile.preprocess import load_picture, resize_and_crop
from levit_mobile.weights import resolve_weights

DEMO = Path(__file__).parents[1]
FILE = DEMO / "screens.svg"
SAMPLES = DEMO / "LeViTDemo/Resources/Samples"
STRINGS: dict[str, object] = json.loads((DEMO / "LeViTDemo/Resources/Localizable.xcstrings").read_text())["strings"]
SHORT, LONG = 393, 852  # points
_GAP, _BAR, _TABS, _STATUS = 40, 52, 83, 54
_FONT = "-apple-system, 'SF Pro Text', Helvetica, Arial, sans-serif"


@dataclass(frozen=True)
class Theme:
    """Colours of the system's light or dark appearance."""

    back: str
    card: str
    ink: str
    quiet: str
    line: str
    accent: str


LIGHT = Theme("#f2f2f7", "#ffffff", "#000000", "#8a8a8e", "#d1d1d6", "#1a5ac8")
DARK = Theme("#000000", "#1c1c1e", "#ffffff", "#98989f", "#38383a", "#68a3ff")


@dataclass
class Canvas:
    """One screen; parts are added in points from its upper left corner."""

    width: int
    height: int
    theme: Theme
    parts: list[str] = field(default_factory=list)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float = 17,
        colour: str = "",
        anchor: str = "start",
        weight: int = 400,
    ) -> None:
        """A line of text; ``y`` is its baseline."""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" font-weight="{weight}" text-anchor="{anchor}" '
            f'fill="{colour or self.theme.ink}">{escape(words)}</text>'
        )

    def box(
        self, x: float, y: float, width: float, height: float, fill: str, radius: float = 0, more: str = ""
    ) -> None:
        """A rectangle."""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}" fill="{fill}" {more}/>'
        )

    def picture(self, x: float, y: float, side: float, name: str) -> None:
        """A sample, and the square of it that the model sees."""
        image = Image.open(SAMPLES / f"{name}.png").resize((300, 300), Image.Resampling.LANCZOS)
        stored = io.BytesIO()
        image.save(stored, "JPEG", quality=82)
        data = base64.b64encode(stored.getvalue()).decode()
        self.parts.append(
            f'<image x="{x:g}" y="{y:g}" width="{side:g}" height="{side:g}" href="data:image/jpeg;base64,{data}"/>'
        )
        inner = side * 224 / 256
        edge = (side - inner) / 2
        self.box(x + edge, y + edge, inner, inner, "none", 8, 'stroke="#ffffff" stroke-opacity="0.8" stroke-width="2"')

    def rows(self, y: float, rows: list[tuple[str, str, str]], x: float = 16, width: float = 0) -> float:
        """A card of (name, value, colour of the name); gives where it ends."""
        width = width or self.width - 2 * x
        self.box(x, y, width, 44 * len(rows), self.theme.card, 10)
        for at, (name, value, colour) in enumerate(rows):
            top = y + 44 * at
            self.text(x + 16, top + 28, name, colour=colour)
            self.text(x + width - 16, top + 28, value, colour=self.theme.quiet, anchor="end")
            if at:
                self.box(x + 16, top, width - 16, 0.5, self.theme.line)
        return y + 44 * len(rows)


def said(key: str) -> str:
    """A text of the catalogue."""
    if key not in STRINGS:
        raise KeyError(f"{key!r} is not in Localizable.xcstrings")
    return key


def frame(canvas: Canvas, tab: int, title: str = "") -> None:
    """Title and tabs."""
    t, upright = canvas.theme, canvas.height > canvas.width
    top = _STATUS if upright else 0
    if title:
        canvas.text(canvas.width / 2, top + 32, title, weight=600, anchor="middle")
    tabs = _TABS if upright else 53
    canvas.box(0, canvas.height - tabs, canvas.width, tabs, t.card)
    canvas.box(0, canvas.height - tabs, canvas.width, 0.5, t.line)
    for at, name in enumerate(("Classify", "Benchmark", "Model")):
        x, colour = canvas.width * (2 * at + 1) / 6, t.accent if at == tab else t.quiet
        canvas.box(x - 11, canvas.height - tabs + 8, 22, 18, "none", 4, f'stroke="{colour}" stroke-width="2"')
        canvas.text(x, canvas.height - tabs + 42, said(name), 10, colour, "middle", 500)


def segments(canvas: Canvas, y: float, names: list[str], chosen: int, width: float) -> None:
    """A segmented picker."""
    left, part = (canvas.width - width) / 2, width / len(names)
    canvas.box(left, y, width, 32, canvas.theme.line, 8, 'fill-opacity="0.6"')
    canvas.box(left + part * chosen + 2, y + 2, part - 4, 28, canvas.theme.card, 7)
    for at, name in enumerate(names):
        canvas.text(
            left + part * (at + 0.5), y + 21, said(name), 13, anchor="middle", weight=600 if at == chosen else 400
        )


def answer(canvas: Canvas, x: float, y: float, width: float, predictions: list[tuple[str, float]]) -> None:
    """The likeliest classes, with bars."""
    t = canvas.theme
    for at, (label, share) in enumerate(predictions):
        top = y + 50 * at
        canvas.text(x + 16, top + 25, label, weight=600 if at == 0 else 400)
        canvas.text(x + width - 16, top + 25, f"{100 * share:.1f}%", colour=t.quiet, anchor="end")
        canvas.box(x + 16, top + 35, width - 32, 4, t.line, 2)
        canvas.box(x + 16, top + 35, max(4, (width - 32) * share), 4, t.accent if at == 0 else t.quiet, 2)
        canvas.box(x + 16, top + 49.5, width - 16, 0.5, t.line)


SOURCES = ["Camera", "Photo", "Samples"]


def predicted(name: str) -> list[tuple[str, float]]:
    """What PyTorch says of a sample."""
    checkpoint = resolve_weights("demo")
    pixels = resize_and_crop(load_picture(SAMPLES / f"{name}.png"), checkpoint.preprocessing)
    logits = reference_model(checkpoint)(pixels[None])[0]
    labels = checkpoint.labels or ()
    return [(labels[number], share) for number, share in top_k(logits, 5)]


def classify() -> Canvas:
    """A sample, upright, light."""
    canvas = Canvas(SHORT, LONG, LIGHT)
    frame(canvas, 0)
    segments(canvas, _STATUS + 8, SOURCES, 2, 230)
    top = _STATUS + _BAR
    canvas.box(0, top, SHORT, LONG - top - _TABS, "#ffffff")
    canvas.picture(0, top, SHORT, "golf-ball")
    answer(canvas, 0, top + SHORT, SHORT, predicted("golf-ball")[:4])
    canvas.box(0, LONG - _TABS - 64, SHORT, 64, "#ffffff")
    segments(canvas, LONG - _TABS - 48, ["Golf ball", "Parachute", "Church"], 0, SHORT - 32)
    return canvas


def denied() -> Canvas:
    """No permission for the camera, dark."""
    canvas = Canvas(SHORT, LONG, DARK)
    frame(canvas, 0)
    segments(canvas, _STATUS + 8, SOURCES, 0, 230)
    middle = LONG / 2 - 40
    canvas.box(SHORT / 2 - 24, middle - 72, 48, 34, "none", 8, f'stroke="{DARK.quiet}" stroke-width="3"')
    canvas.parts.append(
        f'<path d="M{SHORT / 2 - 34} {middle - 86} L{SHORT / 2 + 34} {middle - 26}" stroke="{DARK.quiet}" stroke-width="3"/>'
    )
    canvas.text(SHORT / 2, middle + 8, said("The camera is off for this app"), 22, anchor="middle", weight=700)
    told = said("Allow it in Settings, or classify photos and samples.")
    canvas.text(SHORT / 2, middle + 34, told, 14, DARK.quiet, "middle")
    canvas.box(SHORT / 2 - 68, middle + 58, 136, 36, DARK.accent, 8)
    canvas.text(SHORT / 2, middle + 81, said("Open Settings"), 15, "#000000", "middle")
    return canvas


def benchmark() -> Canvas:
    """After a run, dark; without the figures."""
    canvas = Canvas(SHORT, LONG, DARK)
    frame(canvas, 1, said("Benchmark"))
    y = canvas.rows(_STATUS + _BAR + 8, [(said("Measure"), "", DARK.accent)])
    told = said("The model alone, without the camera and without resizing. Leave the phone alone meanwhile.")
    at = told.index("resizing")
    for line, words in enumerate((told[:at], told[at:])):
        canvas.text(32, y + 22 + 17 * line, words.strip(), 13, DARK.quiet)
    canvas.text(32, y + 78, "levit_128s-int8-coreml, CPU and Neural Engine", 13, DARK.quiet)
    names = ["Median (p50)", "p90", "p99", "Shortest", "First inference", "Loading", "Memory, at most", "Thermal state"]
    canvas.rows(y + 88, [(said(name), "\N{EN DASH}", "") for name in names])
    return canvas


def model() -> Canvas:
    """The choice of bundle and processors, light."""
    canvas = Canvas(SHORT, LONG, LIGHT)
    frame(canvas, 2, said("Model"))
    y = _STATUS + _BAR + 30.0
    tick = "\N{CHECK MARK}"
    canvas.text(32, y - 8, said("Bundle"), 13, LIGHT.quiet)
    y = canvas.rows(y, [("levit_128s-int8-coreml", tick, ""), ("levit_128s-int8-executorch", "", "")]) + 40
    canvas.text(32, y - 8, said("Processors"), 13, LIGHT.quiet)
    names = ["All", "CPU", "CPU and GPU", "CPU and Neural Engine"]
    y = canvas.rows(y, [(said(name), tick if at == 0 else "", "") for at, name in enumerate(names)]) + 40
    canvas.text(32, y - 8, said("State"), 13, LIGHT.quiet)
    y = canvas.rows(y, [(said("Answers as PyTorch does"), "", "#34a853")]) + 40
    canvas.text(32, y - 8, said("Manifest"), 13, LIGHT.quiet)
    canvas.rows(
        y, [(said("Variant"), "levit_128s", ""), (said("Target"), "coreml", ""), (said("Precision"), "int8", "")]
    )
    return canvas


def lying() -> Canvas:
    """The same as the first, in landscape and dark: picture and answer side by side."""
    canvas = Canvas(LONG, SHORT, DARK)
    frame(canvas, 0)
    segments(canvas, 8, SOURCES, 2, 230)
    side, left = SHORT - 48 - 53 - 64, 59
    canvas.picture(left, 48, side, "parachute")
    answer(canvas, left + side, 44, LONG - left - side - 59, predicted("parachute")[:4])
    segments(canvas, SHORT - 53 - 48, ["Golf ball", "Parachute", "Church"], 1, LONG - 2 * 59 - 32)
    return canvas


UPRIGHT: tuple[Callable[[], Canvas], ...] = (classify, denied, benchmark, model)


def draw() -> str:
    """All of them, side by side, as an SVG."""
    width = len(UPRIGHT) * (SHORT + _GAP) + _GAP
    height = LONG + SHORT + 3 * _GAP
    whole = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="{_FONT}">',
        f'<rect width="{width}" height="{height}" fill="#7d8494"/>',
    ]
    placed = [(_GAP + at * (SHORT + _GAP), _GAP, screen()) for at, screen in enumerate(UPRIGHT)]
    placed.append(((width - LONG) // 2, LONG + 2 * _GAP, lying()))
    for number, (x, y, canvas) in enumerate(placed):
        whole.append(
            f'<clipPath id="screen{number}"><rect width="{canvas.width}" height="{canvas.height}" rx="44"/></clipPath>'
            f'<g transform="translate({x} {y})" clip-path="url(#screen{number})">'
            f'<rect width="{canvas.width}" height="{canvas.height}" fill="{canvas.theme.back}"/>'
        )
        whole += [*canvas.parts, "</g>"]
    return "\n".join([*whole, "</svg>"]) + "\n"


def main() -> None:
    """Write the file."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    FILE.write_text(draw())
    print(f"wrote {FILE.name}")


if __name__ == "__main__":
    main()
