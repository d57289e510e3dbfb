"""What the documents hold: commands in indented blocks, and fenced blocks of code or of what a command prints."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[1]
PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / "benchmarks" / name for name in ("README.md", "matrix.md")),
    *(ROOT / app / "README.md" for app in ("android_demo", "ios_demo")),
)
_SPOKEN = ("levit ", "levit-export ", "make ", "pip install ", "python ")


def script(folder: str, name: str) -> ModuleType:
    """A program of ``benchmarks`` or ``tools``, which are no packages, as a module."""
    sys.path.insert(0, str(ROOT / folder))
    try:
        return import_module(name)
    finally:
        sys.path.pop(0)


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: the file, from the repository's root on.
        kind: what stands behind the fence; empty for an indented block.
        text: what is in it.
    """

    page: str
    kind: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Its lines without comments; those that end in a backslash are joined."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [" ".join(line.split("#")[0].split()) for line in lines if line.split("#")[0].strip()]


@lru_cache(maxsize=1)
def blocks() -> tuple[Block, ...]:
    """All of them, page by page."""
    found = []
    for page, tokens in _tokens():
        found += [Block(page, t.info.strip(), t.content) for t in tokens if t.type in ("code_block", "fence")]
    return tuple(found)


@lru_cache(maxsize=1)
def commands() -> dict[str, tuple[str, ...]]:
    """{command: the pages that show it}."""
    found: dict[str, list[str]] = {}
    for block in blocks():
        for command in block.commands if not block.kind else ():
            found.setdefault(command, []).append(block.page)
    return {command: tuple(dict.fromkeys(pages)) for command, pages in found.items()}


def outputs() -> dict[str, str]:
    """{command: what the page says that it prints}, of the last command of an indented block with a ``text`` behind it."""
    found = {}
    for before, block in zip(blocks(), blocks()[1:], strict=False):
        if block.kind == "text" and not before.kind and before.page == block.page == "docs/start.md":
            found[before.commands[-1]] = block.text
    return found


@lru_cache(maxsize=1)
def spoken() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(page, words) of the commands in running text: `levit report ...`."""
    found: dict[tuple[str, tuple[str, ...]], None] = {}
    for page, tokens in _tokens():
        for child in (child for token in tokens for child in token.children or ()):
            if child.type == "code_inline" and child.content.startswith(_SPOKEN):
                found[page, tuple(shlex.split(child.content))] = None
    return tuple(found)


def _tokens() -> Iterator[tuple[str, list[Token]]]:
    reader = MarkdownIt().enable("table")
    for page in PAGES:
        yield page.relative_to(ROOT).as_posix(), reader.parse(page.read_text("utf-8"))
