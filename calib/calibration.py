"""What calibration found out about a checkpoint, kept as JSON: ranges, equalised channels, weights of the stem in int8."""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from calib.equalisation import Equalisation, equalise
from calib.ranges import Ranges
from calib.rounding import RoundedLayer
from levit_mobile.errors import CalibrationError
from levit_mobile.fuse import DeployLeViT

__all__ = ["Calibration", "bundled_calibration", "load_calibration"]

_BUNDLED = "levit_128s-imagenette.json"
_FORMATS = (1, 2)  # 1 had ranges alone
_MOST_BYTES = 2**28  # LeViT-384's takes one


@dataclass(frozen=True)
class Calibration:
    """All that int8 needs to know beside the weights.

    Attributes:
        ranges: of the activations of the prepared model.
        equalisation: {group of channels: how it is rescaled}.
        rounded: {layer: its constants in int8}, of the equalised model.
        kept: layers that stay float, the most sensitive first.
        sensitivity: {layer: signal to noise of the logits, in decibels, when it alone is int8}, if that was measured.
    """

    ranges: Ranges
    equalisation: Mapping[str, Equalisation] = field(default_factory=dict)
    rounded: Mapping[str, RoundedLayer] = field(default_factory=dict)
    kept: tuple[str, ...] = ()
    sensitivity: Mapping[str, float] = field(default_factory=dict)

    def prepare(self, model: DeployLeViT) -> DeployLeViT:
        """The model that the ranges are of: a copy, equalised, with the weights that int8 will have where they are known.

        Raises:
            CalibrationError: it does not fit the model.
        """
        model = equalise(model, self.equalisation)
        layers = dict(model.named_modules())
        for name in self.kept:
            if not isinstance(layers.get(name), nn.Linear | nn.Conv2d):
                raise CalibrationError(f"this model has no layer {name} to keep in float; leave the calibration out")
        for name, rounded in self.rounded.items():
            if name in self.kept:
                continue
            layer = layers.get(name)
            if not isinstance(layer, nn.Linear | nn.Conv2d) or layer.weight.shape != rounded.weight.shape:
                raise CalibrationError(
                    f"the weights of {name} do not fit this model; measure them anew with --calib-data DIR"
                )
            layer.weight = nn.Parameter(rounded.real(), requires_grad=False)
            layer.bias = nn.Parameter(torch.from_numpy(rounded.bias.copy()), requires_grad=False)
        return model

    def to_json(self) -> str:
        """As ``load_calibration`` reads it; the same calibration gives the same text. Arrays are base64, little-endian."""
        ranges = self.ranges
        about = {
            "format": _FORMATS[-1],
            "weights": ranges.weights,
            "method": ranges.method,
            "samples": ranges.samples,
            "digest": ranges.digest,
            "values": {name: list(pair) for name, pair in sorted(ranges.values.items())},
            "equalisation": {
                name: {"scale": _pack(change.scale), "shift": _pack(change.shift)}
                for name, change in sorted(self.equalisation.items())
            },
            "rounded": {
                name: {
                    "shape": list(layer.weight.shape),
                    "weight": base64.b64encode(layer.weight.tobytes()).decode(),
                    "scale": _pack(layer.scale),
                    "bias": _pack(layer.bias),
                }
                for name, layer in sorted(self.rounded.items())
            },
        }
        if self.kept or self.sensitivity:
            about |= {"kept": list(self.kept), "sensitivity": dict(sorted(self.sensitivity.items()))}
        return json.dumps(about, indent=1) + "\n"


def load_calibration(path: str | os.PathLike[str]) -> Calibration:
    """Read what ``Calibration.to_json`` wrote (every int8 bundle has it as ``calibration.json``).

    Raises:
        CalibrationError: no such file, or not a calibration.
    """
    try:
        if (size := Path(path).stat().st_size) > _MOST_BYTES:
            raise CalibrationError(f"{path}: not a file of activation ranges ({size} bytes are too many)")
        return _parse(Path(path).read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise CalibrationError(f"{path}: cannot be read ({error})") from error


def bundled_calibration() -> Calibration:
    """That of the checkpoint in the package.

    Raises:
        CalibrationError: it is missing from this installation.
    """
    try:
        text = resources.files("calib").joinpath("data", _BUNDLED).read_text("utf-8")
    except OSError as error:
        raise CalibrationError(
            f"the activation ranges in the package ({_BUNDLED}) are missing from this installation; "
            "install levit-mobile again, or type --calib-data DIR"
        ) from error
    return _parse(text, _BUNDLED)


def _parse(text: str, name: str) -> Calibration:
    try:
        data = json.loads(text)
        if data["format"] not in _FORMATS:
            raise ValueError(f"format {data['format']}")
        values = {str(k): (float(low), float(high)) for k, (low, high) in data["values"].items()}
        if not all(math.isfinite(low) and math.isfinite(high) and low <= high for low, high in values.values()):
            raise ValueError("a range is empty or not finite")
        ranges = Ranges(str(data["weights"]), values, str(data["method"]), int(data["samples"]), str(data["digest"]))
        if data["format"] == 1:
            return Calibration(ranges)
        equalisation = {
            str(k): Equalisation(_positive(row["scale"]), tuple(_unpack(row["shift"]).tolist()))
            for k, row in data["equalisation"].items()
        }
        rounded = {str(k): _layer(row) for k, row in data["rounded"].items()}
        kept, sensitivity = data.get("kept", []), data.get("sensitivity", {})
        if not (isinstance(kept, list) and all(isinstance(name, str) for name in kept)):
            raise ValueError("kept is not a list of names")
        decibels = {str(k): float(v) for k, v in sensitivity.items()}
        return Calibration(ranges, equalisation, rounded, tuple(kept), decibels)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise CalibrationError(f"{name}: not a file of activation ranges ({error})") from error


def _layer(row: Mapping[str, Any]) -> RoundedLayer:
    weight = np.frombuffer(base64.b64decode(row["weight"], validate=True), np.int8).reshape(row["shape"])
    scale, bias = np.array(_positive(row["scale"]), np.float32), _unpack(row["bias"])
    if not len(weight) == len(scale) == len(bias):
        raise ValueError("a layer's constants do not fit each other")
    return RoundedLayer(weight, scale, bias)


def _pack(values: Any) -> str:
    return base64.b64encode(np.asarray(values, "<f4").tobytes()).decode()


def _unpack(text: str) -> npt.NDArray[np.float32]:
    values = np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError("a number is not finite")
    return values


def _positive(text: str) -> tuple[float, ...]:
    values = _unpack(text)
    if not (values > 0).all():
        raise ValueError("a scale is not positive")
    return tuple(values.tolist())
