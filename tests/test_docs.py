"""What the documents show is true: commands, tables, results and the picture.

``levit`` commands are run with stand-ins for the user's own files, and for the user's board; ``levit-export`` lines and those
with ``--labgrid`` are parsed, since other tests do the rest; of the Python scripts each option must be one that their
``--help`` knows. Skipped are the lines that this suite cannot run: ``make``, ``pip``, pytest itself, and ``tools/teach.py``,
which needs packages of its own.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import numpy as np
import pytest
from adb_server import FakePhone, serving
from benched import night
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from exports import Exported
from loopback import Loopback
from PIL import Image

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"), ROOT / "benchmarks" / "README.md"]
)
PROGRAMS = ("levit", "levit-export", "make", "pip", "python", ".venv/bin/pytest", ".venv/bin/pre-commit", "eval")
ELSEWHERE = re.compile(r"make |pip install|\.venv/bin/|python tools/teach\.py")
RESULTS = ("accuracy", "agreement", "calibration", "export_cost", "latency", "policy", "qat")
BOARD = "pi@raspberrypi.local"
PEM = serialization.Encoding.PEM
PICTURE = ROOT / "docs" / "demo.svg"


# Commands


def commands() -> list[tuple[str, str]]:
    """(page, command) of every indented line that starts with a program; lines that end in a backslash are joined."""
    found = []
    for page in PAGES:
        for line in page.read_text().replace("\\\n", " ").splitlines():
            words = line.split("#")[0].split()
            programs = [word for word in words if not word.startswith("_LEVIT")]  # a variable before the program
            if line.startswith("    ") and programs and programs[0] in PROGRAMS:
                found.append((page.name, " ".join(words)))
    return found


def test_there_are_commands() -> None:
    assert len(commands()) >= 25
    assert len([command for _, command in commands() if not ELSEWHERE.match(command)]) >= 18


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, exported: Exported) -> Path:
    """A user's folder: a photo, photos of every class, and bundles under their default names."""
    from levit_mobile.weights import resolve_weights

    folder = tmp_path_factory.mktemp("desk")
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8))
    photo.save(folder / "photo.jpg")
    for label in resolve_weights("demo").labels or ():
        (folder / "photos" / label).mkdir(parents=True)
        photo.save(folder / "photos" / label / "a.png")
    key = ec.generate_private_key(ec.SECP256R1())
    kind, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(PEM, kind, plain))
    public = key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "key.pub").write_bytes(public)
    for bundle in exported.folder.glob("levit_128s-*-tflite"):
        shutil.copytree(bundle, folder / bundle.name)
    night().write(folder / "results.json")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("page", "command"), commands())
def test_documented_command(page: str, command: str, desk: Path, request: pytest.FixtureRequest) -> None:
    if ELSEWHERE.match(command):
        pytest.skip(f"{command}: not for this suite to run")
    if "_COMPLETE=" in command:
        _check_completion(command)
        return
    words = shlex.split(command)
    if words[0] == "levit-export":
        _check_export(words)
    elif words[0] == "python":
        _check_script(words)
    elif "--labgrid" in words:
        _check_labgrid(words)
    else:
        assert words[0] == "levit"
        if "--signature" in words:
            assert _run(["levit", "sign", words[2], "--key", "key.pem"], desk).returncode == 0
        done = _run(words, desk, **_places(words, request))
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout


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


def _check_script(words: list[str]) -> None:
    done = _run([sys.executable, str(ROOT / words[1]), "--help"], ROOT)
    assert done.returncode == 0, done.stderr
    known = set(re.findall(r"--[a-z][a-z0-9-]*", done.stdout))
    assert {word for word in words if word.startswith("--")} <= known


# Results


def _tables() -> ModuleType:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import tables
    finally:
        sys.path.pop(0)
    return tables


@pytest.mark.parametrize("name", RESULTS)
def test_results_are_of_the_weights_in_the_package(name: str) -> None:
    from levit_mobile.weights import resolve_weights

    result = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())
    assert result.get("checkpoint") == resolve_weights("demo").sha256, f"run benchmarks/{name}.py anew"


def test_every_result_is_looked_at() -> None:
    known = {*RESULTS, "instructions", "matrix", "peers", "reproducible", "fuzz", "kills", "long_use", "versions"}
    assert {path.stem for path in (ROOT / "benchmarks" / "results").glob("*.json")} <= known
    assert set(_tables().SCRIPTS) == set(RESULTS)


