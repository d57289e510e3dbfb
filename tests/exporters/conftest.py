"""What the tests of several targets start from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from pictures import draw

from calib.calibrate import calibrate
from calib.calibration import Calibration
from calib.pictures import CalibrationSet
from calib.ranges import fingerprint
from levit_mobile.checkpoints import Checkpoint
from levit_mobile.fuse import DeployLeViT, fuse
from levit_mobile.model import LeViT
from levit_mobile.preprocess import IMAGENET, Preprocessing, resize_and_crop
from levit_mobile.variants import Variant
from levit_mobile.weights import resolve_weights


@pytest.fixture(scope="session")
def deploy() -> DeployLeViT:
    return fuse(resolve_weights("demo").model())


@pytest.fixture(scope="session")
def pixels() -> npt.NDArray[np.uint8]:
    """Twelve pictures that are not among the golden ones."""
    return np.stack([resize_and_crop(draw(f"{300 + 7 * n}x{280 - n}"), IMAGENET) for n in range(12)])


@pytest.fixture(scope="session")
def tiny(random_fill: Callable[..., LeViT]) -> Checkpoint:
    """A LeViT so small that lowering it takes seconds; pictures of 64 pixels, six classes."""
    variant = Variant("tiny", (32, 48, 64), 16, (2, 3, 4), (1, 0, 0), 0.0, 0, 0, 0, 0, "")
    model = random_fill(LeViT(variant, num_classes=6, image_size=64))
    derived = ("attention_bias_idxs", "num_batches_tracked")
    state = {key: value for key, value in model.state_dict().items() if not key.endswith(derived)}
    spec = Preprocessing(resize=64, crop=64)
    return Checkpoint(variant, state, 6, True, 64, None, spec, "levit-mobile", "tiny.safetensors", "0" * 64)


@pytest.fixture(scope="session")
def small(tiny: Checkpoint) -> npt.NDArray[np.uint8]:
    """Four pictures for it."""
    return np.stack([resize_and_crop(draw(f"{80 + 7 * n}x{90 - n}"), tiny.preprocessing) for n in range(4)])


@pytest.fixture(scope="session")
def tiny_calibration(tiny: Checkpoint, small: npt.NDArray[np.uint8]) -> Calibration:
    pictures = CalibrationSet(small, "0" * 64)
    return calibrate(fuse(tiny.model()), pictures, tiny.preprocessing, weights=fingerprint(tiny.state))
