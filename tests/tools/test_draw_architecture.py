"""docs/architecture.svg and the table beside it are of the modules that there are."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest
import test_house as house

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import draw_architecture

    return draw_architecture


def test_picture_and_table_are_of_today(tool: ModuleType) -> None:
    rows = tool.levels()
    assert tool.PICTURE.read_text() == tool.draw(rows), "run tools/draw_architecture.py"
    assert tool.page(tool.PAGE.read_text(), rows) == tool.PAGE.read_text(), "run tools/draw_architecture.py"


def test_every_module_is_drawn(tool: ModuleType) -> None:
    assert tool.levels() == house.LEVELS
    texts = [text.text for text in ElementTree.parse(tool.PICTURE).iter("{http://www.w3.org/2000/svg}text")]
    names = [entry.removeprefix("levit_mobile.") for row in house.LEVELS for entry in row]
    assert sorted(texts) == sorted([*names, *tool.TITLES])


def test_nothing_is_drawn_over_another(tool: ModuleType) -> None:
    boxes = [
        tuple(float(box.get(side, 0)) for side in ("x", "y", "width", "height"))
        for box in ElementTree.parse(tool.PICTURE).iter("{http://www.w3.org/2000/svg}rect")
    ][1:]
    assert len(boxes) > 30
    for at, (x, y, wide, high) in enumerate(boxes):
        assert x + wide <= tool._WIDTH
        for u, v, across, _ in boxes[:at]:
            assert v != y or u + across <= x or x + wide <= u, "two names in one place"
        assert high == tool._HIGH


@pytest.mark.parametrize(
    "name", ["levit_mobile.pipeline", "levit_mobile.bundle", "levit_mobile.cli", "levit_mobile.targets"]
)
def test_imports(tool: ModuleType, name: str) -> None:
    """As the test of the house reads them."""
    entries = tuple(entry for row in house.LEVELS for entry in row)
    inside = [module for module in house.modules() if module == name or module.startswith(f"{name}.")]
    theirs = {other for module in inside for other in house.own_imports(module)}
    owners = {max((e for e in entries if f"{other}.".startswith(f"{e}.")), key=len) for other in theirs}
    assert set(tool.stands_on(name, entries)) == owners - {name, "levit_mobile"}


def test_a_new_level_needs_a_title(tool: ModuleType) -> None:
    with pytest.raises(AssertionError, match="a level was added"):
        tool.draw((*tool.levels(), ("levit_mobile.cli",)))
    with pytest.raises(SystemExit, match="needs one <!-- modules -->"):
        tool.page("# No table\n", tool.levels())
