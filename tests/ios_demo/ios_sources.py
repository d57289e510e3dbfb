"""The app's sources as text: what a test can see of them without Swift."""

from __future__ import annotations

import re
from pathlib import Path

DEMO = Path(__file__).parents[2] / "ios_demo"
APP = DEMO / "LeViTDemo"

_LITERAL = r'"((?:[^"\\]|\\.)*)"'
# What takes a LocalizedStringKey or a LocalizedStringResource from a literal, and what is said to be one.
_LOCALISED = re.compile(
    r"(?:\bText|\bLabel|\bButton|\bPicker|\bSection|\bProgressView|\bShareLink|\bLabeledContent|\bContentUnavailableView"
    r"|\.navigationTitle|\.accessibilityLabel|\bfact|\btime)\(\s*"
    + _LITERAL
    + r"|(?:\blocalized:|\bStillPictureView\([^)\n]*\bname:)\s*"
    + _LITERAL
)
_RESOURCE = re.compile(r"LocalizedStringResource \{(.*?)\n  \}", re.DOTALL)
_CASE = re.compile(r"case [^\n]*?:\s*" + _LITERAL)


def app_sources() -> dict[str, str]:
    """{path below LeViTDemo: text} of every Swift file of the app."""
    return {path.relative_to(APP).as_posix(): path.read_text() for path in sorted(APP.rglob("*.swift"))}


def localised() -> set[str]:
    """The texts of the sources that are looked up in the catalogue, with %@ or %lld for what is put in."""
    found: set[str] = set()
    for text in app_sources().values():
        found |= {first or second for first, second in _LOCALISED.findall(text)}
        for body in _RESOURCE.findall(text):
            found |= set(_CASE.findall(body))
    return found - {""}


def key(literal: str, *, whole: tuple[str, ...]) -> str:
    """A literal's key in a catalogue; ``whole`` are the expressions whose values are whole numbers."""
    return re.sub(r"\\\(((?:[^()]|\([^()]*\))*)\)", lambda m: "%lld" if m[1] in whole else "%@", literal)
