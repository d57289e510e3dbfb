"""``docs/licences.md`` lists what the pins and the metadata say."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from documents import script

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return script("tools", "licences")


def rows(tool: ModuleType) -> dict[str, dict[str, tuple[str, str]]]:
    """{heading: {package: (version, licence)}} of the page."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for part in tool.PAGE.read_text("utf-8").split("\n## ")[1:]:
        title, _, table = part.partition("\n")
        cells = re.findall(r"^\| (\S+) \| (\S+) \| (.+) \|$", table, re.MULTILINE)
        found[title] = {name: (version, licence) for name, version, licence in cells if name not in ("package", "---")}
    return found


def test_every_pinned_package_is_listed(tool: ModuleType) -> None:
    page = rows(tool)
    assert list(page) == list(tool.LISTS)
    for title, path in tool.LISTS.items():
        assert {name: version for name, (version, _) in page[title].items()} == tool.pinned(path), (
            "run tools/licences.py"
        )
        assert len(page[title]) > 20


def test_licences_are_those_of_the_metadata(tool: ModuleType) -> None:
    places = tool.other_places()
    for title, path in tool.LISTS.items():
        if path in places or path.name == "constraints.txt":
            known = tool.licences(tool.pinned(path), places.get(path))
            for name, (version, licence) in rows(tool)[title].items():
                if name in known and known[name][0].partition("+")[0] == version:
                    assert licence == known[name][1], "run tools/licences.py"


def test_nothing_may_not_be_used_in_an_app(tool: ModuleType) -> None:
    """What an export stands on has no licence that asks more of an app than to be named; tests may have others."""
    strict = {
        name
        for table in rows(tool).values()
        for name, (_, licence) in table.items()
        if re.search(r"\bA?GPL|LGPL|General Public", licence)
    }
    assert (
        strict
        <= {
            "asyncssh",
            "docutils",
            "labgrid",
            "pyudev",
        }
    )  # of the extras bench, docs and labgrid; asyncssh may be had under EPL-2.0; docutils' GPL is of one file for Emacs


def test_every_dependency_has_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(text for texts in project["optional-dependencies"].values() for text in texts),
    ]
    open_ended = [text for text in wanted if not text.startswith("levit-mobile[") and not re.search(r">=[^,]+,<", text)]
    assert open_ended == []
    names = {re.split(r"[\[><=;]", text)[0].lower() for text in wanted} - {"levit-mobile"}
    pins = {
        re.split("==", line)[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    sign = {"model-signing", "pyopenssl"}  # pinned in their own file
    assert names - pins - sign == {"atheris"}  # for whoever fuzzes
