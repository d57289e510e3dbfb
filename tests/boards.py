"""A real emulated board, made once for the tests that need one.

Its folder is the test run's own. The template that it is copied from is fetched for it, which takes a quarter of a minute and
the network, unless ``LEVIT_MOBILE_TEST_ROOTS=DIR`` keeps templates between runs. A test with a board belongs to
``xdist_group("board")``: one worker has it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from counting import missing_for_counting

from levit_mobile.bench import emulated
from levit_mobile.bench.binfmt import can_isolate, register, require_linux, require_programs
from levit_mobile.bench.emulated import Board
from levit_mobile.errors import RuntimeMissingError, UsageError

PROGRAMS = ("mmdebstrap", "sshd", "ssh", "ssh-keygen", "qemu-aarch64-static")


@pytest.fixture(scope="session")
def boards_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache for boards alone; all that are in it at the end are ended. Skips where this machine cannot have boards."""
    try:
        require_linux()
        require_programs(PROGRAMS, "a test with an emulated board")
        if can_isolate():
            register("aarch64")
        else:
            require_programs(["proot"], "a test with an emulated board")
    except (RuntimeMissingError, UsageError) as error:
        pytest.skip(str(error))
    cache = tmp_path_factory.mktemp("boards")
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # each worker has a folder of its own in it
    roots = Path(os.environ.get("LEVIT_MOBILE_TEST_ROOTS") or shared / "roots").resolve()
    roots.mkdir(parents=True, exist_ok=True)
    (cache / "roots").symlink_to(roots)  # one worker fetches, the others wait for it
    yield cache
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEVIT_MOBILE_CACHE", str(cache))
        emulated.down_all()


@pytest.fixture
def in_boards_cache(boards_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, and ``LEVIT_MOBILE_CACHE`` says so."""
    monkeypatch.setenv("LEVIT_MOBILE_CACHE", str(boards_cache))
    return boards_cache


@pytest.fixture
def board(in_boards_cache: Path) -> Board:
    """The board ``emulated``, a Raspberry Pi 5, up; the same one for all tests, which leave it as it was."""
    return emulated.up()


@pytest.fixture
def counts() -> None:
    """Instructions can be counted here; else the test is skipped."""
    if reason := missing_for_counting("aarch64-linux-gnu-g++"):
        pytest.skip(reason)
