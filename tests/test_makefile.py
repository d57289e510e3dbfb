"""What ``make`` would do in each state of a checkout; nothing is installed, and only what is tried of pytest is run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXPORT = ".venv/bin/levit-export --target tflite --int8"
PREDICT = ".venv/bin/levit predict build/levit_128s-int8-tflite"
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """All is made already: every file is older than the ones that are made from it."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    order = [
        *("constraints.txt", "pyproject.toml", "tests/readers/requirements.txt"),
        *("levit_mobile/fuse.py", "exporters/tflite.py", "calib/data/ranges.json"),
        *(".venv/bin/pip", ".venv/demo.stamp", ".venv/dev.stamp", ".venv-readers/stamp"),
        "build/levit_128s-int8-tflite/manifest.json",
        "build/levit_128s-int8-executorch/manifest.json",
    ]
    for age, name in enumerate(order):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (1e9 + age, 1e9 + age))
    return tmp_path


def plan(checkout: Path, *targets: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    command = ["make", "--dry-run", *targets]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def test_nothing_is_done_twice(checkout: Path) -> None:
    for target in ("demo", "test", "lint", "docs", "android"):
        words = plan(checkout, target)
        assert "install" not in words
        assert "venv .venv" not in words
        assert EXPORT not in words
    assert PREDICT in plan(checkout, "demo")
    assert "-m pytest" in plan(checkout, "test")
    assert "tools/build_site.py build/docs" in plan(checkout, "docs")
    assert "-b linkcheck" in plan(checkout, "docs-links")
    assert "android_demo/tools/check.py build/levit_128s-int8-tflite build/levit_128s-int8-exec" in plan(
        checkout, "android"
    )


@pytest.mark.parametrize("changed", ["levit_mobile/fuse.py", "exporters/tflite.py", "calib/data/ranges.json"])
def test_a_changed_source_is_exported_anew(checkout: Path, changed: str) -> None:
    (checkout / changed).touch()
    words = plan(checkout, "demo")
    assert words.index(EXPORT) < words.index(PREDICT)
    assert "install" not in words


def test_changed_pins_are_installed_before_anything_runs(checkout: Path) -> None:
    (checkout / "constraints.txt").touch()
    words = plan(checkout, "demo")
    assert words.index("install -c constraints.txt torch") < words.index(EXPORT) < words.index(PREDICT)
    words = plan(checkout, "test")
    assert words.index("install -c constraints.txt torch") < words.index("-e '.[dev]'") < words.index("-m pytest")


def test_an_environment_that_was_not_finished_is_made_anew(checkout: Path) -> None:
    """Debian's python3 without python3-venv leaves .venv/bin/python behind, and no pip."""
    for name in ("bin/pip", "demo.stamp", "dev.stamp"):
        (checkout / ".venv" / name).unlink()
    (checkout / ".venv" / "bin" / "python").touch()
    words = plan(checkout, "demo")
    assert words.index("rm -rf .venv") < words.index("-m venv .venv") < words.index("install -c constraints.txt torch")
    assert "apt-get install python3-venv" in words


def test_a_group_stays_with_one_worker(checkout: Path, tmp_path: Path) -> None:
    """Of ``make test``; otherwise several wait for one export. pytest 9.2 with pytest-xdist 3.8 forgets it without a word."""
    tests = 'import pytest\npytestmark = pytest.mark.xdist_group("g")\n'
    tests += "@pytest.mark.parametrize('n', range(6))\ndef test(n, worker_id):\n    print(worker_id)\n"
    (tmp_path / "test_group.py").write_text(tests)
    (words,) = (line.split() for line in plan(checkout, "test").splitlines() if "-m pytest" in line)
    options = words[words.index("pytest") + 1 : words.index("-m", 2)]
    assert "-n" in options
    command = [sys.executable, "-m", "pytest", *options, "-rP", "-p", "no:cacheprovider", "test_group.py"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "6 passed" in done.stdout
    assert len({line for line in done.stdout.splitlines() if line in ("gw0", "gw1", "gw2")}) == 1
