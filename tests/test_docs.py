"""What the documents show can be typed.

Indented blocks hold commands, and nothing else. Those of ``levit`` are run with stand-ins for the user's own files, and for the
user's board; ``levit-export`` lines and those with ``--labgrid`` are parsed, since other tests do the rest; of the Python
scripts each option must be one that their ``--help`` knows. ``ELSEWHERE`` are the lines that this suite cannot run, each with the
reason. A command that several pages show runs once. Commands in running text have options that there are.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import click
import pytest
from adb_server import FakePhone, serving
from desk import grouped, put_bundles
from documents import ROOT, blocks, commands, outputs, spoken
from exports import Exported
from loopback import Loopback

ELSEWHERE = {
    r"make ": "test_makefile.py sees what they would do, and CI does it",
    r"pip install ": "installs; that its extras and files are there is looked at below",
    r"python -m venv |\. \.venv/bin/activate ": "the environment that runs this",
    r"\.venv/bin/(pytest|pre-commit) ": "would run these tests in themselves, or change this checkout's hooks",
    r"python tools/teach\.py ": "needs packages of its own",
    r"apt-get install ": "as root; make system is the same",
    r"ssh(-keygen|-copy-id)? ": "makes a key in the home folder, and needs the board whose key is to be learnt",
    r"labgrid-(coordinator|exporter|client) |export LG_COORDINATOR=": "a farm of several machines: tests/bench/test_labgrid.py",
    r"open ": "Xcode; that the project is there is test_ios_readme.py's",
}
KINDS = {"", "text", "yaml", "python", "kotlin", "swift", "cpp", "{eval-rst}"}  # of blocks
BOARD = "pi@raspberrypi.local"


# Commands


def elsewhere(command: str) -> str | None:
    """Why it is not run here; None if it is."""
    return next((why for pattern, why in ELSEWHERE.items() if re.match(pattern, f"{command} ")), None)


def test_there_are_commands() -> None:
    assert len(commands()) >= 60
    assert len([command for command in commands() if not elsewhere(command)]) >= 40
    assert {page for pages in commands().values() for page in pages} >= {
        "android_demo/README.md",
        "docs/targets/onnx.md",
    }
    assert {block.kind for block in blocks()} == KINDS


@pytest.mark.parametrize("pattern", ELSEWHERE)
def test_nothing_is_left_out_for_nothing(pattern: str) -> None:
    assert [command for command in commands() if re.match(pattern, f"{command} ")]


@pytest.mark.parametrize("command", [command for command in commands() if command.startswith("pip install ")])
def test_what_pip_installs_is_there(command: str) -> None:
    _check_pip(shlex.split(command))


def _check_pip(words: Sequence[str]) -> None:
    """Files and extras that are to be installed."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for before, word in pairwise(words[1:]):
        if before in ("-r", "-c"):
            assert (ROOT / word).is_file()
        elif word.startswith("."):
            assert set(re.findall(r"[\w-]+", word)) <= extras.keys()
        else:
            assert word in ("-r", "-c")


@pytest.mark.parametrize(("page", "words"), spoken())
def test_commands_in_running_text(page: str, words: tuple[str, ...]) -> None:
    if words[0] == "pip":
        _check_pip(words)
        return
    if words[0] in ("python", "make"):
        makefile = (ROOT / "Makefile").read_text("utf-8")
        assert (ROOT / words[1]).is_file() if words[0] == "python" else f"\n{words[1]}:" in makefile, page
        return
    from levit_mobile.cli.main import cli

    group = click.Context(cli, info_name="levit")
    name, *rest = words[1:] if words[0] == "levit" else ("export", *words[1:])
    command = cli.get_command(group, name)
    if isinstance(command, click.Group):
        command = command.get_command(group, rest.pop(0))
    assert command is not None, page
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in rest if word.startswith("--")} <= {*options, "--help"}, page


@pytest.mark.slow
@pytest.mark.parametrize("command", [grouped(command, command) for command in commands()])
def test_documented_command(command: str, desk: Path, request: pytest.FixtureRequest) -> None:
    if why := elsewhere(command):
        pytest.skip(f"{command}: {why}")
    if "_COMPLETE=" in command:
        _check_completion(command)
        return
    words = shlex.split(command)
    if words[0] == "levit-export":
        _check_export(words)
    elif words[0] == "python":
        _check_script(words)
    elif words[0] == "openssl":
        _check_key(words, desk, request.getfixturevalue("tmp_path"))
    elif "--labgrid" in words:
        _check_labgrid(words)
    else:
        assert words[0] == "levit", "a program that nobody tries: run it here, or tell in ELSEWHERE why not"
        put_bundles(command, desk, request)
        if "--signature" in words:
            assert _run(["levit", "sign", words[2], "--key", "key.pem"], desk).returncode == 0
        if "--out" in words:  # of another command of the same day
            (desk / words[words.index("--out") + 1]).unlink(missing_ok=True)
        done = _run(words, desk, **_places(words, request))
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout
        if command in outputs():
            assert _masked(outputs()[command]) == _masked(done.stdout)


