"""The site can be built, and leads nowhere that is not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def build_site(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import build_site

    return build_site


@pytest.mark.slow  # ten seconds of one core
def test_the_site(tmp_path: Path) -> None:
    pytest.importorskip("furo", reason="the extra docs")
    command = [sys.executable, "tools/build_site.py", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=540, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = tmp_path / "html"
    assert (pages / "index.html").read_bytes() == (pages / "README.html").read_bytes()
    made = {path.relative_to(pages).with_suffix(".md").as_posix() for path in pages.rglob("*.html")}
    assert {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")} <= made
    api = (pages / "docs" / "api.html").read_text()
    for name in (
        "levit_mobile.pipeline.export_bundle",
        "levit_mobile.runtimes.base.Runtime",
        "exporters.tflite.export",
    ):
        assert f'id="{name}"' in api
    for sign in ("``", "<p>Args:", "system-message", 'class="problematic"'):  # of a docstring that is not understood
        assert sign not in api
    assert "https://" not in "".join(  # the site needs no network
        line for line in api.splitlines() if "<script" in line or "stylesheet" in line or "<img" in line
    )


@pytest.mark.parametrize(
    ("link", "dead"),
    [
        ("b.html", False),
        ("b.html#there", False),
        ("./b.html?v=1#there", False),
        ("#here", False),
        ("#", False),
        ("sub/c.html", False),
        ("a%20picture.svg", False),
        ("https://example.org/nowhere", False),
        ("mailto:nobody@example.org", False),
        ("b.html#nowhere", True),
        ("#nowhere", True),
        ("d.html", True),
        ("sub/b.html", True),
        ("picture.svg", True),
        ("sub", True),
    ],
)
def test_dead_links(build_site: ModuleType, tmp_path: Path, link: str, dead: bool) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.html").write_text(f'<h1 id="here"><a href="{link}">text</a></h1>')
    (tmp_path / "b.html").write_text('<p id="there">')
    (tmp_path / "sub" / "c.html").write_text('<a href="../b.html#there">back</a>')
    (tmp_path / "a picture.svg").write_text("<svg/>")
    build_site._read.cache_clear()
    assert build_site.dead_links(tmp_path) == ([f"a.html: {link}"] if dead else [])


@pytest.mark.parametrize("tag", ['<img src="gone.svg">', '<script src="gone.js"></script>', '<object data="gone.svg">'])
def test_pictures_and_scripts_count_too(build_site: ModuleType, tmp_path: Path, tag: str) -> None:
    (tmp_path / "a.html").write_text(tag)
    build_site._read.cache_clear()
    assert len(build_site.dead_links(tmp_path)) == 1
