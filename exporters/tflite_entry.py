"""The model as an artifact shall take its input: layout, and normalisation where that is inside."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from levit_mobile.fuse import DeployLeViT
from levit_mobile.preprocess import Preprocessing
from levit_mobile.program import Layout, Program

__all__ = ["Entry", "normalisation_inside"]


class Entry(nn.Module):
    """The deploy form behind the input that the artifact shall have; gives ``{"logits": (1, classes)}``.

    Args:
        model: what to run.
        layout: of the input: (1, S, S, 3) or (1, 3, S, S).
        normalise: takes pixels from 0 to 255 and normalises them so; None takes normalised pictures.
    """

    def __init__(self, model: DeployLeViT, layout: Layout, normalise: Preprocessing | None) -> None:
        super().__init__()
        self.model, self.layout = model, layout
        self.scale: Tensor | None = None
        if normalise is not None:
            # (pixel / 255 - mean) / std as one product and one sum.
            mean, std = torch.tensor(normalise.mean).double(), torch.tensor(normalise.std).double()
            shape = (1, 1, 3) if layout == "nhwc" else (3, 1, 1)
            self.scale = (1 / (255 * std)).float().view(shape)
            self.shift = (-mean / std).float().view(shape)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        if self.scale is not None:
            image = image * self.scale + self.shift
        if self.layout == "nhwc":
            image = image.permute(0, 3, 1, 2)
        return {"logits": self.model(image)}


def normalisation_inside(program: Program) -> Preprocessing | None:
    """The normalisation, where it is part of the artifact."""
    return None if program.io_dtype == "float32" else program.preprocessing
