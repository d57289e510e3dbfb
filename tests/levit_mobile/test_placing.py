"""Killed, disturbed or out of rights: a bundle is there whole, the earlier one or the new one, and the next writer succeeds."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from test_bundle import fill, write

from levit_mobile import exchange as exchanging
from levit_mobile import placing
from levit_mobile.bundle import bundle_writer, check_vacant, open_bundle
from levit_mobile.errors import ExportError
from levit_mobile.exchange import exchange
from levit_mobile.placing import put_in_place

TESTS = Path(__file__).parents[1]
KILLED = Path(__file__).with_name("killed_writer.py")


@pytest.mark.parametrize("how", ["exchange", "aside"])
def test_killed_before_every_step(how: str, tmp_path: Path) -> None:
    """Also where two names cannot be exchanged at once: then the next writer brings the earlier bundle back."""
    paths = os.pathsep.join(map(str, (TESTS.parent, TESTS, TESTS / "levit_mobile")))
    done = subprocess.run(
        [sys.executable, str(KILLED), str(tmp_path), how],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) >= 12


def old_folder(path: Path) -> Path:
    path.mkdir()
    (path / "model.bin").write_bytes(b"half")
    os.utime(path, (time.time() - 100,) * 2)
    return path


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    for name in (".out.abcd_123", ".out.old.abcd_123"):
        old_folder(tmp_path / name)
    others = [".out.short", ".out.ABCDEFGH", ".other.abcd_123", ".outs.abcd_123", "out.abcd_123"]
    for name in others:
        old_folder(tmp_path / name)
    (tmp_path / ".out.a_file__").write_text("no folder")
    write(tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == sorted([*others, ".out.a_file__", "out"])


def test_what_a_writer_works_in_is_not_removed(tmp_path: Path) -> None:
    with bundle_writer(tmp_path / "out", overwrite=False) as slow:
        fill(slow)
        os.utime(slow, (time.time() - 100,) * 2)
        write(tmp_path / "out", b"quick")
        assert slow.is_dir()
        with pytest.raises(ExportError, match="type --overwrite to replace it"):
            write(tmp_path / "out")
        (tmp_path / "out").rename(tmp_path / "elsewhere")
    assert open_bundle(tmp_path / "out").damage() == []


def test_a_folder_that_was_just_made_is_not_removed(tmp_path: Path) -> None:
    """Its writer may be about to lock it."""
    (tmp_path / ".out.abcd_123").mkdir()
    (tmp_path / ".out.abcd_123" / "x").touch()
    write(tmp_path / "out")
    assert (tmp_path / ".out.abcd_123").is_dir()


@pytest.mark.parametrize("earlier", [False, True])
def test_a_bundle_that_comes_while_one_looks_is_a_bundle(
    earlier: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look for a manifest, which was not there, or in the folder that has just gone, and the look for a folder."""
    out, look, waiting = tmp_path / "out", os.path.isfile, [True]
    if earlier:
        write(out)

    def isfile(path: str) -> bool:
        if waiting.pop() if waiting else False:
            if earlier:
                out.rename(tmp_path / "gone")
            write(out)
            return False
        return look(path)

    monkeypatch.setattr(os.path, "isfile", isfile)
    check_vacant(out, overwrite=True)
    with pytest.raises(ExportError, match="type --overwrite to replace it"):
        check_vacant(out, overwrite=False)


