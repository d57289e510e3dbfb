"""What is brought to a board, and what becomes of it when something is missing."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from loopback import Loopback

from levit_mobile.bench import board
from levit_mobile.bench.board import BoardPlace
from levit_mobile.bench.ssh import connect
from levit_mobile.errors import BoardError, DownloadError, NoWheelError

PI = {"machine": "aarch64", "python": [3, 9], "numpy": None}


def chosen(monkeypatch: pytest.MonkeyPatch, failing: dict[str, Exception], **about: Any) -> list[str]:
    """The wheels that a board with this Python gets for a ``.tflite``."""

    def wheels_for(names: Sequence[str], **_: Any) -> list[Path]:
        if names[0] in failing:
            raise failing[names[0]]
        return [Path(f"{name.replace('-', '_').replace('==', '-')}-1.whl") for name in names]

    monkeypatch.setattr(board, "wheels_for", wheels_for)
    place = BoardPlace(type("Connection", (), {"name": "pi"})())  # type: ignore[arg-type]
    return [path.name for path in place._wheels({**PI, **about}, ["tflite"])]


def test_the_newest_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(monkeypatch, {}) == [
        *("ai_edge_litert-1.whl", "backports.strenum-1.whl", "flatbuffers-1.whl", "ml_dtypes-1.whl", "numpy-1.whl")
    ]


def test_where_there_is_no_wheel_the_older_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    found = chosen(monkeypatch, {"ai-edge-litert": NoWheelError("none")})
    assert found == ["numpy<2-1.whl", "tflite_runtime-2.14.0-1.whl"]
    found = chosen(monkeypatch, {"ai-edge-litert": NoWheelError("none")}, machine="armv7l", numpy="1.24.2")
    assert found == ["tflite_runtime-2.14.0-1.whl"]


def test_what_cannot_be_fetched_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another runtime would answer otherwise and be measured unasked."""
    with pytest.raises(DownloadError, match=r"^pip reached no index$"):
        chosen(monkeypatch, {"ai-edge-litert": DownloadError("pip reached no index")})


def test_no_runtime_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    failing: dict[str, Exception] = {
        name: NoWheelError("none") for name in ("ai-edge-litert", "tflite-runtime==2.14.0")
    }
    with pytest.raises(
        BoardError, match=r"^pi: there is no runtime for Python 3\.9 on aarch64 \(none; none\); install"
    ):
        chosen(monkeypatch, failing)


def test_uploads_that_were_cut_off_go_after_a_day(loopback: Loopback) -> None:
    old, new = (loopback.cache / "artifacts" / f"model.{name}.part" for name in ("0123abcd", "4567cdef"))
    old.parent.mkdir(parents=True)
    old.touch()
    new.touch()
    os.utime(old, (time.time() - 90_000,) * 2)

    async def go() -> None:
        async with connect(loopback.address()) as connection:
            await BoardPlace(connection)._ask()

    asyncio.run(go())
    assert list(old.parent.iterdir()) == [new]
