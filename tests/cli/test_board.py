"""``levit board``. The board behind it is in tests/bench/test_emulated.py; here is what people and machines are told."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from commands import Levit

from levit_mobile.bench.emulated import Board
from levit_mobile.cli import main


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(main.COMMANDS, "board", ("levit_mobile.cli.board", "Emulated boards."))
    monkeypatch.setenv("LEVIT_MOBILE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def asked(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What ``up`` was asked for; it makes a board that does not run."""
    seen: list[Any] = []

    def up(
        cpu: str | None,
        *,
        name: str,
        architecture: str | None,
        release: str | None,
        step: Callable[[str], AbstractContextManager[None]],
        tell: Callable[[str], None],
    ) -> Board:
        seen.append((cpu, name, architecture, release))
        with step("fetching"):
            tell("done for this machine: x")
        folder = cache / "boards" / name
        return Board(name, folder, 4022, "root", cpu or "cortex-a76", "arm64", release or "bookworm", True)

    monkeypatch.setattr("levit_mobile.cli.board.up", up)
    return seen


def test_up(levit: Levit, asked: list[Any], cache: Path) -> None:
    answer = levit("board", "up")
    assert (answer.code, asked) == (0, [(None, "emulated", None, None)])
    assert answer.out.splitlines() == [
        "the board 'emulated' is up: cortex-a76, Debian bookworm arm64",
        f"log in      ssh -F {cache}/boards/emulated/ssh_config emulated",
        "measure     levit bench BUNDLE --board emulated",
        "end it      levit board down",
        "It is emulated: its results are an ARM processor's, its milliseconds mean nothing.",
    ]
    assert "note: done for this machine: x" in answer.err
    assert "fetching" in answer.err


def test_up_with_all(levit: Levit, asked: list[Any]) -> None:
    answer = levit(
        "board", "up", "--cpu", "cortex-a72", "--arch", "arm64", "--release", "trixie", "--name", "b", "--json"
    )
    assert asked == [("cortex-a72", "b", "arm64", "trixie")]
    told = answer.data
    assert {key: told[key] for key in ("name", "emulated", "running", "pid", "host", "port", "cpu", "release")} == {
        "name": "b",
        "emulated": True,
        "running": False,
        "pid": None,
        "host": "127.0.0.1",
        "port": 4022,
        "cpu": "cortex-a72",
        "release": "trixie",
    }
    assert "levit board down --name b" in levit("board", "up", "--name", "b").out


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("up", "--cpu", "max"), "'max' is not one of 'cortex-a72', 'cortex-a76', 'cortex-a7'"),
        (("up", "--name", "My Pi"), "a board's name is small letters, digits and hyphens, 32 at most, not 'My Pi'"),
        (("down",), "there is no board 'emulated'; levit board status lists them"),
        (("down", "--name", "x"), "there is no board 'x'; levit board status lists them"),
        (("down", "--name", "x", "--all"), "--all is every board; leave --name away"),
    ],
)
def test_mistakes(levit: Levit, cache: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], told: str) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    answer = levit("board", *args)
    assert (answer.code, answer.out) == (2, "")
    assert told in answer.err


def test_nothing_there(levit: Levit, cache: Path) -> None:
    assert levit("board", "status").out == "there is no board; type levit board up\n"
    assert levit("board", "status", "--json").data == {"boards": []}
    assert levit("board", "down", "--all", "--purge").out == "there was nothing to end\n"
    assert levit("board", "down", "--all", "--json").data == {"ended": [], "removed": []}


def test_templates_are_removed_if_that_is_wished(levit: Levit, cache: Path) -> None:
    whole = cache / "roots" / "bookworm-arm64-1"
    whole.mkdir(parents=True)
    whole.with_name(f"{whole.name}.lock").touch()
    assert levit("board", "down", "--all").code == 0
    assert whole.exists()
    assert levit("board", "down", "--purge", "--json").data == {"ended": [], "removed": [str(whole)]}
    assert not whole.exists()


def test_a_stopped_board_is_told(levit: Levit, cache: Path) -> None:
    folder = cache / "boards" / "b"
    folder.mkdir(parents=True)
    (folder / "board.json").write_text(
        '{"name": "b", "folder": "", "port": 4022, "user": "root", "cpu": "cortex-a72", "architecture": "arm64", '
        '"release": "trixie", "isolated": true}'
    )
    assert levit("board", "status").out.splitlines() == [
        "name  state    core        system        port  server",
        "b     stopped  cortex-a72  trixie arm64  4022       -",
        "b has stopped; type levit board up --name b",
    ]
    assert levit("board", "down", "--name", "b").out == "the board 'b' is gone\n"
    assert not folder.exists()
