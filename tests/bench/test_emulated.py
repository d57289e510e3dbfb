"""An emulated board: real programs for ARM, behind a real SSH server, and nothing left of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from levit_mobile.bench import binfmt, emulated, server
from levit_mobile.bench.emulated import Board, down, down_all, find, status, up
from levit_mobile.bench.root import EmulationError, template
from levit_mobile.errors import RuntimeMissingError, UsageError

real = [pytest.mark.slow, pytest.mark.xdist_group("board")]


def on(board: Board, line: str) -> str:
    """What a command line prints there."""
    done = subprocess.run(board.ssh(line), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def mounts() -> list[str]:
    return [line for line in Path("/proc/self/mounts").read_text().splitlines() if "binfmt_misc" not in line]


def with_trace_of(folder: Path) -> list[str]:
    """Every process, dead ones left out, that knows of a folder: by its words, its environment, its place or its root."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            texts = [(entry / name).read_bytes() for name in ("cmdline", "environ")]
            texts += [os.readlink(entry / name).encode() for name in ("root", "cwd")]
        except OSError:
            continue
        if any(f"{folder}/".encode() in text + b"/" for text in texts):
            found.append(f"{entry.name} {texts[0]!r}")
    return found


# What is said before anything is made


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH, empty; and an empty cache."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("LEVIT_MOBILE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(binfmt, "_MORE", "")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    return tmp_path / "bin"


def fake(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)