def _masked(text: str) -> list[str]:
    """Its words without numbers: last digits depend on the processor, and then columns do. ``levit`` may not be on the PATH."""
    text = re.sub(r"\S+/levit(?= )", "levit", text)
    return re.sub(r"\d+(?:\.\d+)?(?:e[+-]\d+)?", "*", text).split()


@pytest.mark.slow
def test_what_an_export_prints(exported: Exported) -> None:
    told = outputs()["levit-export --target tflite --int8"]
    printed = next(block for block in exported.stdout.split("\n\n") if block.startswith("levit_128s-int8-tflite\n"))
    assert _masked(told) == _masked(printed)


def _places(words: list[str], request: pytest.FixtureRequest) -> dict[str, str]:
    """Variables with which the boards that a command names are there."""
    if "--android" in words:
        return {"LEVIT_MOBILE_CACHE": str(request.getfixturevalue("tmp_path")), **request.getfixturevalue("phone")}
    if BOARD in words:
        return {"HOME": str(_home_of_its_owner(request.getfixturevalue("loopback")))}
    if "--emulate" in words:
        request.getfixturevalue("counts")
    elif "emulated" in words or words[1] == "board":
        cache = {"LEVIT_MOBILE_CACHE": str(request.getfixturevalue("boards_cache"))}
        if words[2] != "up":
            assert _run(["levit", "board", "up"], ROOT, **cache).returncode == 0
        return cache
    elif words[1] == "bench":  # this host is one place, and another worker may be measuring on it
        return {"LEVIT_MOBILE_CACHE": str(request.getfixturevalue("tmp_path"))}
    return {}


@pytest.fixture
def phone() -> Iterator[dict[str, str]]:
    """Variables with which a phone is connected."""
    with serving({"R58M": FakePhone()}) as server:
        yield {"ANDROID_ADB_SERVER_PORT": str(server.port), "ADBUTILS_ADB_PATH": "false"}


def _home_of_its_owner(board: Loopback) -> Path:
    """A home folder whose SSH configuration knows the board by the name that documents use."""
    folder = board.folder / "owner"
    (folder / ".ssh").mkdir(parents=True)
    name = BOARD.partition("@")[2]
    lines = ("HostName 127.0.0.1", f"Port {board.port}", f"IdentityFile {board.folder / 'user'}")
    (folder / ".ssh/config").write_text("\n  ".join([f"Host {name}", *lines]) + "\n")
    shutil.copy(board.folder / "known_hosts", folder / ".ssh/known_hosts")
    return folder


def _check_labgrid(words: list[str]) -> None:
    from levit_mobile.cli.main import cli

    group = cli.make_context("levit", words[1:])
    command = cli.get_command(group, words[1])
    assert command is not None
    context = command.make_context(words[1], words[2:], parent=group)
    assert context.params["selectors"]


def _run(words: list[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "200", **variables}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)


def _check_completion(command: str) -> None:
    """The script for the shell is what counts; zsh and fish themselves may not be installed."""
    found = re.search(r"(_\w+_COMPLETE)=(\w+)_source", command)
    assert found
    variable, shell = found.groups()
    done = _run(["levit"], ROOT, **{variable: f"{shell}_source"})
    assert done.returncode == 0, done.stderr
    assert f"{variable}={shell}_complete" in done.stdout


def _check_export(words: list[str]) -> None:
    from levit_mobile.cli.export import command

    context = command.make_context("levit-export", words[1:])
    weights = context.params["weights"]
    assert weights in ("demo", "imagenet") or Path(weights).suffix in (".pth", ".safetensors")


def _check_key(words: list[str], desk: Path, folder: Path) -> None:
    if shutil.which(words[0]) is None:
        pytest.skip("no openssl here")
    shutil.copy(desk / "key.pem", folder)
    done = _run(words, folder)
    assert done.returncode == 0, done.stderr
    written = (folder / words[words.index("-out") + 1]).read_bytes()
    assert written.startswith(b"-----BEGIN PUBLIC KEY" if "-pubout" in words else b"-----BEGIN EC PRIVATE KEY")


def _check_script(words: list[str]) -> None:
    assert {word for word in words if word.startswith("--")} <= _options(words[1])


@lru_cache(maxsize=64)
def _options(script: str) -> set[str]:
    """Of a Python script, as its ``--help`` has them; asking takes seconds."""
    done = _run([sys.executable, str(ROOT / script), "--help"], ROOT)
    assert done.returncode == 0, done.stderr
    return set(re.findall(r"--[a-z][a-z0-9-]*", done.stdout))
