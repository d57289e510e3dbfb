"""What is said of a machine that cannot run ARM programs yet. Nothing of this machine is asked or changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from levit_mobile.bench import binfmt
from levit_mobile.errors import RuntimeMissingError, UsageError


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder with programs; empty."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(binfmt, "_MORE", "")
    return folder


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel's, not mounted."""
    folder = tmp_path / "table"
    folder.mkdir()
    monkeypatch.setattr(binfmt, "_TABLE", folder)
    return folder


def program(folder: Path, name: str, script: str = "") -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def be(monkeypatch: pytest.MonkeyPatch, uid: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)


@pytest.mark.parametrize(("uid", "sudo"), [(0, ""), (1000, "sudo ")])
def test_all_that_is_missing_in_one_command(
    programs: Path, monkeypatch: pytest.MonkeyPatch, uid: int, sudo: str
) -> None:
    be(monkeypatch, uid)
    program(programs, "ssh")
    with pytest.raises(RuntimeMissingError) as raised:
        binfmt.require_programs(["mmdebstrap", "ssh", "qemu-aarch64-static", "qemu-arm-static"], "this")
    assert str(raised.value) == (
        "this needs mmdebstrap, qemu-aarch64-static and qemu-arm-static, which are not here; "
        f"type {sudo}apt-get install --no-install-recommends mmdebstrap qemu-user-static"
    )
    for name in ("mmdebstrap", "qemu-aarch64-static", "qemu-arm-static"):
        program(programs, name)
    binfmt.require_programs(["mmdebstrap", "ssh", "qemu-aarch64-static", "qemu-arm-static"], "this")


def test_a_server_that_comes_with_it_is_told_of(programs: Path) -> None:
    with pytest.raises(
        RuntimeMissingError, match=r"needs sshd, which is not here; .*install .* openssh-server \(it also"
    ):
        binfmt.require_programs(["sshd"], "this")


def test_sshd_is_found_where_users_have_no_path(
    programs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sbin").mkdir()
    program(tmp_path / "sbin", "sshd")
    assert binfmt.find_program("sshd") is None
    monkeypatch.setattr(binfmt, "_MORE", str(tmp_path / "sbin"))
    assert binfmt.find_program("sshd") == str(tmp_path / "sbin" / "sshd")


@pytest.mark.parametrize(
    ("system", "machine", "told"), [("darwin", "x86_64", "needs Linux"), ("linux", "aarch64", "an ARM machine itself")]
)
def test_other_machines(monkeypatch: pytest.MonkeyPatch, system: str, machine: str, told: str) -> None:
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    with pytest.raises(UsageError, match=told):
        binfmt.require_linux()


@pytest.mark.parametrize("status", [0, 1])
def test_whether_it_may_isolate(programs: Path, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    be(monkeypatch, 0)
    assert not binfmt.can_isolate()  # no unshare
    program(programs, "unshare", f"exit {status}")
    assert binfmt.can_isolate() == (status == 0)
    be(monkeypatch, 1000)
    assert not binfmt.can_isolate()


KNOWN = "enabled\ninterpreter /usr/libexec/x\nflags: {}\noffset 0\n"


@pytest.mark.parametrize("flags", ["PF", "POCF"])
def test_a_registered_interpreter_is_enough(programs: Path, table: Path, flags: str) -> None:
    (table / "qemu-aarch64").write_text(KNOWN.format(flags))
    binfmt.register("aarch64")


@pytest.mark.parametrize("text", [None, KNOWN.format("P"), KNOWN.format("PF").replace("enabled", "disabled")])
def test_a_user_is_told_what_to_type(
    programs: Path, table: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    be(monkeypatch, 1000)
    if text is not None:
        (table / "qemu-arm").write_text(text)
        (table / "register").touch()
    mount = f"sudo mount -t binfmt_misc binfmt_misc {table}; " if text is None else ""
    with pytest.raises(RuntimeMissingError) as raised:
        binfmt.register("arm")
    assert str(raised.value).endswith(f"type: {mount}sudo update-binfmts --enable qemu-arm")


def test_root_does_it_and_tells(programs: Path, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, 0)
    program(programs, "mount", f": >{table}/register")
    program(programs, "update-binfmts", f"printf 'enabled\\nflags: PF\\n' >{table}/qemu-aarch64")
    told: list[str] = []
    binfmt.register("aarch64", told.append)
    assert told == [
        f"done for this machine, until it restarts: mount -t binfmt_misc binfmt_misc {table}",
        "done for this machine, until it restarts: update-binfmts --enable qemu-aarch64",
    ]
    binfmt.register("aarch64", told.append)
    assert len(told) == 2


def test_root_in_a_container_is_told_why_not(programs: Path, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, 0)
    program(programs, "mount", "echo 'mount: permission denied.' >&2; exit 32")
    program(programs, "update-binfmts", "exit 2")
    with pytest.raises(RuntimeMissingError) as raised:
        binfmt.register("aarch64")
    assert str(raised.value) == (
        f"the kernel does not know qemu-aarch64 as the interpreter of ARM programs (in {table}, with flag F) "
        "(mount: permission denied.; status 2); type as root outside of the container: "
        f"mount -t binfmt_misc binfmt_misc {table}; update-binfmts --enable qemu-aarch64"
    )


def test_without_update_binfmts(programs: Path, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, 0)
    with pytest.raises(RuntimeMissingError, match=r"install --no-install-recommends binfmt-support$"):
        binfmt.register("aarch64")
