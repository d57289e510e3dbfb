"""Bundles that many tests read, made once for the whole run, also where several workers share it.

``exported`` is what one real ``levit-export`` wrote; ``other_kinds`` and ``thousand`` are the rarer ones. Nobody may
change them: a test that damages a bundle copies it first. While working on tests alone, ``LEVIT_MOBILE_TEST_EXPORTS=DIR``
keeps them between runs.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pictures import draw

if TYPE_CHECKING:
    from torch import nn

PRECISIONS = ("fp32", "fp16", "int8", "int8-dynamic")
COREML = ("fp32", "fp16", "int8", "int8-weights", "palettised-4bit")
# What may not matter: with these, other processes must write the same bytes.
ELSEWHERE = {
    "PYTHONHASHSEED": "77",
    "TZ": "Asia/Tokyo",
    "LC_ALL": "C",
    "LANGUAGE": "tr",
    "OMP_NUM_THREADS": "1",
    "SOURCE_DATE_EPOCH": "1",
}
SCRIPTS = Path(sys.executable).parent  # of the environment that runs the tests
_MINUTES = 9  # an export takes seconds on an idle machine


def run_script(
    name: str, args: Sequence[str | Path], *, cwd: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """One of the installed scripts, in a process of its own; output as text."""
    return subprocess.run(
        [str(SCRIPTS / name), *map(str, args)],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60 * _MINUTES,
        check=False,
    )


@dataclass(frozen=True)
class Exported:
    """A folder with bundles, and what the command that made them printed."""

    folder: Path
    stdout: str
    stderr: str

    def bundle(self, name: str) -> Path:
        """One of them, not to be changed."""
        return self.folder / name

    def copy(self, name: str, to: Path) -> Path:
        """One of them, to be damaged."""
        return Path(shutil.copytree(self.folder / name, to / name))


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The demo checkpoint in every precision, as ``levit_128s-PRECISION-tflite``, by one ``levit-export``."""
    args = ["--target", "tflite", *(part for name in PRECISIONS for part in ("--precision", name))]

    def make(folder: Path) -> subprocess.CompletedProcess[str]:
        return run_script("levit-export", args, cwd=folder)

    return once(tmp_path_factory, "exported", make)


_SEVERAL = """
import json, sys
from levit_mobile.cli.main import cli
from levit_mobile.errors import CheckError
for args in json.loads(sys.argv[1]):
    try:
        cli.main(["export", "--json", *args], prog_name="levit", standalone_mode=False)
    except CheckError as error:
        print(json.dumps({"error": str(error)}))
"""


