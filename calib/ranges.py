"""Activation ranges: measured in PyTorch on the deploy form, kept as JSON, bound to the weights they belong to."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from calib.pictures import CalibrationSet
from levit_mobile.errors import CalibrationError
from levit_mobile.fuse import DeployLeViT
from levit_mobile.preprocess import Preprocessing, normalise

__all__ = ["Ranges", "bundled_ranges", "fingerprint", "load_ranges", "measure_ranges"]

_OBSERVED = (nn.Conv2d, nn.Linear, nn.Hardswish)
_BUNDLED = "levit_128s-imagenette.json"


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

    def to_json(self) -> str:
        """As ``load_ranges`` reads it; the same ranges give the same text."""
        about = {
            "format": 1,
            "weights": self.weights,
            "method": self.method,
            "samples": self.samples,
            "digest": self.digest,
            "values": {name: list(pair) for name, pair in sorted(self.values.items())},
        }
        return json.dumps(about, indent=1) + "\n"


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
    progress: Callable[[int, int], None] | None = None,
    batch: int = 16,
) -> Ranges:
    """Run the deploy form on the pictures and note what passes.

    Args:
        model: float32, eval mode.
        pictures: what to show it.
        spec: how pixels are normalised.
        weights: their fingerprint.
        progress: called with (pictures done, of how many).
        batch: pictures at a time.

    Raises:
        CalibrationError: an activation was not finite, or the pictures have another size than the model's input.
    """
    if pictures.pixels.shape[1:] != (model.image_size, model.image_size, 3):
        height, width = pictures.pixels.shape[1:3]
        raise CalibrationError(
            f"calibration pictures of {height}x{width} pixels for a model that takes {model.image_size}"
        )
    values: dict[str, tuple[float, float]] = {}

    def note(name: str, x: Tensor) -> None:
        low, high = (float(v) for v in torch.aminmax(x))
        if not (math.isfinite(low) and math.isfinite(high)):
            raise CalibrationError(
                f"calibration met NaN or infinity in {name}: these weights do not work on these pictures"
            )
        old_low, old_high = values.get(name, (math.inf, -math.inf))
        values[name] = (min(low, old_low), max(high, old_high))

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            note(f"{name}.in", inputs[0])
            note(f"{name}.out", output)

        return hook

    handles = [m.register_forward_hook(watch(name)) for name, m in model.named_modules() if isinstance(m, _OBSERVED)]
    try:
        with torch.inference_mode():
            for done, x in _batches(pictures, spec, batch):
                model(x)
                if progress is not None:
                    progress(done, len(pictures.pixels))
    finally:
        for handle in handles:
            handle.remove()
    return Ranges(weights, values, "min-max", len(pictures.pixels), pictures.digest)


def _batches(pictures: CalibrationSet, spec: Preprocessing, batch: int) -> Iterator[tuple[int, Tensor]]:
    for first in range(0, len(pictures.pixels), batch):
        part = pictures.pixels[first : first + batch]
        yield first + len(part), torch.from_numpy(np.ascontiguousarray(normalise(part, spec)))


def load_ranges(path: str | os.PathLike[str]) -> Ranges:
    """Read ranges that ``Ranges.to_json`` wrote (every int8 bundle has them as ``calibration.json``).

    Raises:
        CalibrationError: no such file, or not ranges.
    """
    try:
        return _parse(Path(path).read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise CalibrationError(f"{path}: cannot be read ({error})") from error


def bundled_ranges() -> Ranges:
    """The ranges of the checkpoint in the package.

    Raises:
        CalibrationError: they are missing from this installation.
    """
    try:
        text = resources.files("calib").joinpath("data", _BUNDLED).read_text("utf-8")
    except OSError as error:
        raise CalibrationError(
            f"the activation ranges in the package ({_BUNDLED}) are missing from this installation; "
            "install levit-mobile again, or type --calib-data DIR"
        ) from error
    return _parse(text, _BUNDLED)


def _parse(text: str, name: str) -> Ranges:
    try:
        data = json.loads(text)
        if data["format"] != 1:
            raise ValueError(f"format {data['format']}")
        values = {str(k): (float(low), float(high)) for k, (low, high) in data["values"].items()}
        if not all(math.isfinite(low) and math.isfinite(high) and low <= high for low, high in values.values()):
            raise ValueError("a range is empty or not finite")
        return Ranges(str(data["weights"]), values, str(data["method"]), int(data["samples"]), str(data["digest"]))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise CalibrationError(f"{name}: not a file of activation ranges ({error})") from error
