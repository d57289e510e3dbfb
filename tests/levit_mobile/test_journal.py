"""What is kept of many pictures between one run and the next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from levit_mobile.journal import BATCH, Journal, open_journal, stamp

STAMPS = [f"picture {at}" for at in range(40)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """With the first batch of forty pictures."""
    kept = Journal(tmp_path / "folder" / "k.npz", STAMPS, 3, "key")
    kept.put(0, np.ones((BATCH, 3), np.float32))
    kept.save()
    return tmp_path / "folder" / "k.npz"


def test_it_goes_on(file: Path) -> None:
    again = Journal(file, STAMPS, 3, "key")
    assert again.missing() == [16, 32]
    assert again.rows[:16].min() == 1
    assert again.settled() == 16
    again.put(32, np.full((8, 3), 2, np.float32))
    assert again.settled() == 24
    again.save()
    assert Journal(file, STAMPS, 3, "key").missing() == [16]


def test_a_picture_that_changed_and_its_neighbours_are_done_anew(file: Path) -> None:
    stamps = [*STAMPS[:5], "another", *STAMPS[6:]]
    again = Journal(file, stamps, 3, "key")
    assert again.missing() == [0, 16, 32]
    assert int(again.done.sum()) == 15
    assert again.settled() == 0


def test_a_picture_that_was_taken_out_leaves_the_others(file: Path) -> None:
    again = Journal(file, STAMPS[1:17], 3, "key")
    assert list(again.done) == [True] * 15 + [False]


@pytest.mark.parametrize(("columns", "key", "dtype"), [(3, "other", "f4"), (4, "key", "f4"), (3, "key", "u1")])
def test_of_other_things_nothing_is_taken_over(file: Path, columns: int, key: str, dtype: str) -> None:
    assert Journal(file, STAMPS, columns, key, np.dtype(dtype).type).missing() == [0, 16, 32]


@pytest.mark.parametrize("content", [b"", b"damaged", b"PK\x05\x06" + bytes(18), None])
def test_a_damaged_file_is_none(file: Path, content: bytes | None) -> None:
    data = bytearray(file.read_bytes())
    data[-300:-200] = bytes(100)
    file.write_bytes(bytes(data) if content is None else content)
    assert Journal(file, STAMPS, 3, "key").missing() == [0, 16, 32]


def test_it_is_forgotten(file: Path) -> None:
    kept = Journal(file, STAMPS, 3, "key")
    kept.forget()
    assert not file.exists()
    kept.forget()


def test_a_disk_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file" / "k.npz", None):
        kept = Journal(path, STAMPS, 3, "key")
        kept.put(0, np.ones((BATCH, 3), np.float32))
        kept.save()
        kept.forget()
        assert kept.missing() == [16, 32]


def test_now_and_then(file: Path) -> None:
    before = file.read_bytes()
    kept = Journal(file, STAMPS, 3, "key")
    kept.put(16, np.ones((BATCH, 3), np.float32))
    kept.save(now=False)
    assert file.read_bytes() == before
    kept._saved -= 60
    kept.save(now=False)
    assert Journal(file, STAMPS, 3, "key").missing() == [32]
    assert [path.name for path in file.parent.iterdir()] == ["k.npz"]


def test_the_stamp_tells_of_a_change(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"one")
    first = stamp(tmp_path / "a.png", 3)
    assert first == stamp(tmp_path / "a.png", 3)
    assert first != stamp(tmp_path / "a.png", 4)
    (tmp_path / "a.png").write_bytes(b"three")
    assert first != stamp(tmp_path / "a.png", 3)


def test_what_has_not_come_is_no_number() -> None:
    """Where there is one: a row that was forgotten shows."""
    assert np.isnan(Journal(None, STAMPS, 3, "key").rows).all()
    assert not Journal(None, STAMPS, 3, "key", np.uint8).rows.any()


def test_what_it_depends_on_chooses_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVIT_MOBILE_CACHE", str(tmp_path))
    kept = open_journal(["bundle", "data"], STAMPS, 3)
    kept.put(0, np.ones((BATCH, 3), np.float32))
    kept.save()
    (file,) = (tmp_path / "validations").iterdir()
    assert file.suffix == ".npz"
    assert open_journal(["bundle", "data"], STAMPS, 3).settled() == BATCH
    assert open_journal(["other", "data"], STAMPS, 3).settled() == 0


def test_no_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr("levit_mobile.journal.default_cache", nowhere)
    kept = open_journal(["bundle"], STAMPS, 3)
    kept.put(0, np.ones((BATCH, 3), np.float32))
    kept.save()
    assert kept.settled() == BATCH
