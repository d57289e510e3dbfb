"""What the tests of several targets start from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from pictures import draw

from levit_mobile.fuse import DeployLeViT, fuse
from levit_mobile.preprocess import IMAGENET, resize_and_crop
from levit_mobile.weights import resolve_weights


@pytest.fixture(scope="session")
def deploy() -> DeployLeViT:
    return fuse(resolve_weights("demo").model())


@pytest.fixture(scope="session")
def pixels() -> npt.NDArray[np.uint8]:
    """Twelve pictures that are not among the golden ones."""
    return np.stack([resize_and_crop(draw(f"{300 + 7 * n}x{280 - n}"), IMAGENET) for n in range(12)])
