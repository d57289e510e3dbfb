"""The scripts in ``benchmarks/`` find each other beside themselves; so do their tests."""

from __future__ import annotations

import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(SCRIPTS))