def _several(runs: Sequence[Sequence[str]], folder: Path) -> subprocess.CompletedProcess[str]:
    """Several ``levit export --json`` in one process."""
    return subprocess.run(
        [sys.executable, "-c", _SEVERAL, json.dumps(runs)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60 * _MINUTES,
        check=False,
    )


@pytest.fixture(scope="session")
def other_kinds(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Bundles ``nchw`` (fp32, with accuracy on six drawn pictures), ``uint8``, ``int8`` (both int8 inside), ``uint8-fp32``.

    And ``never-half``: int8 that computes the same on processors with half precision and without.
    ``absurd``, with ranges a hundred times too wide, is refused.
    """
    runs = [
        ["--layout", "nchw", "--out", "nchw", "--eval-data", "labelled"],
        ["--layout", "nchw", "--int8", "--calib-data", "absurd.json", "--out", "absurd"],
        ["--int8", "--io-dtype", "uint8", "--out", "uint8"],
        ["--int8", "--io-dtype", "int8", "--out", "int8"],
        ["--io-dtype", "uint8", "--out", "uint8-fp32"],
        ["--int8", "--activations", "float32", "--out", "never-half"],
    ]
    from calib.calibration import bundled_calibration

    def make(folder: Path) -> subprocess.CompletedProcess[str]:
        labelled_pictures(folder / "labelled")
        calibration = bundled_calibration()
        wide = {name: (100 * low, 100 * high) for name, (low, high) in calibration.ranges.values.items()}
        absurd = replace(calibration, ranges=replace(calibration.ranges, values=wide))
        (folder / "absurd.json").write_text(absurd.to_json(), "utf-8")
        return _several([["--target", "tflite", *args] for args in runs], folder)

    return once(tmp_path_factory, "other_kinds", make)


@pytest.fixture(scope="session")
def executorch_exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The demo checkpoint in every precision, as ``levit_128s-PRECISION-executorch``, by one ``levit-export``."""
    args = ["--target", "executorch", *(part for name in PRECISIONS for part in ("--precision", name))]

    def make(folder: Path) -> subprocess.CompletedProcess[str]:
        return run_script("levit-export", args, cwd=folder, environment={"PYTHONHASHSEED": "1"})

    return once(tmp_path_factory, "executorch_exported", make)


@pytest.fixture(scope="session")
def vulkan_exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The demo checkpoint as ``levit_128s-fp16-executorch-vulkan``."""
    args = ["--target", "executorch", "--delegate", "vulkan", "--precision", "fp16"]
    return once(tmp_path_factory, "vulkan_exported", lambda folder: run_script("levit-export", args, cwd=folder))


@pytest.fixture(scope="session")
def coreml_exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The demo checkpoint as ``levit_128s-PRECISION-coreml`` in all of ``COREML``, by one ``levit-export``.

    And some that are not for the default system: fp16 with ``-ios15`` behind it, int8-weights and palettised-4bit with
    ``-ios18``.
    """
    first = ["--target", "coreml", *(part for name in COREML for part in ("--precision", name)), "--author", "R. Roe"]
    others = [("ios15", "fp16"), ("ios18", "int8-weights", "palettised-4bit")]

    def make(folder: Path) -> subprocess.CompletedProcess[str]:
        runs = [
            ["--target", "coreml", "--deployment-target", since, *(part for n in names for part in ("--precision", n))]
            for since, *names in others
        ]
        done = run_script("levit-export", first, cwd=folder, environment={"PYTHONHASHSEED": "1"})
        return done if done.returncode else _several(runs, folder)

    return once(tmp_path_factory, "coreml_exported", make)


@pytest.fixture(scope="session")
def onnx_exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The demo checkpoint as ``levit_128s-fp32-onnx`` and ``levit_128s-int8-onnx``, and with ``-dynamic`` behind it."""
    args = ["--target", "onnx", "--precision", "fp32", "--int8"]

    def make(folder: Path) -> subprocess.CompletedProcess[str]:
        done = run_script("levit-export", args, cwd=folder, environment={"PYTHONHASHSEED": "1"})
        return done if done.returncode else run_script("levit-export", [*args, "--batch", "dynamic"], cwd=folder)

    return once(tmp_path_factory, "onnx_exported", make)


@pytest.fixture(scope="session")
def onnx2tf_exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The demo checkpoint as ``levit_128s-fp32-tflite-onnx2tf`` and ``levit_128s-int8-tflite-onnx2tf``, by one command."""
    args = ["--target", "tflite", "--via", "onnx2tf", "--precision", "fp32", "--int8"]

    def make(folder: Path) -> subprocess.CompletedProcess[str]:
        return run_script("levit-export", args, cwd=folder, environment={"PYTHONHASHSEED": "1"})

    return once(tmp_path_factory, "onnx2tf_exported", make)


@pytest.fixture(scope="session")
def thousand(tmp_path_factory: pytest.TempPathFactory, random_fill: Callable[..., nn.Module]) -> Path:
    """A bundle in int8 with 1000 classes: random weights, ranges from eight drawn pictures that lie loose in a folder."""
    from levit_mobile.checkpoints import save_checkpoint
    from levit_mobile.model import LeViT
    from levit_mobile.variants import VARIANTS

    def make(folder: Path) -> subprocess.CompletedProcess[str]:
        save_checkpoint(folder / "thousand.safetensors", random_fill(LeViT(VARIANTS["levit_128s"])))
        (folder / "loose").mkdir()
        for index in range(8):
            draw(f"{240 + index}x240").save(folder / "loose" / f"{index}.png")
        args = ["--target", "tflite", "--int8", "--weights", "thousand.safetensors", "--calib-data", "loose"]
        return run_script("levit-export", args, cwd=folder)

    return once(tmp_path_factory, "thousand", make).bundle("levit_128s-int8-tflite")


def labelled_pictures(folder: Path, each: int = 3) -> None:
    """Two of the demo checkpoint's classes, ``each`` drawn pictures of both."""
    for number, name in enumerate(("golf_ball", "church")):
        (folder / name).mkdir(parents=True)
        for index in range(each):
            draw(f"{250 + 10 * number}x{260 + index}").save(folder / name / f"{index}.png")


def once(
    factory: pytest.TempPathFactory, name: str, make: Callable[[Path], subprocess.CompletedProcess[str]]
) -> Exported:
    """A folder that ``make`` filled in whichever worker came first; the others wait for it."""
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # each worker has a folder of its own in it
    if kept := os.environ.get("LEVIT_MOBILE_TEST_EXPORTS"):
        root = Path(kept)
        root.mkdir(parents=True, exist_ok=True)
    folder, told = root / name, root / f"{name}.json"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not told.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            done = make(folder)
            told.write_text(json.dumps([done.returncode, done.stdout, done.stderr]))
    code, stdout, stderr = json.loads(told.read_text())
    if code != 0:
        pytest.fail(f"the export of {name} ended with {code}:\n{stdout}\n{stderr[-4000:]}", pytrace=False)
    return Exported(folder, stdout, stderr)
