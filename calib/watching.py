"""Show a model pictures, and look at what its layers read and write."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from calib.pictures import CalibrationSet
from levit_mobile.fuse import DeployLeViT
from levit_mobile.preprocess import Preprocessing

__all__ = ["watch"]

Note = Callable[[str, nn.Module, Tensor, Tensor], None]


def watch(
    model: DeployLeViT, layers: Iterable[str], pictures: CalibrationSet, spec: Preprocessing, batch: int, note: Note
) -> None:
    """Run a model over pictures; whenever one of the layers has run, call ``note(name, layer, input, output)``.

    Args:
        model: is left as it was.
        layers: names.
        pictures: what to show it.
        spec: how pixels are normalised.
        batch: pictures at a time.
        note: what it raises ends the run.
    """

    def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        return lambda layer, inputs, output: note(name, layer, inputs[0], output)

    handles = [model.get_submodule(name).register_forward_hook(hook(name)) for name in layers]
    try:
        with torch.inference_mode():
            for x in pictures.batches(spec, batch):
                model(x)
    finally:
        for handle in handles:
            handle.remove()
