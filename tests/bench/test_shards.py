"""Logits of many pictures from boards that are this machine behind SSH."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from exports import Exported
from loopback import Loopback

from levit_mobile.bench import board as board_module
from levit_mobile.bench import shards
from levit_mobile.bench.address import Address
from levit_mobile.bench.shards import gather
from levit_mobile.bench.subject import Subject, open_subjects
from levit_mobile.errors import BoardError
from levit_mobile.journal import Journal
from levit_mobile.runtimes import open_runtime

pytestmark = pytest.mark.slow  # they want an export
COUNT = 40  # pictures: two batches and a half
STAMPS = [str(at) for at in range(COUNT)]
GONE = Address("gone", "127.0.0.1", "pi", 1)
PIXELS = np.random.default_rng(0).integers(0, 256, (COUNT, 224, 224, 3), np.uint8)


@pytest.fixture
def int8(exported: Exported) -> Subject:
    return open_subjects([exported.bundle("levit_128s-int8-tflite")])[0]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_module, "wheels_for", lambda names, **_: [])
    monkeypatch.setattr(shards, "_PAUSE", 0.05)


def load(first: int, many: int) -> npt.NDArray[np.uint8]:
    return PIXELS[first : first + many]


def run(
    boards: list[Loopback | Address],
    subject: Subject,
    kept: Journal,
    progress: Callable[[str, int], None] = lambda *_: None,
    source: Callable[[int, int], npt.NDArray[np.uint8]] = load,
) -> tuple[dict[str, int], dict[str, str]]:
    known = [board if isinstance(board, Address) else board.address() for board in boards]
    addresses = [replace(address, name=f"board{at}") for at, address in enumerate(known)]
    did, failed = asyncio.run(gather(addresses, subject, source, kept, progress))
    return did, {name: str(error) for name, error in failed.items()}


def test_the_boards_logits_are_this_hosts(loopback: Loopback, int8: Subject, tmp_path: Path) -> None:
    kept = Journal(tmp_path / "k.npz", STAMPS, 10, "key")
    assert run([loopback], int8, kept) == ({"board0": COUNT}, {})
    assert kept.missing() == []
    assert np.array_equal(kept.rows, open_runtime(int8.bundle).logits(PIXELS))
    assert [path.suffix for path in (loopback.cache / "artifacts").iterdir()] == [".tflite"], (
        "pictures are not left there"
    )


def test_a_lost_connection_is_made_again(loopback: Loopback, int8: Subject, tmp_path: Path) -> None:
    cuts, said = [1, 1], []

    def progress(place: str, many: int) -> None:
        if not many:
            said.append(place)
        if many and cuts:
            cuts.pop()
            loopback.cut()

    kept = Journal(tmp_path / "k.npz", STAMPS, 10, "key")
    did, failed = run([loopback], int8, kept, progress)
    assert (did, failed) == ({"board0": COUNT}, {})
    assert np.array_equal(kept.rows, open_runtime(int8.bundle).logits(PIXELS))
    assert len(said) >= 2
    assert said[0].startswith("board0: the connection was lost (")


def test_what_came_before_is_not_asked_for_again(loopback: Loopback, int8: Subject, tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    def stop(place: str, many: int) -> None:
        raise StoppedError

    kept = Journal(tmp_path / "k.npz", STAMPS, 10, "key")
    with pytest.raises(ExceptionGroup):
        run([loopback], int8, kept, stop)
    again = Journal(tmp_path / "k.npz", STAMPS, 10, "key")
    assert again.missing() == [16, 32]
    asked: list[int] = []

    def source(first: int, many: int) -> npt.NDArray[np.uint8]:
        asked.append(first)
        return load(first, many)

    assert run([loopback], int8, again, source=source)[0] == {"board0": 24}
    assert asked == [16, 32]
    assert np.array_equal(again.rows, open_runtime(int8.bundle).logits(PIXELS))


def test_a_board_that_is_not_there_leaves_all_to_the_other(loopback: Loopback, int8: Subject, tmp_path: Path) -> None:
    kept = Journal(tmp_path / "k.npz", STAMPS, 10, "key")
    did, failed = run([GONE, loopback], int8, kept)
    assert did == {"board0": 0, "board1": COUNT}
    assert failed == {"board0": failed["board0"]}
    assert "refuses connections" in failed["board0"]
    assert kept.missing() == []


def test_no_board_is_left(int8: Subject, tmp_path: Path) -> None:
    kept = Journal(tmp_path / "k.npz", STAMPS, 10, "key")
    did, failed = run([GONE], int8, kept)
    assert did == {"board0": 0}
    assert len(failed) == 1
    assert kept.missing() == [0, 16, 32]


def test_a_picture_that_is_none_ends_it(loopback: Loopback, int8: Subject, tmp_path: Path) -> None:
    def source(first: int, many: int) -> npt.NDArray[np.uint8]:
        raise BoardError("no picture")

    kept = Journal(tmp_path / "k.npz", STAMPS, 10, "key")
    did, failed = run([loopback], int8, kept, source=source)
    assert did == {"board0": 0}
    assert failed == {"board0": "no picture"}
