"""The code that the documents show: Python runs, and what is for apps calls what the apps call."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from desk import grouped, put_bundles
from documents import ROOT, Block, blocks

PYTHON: dict[str, str] = {}  # {page: all of its Python}
for _block in blocks():
    if _block.kind == "python":
        PYTHON[_block.page] = PYTHON.get(_block.page, "") + _block.text


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of others' packages
@pytest.mark.parametrize("page", [grouped(text, page) for page, text in PYTHON.items()])
def test_documented_python(
    page: str,
    desk: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The blocks of a page in turn, as one user would type them."""
    monkeypatch.chdir(desk)
    names: dict[str, object] = {}
    put_bundles(PYTHON[page], desk, request)
    exec(compile(PYTHON[page], page, "exec"), names)
    assert capsys.readouterr().out
    if "logits" in names:
        _check_logits(names["logits"], desk, re.findall(r"levit_128s-int8-\w+|photo\.jpg", PYTHON[page]))


def _check_logits(got: Any, desk: Path, named: list[str]) -> None:
    """A snippet's numbers are those of the toolkit, for the same bundle and picture: a photo, or a golden one."""
    from levit_mobile.bundle import open_bundle
    from levit_mobile.preprocess import load_picture, resize_and_crop
    from levit_mobile.runtimes import open_runtime

    bundle = open_bundle(desk / next(name for name in named if name.startswith("levit")))
    pixels = bundle.golden().pixels[0]
    if "photo.jpg" in named:
        pixels = resize_and_crop(load_picture(desk / "photo.jpg"), bundle.preprocessing)
    wanted = open_runtime(bundle).logits(pixels[None])[0]
    # A step of int8 may go the other way, where a snippet does not round as the toolkit does.
    assert np.abs(np.asarray(got).reshape(-1) - wanted).max() < 0.01 * np.ptp(wanted)


APPS = {
    "kotlin": ("android_demo", "*.kt"),
    "swift": ("ios_demo", "*.swift"),
    "cpp": ("levit_mobile/bench/native", "*.cpp"),
}


@pytest.mark.parametrize("block", [block for block in blocks() if block.kind in APPS], ids=lambda block: block.page)
def test_documented_code_of_apps(block: Block) -> None:
    """What a snippet calls is what the app calls, which is compiled by ``make android``, ``make ios`` and the tests."""
    folder, pattern = APPS[block.kind]
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / folder).rglob(pattern))
    called = set(re.findall(r"\b([A-Za-z_]\w+)(?:<\w+>)?\(", block.text)) - {"if", "ok"}
    if block.kind == "cpp":
        called -= set(re.findall(r"[\w>] (\w+)\(", block.text))  # variables that are made so
    assert called
    assert {name for name in called if not re.search(rf"\b{name}(?:<\w+>)?\(", sources)} == set()
