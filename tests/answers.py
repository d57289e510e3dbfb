"""Logits of artifacts, and PyTorch's beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from levit_mobile.preprocess import IMAGENET, normalise

if TYPE_CHECKING:
    from levit_mobile.fuse import DeployLeViT


def of_range(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    """Greatest difference, as a share of the expected logits' range."""
    return float(np.abs(found - expected).max() / (expected.max() - expected.min()))


def in_pytorch(model: DeployLeViT, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """A picture at a time, as a runtime does it: dynamic quantisation has one scale a call."""
    import torch

    with torch.inference_mode():
        return np.concatenate([model(torch.from_numpy(normalise(p[None], IMAGENET))).numpy() for p in pixels])
