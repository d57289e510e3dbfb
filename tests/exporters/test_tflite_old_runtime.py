"""The artifacts on tflite-runtime 2.14.0, the last release of that name: what 32-bit Raspberry Pi OS has."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from answers import of_range
from exports import Exported
from PIL import Image

from levit_mobile.bundle import open_bundle
from levit_mobile.preprocess import resize_and_crop
from levit_mobile.quantize import PRECISIONS
from levit_mobile.runtimes import open_runtime

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-readers" / "bin" / "python"
RUNNABLE = ("fp32", "fp16", "int8")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="needs the environment of the old runtime; make test makes it"),
]


def there(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Python in that environment; the library comes from the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(PYTHON), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)


def levit(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return there("-m", "levit_mobile", *words)


def folder(exported: Exported, precision: str) -> Path:
    return exported.bundle(f"levit_128s-{precision}-tflite")


@pytest.mark.parametrize("precision", RUNNABLE)
def test_the_same_logits(exported: Exported, precision: str) -> None:
    """As PyTorch's, within the precision's tolerance, and as those of ai-edge-litert, whether XNNPACK helps or not."""
    bundle = open_bundle(folder(exported, precision))
    done = there(ROOT / "tests" / "readers" / "run_model.py", bundle.artifact, bundle.folder / "golden.npz")
    assert done.returncode == 0, done.stderr
    golden = bundle.golden()
    new = open_runtime(bundle).logits(golden.pixels)
    apart = {"fp32": 1e-5, "fp16": 1e-5, "int8": 0.02}[precision]  # int8: where a value lies between two steps
    for found in json.loads(done.stdout).values():
        assert of_range(np.array(found), golden.logits) <= PRECISIONS[precision].tolerance.max_abs
        assert of_range(np.array(found), new) <= apart


@pytest.mark.parametrize("precision", RUNNABLE)
def test_verify(exported: Exported, precision: str) -> None:
    done = levit("verify", folder(exported, precision))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].endswith("is whole and computes what it should")


def test_predict(exported: Exported, tmp_path: Path) -> None:
    """The drawn picture whose first class is farthest ahead: between two that are close, a rounding decides."""
    bundle = open_bundle(folder(exported, "int8"))
    drawn = [Image.fromarray(pixels) for pixels in bundle.golden().pixels]
    logits = open_runtime(bundle).logits(np.stack([resize_and_crop(one, bundle.preprocessing) for one in drawn]))
    ahead = np.diff(np.sort(logits, axis=1)[:, -2:], axis=1)[:, 0]
    best = int(ahead.argmax())
    assert ahead[best] > 0.1 * np.ptp(logits)
    drawn[best].save(tmp_path / "picture.png")

    def first(done: subprocess.CompletedProcess[str]) -> str:
        assert done.returncode == 0, done.stderr
        (row,) = json.loads(done.stdout)["predictions"]
        return str(row["top"][0]["label"])

    ours = bundle.labels[int(logits[best].argmax())]
    assert first(levit("predict", bundle.folder, tmp_path / "picture.png", "--json")) == ours


def test_what_it_would_compute_wrongly_it_refuses(exported: Exported) -> None:
    """Float inputs and int8 weights with one scale a channel: it would take the first channel's scale for all of them."""
    done = levit("verify", folder(exported, "int8-dynamic"))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "this host's runtime is too old for it (Didn't find op for builtin opcode 'FULLY_CONNECTED' version" in line
    assert line.endswith(
        "type levit-export --precision fp32, fp16 or int8 for one that it can run, or install ai-edge-litert"
    )


@pytest.mark.parametrize("words", [("inspect",), ("models",)])
def test_other_commands(exported: Exported, words: Sequence[str]) -> None:
    done = levit(*words, *((folder(exported, "int8"),) if words == ("inspect",) else ()))
    assert (done.returncode, done.stderr) == (0, "")
