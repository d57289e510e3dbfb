"""What docs/troubleshooting.md quotes is what the sources can print."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
MESSAGES = re.findall(r"^- `(.+)`$", PAGE, re.MULTILINE)
GAP = "\0"  # where a literal has a variable


def text_of(node: ast.expr) -> str:
    """A literal's fixed parts; implicit concatenation is one node already."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) for part in node.values)
    return GAP


@lru_cache(maxsize=1)
def literals() -> tuple[str, ...]:
    found = []
    for package in ("calib", "exporters", "levit_mobile"):
        for path in (ROOT / package).rglob("*.py"):
            found += [
                text_of(node)
                for node in ast.walk(ast.parse(path.read_text("utf-8")))
                if isinstance(node, ast.JoinedStr | ast.Constant)
            ]
    return tuple(dict.fromkeys(found))


def can_print(message: str) -> bool:
    """Whether a literal has the message's fixed parts, in that order, and nothing but variables, or what "..." leaves out,
    between them and around them."""
    parts = [re.escape(part) for part in message.split("...")]
    pattern = re.compile(".*".join(parts), re.DOTALL)
    return any(pattern.fullmatch(text) for text in literals())


def test_there_are_messages() -> None:
    assert 25 <= len(MESSAGES) <= 45
    assert len(set(MESSAGES)) == len(MESSAGES)
    assert PAGE.count("\n- ") == len(MESSAGES), "a quoted message ends its line"


@pytest.mark.parametrize("message", MESSAGES)
def test_message(message: str) -> None:
    assert len(message.replace(".", "").replace(" ", "")) > 12, "too little to find it by"
    assert can_print(message), "no literal of the sources says so any more"


@pytest.mark.parametrize("message", MESSAGES)
def test_an_answer_follows(message: str) -> None:
    after = PAGE.split(f"- `{message}`\n", 1)[1]
    assert re.match(r"\n  \S.{7,}", after)


def test_what_is_not_said_is_found_out() -> None:
    assert not can_print("...: no such bundle; make another one with: levit-export --target tflite --int8")
    assert not can_print("no such bundle; make one with: levit-export --target tflite --int8")  # its name comes first
    assert not can_print("a sentence that nobody wrote")