def test_nothing_is_installed(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(RuntimeMissingError) as raised:
        up()
    assert str(raised.value).startswith(
        "an emulated board needs mmdebstrap, sshd, ssh, ssh-keygen, qemu-aarch64-static and proot, which are not here; type "
        "sudo apt-get install --no-install-recommends mmdebstrap openssh-server openssh-client qemu-user-static proot ("
    )
    assert status() == []


def test_without_root_proot_is_needed(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    fake(bare, "mmdebstrap", "sshd", "ssh", "ssh-keygen", "qemu-aarch64-static")
    with pytest.raises(RuntimeMissingError) as raised:
        up()
    assert str(raised.value) == (
        "an emulated board needs proot, which is not here; type sudo apt-get install --no-install-recommends proot"
    )


def test_root_needs_the_kernels_table(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(binfmt, "_TABLE", bare / "table")
    fake(bare, "mmdebstrap", "sshd", "ssh", "ssh-keygen", "qemu-arm-static", "unshare", "mount", "update-binfmts")
    with pytest.raises(
        RuntimeMissingError, match=r"type: mount -t binfmt_misc binfmt_misc .*; update-binfmts --enable qemu-arm$"
    ):
        up(architecture="armhf")
    assert status() == []


@pytest.mark.parametrize("name", ["", "Pi", "a/b", "..", "-x", "a.part", "x" * 33])
def test_names(bare: Path, name: str) -> None:
    for call in (lambda: up(name=name), lambda: down(name), lambda: find(name)):
        with pytest.raises(UsageError, match=r"^a board's name is small letters, digits and hyphens"):
            call()


def test_what_is_not_there(bare: Path) -> None:
    with pytest.raises(UsageError, match=r"^there is no board 'emulated'; levit board status lists them$"):
        down()
    assert (find(), status(), down_all()) == (None, [], [])


def test_a_damaged_board_can_be_removed(bare: Path) -> None:
    folder = bare.parent / "cache/boards/old"
    folder.mkdir(parents=True)
    (folder / "board.json").write_text('{"name": "old"')
    with pytest.raises(
        EmulationError, match=r"^the board 'old' in .* is damaged \(.*\); type levit board down --name old$"
    ):
        status()
    assert down_all() == ["old"]
    assert not folder.exists()


@pytest.mark.parametrize("name", ['a"b', "a%h", "a:b", "a\\b"])
def test_folders_that_sshd_cannot_be_told_of(tmp_path: Path, name: str) -> None:
    with pytest.raises(EmulationError, match="set LEVIT_MOBILE_CACHE to another"):
        server.write_settings(tmp_path / name, name="x", port=1, qemu="q", cpu="c", isolated=True)


def test_a_number_that_is_another_processs_by_now(tmp_path: Path) -> None:
    line = Path("/proc/self/stat").read_text()
    (tmp_path / "process").write_text(line)
    assert server.server_pid(tmp_path) == os.getpid()
    started = line.rpartition(")")[2].split()[19]
    (tmp_path / "process").write_text(line.replace(f" {started} ", f" {int(started) - 1} "))
    assert server.server_pid(tmp_path) is None
    for text in ("", "12", "12 (x) S"):
        (tmp_path / "process").write_text(text)
        assert server.server_pid(tmp_path) is None


def test_a_port_that_is_taken_is_not_chosen() -> None:
    port = server.choose_port()
    assert server.choose_port(port) == port
    import socket

    with socket.create_server(("127.0.0.1", port)):
        assert server.choose_port(port) != port


# The real thing


class TestBoard:
    pytestmark = real

    def test_it_is_arm(self, board: Board) -> None:
        assert on(board, "uname -m") == "aarch64\n"
        cpuinfo = on(board, "cat /proc/cpuinfo")
        assert cpuinfo.count("CPU part\t: 0xd0b") == 4
        assert "asimddp" in cpuinfo
        python = "import ctypes, platform, sys; print(platform.machine(), *sys.version_info[:2], ctypes.sizeof(ctypes.c_void_p))"
        assert on(board, f"python3 -c '{python}'") == "aarch64 3 11 8\n"

    def test_a_command_line_runs_as_on_a_real_one(self, board: Board) -> None:
        assert on(board, "echo \"$0 'a  b' $HOME $PWD $(id -un)\"") == "/bin/bash 'a  b' /root /root root\n"
        done = subprocess.run(board.ssh("cat; exit 7"), input=b"\0\xff\n", capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (7, b"\0\xff\n")

    def test_it_says_that_it_is_emulated(self, board: Board) -> None:
        assert json.loads(on(board, "cat /etc/levit-emulated"))["cpu"] == "cortex-a76"
        assert on(board, "vcgencmd get_throttled") == "throttled=0x0\n"
        policy = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
        assert on(board, f"echo performance >{policy}; cat {policy}; echo ondemand >{policy}") == "performance\n"

    def test_files_go_there_and_back(self, board: Board, tmp_path: Path) -> None:
        sent = os.urandom(3_000_000)
        (tmp_path / "sent").write_bytes(sent)
        script = "put sent x\nget x back\nrm x\n"
        command = ["sftp", "-q", "-F", str(board.ssh_config), "-b", "-", board.name]
        subprocess.run(command, input=script, text=True, cwd=tmp_path, check=True, capture_output=True, timeout=120)
        assert (tmp_path / "back").read_bytes() == sent
        assert not (board.root / "root/x").exists()

    def test_only_this_machine_and_the_key_get_in(self, board: Board) -> None:
        inode = {
            line.split()[1]
            for name in ("tcp", "tcp6")
            for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
            if line.split()[1].endswith(f":{board.port:04X}") and line.split()[3] == "0A"
        }
        assert inode == {f"0100007F:{board.port:04X}"}
        words = [word.replace("IdentityFile", "#") for word in board.ssh("true")]
        stranger = [
            *words[:1],
            "-o",
            "IdentityFile=none",
            "-o",
            "PreferredAuthentications=password,keyboard-interactive",
        ]
        done = subprocess.run([*stranger, *words[1:]], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 255
        assert "Permission denied (publickey)" in done.stderr

    def test_up_again_is_the_same_board(self, board: Board) -> None:
        assert up() == board
        assert up("cortex-a76", architecture="arm64", release="bookworm") == board
        assert board.pid == find().pid  # type: ignore[union-attr]
        with pytest.raises(
            UsageError, match=r"^the board 'emulated' is cortex-a76, arm64, bookworm, not cortex-a72; type levit"
        ):
            up("cortex-a72")

    def test_two_at_a_time_and_nothing_is_left_of_one(self, board: Board) -> None:
        before = mounts()
        second = up("cortex-a72", name="second")
        assert (second.port != board.port, second.pid != board.pid) == (True, True)
        assert "0xd08" in on(second, "cat /proc/cpuinfo")
        assert "0xd0b" in on(board, "cat /proc/cpuinfo")
        on(second, "echo mine >~/here; (setsid sleep 999 >/dev/null 2>&1 &); (nohup sleep 998 >/dev/null 2>&1 &)")
        assert not (board.root / "root/here").exists()
        assert [one.name for one in status()] == ["emulated", "second"]
        assert len(with_trace_of(second.folder)) >= 3  # what looks for traces sees the server and both sleepers
        others = len(server.processes(board.folder))
        down("second")
        assert with_trace_of(second.folder) == []
        assert not second.folder.exists()
        assert mounts() == before
        assert (board.running, len(server.processes(board.folder))) == (True, others)
        assert on(board, "uname -m") == "aarch64\n"

    def test_a_server_that_was_killed(self, board: Board) -> None:
        on(board, "echo kept >~/kept; (setsid sleep 997 >/dev/null 2>&1 &)")
        pid = board.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        for _ in range(250):
            if not board.running:
                break
            time.sleep(0.02)
        assert [(one.name, one.running) for one in status()] == [("emulated", False)]
        again = up()
        assert again == board  # its port too
        assert again.pid != pid
        assert on(again, "cat ~/kept; rm ~/kept; ps ax").split("\n")[0] == "kept"
        assert not [line for line in with_trace_of(board.folder) if "sleep" in line]

    def test_a_board_that_does_not_run_is_not_left(
        self, in_boards_cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(server, "_SSHD", server._SSHD + "Nonsense yes\n")
        with pytest.raises(
            EmulationError, match=r"^the board's SSH server does not answer: .*bad configuration options"
        ):
            up(name="third")
        folder = in_boards_cache / "boards" / "third"
        assert not folder.exists()
        assert with_trace_of(folder) == []

    def test_what_a_killed_up_left_goes(self, board: Board, in_boards_cache: Path) -> None:
        half = in_boards_cache / "boards" / "fourth.part"
        (half / "root").mkdir(parents=True)
        assert "fourth" not in [one.name for one in status()]
        down("fourth")
        assert not half.exists()


@pytest.fixture
def users_cache(board: Board) -> Iterator[Path]:
    """A cache of somebody who is not root, with the template in it; outside of pytest's folder, which only root may enter."""
    if os.geteuid() != 0 or shutil.which("proot") is None or not os.access("/usr/bin/python3", os.X_OK):
        pytest.skip("needs root, who becomes somebody else; proot; and a Python that everybody may run")
    folder = Path(tempfile.mkdtemp(prefix="levit-", dir="/var/tmp"))
    try:
        (folder / "roots").mkdir()
        subprocess.run(["cp", "-a", "--reflink=auto", str(template()), str(folder / "roots")], check=True)
        subprocess.run(["chown", "-R", "54321:54321", str(folder)], check=True)
        passwd = Path("/etc/passwd").read_text()
        (folder / "passwd").write_text(f"{passwd}somebody:x:54321:54321::{folder}:/bin/sh\n")
        yield folder
    finally:
        shutil.rmtree(folder)


_SOMEBODY = """
import json, os, subprocess, sys
from levit_mobile.bench import emulated, server
os.setgroups([]); os.setgid(54321); os.setuid(54321)
sys.executable = "/usr/bin/python3"  # that of the tests may be where only root may go
board = emulated.up()
line = "uname -m; id -u; grep -c 0xd0b /proc/cpuinfo; vcgencmd measure_temp; pwd"
done = subprocess.run(board.ssh(line), capture_output=True, text=True, timeout=120)
sent = subprocess.run(["sftp", "-q", "-F", str(board.ssh_config), "-b", "-", board.name], input="put /etc/passwd x\\n",
                      text=True, capture_output=True, timeout=120)
there = (board.root / "root/x").read_bytes() == open("/etc/passwd", "rb").read()
sleeper = subprocess.Popen(board.ssh("sleep 996"))
def command(pid):
    try:
        return open(f"/proc/{pid}/cmdline", "rb").read()
    except OSError:  # it has ended since it was listed
        return b""
while not any(b"sleep" in command(pid) for pid in server.processes(board.folder)[1:]):
    pass
emulated.down()
sleeper.wait(30)
print(json.dumps([board.isolated, board.user, done.stdout.split(), sent.returncode, there, board.folder.exists()]))
"""


@pytest.mark.slow
@pytest.mark.xdist_group("board")
def test_without_root(users_cache: Path) -> None:
    script = 'mount --bind "$1" /etc/passwd && exec "$2" -c "$3"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(users_cache / "passwd"), sys.executable, _SOMEBODY],
        env={**os.environ, "LEVIT_MOBILE_CACHE": str(users_cache), "HOME": str(users_cache)},
        cwd=Path(emulated.__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = ["aarch64", "0", "4", "temp=48.3'C", "/root"]
    assert json.loads(done.stdout) == [False, "somebody", answers, 0, True, False]
    assert with_trace_of(users_cache / "boards") == []
