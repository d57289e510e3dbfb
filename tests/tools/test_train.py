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
        "--device",
        "cpu",
    ]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_from_scratch_with_a_teacher_at_two_sizes_then_on(folder: Path, tmp_path: Path) -> None:
    from levit_mobile.checkpoints import load_checkpoint
    from levit_mobile.program import build_program

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
    # What exporters ask for: pictures of the size that the weights fit.
    assert (checkpoint.preprocessing.resize, checkpoint.preprocessing.crop) == (55, 48)
    assert build_program(checkpoint, "fp32").image_size == 48
    assert (checkpoint.variant.name, checkpoint.num_classes, checkpoint.image_size) == ("levit_128s", 2, 48)
    assert checkpoint.labels == ("n01440764", "n02102040")
    assert checkpoint.scheme == "levit-mobile"
    # The same command with one epoch more goes on from the saved state.
    again = train(folder, *options, "--schedule", "32:1,48:2")
    assert "going on after epoch 2" in again
    assert "epoch 3/3 at 48" in again
    assert "epoch 2/" not in again
    # Another run does not take it over.
    printed = train(folder, *options, "--schedule", "32:1", "--variant", "levit_192", code=1)
    assert "toy.state is another run's (other variant)" in printed


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


@pytest.mark.slow
def test_qat_goes_on_from_trained_weights(folder: Path, tmp_path: Path) -> None:
    """At the learning rate of fine-tuning a few steps change little, and BatchNorm's statistics nothing."""
    from levit_mobile.weights import resolve_weights

    out = tmp_path / "qat.safetensors"
    options = ["--qat", "--weights", "demo", "--batch", "16", "--out", str(out)]
    printed = train(folder, *options, "--schedule", "224:1", "--lr", "1e-4")
    assert "epoch 1/1 at 224: loss" in printed
    found, start = resolve_weights(str(out)), resolve_weights("demo")
    means = [key for key in start.state if key.endswith("running_mean") and "head" not in key]
    assert all(np.array_equal(found.state[key], start.state[key]) for key in means)
    weight = "blocks.0.m.qkv.c.weight"
    assert 0 < float((found.state[weight] - start.state[weight]).abs().max()) < 0.01


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "--qat goes on from trained weights; type --weights FILE too"),
        (
            ["--weights", "demo", "--schedule", "64:1"],
            "--qat stays at the checkpoint's 224 pixels; type --schedule 224:3",
        ),
    ],
)
def test_qat_says_what_it_needs(folder: Path, tmp_path: Path, options: list[str], said: str) -> None:
    out = tmp_path / "x.safetensors"
    assert said in train(folder, "--qat", *options, "--batch", "16", "--out", str(out), code=1)
    assert not out.exists()


def test_another_validation_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    printed = train(folder, "--val", str(folder), "--out", str(tmp_path / "x.safetensors"), code=1)
    assert "has the classes ['train', 'val']" in printed


def test_fewer_pictures_than_a_batch_are_refused(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.safetensors"
    printed = train(folder, "--schedule", "32:1", "--batch", "33", "--out", str(out), code=1)
    assert "has 32 pictures, fewer than a batch; type --batch 16" in printed
    assert not out.exists()


def test_labels_are_counted_before_training(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("red\nblue\ngreen\n")
    printed = train(folder, "--labels", str(tmp_path / "labels.txt"), "--out", str(tmp_path / "x.safetensors"), code=1)
    assert "labels.txt names 3 classes, the training set has 2" in printed
    assert "epoch" not in printed


def test_pictures_are_read_as_the_library_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a phone's photo is learnt lying and predicted standing."""
    monkeypatch.syspath_prepend(str(TRAIN.parent))
    from views import list_pictures, load_picture

    picture = Image.new("RGBA", (60, 30), (0, 0, 0, 0))
    (tmp_path / "a").mkdir()
    picture.save(tmp_path / "a" / "clear.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.convert("RGB").save(tmp_path / "a" / "lying.jpg", exif=exif)
    (tmp_path / "a" / "._lying.jpg").write_bytes(b"a Mac's note")
    paths, labels, classes = list_pictures(tmp_path)
    assert ([path.name for path in paths], labels, classes) == (["clear.png", "lying.jpg"], [0, 0], ["a"])
    clear, lying = (load_picture(path) for path in paths)
    assert clear.getpixel((0, 0)) == (255, 255, 255)
    assert lying.size == (30, 60)
    assert load_picture(paths[1], limit=15).size == (15, 30)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "val").mkdir()
    assert "no pictures in" in train(tmp_path, "--out", str(tmp_path / "x.safetensors"), code=1)


def test_a_size_that_is_no_multiple_of_sixteen_is_refused(folder: Path, tmp_path: Path) -> None:
    printed = train(folder, "--schedule", "100:1", "--out", str(tmp_path / "x.safetensors"), code=1)
    assert "100 is not a multiple of 16" in printed
