"""The statistics that Swift must meet are those of Python today."""

from __future__ import annotations

import json
import sys

import pytest
from ios_sources import DEMO


def test_the_fixture_is_what_python_says() -> None:
    sys.path.insert(0, str(DEMO / "tools"))
    try:
        import statistics_fixture
    finally:
        sys.path.pop(0)
    kept = json.loads(statistics_fixture.FILE.read_text())
    for ours, theirs in zip(kept, statistics_fixture.fixtures(), strict=True):
        assert ours["name"] == theirs["name"]
        assert ours["samples"] == pytest.approx(theirs["samples"], abs=1e-5), "run ios_demo/tools/statistics_fixture.py"
        assert ours["summary"] == pytest.approx(theirs["summary"], abs=1e-5)
        assert (ours["drift"] is None) == (theirs["drift"] is None)
        if ours["drift"] is not None:
            assert ours["drift"] == pytest.approx(theirs["drift"], abs=1e-3)
