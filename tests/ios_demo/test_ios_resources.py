"""Strings, plists, assets and drawings of the app."""

from __future__ import annotations

import json
import plistlib
import re
import sys
from types import ModuleType
from xml.etree import ElementTree

import numpy as np
import pytest
from ios_sources import APP, DEMO, app_sources, key, localised
from PIL import Image

RESOURCES = APP / "Resources"
WHOLE = ("progress.runs", "run.summary.count")  # expressions of type Int


def catalogue() -> dict[str, dict[str, object]]:
    data = json.loads((RESOURCES / "Localizable.xcstrings").read_text())
    assert data["sourceLanguage"] == "en"
    assert data["version"] == "1.0"
    strings: dict[str, dict[str, object]] = data["strings"]
    return strings


def tool(name: str) -> ModuleType:
    sys.path.insert(0, str(DEMO / "tools"))
    try:
        return __import__(name)
    finally:
        sys.path.pop(0)


# Strings


def test_every_string_of_the_app_is_in_the_catalogue() -> None:
    used = {key(literal, whole=WHOLE) for literal in localised()}
    assert len(used) > 60
    assert used - catalogue().keys() == set()


def test_every_string_of_the_catalogue_is_used() -> None:
    used = {key(literal, whole=WHOLE) for literal in localised()}
    assert catalogue().keys() - used == set()


def test_what_is_put_into_a_text_has_a_comment() -> None:
    for text, about in catalogue().items():
        assert "%" not in text or about.get("comment"), f"{text!r}: tell translators what is put in"


def test_texts_that_are_not_translated_say_so() -> None:
    """Text(x) of a String is not looked up, which is easily overlooked: Text(verbatim: x) says that it is meant."""
    for name, source in app_sources().items():
        for shown in re.findall(r"\bText\((?!verbatim:|\")([^)]*)\)", source):
            told = shown in ("share", "name", "failure.explanation") or shown.endswith((".title", ".name", ".told"))
            assert told, f"{name}: Text({shown})"


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        (r"\(progress.runs) inferences", "%lld inferences"),
        (r"Model \(answer.ms.told) ms", "Model %@ ms"),
        (r"\(f(x)) of \(progress.runs)", "%@ of %lld"),
        ("p90", "p90"),
    ],
)
def test_keys(literal: str, expected: str) -> None:
    assert key(literal, whole=WHOLE) == expected


# Failures, and what VoiceOver reads


def test_every_failure_has_words_and_a_symbol() -> None:
    source = (APP / "App/Failure.swift").read_text()
    cases = re.findall(r"^  case (\w+)", source, re.MULTILINE)
    assert len(cases) == 9
    bodies = source[source.index("  var title") : source.index("  init(_ error")].split("  var ")[1:]
    assert len(bodies) == 3
    for body in bodies:
        assert "default" not in body, "a new failure would get another's words"
        for case in cases:
            assert re.search(rf"\.{case}\b", body), case


def test_pictures_have_a_label() -> None:
    for name in ("CameraSourceView", "StillPictureView"):
        source = (APP / f"Screens/{name}.swift").read_text()
        assert ".accessibilityLabel(" in source
        assert ".accessibilityAddTraits(.isImage)" in source


def test_colours_are_the_systems() -> None:
    """Light and dark come by themselves unless a colour is fixed; white is for the frame over a picture, black behind it."""
    for name, source in app_sources().items():
        assert not re.search(r"\bColor\((?:red|white|hue|\.)", source), name
        assert "preferredColorScheme" not in source


# Files


def test_the_privacy_manifest() -> None:
    data = plistlib.loads((RESOURCES / "PrivacyInfo.xcprivacy").read_bytes())
    assert data["NSPrivacyTracking"] is False
    assert data["NSPrivacyCollectedDataTypes"] == []
    kinds = [row["NSPrivacyAccessedAPIType"] for row in data["NSPrivacyAccessedAPITypes"]]
    assert kinds == ["NSPrivacyAccessedAPICategorySystemBootTime"]  # LatencyMeasurement's clock
    everything = "".join(app_sources().values())
    assert "UserDefaults" not in everything
    assert "@AppStorage" not in everything


def test_assets() -> None:
    found = sorted(RESOURCES.rglob("Contents.json"))
    assert len(found) == 3
    for path in found:
        data = json.loads(path.read_text())
        for image in data.get("images", []):
            assert (path.parent / image["filename"]).is_file()
    with Image.open(RESOURCES / "Assets.xcassets/AppIcon.appiconset/AppIcon.png") as icon:
        assert icon.size == (1024, 1024)
        assert icon.mode == "RGB"  # an icon with transparency is refused


def test_samples_are_those_that_the_app_names() -> None:
    source = (APP / "Pictures/SamplePicture.swift").read_text()
    named = {raw or case for case, raw in re.findall(r'^  case (\w+)(?: = "([^"]+)")?$', source, re.MULTILINE)}
    assert named == {path.stem for path in (RESOURCES / "Samples").glob("*.png")}
    assert named == set(tool("draw_samples").SAMPLES)


def test_samples_are_drawn_by_the_script() -> None:
    for name, draw in tool("draw_samples").SAMPLES.items():
        with Image.open(RESOURCES / "Samples" / f"{name}.png") as kept:
            difference = np.abs(np.asarray(kept, np.int16) - np.asarray(draw(), np.int16))
        assert difference.max() <= 2, f"{name}: run python ios_demo/tools/draw_samples.py"


def test_the_icon_is_drawn_by_the_script() -> None:
    with Image.open(tool("draw_icon").FILE) as kept:
        assert np.array_equal(np.asarray(kept), np.asarray(tool("draw_icon").draw()))


def test_the_screens_are_drawn_by_the_script() -> None:
    kept, drawn = ((DEMO / "screens.svg").read_text(), tool("draw_screens").draw())
    pictures = re.compile(r'href="data:image/jpeg;base64,[^"]+"')  # of another version's JPEG encoder, perhaps
    shares = re.compile(r"\d+\.\d%|width=\"[\d.]+\"")  # the last digit may depend on the processor
    plain = [shares.sub("", pictures.sub("", text)) for text in (kept, drawn)]
    assert plain[0] == plain[1], "run python ios_demo/tools/draw_screens.py"
    texts = [element.text or "" for element in ElementTree.fromstring(kept).iter("{http://www.w3.org/2000/svg}text")]
    assert {"golf ball", "parachute", "Benchmark", "The camera is off for this app"} <= set(texts)
    assert not [text for text in texts if re.search(r"\d ms", text)], "no time was measured"
