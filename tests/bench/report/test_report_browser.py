"""The page in a browser: nothing sticks out at the sides, figures are seen, text can be read, nothing is fetched."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from benched import PI, about, artifact, night, run

from levit_mobile.bench.report.compare import compare
from levit_mobile.bench.report.entries import gather
from levit_mobile.bench.report.page import page
from levit_mobile.bench.result import Results

pytestmark = pytest.mark.slow

# Looks at the page and leaves what it saw in it, for --dump-dom.
PROBE = """
<script>
addEventListener("load", () => {
  const light = (css) => {
    const linear = (v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const [r, g, b] = css.match(/[\\d.]+/g).map((v) => linear(v / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (!colour.endsWith(", 0)")) return colour;
    }
  };
  const contrast = (node) => {
    const style = getComputedStyle(node);
    const ink = node instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [light(ink), light(behind(node))].sort((x, y) => y - x);
    return (a + .05) / (b + .05);
  };
  const seen = (node) => node.getClientRects().length > 0;
  const all = (what) => [...document.querySelectorAll(what)].filter(seen);
  const drawings = all("svg").map((s) => s.getBoundingClientRect());
  const found = {
    inner: innerWidth,
    scroll: document.scrollingElement.scrollWidth,
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    drawings: drawings.length,
    least: [Math.min(...drawings.map((r) => r.width)), Math.min(...drawings.map((r) => r.height))],
    outside: all("svg").filter((s) => {
      const frame = s.getBoundingClientRect();
      return [...s.querySelectorAll("text")].some((t) => {
        const r = t.getBoundingClientRect();
        return r.left < frame.left - 3 || r.right > frame.right + 3;
      });
    }).map((s) => s.getAttribute("aria-label").slice(0, 80)),
    letters: Math.min(...all("svg text").map((t) => t.getBoundingClientRect().height)),
    contrast: Math.min(...all("h1, h2, p, li, td, th, small, a, figcaption, svg text").map(contrast)),
    fetched: performance.getEntriesByType("resource").length,
    wide: [...document.querySelectorAll("body *")].filter(seen).filter((n) => !n.closest(".scroll, svg, .skip, .unseen"))
      .filter((n) => n.getBoundingClientRect().right > innerWidth + 1).map((n) => n.tagName + "." + n.className),
  };
  parent.postMessage(JSON.stringify(found), "*");
});
</script>
"""
# In a frame, for a window of Chromium cannot be as narrow as a telephone.
FRAME = """<!doctype html><style>:root {{ color-scheme: light dark }}</style>
<pre id="found"></pre>
<script>addEventListener("message", (event) => {{ document.getElementById("found").textContent = event.data; }});</script>
<iframe src="page.html" width="{width}" height="900" frameborder="0"></iframe>
"""


@pytest.fixture(scope="module")
def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    pytest.skip("no Chromium here: skipped is how the report looks in a browser; on Debian: apt-get install chromium")


def look(chromium: str, text: str, folder: Path, width: int, *, dark: bool) -> dict[str, Any]:
    """What the probe saw. The page allows no script, so the probe comes with a copy that does not say so."""
    without, changes = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    assert changes == 1
    (folder / "page.html").write_text(without.replace("</body>", f"{PROBE}</body>"), "utf-8")
    frame = folder / "frame.html"
    frame.write_text(FRAME.format(width=width), "utf-8")
    command = [
        chromium,
        "--headless",
        "--disable-gpu",
        "--hide-scrollbars",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={folder / 'profile'}",
        "--window-size=1400,1000",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        "--virtual-time-budget=5000",
        "--dump-dom",
        frame.as_uri(),
    ]
    if os.geteuid() == 0:
        command.insert(1, "--no-sandbox")  # which root cannot have
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    told = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert told, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(html.unescape(told[1]))
    return found


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    material = gather([night()])
    long = "averyveryverylongnamewithoutanyspace" * 8
    where = {**PI, "name": long, "facts": {**PI["facts"], "model": long, "features": [long] * 9}}
    made = {**artifact(), "variant": long, "options": {long: long}}
    runs = [run(made, where, invalid=[long]), run({**made, "precision": "fp32"}, where, ms=1e7)]
    ratio = {"base": made, "other": made, "where": where, "threads": 1, "ratio": 40.0, "interval95": [0.01, 80.0]}
    hostile = gather([Results(about(tool=long, warnings=[long]), runs=runs, ratios=[ratio])])
    return {
        "night": page(material, compare(material, gather([night(1.09, 500)]))),
        "hostile": page(hostile, compare(hostile, material)),
    }


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("name", ["night", "hostile"])
def test_how_it_looks(chromium: str, pages: dict[str, str], tmp_path: Path, name: str, width: int, dark: bool) -> None:
    found = look(chromium, pages[name], tmp_path, width, dark=dark)
    assert (found["inner"], found["dark"]) == (width, dark)
    assert found["scroll"] <= width
    assert found["wide"] == []
    assert found["drawings"] == pages[name].count("<figure")
    assert found["least"][0] >= 280
    assert found["least"][1] >= 60
    assert found["contrast"] >= 4.5  # WCAG 2.1, level AA
    assert found["letters"] >= 10  # pixels
    assert found["outside"] == []
    assert found["fetched"] == 0
