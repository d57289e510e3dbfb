"""The training recipe, on pictures drawn here: red against blue squares."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
TRAIN = ROOT / "tools" / "train.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for name, colour in (("n01440764", (200, 30, 30)), ("n02102040", (30, 30, 200))):
        for split, count in (("train", 16), ("val", 4)):
            (root / split / name).mkdir(parents=True)
            for index in range(count):
                noise = rng.integers(-30, 30, (80, 90, 3))
                pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{index}.png")
    return root


def train(folder: Path, *options: str, code: int = 0) -> str:
    command = [
        sys.executable,
        str(TRAIN),
        "--data",
        str(folder / "train"),
        "--val",
        str(folder / "val"),
        "--no-compile",
    ]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_from_scratch_with_a_teacher_at_two_sizes_then_on(folder: Path, tmp_path: Path) -> None:
    from levit_mobile.checkpoints import load_checkpoint

    boxes = np.tile(np.array([5, 5, 75, 75], np.float32), (32, 2, 1))
    answers = np.zeros((32, 2, 1000), np.float16)
    answers[:16, :, 0] = answers[16:, :, 217] = 9  # the teacher's outputs for the two synsets
    np.savez(tmp_path / "teacher.npz", boxes=boxes, logits=answers)
    out = tmp_path / "toy.safetensors"
    options = ["--teacher", str(tmp_path / "teacher.npz"), "--out", str(out), "--batch", "16"]
    first = train(folder, *options, "--schedule", "32:1,48:1")
    assert "epoch 1/2 at 32" in first
    assert "epoch 2/2 at 48" in first
    checkpoint = load_checkpoint(out)
    assert (checkpoint.variant.name, checkpoint.num_classes, checkpoint.image_size) == ("levit_128s", 2, 48)
    assert checkpoint.labels == ("n01440764", "n02102040")
    assert checkpoint.scheme == "levit-mobile"
    # The same command with one epoch more goes on from the saved state.
    again = train(folder, *options, "--schedule", "32:1,48:2")
    assert "going on after epoch 2" in again
    assert "epoch 3/3 at 48" in again
    assert "epoch 2/" not in again


@pytest.mark.slow
def test_fine_tuning_learns_two_colours(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "tuned.safetensors"
    printed = train(
        folder,
        "--weights",
        "demo",
        "--schedule",
        "64:4",
        "--lr",
        "5e-4",
        "--batch",
        "16",
        "--ema",
        "0.5",
        "--out",
        str(out),
    )
    top1 = float(printed.rpartition("top-1 ")[2].split()[0])
    assert top1 == 1.0


def test_another_validation_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    printed = train(folder, "--val", str(folder), "--out", str(tmp_path / "x.safetensors"), code=1)
    assert "has the classes ['train', 'val']" in printed


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "val").mkdir()
    assert "no pictures in" in train(tmp_path, "--out", str(tmp_path / "x.safetensors"), code=1)


def test_a_size_that_is_no_multiple_of_sixteen_is_refused(folder: Path, tmp_path: Path) -> None:
    printed = train(folder, "--schedule", "100:1", "--out", str(tmp_path / "x.safetensors"), code=1)
    assert "100 is not a multiple of 16" in printed
