"""What checks the app without Android Studio."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

TOOLS = Path(__file__).parents[2] / "android_demo" / "tools"


@pytest.fixture(autouse=True)
def _tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))


def module(name: str) -> ModuleType:
    import importlib

    return importlib.import_module(name)


# Packages


@pytest.mark.parametrize("program", ["apt-get", "npm"])
def test_what_cannot_be_had_is_told(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = module("packages")
    monkeypatch.setattr(packages.shutil, "which", lambda name: None)
    ask = packages._debian if program == "apt-get" else packages._npm
    with pytest.raises(packages.MissingError, match=f"cannot be had: there is no {program} here"):
        ask(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_is_another_one_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = module("packages")
    monkeypatch.setattr(packages.shutil, "which", lambda name: name)

    def packed(package: str, folder: Path) -> str:
        (folder / "x.tgz").write_bytes(b"another one")
        return "x.tgz"

    monkeypatch.setattr(packages, "_packed", packed)
    with pytest.raises(packages.MissingError, match="is not what it was: its digest is another one"):
        packages._npm(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = module("packages")
    for name, row in (("debian", packages.DEBIAN), ("npm", packages.NPM)):
        digest = packages.hashlib.sha256(repr(row).encode()).hexdigest()[:12]
        (tmp_path / f"{name}-{digest}").mkdir()
    monkeypatch.setattr(packages.shutil, "which", lambda name: None)
    assert packages.fetch(tmp_path).kotlin.parent.parent == tmp_path


def test_no_jdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toolchain = module("toolchain")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(
        module("packages").MissingError, match="there is no Java compiler here; install JDK 17 or newer"
    ):
        toolchain.find_jdk()
    javac = tmp_path / "bin" / "javac"
    javac.parent.mkdir()
    javac.write_text("#!/bin/sh\necho javac 11.0.2\n")
    javac.chmod(0o755)
    with pytest.raises(module("packages").MissingError, match="the Java compiler here is too old"):
        toolchain.find_jdk()


# The report


def test_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    check = module("check")
    report = check.Report()
    assert report.step("one", lambda: "fine")
    assert not report.step("two", lambda: check._missing("there is no npm here"))
    assert report.end() == 0

    def wrong() -> str:
        raise module("toolchain").FailedError("what the tool said")

    assert not report.step("three", wrong)
    assert report.end() == 1
    said = capsys.readouterr().out
    assert "passed   one: fine (0 s)" in said
    assert "skipped  two: there is no npm here" in said
    assert "FAILED   three\nwhat the tool said" in said
    assert "  - two: there is no npm here\n  - Gradle's own build" in said
    assert said.splitlines()[-1] == "1 passed, 1 failed, 1 skipped"


def test_nothing_can_be_had(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    check = module("check")
    report = check.Report()
    check.check([], tmp_path, report)
    assert report.end() == 0
    assert "everything: there is no Java compiler here" in capsys.readouterr().out


# Alignment


def library(folder: Path, page: int) -> Path:
    source, made = folder / "x.c", folder / f"lib{page}.so"
    source.write_text("int x(void) { return 1; }\n")
    flags = ["-shared", "-nostdlib", f"-Wl,-z,max-page-size={page}", f"-Wl,-z,common-page-size={page}"]
    subprocess.run(["gcc", *flags, str(source), "-o", str(made)], check=True)
    return made


def apk(path: Path, files: dict[str, tuple[bytes, int]], gap: int = 0) -> Path:
    """With each file's bytes at a multiple of 16 KB, plus a gap; stored or compressed."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, (data, kind) in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = kind
            assert archive.fp is not None
            behind = archive.fp.tell() + 30 + len(name)
            # An entry of its own kind, whose length is what is missing.
            info.extra = b"\x35\xd9" + ((-behind - 4) % 16384).to_bytes(2, "little") + bytes((-behind - 4) % 16384)
            if gap:
                info.extra = b""
            archive.writestr(info, data)
    return path


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_alignment(tmp_path: Path) -> None:
    alignment, failed = module("alignment"), module("toolchain").FailedError
    wide, narrow = (library(tmp_path, page).read_bytes() for page in (16384, 4096))
    stored, packed = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
    good = {"lib/arm64-v8a/liba.so": (wide, stored), "lib/x86_64/libb.so": (wide, packed)}
    assert alignment.check_alignment(apk(tmp_path / "a.apk", good)) == "2 libraries"
    assert (
        alignment.check_alignment(apk(tmp_path / "b.apk", {"classes.dex": (b"dex", stored)}))
        == "there is none in this APK"
    )
    old = {"lib/armeabi-v7a/libc.so": (narrow, stored)}
    assert alignment.check_alignment(apk(tmp_path / "c.apk", old)) == "there is none in this APK"
    with pytest.raises(failed, match=r"liba\.so is linked for pages of 4 KB"):
        alignment.check_alignment(apk(tmp_path / "d.apk", {"lib/arm64-v8a/liba.so": (narrow, stored)}))
    with pytest.raises(failed, match=r"liba\.so does not lie at a multiple of 16 KB in the APK"):
        alignment.check_alignment(apk(tmp_path / "e.apk", {"lib/arm64-v8a/liba.so": (wide, stored)}, gap=1))
    with pytest.raises(failed, match="linked for pages of 4 KB"):
        alignment.check_alignment(apk(tmp_path / "f.apk", {"lib/arm64-v8a/liba.so": (b"no library", packed)}))


def test_alignment_as_a_command(tmp_path: Path) -> None:
    (tmp_path / "x.apk").write_bytes(b"no zip")
    done = subprocess.run(
        [sys.executable, str(TOOLS / "alignment.py"), str(tmp_path / "x.apk")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "not a zip" in done.stderr.lower()


# The picture of the screens


def test_placing() -> None:
    layouts, screens = module("layouts"), module("screens")
    resources = layouts.Resources(screens.RES)
    root, texts = screens.main_screen(resources)
    boxes = {box.name: box for box in layouts.place(resources, root, 360, 740, texts).all() if box.name}
    assert boxes["still"].width == 360
    assert boxes["still"].height == pytest.approx(740 / 3)
    assert [boxes[name].width for name in ("camera", "gallery", "sample")] == [pytest.approx(328 / 3)] * 3
    assert boxes["threads"].height == 48
    assert boxes["threads"].x == 16 + 96
    assert boxes["benchmark"].y + boxes["benchmark"].height <= 740, "all of it is seen without scrolling"
    tops = [boxes[f"score_bar{at}"].y for at in range(5)]
    assert tops == sorted(tops)
    assert "preview" not in boxes, "it is gone while a still is shown"


def test_across_and_at_night() -> None:
    layouts, screens = module("layouts"), module("screens")
    resources = layouts.Resources(screens.RES, night=True, across=True)
    root, texts = screens.main_screen(resources)
    boxes = {box.name: box for box in layouts.place(resources, root, 740, 360, texts).all() if box.name}
    assert (boxes["still"].width, boxes["still"].height) == (370, 360)
    assert boxes["camera"].x > 370
    assert resources.value("@color/ground") == "#ff121316"
    assert resources.value("@color/viewfinder") == "#ff000000"


def test_strings_are_filled() -> None:
    screens = module("screens")
    assert screens.filled("%1$d: %2$s, %3$.0f %%", 1, "a", "#") == "1: a, # %"


def test_the_picture_is_whole() -> None:
    root = ElementTree.fromstring(module("screens").drawn())
    words = {node.text for node in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"BENCHMARK", "levit_128s-int8-tflite", "golf ball", "ALLOW"} <= words
