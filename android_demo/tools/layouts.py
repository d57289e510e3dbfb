"""Android's layouts, as far as this app has them: resources are looked up, views are measured and placed, in dp."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

__all__ = ["Box", "Resources", "place"]

_ANDROID = "{http://schemas.android.com/apk/res/android}"
_LETTER = 0.53  # of the text's size: how wide a letter is, on average, in Roboto
_LINE = 1.33  # of the text's size: from one line to the next
_BUTTON = 36.0  # dp: Material's button is that high, in a touch area of 48


@dataclass
class Box:
    """A view at its place: ``kind`` is its class, ``lines`` its text."""

    kind: str
    name: str
    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...] = ()
    size: float = 16.0
    colour: str = ""
    background: str = ""
    centred: bool = False
    boxes: list[Box] = field(default_factory=list)

    def all(self) -> Iterator[Box]:
        """This one and all inside, the outer ones first."""
        yield self
        for box in self.boxes:
            yield from box.all()


class Resources:
    """What ``res`` has: strings, sizes, colours, styles and layouts, by day or by night, upright or across."""

    def __init__(self, folder: Path, *, night: bool = False, across: bool = False) -> None:
        self._folder, self._across = folder, across
        self._values: dict[tuple[str, str], str] = {}
        self._styles: dict[str, dict[str, str]] = {}
        self._parents: dict[str, str] = {}
        for values in (folder / "values", folder / "values-night")[: 2 if night else 1]:
            for path in sorted(values.glob("*.xml")):
                for entry in ElementTree.parse(path).getroot():
                    self._read(entry)

    def _read(self, entry: ElementTree.Element) -> None:
        name = entry.get("name", "")
        if entry.tag == "style":
            self._styles[name] = {item.get("name", "").removeprefix("android:"): item.text or "" for item in entry}
            self._parents[name] = entry.get("parent") or name.rpartition(".")[0]
        else:
            self._values[entry.tag, name] = (entry.text or "").strip()

    def value(self, text: str) -> str:
        """What a reference such as ``@string/start`` stands for; anything else is itself."""
        match = re.fullmatch(r"@(string|dimen|color)/(\w+)", text)
        return self.value(self._values[match[1], match[2]]) if match else text

    def string(self, name: str) -> str:
        """A text of ``strings.xml``."""
        return self._values["string", name]

    def attributes(self, node: ElementTree.Element) -> dict[str, str]:
        """A view's own, over those of its style."""
        found: dict[str, str] = {}
        style = node.get("style", "").removeprefix("@style/")
        while style in self._styles:
            found = {**self._styles[style], **found}
            style = self._parents[style]
        own = {key.removeprefix(_ANDROID): value for key, value in node.attrib.items()}
        return {key: self.value(value) for key, value in {**found, **own}.items()}

    def layout(self, name: str) -> ElementTree.Element:
        """The root of a layout; what it includes is in its place."""
        across = self._folder / "layout-land" / f"{name}.xml"
        path = across if self._across and across.exists() else self._folder / "layout" / f"{name}.xml"
        return self._whole(ElementTree.parse(path).getroot())

    def _whole(self, node: ElementTree.Element) -> ElementTree.Element:
        for at, child in enumerate(list(node)):
            if child.tag == "include":
                inside = self.layout(child.get("layout", "").removeprefix("@layout/"))
                inside.attrib.update({k: v for k, v in child.attrib.items() if k != "layout"})
                node.remove(child)
                node.insert(at, inside)
            else:
                self._whole(child)
        return node


def place(
    resources: Resources, root: ElementTree.Element, width: float, height: float, texts: Mapping[str, str | None]
) -> Box:
    """Lay a layout out on a screen. ``texts`` are what the app writes into views, by id; None: the view is gone."""
    return _Placing(resources, texts).view(root, 0, 0, width, height)