@pytest.mark.parametrize("overwrite", [False, True])
def test_several_exports_to_one_place_at_once(overwrite: bool, tmp_path: Path) -> None:
    """The last one stays if all may overwrite, else the first one; the others are told."""
    out, together = tmp_path / "out", Barrier(4, timeout=60)

    def one(number: int) -> str:
        try:
            with bundle_writer(out, overwrite=overwrite) as scratch:
                fill(scratch, b"%d" % number)
                together.wait()
        except ExportError as error:
            return str(error)
        return "written"

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(one, range(4)))
    assert told.count("written") == (4 if overwrite else 1)
    rest = {message for message in told if message != "written"}
    assert rest <= {
        f"{out} is already there; type --overwrite to replace it",
        f"cannot write {out}: another export has put a bundle there meanwhile; type another folder with --out",
    }
    assert open_bundle(out).damage() == []
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("replace", [False, True])
def test_somebody_was_quicker_by_a_moment(replace: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the step: replaced if it may be, else both stay."""
    new, out = tmp_path / "new", tmp_path / "out"
    for folder in (new, out):
        folder.mkdir()
        (folder / folder.name).touch()
    monkeypatch.setattr(os.path, "lexists", lambda _: False)
    if replace:
        put_in_place(new, out, replace=True)
        assert os.listdir(out) == ["new"]
    else:
        with pytest.raises(OSError, match="Directory not empty"):
            put_in_place(new, out, replace=False)
        assert (os.listdir(out), os.listdir(new)) == (["out"], ["new"])


def test_somebody_was_quicker(tmp_path: Path) -> None:
    """Without --overwrite, a bundle that came meanwhile is not replaced."""
    out = tmp_path / "out"

    def slowly() -> None:
        with bundle_writer(out, overwrite=False) as scratch:
            fill(scratch, b"slow")
            write(out, b"quick")

    with pytest.raises(ExportError, match="type --overwrite to replace it"):
        slowly()
    assert open_bundle(out).artifact.read_bytes() == b"quick"
    assert os.listdir(tmp_path) == ["out"]


_NOBODY = """
import os, sys
from pathlib import Path
from test_bundle import write
from levit_mobile.bundle import bundle_writer
from levit_mobile.errors import ExportError
folder = Path(sys.argv[1])
if os.getuid() == 0:
    os.chown(folder, 65534, 65534)
    os.setuid(65534)
write(folder / "out", b"old")
try:
    with bundle_writer(folder / "out", overwrite=True) as scratch:
        (scratch / "model.bin").write_bytes(b"new")
        folder.chmod(0o555)
    raise SystemExit("it was written")
except ExportError as error:
    print(error)
folder.chmod(0o755)
"""


def test_rights_that_are_lost_on_the_way(tmp_path: Path) -> None:
    """The earlier bundle stays; with the rights given back, the next one is written."""
    place = tmp_path / "place"
    place.mkdir()
    for folder in (tmp_path, *tmp_path.parents):  # root's temporary folders are root's alone
        if folder.stat().st_uid == os.getuid() and str(folder).count("/") > 1:
            folder.chmod(folder.stat().st_mode | 0o055)
    paths = os.pathsep.join(map(str, (TESTS.parent, TESTS, TESTS / "levit_mobile")))
    done = subprocess.run(
        [sys.executable, "-c", _NOBODY, str(place)],
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "Permission" in done.stderr or "ModuleNotFoundError" in done.stderr:
        pytest.skip("another user may not read this checkout")
    assert done.stdout == (
        f"cannot write {place / 'out'}: no permission to write there; type another folder with --out\n"
    ), done.stderr
    assert open_bundle(place / "out").artifact.read_bytes() == b"old"
    write(place / "out", b"new", overwrite=True)
    assert open_bundle(place / "out").artifact.read_bytes() == b"new"


# Two names at once


def test_names_change_places(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "inside").touch()
    (tmp_path / "b").write_text("b")
    if not exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this system cannot exchange two names")
    assert (tmp_path / "a").read_text() == "b"
    assert os.listdir(tmp_path / "b") == ["inside"]
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "a", tmp_path / "c")


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EINVAL])
def test_a_file_system_that_cannot(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Library:
        def renameat2(self, *_: object) -> int:
            return -1

        renamex_np = renameat2

    monkeypatch.setattr(exchanging.ctypes, "CDLL", lambda *_, **__: Library())
    monkeypatch.setattr(exchanging.ctypes, "get_errno", lambda: number)
    assert not exchange(tmp_path / "a", tmp_path / "b")
    monkeypatch.setattr(exchanging.ctypes, "CDLL", lambda *_, **__: object())  # a C library without it
    assert not exchange(tmp_path / "a", tmp_path / "b")


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, kind: int) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(placing.fcntl, "flock", refuse)
    left = old_folder(tmp_path / ".out.abcd_123")
    write(tmp_path / "out")
    assert left.is_dir()  # nobody knows whether somebody works in it
