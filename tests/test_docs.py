"""Every command that the documents show is run here, with stand-ins for the user's own files."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from exports import Exported
from PIL import Image

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"), ROOT / "benchmarks" / "README.md"]
)
PROGRAMS = ("levit", "levit-export", "make", "pip", "python", ".venv/bin/pytest", ".venv/bin/pre-commit", "eval")
# Run elsewhere: by .ci/run itself (the suite cannot start itself), or in test_house.py and tests/tools.
ELSEWHERE = re.compile(
    r"make (demo|test|lint)|.*-m \"not slow\"|.*pre-commit install|pip install|python tools/(train|teach)\.py"
)


def commands() -> list[tuple[str, str]]:
    """(page, command) of every indented line that starts with a program; lines that end in a backslash are joined."""
    found = []
    for page in PAGES:
        if not page.exists():
            continue
        text = page.read_text().replace("\\\n", " ")
        for line in text.splitlines():
            if line.startswith("    ") and re.match(r"[A-Z_]*=?\S*", line.strip()):
                words = line.split("#")[0].split()
                programs = [w for w in words if "=" not in w]
                if programs and (programs[0] in PROGRAMS or (words[0].startswith("_LEVIT") and programs)):
                    found.append((page.name, " ".join(words)))
    return found


def test_there_are_commands() -> None:
    assert len(commands()) >= 15


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, exported: Exported) -> Path:
    """A user's folder: photos in two classes, a checkpoint of their own, and bundles under their default names."""
    from levit_mobile.checkpoints import save_checkpoint
    from levit_mobile.weights import resolve_weights

    folder = tmp_path_factory.mktemp("desk")
    rng = np.random.default_rng(0)
    labels = list(resolve_weights("demo").labels or ())
    for base in ("photos", "photos/train", "photos/val", "imagenette/val"):
        if base == "photos":
            continue
        for label in labels:
            (folder / base / label).mkdir(parents=True)
            Image.fromarray(rng.integers(0, 255, (60, 80, 3), np.uint8)).save(folder / base / label / "a.png")
    for label in labels:
        shutil.copytree(folder / "photos/train" / label, folder / "photos" / label)
    shutil.rmtree(folder / "photos/train")
    shutil.rmtree(folder / "photos/val")
    Image.fromarray(rng.integers(0, 255, (60, 80, 3), np.uint8)).save(folder / "photo.jpg")
    save_checkpoint(folder / "mine.pth", resolve_weights("demo").model(), labels=labels)
    (folder / "mine.pth").rename(folder / "mine.safetensors")
    for bundle in exported.folder.glob("levit_128s-*-tflite"):
        shutil.copytree(bundle, folder / bundle.name)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("page", "command"), commands())
def test_documented_command(page: str, command: str, desk: Path) -> None:
    if ELSEWHERE.match(command):
        pytest.skip(f"{command}: run by .ci/run or by tests/tools")
    if "_COMPLETE=" in command:
        # The script for the shell is what counts; zsh and fish themselves may not be installed.
        variable, shell = re.search(r"(_\w+_COMPLETE)=(\w+)_source", command).groups()  # type: ignore[union-attr]
        done = subprocess.run(
            ["levit"], env={**_environment(), variable: f"{shell}_source"}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert f"{variable}={shell}_complete" in done.stdout
        return
    words = shlex.split(command)
    if words[0] == "levit-export" or words[:2] == ["levit", "export"]:
        _check_export(words, desk)
        return
    if words[0] == "python" and words[1].startswith("benchmarks/"):
        done = subprocess.run(
            [sys.executable, str(ROOT / words[1]), "--help"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return
    if words == ["levit", "validate", "BUNDLE", "--data", "DIR", "--weights", "demo"]:
        return
    done = subprocess.run(words, cwd=desk, env=_environment(), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout


def _environment() -> dict[str, str]:
    # fish's completion file is written below the home folder.
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "200"}


def _check_export(words: list[str], desk: Path) -> None:
    """Parse every option for real; the translation itself is what the export tests do, with the same options."""
    from levit_mobile.cli.export import command

    context = command.make_context("levit-export", words[1 if words[0] == "levit-export" else 2 :])
    assert context.params["targets"]
    weights = context.params["weights"]
    assert weights in ("demo", "imagenet") or Path(weights).suffix in (".pth", ".safetensors")


def test_tables_are_the_results() -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import tables
    finally:
        sys.path.pop(0)
    for page, text in tables.pages().items():
        assert page.read_text() == text, f"{page.name} is not what python benchmarks/tables.py writes"
