"""Whether calibration pictures look like what a checkpoint was trained on: its BatchNorms remember."""

from __future__ import annotations

import math

import torch

from calib.pictures import CalibrationSet
from levit_mobile.model import ConvBN, LeViT
from levit_mobile.preprocess import Preprocessing

__all__ = ["unfamiliar"]

# Natural pictures have shifts up to 0.1 and spreads up to 1.2, four of them 0.25 and 1.5; noise 2 and 4, a normalisation
# with other means and deviations 0.4 and 5 (tests/calib/test_familiar.py).
_SHIFT = 0.8  # standard deviations
_SPREAD = 2.7  # times as wide or as narrow, as a variance
_PICTURES = 32


def unfamiliar(model: LeViT, pictures: CalibrationSet, spec: Preprocessing) -> str | None:
    """What is strange about the pictures, in words; None if nothing is.

    The stem's BatchNorms keep mean and variance of what they saw in training. The same of the calibration pictures is far
    from it where these are noise, blank or documents, or are normalised otherwise than in training.

    Args:
        model: as trained, eval mode.
        pictures: some of them are enough.
        spec: how pixels are normalised.
    """
    with torch.inference_mode():
        x = torch.cat(list(pictures.batches(spec, most=_PICTURES)))
        for layer in model.patch_embed:
            if isinstance(layer, ConvBN):
                assert layer.bn.running_mean is not None
                assert layer.bn.running_var is not None
                seen = layer.c(x).movedim(1, -1).flatten(0, -2)
                variance = layer.bn.running_var + layer.bn.eps
                shift = float(((seen.mean(0) - layer.bn.running_mean).square() / variance).mean().sqrt())
                spread = math.exp(float(((seen.var(0) + layer.bn.eps) / variance).log().abs().mean()))
                if shift > _SHIFT:
                    return f"a convolution of the stem gives values {shift:.1f} standard deviations off"
                if spread > _SPREAD:
                    return f"the variance of what the stem computes is {spread:.1f} times as large or as small"
            x = layer(x)
    return None
