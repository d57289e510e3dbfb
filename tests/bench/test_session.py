"""Why a runner ended, as people are told."""

from __future__ import annotations

import pytest

from levit_mobile.bench.session import _cause


@pytest.mark.parametrize(
    ("status", "words", "says"),
    [
        (None, "", "the connection was lost"),
        (127, "env: python3: not found", "the board has no Python to start (env: python3: not found)"),
        (-9, "", "the runner was ended by SIGKILL"),
        (128 + 11, "", "the runner was ended by SIGSEGV"),
        (1, "first\nMemoryError", "the runner ended with status 1 (MemoryError)"),
        (255, "", "the runner ended with status 255 (without a word)"),
    ],
)
def test_the_cause(status: int | None, words: str, says: str) -> None:
    assert _cause(status, words).startswith(says)
