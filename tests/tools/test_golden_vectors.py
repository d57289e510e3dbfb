"""The golden vectors are what this library gives today; Kotlin and Swift assert the same files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from levit_mobile.preprocess import Preprocessing, normalise, resize_and_crop

FOLDER = Path(__file__).parents[1] / "golden" / "vectors"
VECTORS: dict[str, Any] = json.loads((FOLDER / "vectors.json").read_text())
SPEC = Preprocessing.from_dict(VECTORS["preprocessing"])
NAMES = [case["name"] for case in VECTORS["cases"]]


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import sys

    sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
    try:
        from golden_vectors import write
    finally:
        sys.path.pop(0)
    folder = tmp_path_factory.mktemp("vectors")
    write(folder)
    return folder


def test_the_tool_writes_what_is_stored(again: Path) -> None:
    stored = {path.name for path in FOLDER.iterdir()} - {"README.md"}
    assert {path.name for path in again.iterdir()} == stored
    for name in stored - {"vectors.json"}:
        assert (again / name).read_bytes() == (FOLDER / name).read_bytes(), name
    new = json.loads((again / "vectors.json").read_text())
    for old, now in zip(VECTORS["cases"], new["cases"], strict=True):  # the last bits of floats belong to the processor
        np.testing.assert_allclose(now["logits"], old["logits"], atol=1e-4 * np.ptp(old["logits"]))
        assert [row["class"] for row in now["top"]] == [row["class"] for row in old["top"]]
        now |= {key: old[key] for key in ("logits", "top")}
    assert new == VECTORS


def test_top_is_the_softmax_of_the_logits() -> None:
    for case in VECTORS["cases"]:
        power = np.exp(np.array(case["logits"]))
        for row in case["top"]:
            assert row["probability"] == pytest.approx(power[row["class"]] / power.sum(), abs=1e-9)
            assert row["label"] == VECTORS["labels"][row["class"]]
        assert [row["class"] for row in case["top"]] == list(np.argsort(-power)[:5])


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_becomes_its_pixels_and_tensor(name: str) -> None:
    case = VECTORS["cases"][NAMES.index(name)]
    raw = np.frombuffer((FOLDER / case["picture"]).read_bytes(), np.uint8)
    pixels = resize_and_crop(Image.fromarray(raw.reshape(case["height"], case["width"], 3)), SPEC)
    assert pixels.tobytes() == (FOLDER / case["pixels"]).read_bytes()
    tensor = normalise(pixels[None], SPEC)[0]
    assert hashlib.sha256(tensor.tobytes()).hexdigest() == case["nchw_sha256"]
    last = np.ascontiguousarray(tensor.transpose(1, 2, 0))
    for entry in case["entries"]:
        assert tensor.ravel()[entry["nchw"]].view(np.uint32) == entry["bits"]
        assert last.ravel()[entry["nhwc"]].view(np.uint32) == entry["bits"]


def test_levels_are_the_whole_of_normalisation() -> None:
    for channel, bits in enumerate(VECTORS["levels"]):
        exact = (np.arange(256) / 255 - SPEC.mean[channel]) / SPEC.std[channel]
        np.testing.assert_allclose(np.array(bits, np.uint32).view(np.float32), exact, atol=1e-6)


def test_the_cases_take_every_way_through_the_resize() -> None:
    """Wider, higher, scaled up and down, columns first, and so long that only the middle is resized."""
    ways = set()
    for case in VECTORS["cases"]:
        width, height = case["width"], case["height"]
        scale = SPEC.resize / min(width, height)
        rows, columns = height - int(height * scale), width - int(width * scale)
        ways |= {"wide" if width > height else "high", "up" if scale > 1 else "down"}
        ways |= {"columns first"} if rows > max(0, 2 * columns) else set()
        ways |= {"long"} if scale * max(width, height) > 4096 else set()
    assert ways == {"wide", "high", "up", "down", "columns first", "long"}