class _Placing:
    def __init__(self, resources: Resources, texts: Mapping[str, str | None]) -> None:
        self._resources, self._texts = resources, texts

    def view(self, node: ElementTree.Element, x: float, y: float, width: float, height: float | None) -> Box:
        """A view of a width; where its height is None, as high as it needs to be."""
        a = self._resources.attributes(node)
        name = a.get("id", "").rpartition("/")[2]
        size = _dp(a.get("textSize", "16sp"))
        text = self._texts.get(name) or a.get("text", "")
        box = Box(node.tag, name, x, y, width, 0, (), size, a.get("textColor", ""), a.get("background", ""))
        padding = _dp(a.get("padding", "0dp"))
        bottom = _dp(a.get("paddingBottom", "0dp")) or padding
        if node.tag in ("LinearLayout", "ScrollView"):
            inside = self._linear if node.tag == "LinearLayout" else self._stack
            centred = a.get("gravity") == "center"
            needed = inside(box, node, a, padding, None if height is None or centred else height - padding - bottom)
            needed += padding + bottom
            if centred and height is not None:
                _shift(box, (height - needed) / 2)
        elif node.tag == "FrameLayout":
            self._stack(box, node, a, padding, height)
            needed = height or 0.0
        else:
            box.centred = node.tag == "Button" or a.get("gravity") == "center"
            box.lines = tuple(_wrapped(text, width - 2 * padding, size, a.get("maxLines") == "1"))
            needed = max(len(box.lines) * size * _LINE, _dp(a.get("minHeight", "0dp")))
        given = a.get("layout_height", "")
        box.height = _dp(given) if given.endswith("dp") and given != "0dp" else height if height is not None else needed
        return box

    def _visible(self, node: ElementTree.Element) -> bool:
        a = self._resources.attributes(node)
        name = a.get("id", "").rpartition("/")[2]
        return self._texts[name] is not None if name in self._texts else a.get("visibility") != "gone"

    def _stack(
        self, box: Box, node: ElementTree.Element, a: Mapping[str, str], padding: float, height: float | None
    ) -> float:
        needed = 0.0
        for child in filter(self._visible, node):
            b = self._resources.attributes(child)
            full = height if b.get("layout_height") == "match_parent" and node.tag == "FrameLayout" else None
            box.boxes.append(self.view(child, box.x + padding, box.y + padding, box.width - 2 * padding, full))
            needed = max(needed, box.boxes[-1].height)
        return needed

    def _linear(
        self, box: Box, node: ElementTree.Element, a: Mapping[str, str], padding: float, height: float | None
    ) -> float:
        children = [(child, self._resources.attributes(child)) for child in filter(self._visible, node)]
        inner = box.width - 2 * padding
        if a.get("orientation") == "vertical":
            return self._column(box, children, padding, inner, height)
        weights = sum(float(b.get("layout_weight", 0)) for _, b in children)
        fixed = {id(child): self._natural(child, b) for child, b in children if not b.get("layout_weight")}
        rest = inner - sum(fixed.values())
        x, tallest = box.x + padding, 0.0
        for child, b in children:
            width = rest * float(b["layout_weight"]) / weights if b.get("layout_weight") else fixed[id(child)]
            made = self.view(
                child, x, box.y + padding, width, height if b.get("layout_height") == "match_parent" else None
            )
            box.boxes.append(made)
            x, tallest = x + width, max(tallest, made.height)
        for made in box.boxes:  # in the middle of the row
            _shift(made, (tallest - made.height) / 2, itself=True)
        return tallest

    def _natural(self, node: ElementTree.Element, a: Mapping[str, str]) -> float:
        width = a.get("layout_width", "")
        if width.endswith("dp"):
            return _dp(width)
        text = self._texts.get(a.get("id", "").rpartition("/")[2]) or a.get("text", "")
        return len(text) * _dp(a.get("textSize", "16sp")) * _LETTER + 4

    def _column(
        self,
        box: Box,
        children: list[tuple[ElementTree.Element, dict[str, str]]],
        padding: float,
        inner: float,
        height: float | None,
    ) -> float:
        weights = sum(float(b.get("layout_weight", 0)) for _, b in children)
        y = box.y + padding
        for child, b in children:
            share = height * float(b["layout_weight"]) / weights if height and b.get("layout_weight") else None
            y += _dp(b.get("layout_marginTop", "0dp"))
            width = inner
            x = box.x + padding
            if b.get("layout_width") == "wrap_content":
                width = self._natural(child, b) + 32
                x += (inner - width) / 2
            box.boxes.append(self.view(child, x, y, width, share))
            y += box.boxes[-1].height
        return y - box.y - padding


def _shift(box: Box, by: float, *, itself: bool = False) -> None:
    for part in box.all():
        if part is not box or itself:
            part.y += by


def _dp(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(?:dp|sp)", text)
    return float(match[1]) if match else 0.0


def _wrapped(text: str, width: float, size: float, single: bool) -> list[str]:
    most = max(int(width / (size * _LETTER)), 4)
    if single:
        return [text if len(text) <= most else text[: most - 1] + "…"] if text else []
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            if line and len(line) + 1 + len(word) > most:
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}".strip()
        lines += [line] if line else []
    return lines
