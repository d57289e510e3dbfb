"""Bad days of real exports: nobody at home, no memory, killed; and that nothing calls home."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from levit_mobile.bundle import open_bundle

if TYPE_CHECKING:
    from torch import nn

ROOT = Path(__file__).parents[2]
STRANGER = ["unshare", "-U", "--map-user=54321"]  # a number that no user has


def as_a_stranger(*words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """``levit`` of a user whom the system does not know, and who has no home."""
    settings = {k: v for k, v in os.environ.items() if k not in ("HOME", "LEVIT_MOBILE_CACHE", "XDG_CACHE_HOME")}
    command = [*STRANGER, sys.executable, "-m", "levit_mobile", *map(str, words)]
    settings["PYTHONPATH"] = str(ROOT)
    return subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, check=False, timeout=500)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare (util-linux)")
def test_nobody_at_home(tmp_path: Path) -> None:
    if subprocess.run([*STRANGER, "true"], capture_output=True, check=False).returncode:
        pytest.skip("users may not be mapped here")
    done = as_a_stranger("export", "--target", "onnx", "--out", "made", folder=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    done = as_a_stranger("verify", "made", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[-2000:]
    assert os.listdir(tmp_path) == ["made"]


_LESS = """
import resource, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
from levit_mobile.cli.main import export_main
export_main()
"""


def with_memory(megabytes: int, *words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """``levit-export`` that may write to so much memory."""
    command = [sys.executable, "-c", _LESS, str(megabytes << 20), *map(str, words)]
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, check=False, timeout=500)


@pytest.mark.long
@pytest.mark.slow
def test_no_memory_to_lower_the_largest(random_fill: Callable[..., nn.Module], tmp_path: Path) -> None:
    """The earlier bundle stays, nothing else is left, and the reason is told in a sentence."""
    from levit_mobile.checkpoints import save_checkpoint
    from levit_mobile.model import LeViT
    from levit_mobile.variants import VARIANTS

    save_checkpoint(tmp_path / "w.safetensors", random_fill(LeViT(VARIANTS["levit_384"], num_classes=10)))
    place = tmp_path / "place"
    place.mkdir()
    words = ["--target", "onnx", "--out", "made", "--overwrite"]
    done = with_memory(1 << 14, *words, folder=place)  # the small variant, first
    assert done.returncode == 0, done.stderr[-2000:]
    before = json.loads((place / "made" / "manifest.json").read_text())["digest"]
    for megabytes, step, told in ((700, "fusing", "not enough memory"), (1000, "translating to onnx, fp32", "as ONNX")):
        done = with_memory(megabytes, *words, "--weights", tmp_path / "w.safetensors", folder=place)
        last = done.stderr.strip().splitlines()[-1]
        assert done.returncode in (1, 2), (megabytes, done.stderr[-2000:])
        assert last.startswith("error: "), (megabytes, last)
        assert told in last, (megabytes, last)
        assert f"  {step} ...\n" in done.stderr, (megabytes, done.stderr[-2000:])
        assert os.listdir(place) == ["made"]
    bundle = open_bundle(place / "made")
    assert bundle.damage() == []
    assert bundle.manifest["digest"] == before


@pytest.mark.long
@pytest.mark.slow
def test_killed_at_random_points(tmp_path: Path) -> None:
    """A few of them; ``benchmarks/results/kills.json`` has what came of fifty."""
    command = [sys.executable, str(ROOT / "benchmarks" / "kills.py"), "--points", "4", "--seed", "1"]
    settings = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--results", str(tmp_path)], env=settings, capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((tmp_path / "kills.json").read_text())
    assert (found["points"], found["earlier"] + found["new"]) == (4, 4)
    assert found["killed"] >= 1


def test_onnx_runtime_calls_nobody(tmp_path: Path) -> None:
    """By default it keeps a number of this device in the home folder, to send with what it is used for."""
    code = "from levit_mobile.runtimes.onnx import _package; _package().get_device(); print('done')"
    settings = {k: v for k, v in os.environ.items() if not k.startswith(("ORT_", "XDG_"))} | {"HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=settings, capture_output=True, text=True, check=True
    )
    assert done.stdout == "done\n"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
