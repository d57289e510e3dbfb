"""What Swift's tests must meet is what Python says today."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import zlib
from types import ModuleType

import numpy as np
import pytest
from ios_sources import DEMO

FIXTURES = DEMO / "LeViTCore/Tests/LeViTCoreTests/Fixtures"
AGAIN = "run python ios_demo/tools/swift_fixtures.py"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    sys.path.insert(0, str(DEMO / "tools"))
    try:
        return __import__("swift_fixtures")
    finally:
        sys.path.pop(0)


def test_statistics(tool: ModuleType) -> None:
    kept = json.loads((FIXTURES / "statistics.json").read_text())
    for ours, theirs in zip(kept, tool.statistics(), strict=True):
        assert ours["name"] == theirs["name"]
        assert ours["samples"] == pytest.approx(theirs["samples"], abs=1e-5), AGAIN
        assert ours["summary"] == pytest.approx(theirs["summary"], abs=1e-5)
        assert (ours["drift"] is None) == (theirs["drift"] is None)
        if ours["drift"] is not None:
            assert ours["drift"] == pytest.approx(theirs["drift"], abs=1e-3)


def test_parity(tool: ModuleType) -> None:
    kept = json.loads((FIXTURES / "parity.json").read_text())
    for ours, theirs in zip(kept, tool.parity(), strict=True):
        for key in ("name", "precision", "passed"):
            assert ours[key] == theirs[key], AGAIN
        for key in ("max_abs", "cosine", "agreement"):
            assert ours[key] == pytest.approx(theirs[key], abs=1e-9), AGAIN
    assert {row["passed"] for row in kept} == {True, False}


def test_golden_inputs(tool: ModuleType) -> None:
    golden = tool.golden()
    with np.load(FIXTURES / "golden.npz", allow_pickle=False) as kept:
        assert np.array_equal(kept["pixels"], golden.pixels), AGAIN
        assert np.array_equal(kept["logits"], golden.logits)


def test_what_is_packed() -> None:
    """By content: another zlib may pack otherwise."""
    for row in json.loads((FIXTURES / "deflated.json").read_text()):
        content = zlib.decompress(base64.b64decode(row["packed"]), -15)
        assert len(content) == row["size"]
        assert hashlib.sha256(content).hexdigest() == row["sha256"]
