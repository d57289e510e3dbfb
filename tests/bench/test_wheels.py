"""Wheels for another machine: how pip is asked, what it may answer, and that a second call asks nobody."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import pytest

from levit_mobile.bench import wheels
from levit_mobile.bench.wheels import unpack, wheels_for
from levit_mobile.errors import DownloadError, RuntimeMissingError, UsageError

PIP = """#!/bin/sh
echo "$@" >> {log}
while [ $# -gt 0 ]; do [ "$1" = --dest ] && folder=$2; shift; done
{body}
"""
FETCH = 'for name in b a; do echo x > "$folder/$name-1-py3-none-any.whl"; done'


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands in for Python with pip, and fetches two wheels; its file ``log`` has what it was asked."""
    return fake(tmp_path, monkeypatch, FETCH)


def fake(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> Path:
    program, log = folder / "python", folder / "log"
    program.write_text(PIP.format(log=log, body=body))
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    return log


def test_pip_is_asked_for_the_other_machine(pip: Path, tmp_path: Path) -> None:
    found = wheels_for(["b==1", "a==1"], cache=tmp_path)
    assert [path.name for path in found] == ["a-1-py3-none-any.whl", "b-1-py3-none-any.whl"]
    asked = pip.read_text()
    assert asked.startswith("-I -m pip --disable-pip-version-check --no-input download --no-deps ")
    assert " --only-binary :all: --implementation cp --python-version 3.11 " in asked
    assert asked.endswith(" a==1 b==1\n")
    platforms = [word for word in asked.split() if word.startswith("manylinux")]
    assert (platforms[0], platforms[-2:], len(platforms)) == (
        "manylinux_2_36_aarch64",  # Debian 12 has glibc 2.36
        ["manylinux_2_17_aarch64", "manylinux2014_aarch64"],
        21,
    )


def test_a_newer_python_has_a_newer_glibc(pip: Path, tmp_path: Path) -> None:
    wheels_for(["a==1"], python="3.13", machine="armv7l", cache=tmp_path)
    assert "--python-version 3.13 --platform manylinux_2_41_armv7l " in pip.read_text()


def test_the_second_time_nobody_is_asked(pip: Path, tmp_path: Path) -> None:
    first = wheels_for(["a==1", "b==1"], cache=tmp_path)
    assert wheels_for(["b==1", "a==1"], cache=tmp_path) == first
    assert len(pip.read_text().splitlines()) == 1
    others = [wheels_for(["a==1"], cache=tmp_path), wheels_for(["a==1", "b==1"], machine="armv7l", cache=tmp_path)]
    assert len({path.parent for path in [*first, *others[0], *others[1]]}) == 3
    assert len(pip.read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("printed", "kind", "told"),
    [
        (
            "WARNING: Retrying ... NewConnectionError\nERROR: No matching distribution found for a==1",
            DownloadError,
            r"^pip reached no index with wheels for Python 3\.11 on aarch64; connect to the network, or tell pip",
        ),
        (
            "ERROR: Could not find a version that satisfies the requirement a==1 (from versions: 0.9)\n"
            "ERROR: No matching distribution found for a==1",
            DownloadError,
            r"^pip's index has no wheel of a==1 for Python 3\.11 on aarch64; see with `pip config list`",
        ),
        (
            "ERROR: Could not find a version that satisfies the requirement a==1 (from versions: none)\n"
            "ERROR: No matching distribution found for a==1",
            DownloadError,
            r"has no wheel of a==1 for Python 3\.11 on aarch64, or was not reached; see",
        ),
        (
            "/usr/bin/python3: No module named pip",
            RuntimeMissingError,
            r"python has no pip, .*; type .*python -m ensurepip$",
        ),
        ("OSError: [Errno 28] No space left on device", DownloadError, "^the disk is full; set LEVIT_MOBILE_CACHE"),
        ("one\n  two  \n", DownloadError, r"could not fetch wheels for Python 3\.11 on aarch64: two$"),
        ("", DownloadError, "status 1$"),
    ],
)
def test_what_pip_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str, kind: type[Exception], told: str
) -> None:
    (tmp_path / "printed").write_text(printed)
    fake(tmp_path, monkeypatch, f"cat {tmp_path}/printed; exit 1")
    with pytest.raises(kind, match=told):
        wheels_for(["a==1"], cache=tmp_path)
    assert [path.suffix for path in (tmp_path / "wheels").iterdir()] == [".lock"]  # nothing half done stays


def test_a_half_done_download_is_not_used(pip: Path, tmp_path: Path) -> None:
    (folder,) = {path.parent for path in wheels_for(["a==1"], cache=tmp_path)}
    folder.rename(folder.with_name(f"{folder.name}.part"))
    (folder.with_name(f"{folder.name}.part") / "c-1-py3-none-any.whl").touch()
    assert len(wheels_for(["a==1"], cache=tmp_path)) == 2


def test_another_machine(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no wheels for machine 'riscv64'; type one of aarch64, armv7l, x86_64"):
        wheels_for(["a==1"], machine="riscv64", cache=tmp_path)


def test_a_cache_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(DownloadError, match=r"cannot use .* \(Not a directory\); set LEVIT_MOBILE_CACHE"):
        wheels_for(["a==1"], cache=tmp_path / "cache")


def test_unpack(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with zipfile.ZipFile(tmp_path / f"{name}.whl", "w") as wheel:
            wheel.writestr(f"{name}/__init__.py", f"name = {name!r}\n")
    unpack(sorted(tmp_path.glob("*.whl")), tmp_path / "site")
    assert (tmp_path / "site" / "b" / "__init__.py").read_text() == "name = 'b'\n"
    assert sorted(os.listdir(tmp_path / "site")) == ["a", "b"]


def test_a_damaged_wheel_is_fetched_anew(pip: Path, tmp_path: Path) -> None:
    found = wheels_for(["a==1"], cache=tmp_path)
    with pytest.raises(DownloadError, match="was damaged, and has been removed; type the same again"):
        unpack(found, tmp_path / "site")
    assert not found[0].exists()
    assert len(wheels_for(["a==1"], cache=tmp_path)) == 2


@pytest.mark.slow
def test_a_real_wheel(tmp_path: Path) -> None:
    """The smallest that bench needs; skipped where no index is reached."""
    try:
        (found,) = wheels_for(["tflite-runtime==2.14.0"], machine="armv7l", cache=tmp_path)
    except DownloadError as error:
        pytest.skip(f"nothing is downloaded: {error}")
    assert found.name == "tflite_runtime-2.14.0-cp311-cp311-manylinux_2_34_armv7l.whl"
    assert wheels.wheels_for(["tflite-runtime==2.14.0"], machine="armv7l", cache=tmp_path) == [found]
    with pytest.raises(DownloadError, match=r"no wheel of tflite-runtime==99 for Python 3\.11 on armv7l"):
        wheels_for(["tflite-runtime==99"], machine="armv7l", cache=tmp_path)
    unpack([found], tmp_path / "site")
    library = next((tmp_path / "site" / "tflite_runtime").glob("*.so")).read_bytes()
    assert (library[:5], library[18]) == (b"\x7fELF\x01", 40)  # 32 bits, ARM
