"""Build the site of the documents, and look for dead links in what came out.

    python tools/build_site.py build/docs

Sphinx's own warnings are errors. Then every link of every page that leads to another file of the site must find it there, and
one with a ``#name`` an element of that name.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
_LINKS = ("href", "src", "data")


def build(folder: Path) -> None:
    """Write the pages to ``folder``/html, all anew: of a page that was read before nobody hears a warning again.

    Raises:
        SystemExit: Sphinx warned of something.
    """
    command = [sys.executable, "-m", "sphinx", "-q", "-E", "-W", "--keep-going", "-b", "html", "-c", "docs"]
    done = subprocess.run([*command, "-d", folder / "doctrees", ".", folder / "html"], cwd=ROOT, check=False)
    if done.returncode:
        raise SystemExit("the site is not in order: see the warnings above")


class _Page(HTMLParser):
    """The links and names of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value}
        self.links += [found[name] for name in _LINKS if name in found and tag != "link"]
        self.links += [found["href"]] if tag == "link" and found.get("rel") == "stylesheet" else []
        self.names |= {found[name] for name in ("id", "name") if name in found}


@lru_cache(maxsize=1024)
def _read(path: Path) -> _Page:
    return _Page(path.read_text("utf-8"))


def dead_links(folder: Path) -> list[str]:
    """``page: link`` of each that leads to nothing, for all pages in and below ``folder``. The web is not asked."""
    found = []
    for page in sorted(folder.rglob("*.html")):
        for link in _read(page).links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = page.parent / unquote(parts.path) if parts.path else page
            name = unquote(parts.fragment)
            lost = target.suffix == ".html" and name and target.is_file() and name not in _read(target.resolve()).names
            if lost or not target.is_file():
                found.append(f"{page.relative_to(folder)}: {link}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to; the pages go to html/ in it")
    folder = parser.parse_args().folder.resolve()
    build(folder)
    pages = folder / "html"
    if dead := dead_links(pages):
        raise SystemExit("dead links:\n" + "\n".join(dead))
    print(f"{len(list(pages.rglob('*.html')))} pages, no dead link: {pages / 'index.html'}")


if __name__ == "__main__":
    main()
