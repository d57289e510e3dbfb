"""Roots for emulated boards: whole or not at all. mmdebstrap is a script of ours here; the real one is in test_emulated.py."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from levit_mobile.bench import binfmt
from levit_mobile.bench.root import EmulationError, make_root, remove_templates, template
from levit_mobile.errors import RuntimeMissingError, UsageError

_TOOL = """#!/bin/sh
for word; do echo "$word"; done >>{folder}/words
echo run >>{folder}/runs
{first}
for word; do case $word in */*.part) root=$word ;; esac; done
mkdir -p $root/etc/apt $root/usr/bin $root/usr/lib/arm-linux-gnueabihf/blas $root/usr/share/man $root/dev
: >$root/usr/bin/dash; : >$root/usr/bin/python3.11; : >$root/usr/lib/arm-linux-gnueabihf/blas/libblas.so.3; : >$root/dev/x
{last}
"""


class Tool:
    """mmdebstrap, and apt's answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tell()
        self.program("apt-config", "echo 'Acquire::http::Proxy \"p:1\";'; echo 'APT::Other \"x\";'")
        self.apt("Other m/x stable main", "Debian m/debian/ bookworm-updates main", "Debian m/debian/ bookworm main")

    def program(self, name: str, script: str) -> None:
        (self.folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.folder / name).chmod(0o755)

    def apt(self, *lines: str) -> None:
        self.program("apt-get", "; ".join(f"echo '{line}'" for line in lines) or ":")

    def tell(self, first: str = "", last: str = "") -> None:
        (self.folder / "mmdebstrap").write_text(_TOOL.format(folder=self.folder, first=first, last=last))
        (self.folder / "mmdebstrap").chmod(0o755)

    @property
    def runs(self) -> int:
        return len((self.folder / "runs").read_text().splitlines()) if (self.folder / "runs").exists() else 0

    @property
    def words(self) -> list[str]:
        return (self.folder / "words").read_text().splitlines()


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setenv("LEVIT_MOBILE_CACHE", str(tmp_path / "cache"))
    return Tool(tmp_path / "bin")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_template_is_made_once(tool: Tool, tmp_path: Path) -> None:
    first = template()
    assert first.parent == tmp_path / "cache" / "roots"
    assert first.name.startswith("bookworm-arm64-")
    assert template() == first
    assert tool.runs == 1
    assert names(first.parent) == [first.name, f"{first.name}.lock"]
    assert len({first, template("armhf"), template("arm64", "trixie")}) == 3


def test_what_is_finished(tool: Tool, tmp_path: Path) -> None:
    make_root(tmp_path / "root", "armhf")
    root = tmp_path / "root"
    assert os.readlink(root / "usr/bin/sh") == "dash"
    assert os.readlink(root / "usr/bin/python3") == "python3.11"
    assert os.readlink(root / "usr/lib/arm-linux-gnueabihf/libblas.so.3") == "blas/libblas.so.3"
    assert not os.path.lexists(root / "usr/bin/awk")  # there is no mawk
    assert (root / "etc/passwd").read_text().startswith("root:x:0:0:root:/root:/bin/bash\n")
    assert (root / "etc/shadow").stat().st_mode & 0o777 == 0o600
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert [names(root / name) for name in ("dev", "proc", "sys")] == [[], [], []]
    assert not (root / "etc/apt").exists()


def test_what_mmdebstrap_is_asked_for(tool: Tool, tmp_path: Path) -> None:
    make_root(tmp_path / "one")
    assert tool.words[-3:] == ["bookworm", str(tmp_path / "one.part"), "deb m/debian/ bookworm main"]
    assert "--variant=extract" in tool.words
    assert "--architectures=arm64" in tool.words
    assert [word for word in tool.words if word.startswith("--aptopt")] == ['--aptopt=Acquire::http::Proxy "p:1";']
    assert not [word for word in tool.words if "python3-numpy" in word]
    make_root(tmp_path / "two", "armhf", "trixie")
    assert tool.words[-1] == "deb m/debian/ trixie main"
    assert [word for word in tool.words if word.startswith("--include") and word.endswith(",python3-numpy")]
    tool.apt("Ubuntu m/ubuntu/ noble main")  # it has no Debian: mmdebstrap's own mirror
    make_root(tmp_path / "three")
    assert tool.words[-1] == str(tmp_path / "three.part")


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        ("E: Could not resolve 'host'", "no mirror of Debian's packages was reached; see that apt-get update works"),
        ("W: x\nGPG error: NO_PUBKEY 1\nE: y", "type apt-get install debian-archive-keyring"),
        ("File has unexpected size (1 != 2). Mirror sync in progress?", "the mirror is being renewed; try again"),
        ("tar: x: No space left on device", "set LEVIT_MOBILE_CACHE to a folder with room for 0.3 GB"),
        ("I: one\nE: out of order\nI: three\n", "out of order$"),
        ("I: one\n", "I: one$"),
        ("", "mmdebstrap printed nothing$"),
    ],
)
def test_what_fails_leaves_nothing(tool: Tool, tmp_path: Path, printed: str, told: str) -> None:
    (tmp_path / "printed").write_text(printed)
    tool.tell(last=f"cat {tmp_path}/printed; exit 25")
    with pytest.raises(EmulationError, match=f"^Debian bookworm for arm64 could not be fetched: .*{told}"):
        template()
    assert all(name.endswith(".lock") for name in names(tmp_path / "cache" / "roots"))
    tool.tell()
    assert template().is_dir()


def test_a_half_made_root_is_never_used(tool: Tool, tmp_path: Path) -> None:
    """The process is killed in the middle; the next one starts anew."""
    whole = template()
    shutil.rmtree(whole)
    tool.tell(last=f": >$root/half; echo $$ >{tmp_path}/pid; exec sleep 60")
    code = "from levit_mobile.bench.root import template; template()"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert (whole.with_name(f"{whole.name}.part") / "half").exists()
    assert not whole.exists()
    tool.tell()
    assert template() == whole
    assert not (whole / "half").exists()
    assert names(whole.parent) == [whole.name, f"{whole.name}.lock"]


def test_others_wait_for_who_makes_it(tool: Tool) -> None:
    tool.tell(last="sleep 0.3")
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lambda _: template(), range(4)))) == 1
    assert tool.runs == 1


def test_templates_can_be_removed(tool: Tool, tmp_path: Path) -> None:
    assert remove_templates() == []
    both = [template(), template("armhf")]
    (tmp_path / "cache/roots" / f"{both[0].name}.part").mkdir()
    assert remove_templates() == sorted(both)
    assert all(name.endswith(".lock") for name in names(tmp_path / "cache" / "roots"))
    assert template() == both[0]
    assert tool.runs == 3


def test_requests_that_make_no_sense(tool: Tool, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^there is no architecture 'riscv64'; type one of arm64, armhf$"):
        template("riscv64")
    with pytest.raises(UsageError, match=r"^there is no release 'sid'; type one of bookworm, trixie$"):
        make_root(tmp_path / "root", release="sid")
    with pytest.raises(UsageError, match=r"bin exists; remove it"):
        make_root(tmp_path / "bin")
    assert tool.runs == 0


def test_without_mmdebstrap(tool: Tool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(binfmt, "_MORE", "")
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(
        RuntimeMissingError, match=r"needs mmdebstrap, .*apt-get install --no-install-recommends mmdebstrap$"
    ):
        template()


def test_a_cache_that_cannot_be_written_to(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(EmulationError, match=r"^cannot use .*; set LEVIT_MOBILE_CACHE to a folder"):
        template()
