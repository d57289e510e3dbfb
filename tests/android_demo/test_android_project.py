"""Facts of the app's sources that no compiler here would miss: names that must agree, files that scripts made."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tomllib
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest
from PIL import Image

from levit_mobile.bench import android
from levit_mobile.quantize import PRECISIONS

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "android_demo"
MAIN = DEMO / "app" / "src" / "main"
CORE = DEMO / "core" / "src" / "main" / "kotlin"
NS = "{http://schemas.android.com/apk/res/android}"
KOTLIN = sorted((MAIN / "kotlin").rglob("*.kt"))
XML = sorted((MAIN / "res").rglob("*.xml"))
LAYOUTS = [path for path in XML if path.parent.name.startswith("layout")]


@lru_cache(maxsize=1)
def tools() -> dict[str, ModuleType]:
    sys.path.insert(0, str(DEMO / "tools"))
    try:
        import packages
        import samples
        import screens
        import statistics_vectors

        return {m.__name__: m for m in (packages, samples, screens, statistics_vectors)}
    finally:
        sys.path.pop(0)


def versions() -> dict[str, str]:
    return tomllib.loads((DEMO / "gradle" / "libs.versions.toml").read_text())["versions"]


def resources(*kinds: str) -> set[tuple[str, str]]:
    """(kind, name) of what res defines."""
    found = {
        (path.parent.name.partition("-")[0], path.stem) for path in XML if not path.parent.name.startswith("values")
    }
    for path in XML:
        root = ElementTree.parse(path).getroot()
        if root.tag == "resources":
            found |= {
                ("array" if e.tag == "string-array" else e.tag, e.get("name", "").replace(".", "_")) for e in root
            }
        for node in root.iter():
            for value in node.attrib.values():
                found |= {("id", name) for name in re.findall(r"^@\+id/(\w+)$", value)}
    return {entry for entry in found if not kinds or entry[0] in kinds}


def uses() -> set[tuple[str, str]]:
    """(kind, name) of what Kotlin, layouts and the manifest refer to."""
    found = {pair for path in KOTLIN for pair in re.findall(r"\bR\.(\w+)\.(\w+)", path.read_text())}
    for path in [*XML, MAIN / "AndroidManifest.xml"]:
        found |= {(k, n.replace(".", "_")) for k, n in re.findall(r"@(\w+)/([\w.]+)", path.read_text())}
    return found


# Gradle


def test_versions_are_exact() -> None:
    found = versions()
    assert all(re.fullmatch(r"\d+(\.\d+)*", version) for version in found.values())
    assert found["minSdk"] == "24"
    assert int(found["compileSdk"]) >= int(found["targetSdk"]) >= 35


def test_every_version_is_used() -> None:
    catalog = tomllib.loads((DEMO / "gradle" / "libs.versions.toml").read_text())
    named = {entry["version"]["ref"] for table in ("libraries", "plugins") for entry in catalog[table].values()}
    build = "".join(path.read_text() for path in DEMO.glob("*/build.gradle.kts"))
    assert set(versions()) == named | set(re.findall(r"libs\.versions\.(\w+)\.get", build))
    scripts = build + (DEMO / "build.gradle.kts").read_text()
    for table, prefix in (("libraries", "libs."), ("plugins", "libs.plugins.")):
        for alias in catalog[table]:
            assert prefix + alias.replace("-", ".") in scripts


def test_the_compiler_that_checks_it_here_is_gradles() -> None:
    (kotlin,) = (name for name in tools()["packages"].NPM if name.startswith("kotlin-compiler@"))
    assert kotlin.rpartition("@")[2] == versions()["kotlin"]


def test_the_wrapper_has_a_digest() -> None:
    text = (DEMO / "gradle" / "wrapper" / "gradle-wrapper.properties").read_text()
    found = dict(line.split("=", 1) for line in text.splitlines())
    assert re.fullmatch(
        r"https\\://services\.gradle\.org/distributions/gradle-[\d.]+-bin\.zip", found["distributionUrl"]
    )
    assert re.fullmatch("[0-9a-f]{64}", found["distributionSha256Sum"])


def test_gradle_knows_nothing_of_the_stubs() -> None:
    for path in DEMO.rglob("*.kts"):
        assert "stubs" not in path.read_text()
        assert "host" not in path.read_text()
    assert re.findall(r"include\((.*)\)", (DEMO / "settings.gradle.kts").read_text()) == ['":app", ":core"']


def test_bundles_are_not_committed() -> None:
    folder = "android_demo/app/src/main/assets/bundles/levit_128s-int8-tflite/model.tflite"
    done = subprocess.run(["git", "check-ignore", "--no-index", folder], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode in (0, 128), "git ignores the folder where bundles go"  # 128: no git repository here


# Core


@pytest.mark.parametrize("path", sorted(CORE.rglob("*.kt")), ids=lambda path: path.name)
def test_core_needs_no_android(path: Path) -> None:
    imports = re.findall(r"^import (\S+)", path.read_text(), re.M)
    assert all(name.startswith(("java.", "kotlin.")) for name in imports)


def test_tolerances_are_the_toolkits() -> None:
    text = (CORE / "org" / "levitmobile" / "core" / "Parity.kt").read_text()
    found = {name: (float(a), float(b)) for name, a, b in re.findall(r'"([\w-]+)" to \(([\d.e-]+) to ([\d.]+)\)', text)}
    assert found == {name: (row.tolerance.max_abs, row.tolerance.cosine) for name, row in PRECISIONS.items()}


def test_files_that_scripts_made_are_up_to_date() -> None:
    made = tools()["statistics_vectors"]
    assert json.loads(made.FILE.read_text()) == json.loads(made.text())
    assert tools()["screens"].FILE.read_text() == tools()["screens"].drawn(), "run android_demo/tools/screens.py"
    folder = tools()["samples"].FOLDER
    drawn = tools()["samples"].drawn()
    assert {path.name for path in folder.iterdir()} == set(drawn)
    for name, data in drawn.items():
        kept, wanted = (Image.open(source).convert("RGB").tobytes() for source in (folder / name, io.BytesIO(data)))
        assert kept == wanted, "run android_demo/tools/samples.py"


# Resources


def test_what_is_used_exists() -> None:
    missing = {(kind, name) for kind, name in uses() - resources() if not name.startswith(("Widget_", "Theme_"))}
    assert missing == set()


def test_what_exists_is_used() -> None:
    unused = resources("string", "dimen", "color", "array", "layout", "drawable", "mipmap", "id") - uses()
    assert unused == set()


@pytest.mark.parametrize("path", LAYOUTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_layouts_have_no_text_and_no_numbers_of_their_own(path: Path) -> None:
    for node in ElementTree.parse(path).getroot().iter():
        for name in ("text", "contentDescription", "hint"):
            assert node.get(NS + name, "@string/").startswith("@string/")
        for name in ("textColor", "background", "progressBackgroundTint"):
            assert node.get(NS + name, "@color/").startswith("@color/")
        for key, value in node.attrib.items():
            assert value == "0dp" or not re.fullmatch(r"[\d.]+(dp|sp|px)", value), key


@pytest.mark.parametrize("path", LAYOUTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_talkback_has_something_to_say(path: Path) -> None:
    root = ElementTree.parse(path).getroot()
    labelled = {(node.get(f"{NS}labelFor") or "").rpartition("/")[2] for node in root.iter()}
    for node in root.iter():
        name = (node.get(f"{NS}id") or "").rpartition("/")[2]
        if node.tag in ("ImageView", "TextureView"):
            assert node.get(f"{NS}contentDescription"), name
        if node.tag == "Spinner":
            assert name in labelled
        if node.tag in ("Button", "Spinner"):
            style = node.get("style", "")
            assert style in ("@style/Demo.Button", "@style/Demo.Choice") or node.get(f"{NS}minHeight") == "@dimen/touch"


@pytest.mark.parametrize("path", KOTLIN, ids=lambda path: path.name)
def test_kotlin_says_nothing_of_its_own(path: Path) -> None:
    """What people read is in strings.xml."""
    assert not re.search(r'\b(?:text|contentDescription|title) = "[^"]', path.read_text())
    assert not re.search(r'\b(?:setText|show|say)\("[^"]', path.read_text())


def test_dark_colours_are_some_of_the_light_ones() -> None:
    light, dark = (
        {entry.get("name") for entry in ElementTree.parse(MAIN / "res" / folder / "colors.xml").getroot()}
        for folder in ("values", "values-night")
    )
    assert {"ground", "ink", "quiet", "accent", "bad"} <= dark <= light


def contrast(first: str, second: str) -> float:
    """WCAG's, of #aarrggbb."""

    def luminance(colour: str) -> float:
        levels = (int(colour[at : at + 2], 16) / 255 for at in (3, 5, 7))
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in levels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("folder", ["values", "values-night"])
def test_text_can_be_read(folder: str) -> None:
    root = ElementTree.parse(MAIN / "res" / folder / "colors.xml").getroot()
    colours = {entry.get("name"): entry.text or "" for entry in root}
    for ink in ("ink", "quiet", "bad"):
        assert contrast(colours[ink], colours["ground"]) >= 4.5