def test_tables_are_the_results() -> None:
    for page, text in _tables().pages().items():
        assert page.read_text() == text, f"{page.name} is not what python benchmarks/tables.py writes"


# The picture


def drawn(svg: str) -> list[str]:
    """The lines of the terminal that ``tools/draw_demo.py`` drew."""
    width = 12.2  # of a character, in the SVG's units
    lines: defaultdict[int, str] = defaultdict(str)
    for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):
        place = re.fullmatch(r"url\(#demo-line-(\d+)\)", text.get("clip-path", ""))
        if place:
            line, column = int(place[1]), round(float(text.get("x", "")) / width)
            lines[line] = (lines[line].ljust(column) + (text.text or "").replace("\xa0", " ")).rstrip("\n")
    return [lines[number].rstrip() for number in range(max(lines) + 1)]


def test_the_picture_needs_no_network() -> None:
    svg = PICTURE.read_text()
    assert "@font-face" not in svg
    assert "url(http" not in svg


def test_the_picture_is_of_make_demo() -> None:
    lines = drawn(PICTURE.read_text())
    assert lines[0] == "$ make demo"
    assert ".venv/bin/levit-export --target tflite --int8 --overwrite --out build/levit_128s-int8-tflite" in lines
    assert [line for line in lines if line.startswith(".venv/bin/levit predict build/levit_128s-int8-tflite ")]
    assert lines[-1] == "The bundle is in ~/levit-mobile/build/levit_128s-int8-tflite"


@pytest.mark.slow
def test_the_picture_shows_what_an_export_gives(exported: Exported) -> None:
    blocks = exported.stdout.strip().split("\n\n")
    printed = next(block for block in blocks if block.startswith("levit_128s-int8-tflite\n")).splitlines()
    shown = drawn(PICTURE.read_text())
    for fact in ("artifact", "runs as"):
        assert next(line for line in printed if line.startswith(f"  {fact} ")) in shown
    # The last bits of float kernels depend on the processor, and can move a value to the next int8 step.
    ours, theirs = (next(line for line in lines if line.startswith("  parity ")) for lines in (printed, shown))
    numbers = re.compile(r"\d+(?:\.\d+)?(?:e[+-]\d+)?")
    assert numbers.sub("*", ours) == numbers.sub("*", theirs)
    measured, kept = ([float(number) for number in numbers.findall(line)] for line in (ours, theirs))
    assert kept[0] == pytest.approx(measured[0], rel=0.3)
    assert kept[1] == pytest.approx(measured[1], abs=1e-3)
    assert kept[2:] == measured[2:]


@pytest.fixture
def draw_demo() -> ModuleType:
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import draw_demo
    finally:
        sys.path.pop(0)
    return draw_demo


def test_drawing(draw_demo: ModuleType) -> None:
    lines = ['a  <b> & "c" [red]d[/red]', "", "  indented: " + 200 * "x", "~/levit-mobile/build"]
    assert drawn(draw_demo.draw(lines)) == ["$ make demo", *lines]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_recording(draw_demo: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is built already is built anew; installing is not in the picture, nor is the place of the checkout."""
    (tmp_path / "Makefile").write_text(
        "demo: .venv/demo.stamp build/bundle\n\techo in $(CURDIR)/build >&2\n\t@echo $$PATH $$FORCE_COLOR\n"
        "build/bundle:\n\tmkdir -p $@\n.venv/demo.stamp:\n\tmkdir .venv\n\ttouch $@\n"
    )
    (tmp_path / "build" / "bundle").mkdir(parents=True)
    monkeypatch.setattr(draw_demo, "ROOT", tmp_path)
    monkeypatch.setattr(draw_demo, "BUNDLE", tmp_path / "build" / "bundle")
    monkeypatch.setenv("PATH", f"{tmp_path}/.venv/bin{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FORCE_COLOR", "1")
    lines = draw_demo.record()
    assert lines[:-1] == ["mkdir -p build/bundle", "echo in ~/levit-mobile/build >&2", "in ~/levit-mobile/build"]
    assert "levit-mobile/.venv" not in lines[-1]
    assert not lines[-1].endswith(" 1")
