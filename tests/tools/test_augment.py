"""What training does to a batch, beside the same written out step by step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from levit_mobile.preprocess import IMAGENET, normalise


@pytest.fixture(autouse=True)
def _tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "tools"))


@pytest.fixture
def pixels() -> Tensor:
    levels = np.random.default_rng(0).integers(0, 256, (4, 17, 17, 3), dtype=np.uint8)
    return torch.from_numpy(levels).permute(0, 3, 1, 2)


def test_without_jitter_pictures_are_normalised(pixels: Tensor) -> None:
    from augment import jitter

    expected = normalise(pixels.permute(0, 2, 3, 1).numpy(), IMAGENET)
    found = jitter(pixels, IMAGENET, strength=0)
    assert found.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-6)


def test_jitter_is_saturation_then_contrast_then_brightness(pixels: Tensor) -> None:
    from augment import jitter

    torch.manual_seed(5)
    saturation, contrast, brightness = torch.empty(3, 4, 1, 1, 1).uniform_(-0.3, 0.3)
    x = torch.from_numpy(normalise(pixels.permute(0, 2, 3, 1).numpy(), IMAGENET))
    grey, level = x.mean(1, keepdim=True), x.mean((1, 2, 3), keepdim=True)
    x = grey + (x - grey) * (1 + saturation)
    expected = (x - level) * (1 + contrast) + level + brightness
    torch.manual_seed(5)
    assert torch.allclose(jitter(pixels, IMAGENET), expected, atol=1e-5)


def test_mixed_targets_stay_probabilities_and_follow_the_pixels() -> None:
    """Pictures of one level each: the share of a level in the mixed picture is the share of its class in the target."""
    from augment import mix

    torch.manual_seed(0)
    kinds = set()
    for _ in range(60):
        x = torch.eye(2)[:, :, None, None].expand(2, 2, 32, 32).clone()  # picture i is 1 in channel i alone
        mixed, (target,) = mix(x.clone(), [torch.eye(2)])
        assert torch.allclose(target.sum(1), torch.ones(2))
        assert torch.allclose(mixed.mean((2, 3)), target, atol=1e-5)
        kinds.add("alone" if torch.equal(mixed, x) else "cutmix" if ((mixed == 0) | (mixed == 1)).all() else "mixup")
    assert kinds == {"alone", "cutmix", "mixup"}