# The manifest, and what levit bench says to the app


def test_components_are_classes() -> None:
    root = ElementTree.parse(MAIN / "AndroidManifest.xml").getroot()
    for node in root.iter():
        name = node.get(f"{NS}name", "")
        if node.tag in ("activity", "provider"):
            assert (MAIN / "kotlin" / "org" / "levitmobile" / "demo" / f"{name[1:]}.kt").is_file()
    named = {node.get(f"{NS}name"): node for node in root.iter("activity")}
    assert named[".BenchmarkActivity"].get(f"{NS}permission") == "android.permission.DUMP"
    permissions = [node.get(f"{NS}name") for node in root.iter("uses-permission")]
    assert permissions == ["android.permission.CAMERA"]


def test_levit_bench_and_the_app_agree() -> None:
    build = (DEMO / "app" / "build.gradle.kts").read_text()
    assert f'applicationId = "{android.PACKAGE}"' in build
    request = next(path for path in KOTLIN if path.name == "BenchmarkRequest.kt").read_text()
    extras = dict(re.findall(r'private const val (\w+) = "(\w+)"', request))
    asked = (ROOT / "levit_mobile" / "bench" / "android.py").read_text()
    sent = set(re.findall(r'"--e[sif]", "(\w+)"', asked))
    assert sent == set(extras.values()) - {"accelerator"}
    failure = next(path for path in KOTLIN if path.name == "ResultFiles.kt").read_text()
    assert "levit-bench-failure" in failure
    assert "levit-bench-failure" in asked
