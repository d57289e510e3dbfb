"""Activation ranges: measured in PyTorch on the deploy form, bound to the weights they belong to."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from calib.pictures import CalibrationSet
from calib.watching import watch
from levit_mobile.errors import CalibrationError
from levit_mobile.fuse import DeployLeViT
from levit_mobile.preprocess import Preprocessing

__all__ = ["Ranges", "fingerprint", "measure_ranges"]

_OBSERVED = (nn.Conv2d, nn.Linear, nn.Hardswish)


@dataclass(frozen=True)
class Ranges:
    """Smallest and greatest value of every observed activation.

    Attributes:
        weights: fingerprint of the weights that they were measured on.
        values: {"blocks.0.q.in": (low, high), ...}: input and output of each convolution, Linear and Hardswish of the
            deploy form.
        method: how they were estimated.
        samples: pictures seen.
        digest: of the calibration set.
    """

    weights: str
    values: Mapping[str, tuple[float, float]]
    method: str
    samples: int
    digest: str

    def check(self, weights: str) -> None:
        """Refuse weights that the ranges were not measured on.

        Raises:
            CalibrationError: the fingerprints differ.
        """
        if weights != self.weights:
            raise CalibrationError(
                f"these activation ranges belong to other weights ({self.weights[:12]}..., not {weights[:12]}...); "
                "measure them anew with --calib-data DIR"
            )


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """sha256 of the weights under their official names, whatever file and key scheme they came in."""
    digest = hashlib.sha256()
    for key in sorted(state):
        digest.update(f"{key}{tuple(state[key].shape)}".encode())
        digest.update(state[key].detach().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def measure_ranges(
    model: DeployLeViT,
    pictures: CalibrationSet,
    spec: Preprocessing,
    *,
    weights: str,
    batch: int = 16,
) -> Ranges:
    """Run the deploy form on the pictures and note what passes.

    Args:
        model: float32, eval mode.
        pictures: what to show it.
        spec: how pixels are normalised.
        weights: their fingerprint.
        batch: pictures at a time.

    Raises:
        CalibrationError: an activation was not finite, or the pictures have another size than the model's input.
    """
    pictures.check_size(model.image_size)
    values: dict[str, tuple[float, float]] = {}

    def widen(name: str, x: Tensor) -> None:
        low, high = (float(v) for v in torch.aminmax(x))
        if not (math.isfinite(low) and math.isfinite(high)):
            raise CalibrationError(
                f"calibration met NaN or infinity in {name}: these weights do not work on these pictures"
            )
        old_low, old_high = values.get(name, (math.inf, -math.inf))
        values[name] = (min(low, old_low), max(high, old_high))

    def note(name: str, _: nn.Module, before: Tensor, after: Tensor) -> None:
        widen(f"{name}.in", before)
        widen(f"{name}.out", after)

    layers = [name for name, layer in model.named_modules() if isinstance(layer, _OBSERVED)]
    watch(model, layers, pictures, spec, batch, note)
    return Ranges(weights, values, "min-max", len(pictures.pixels), pictures.digest)
