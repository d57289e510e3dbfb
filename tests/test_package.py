"""What ``pip install .`` puts into an environment that somebody already has."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from email import message_from_string
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: setuptools works in ``build/`` beside the sources, and stumbles over what is left there."""
    folder, sources = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("sources")
    for package in ("levit_mobile", "exporters", "calib"):
        shutil.copytree(ROOT / package, sources / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, sources)
    command = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--wheel-dir", str(folder), str(sources)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("levit_mobile-*.whl")
    return built


@pytest.mark.slow
@pytest.mark.xdist_group("package")
def test_the_wheel_is_whole(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
        about = next(name for name in names if name.endswith(".dist-info/METADATA"))
        told = message_from_string(opened.read(about).decode())
        scripts = ConfigParser()
        scripts.read_string(opened.read(about.replace("METADATA", "entry_points.txt")).decode())
    assert {
        "levit_mobile/data/levit_128s-imagenette.safetensors",
        "levit_mobile/data/imagenet_labels.txt",
        "calib/data/levit_128s-imagenette.json",
        "levit_mobile/py.typed",
        "exporters/tflite.py",
    } <= names
    assert not any(name.startswith(("tests/", "tools/", "benchmarks/")) for name in names)
    assert told["Requires-Python"] == ">=3.11"
    assert {"tflite", "tflite-runtime", "torch"} <= set(told.get_all("Provides-Extra") or [])
    assert dict(scripts["console_scripts"]) == {
        "levit": "levit_mobile.cli.main:main",
        "levit-export": "levit_mobile.cli.main:export_main",
    }


@pytest.mark.slow
@pytest.mark.xdist_group("package")
def test_installed_elsewhere_it_runs(wheel: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "--quiet",
        "install",
        "--no-deps",
        "--target",
        str(tmp_path / "site"),
        str(wheel),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    code = (
        "import levit_mobile as m, levit_mobile.weights as w; print(m.__file__, w.resolve_weights('demo').num_classes)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    where, classes = ran.stdout.split()
    assert Path(where).is_relative_to(tmp_path / "site")
    assert classes == "10"
