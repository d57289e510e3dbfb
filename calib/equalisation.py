"""Cross-layer equalisation: channels brought to like sizes, so that one int8 step fits all of them; the function stays.

Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.1, where it is exact
in LeViT: between layers with nothing but sums, means and products among them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from calib.pictures import CalibrationSet
from calib.watching import watch
from levit_mobile.errors import CalibrationError
from levit_mobile.fuse import DeployAttention, DeployLeViT
from levit_mobile.preprocess import Preprocessing

__all__ = ["ChannelGroup", "Equalisation", "channel_groups", "choose_equalisation", "equalise", "measure_channels"]

# How much of a channel's size the activations give to the weights that read them; Xiao et al. 2022, "SmoothQuant", their
# alpha. By a search on the bundled checkpoint; a channel that another scale was put on gets the same back, whatever it is.
_ACTIVATIONS = 0.75
_LEAST = 1e-4  # of the middle channel's size: one that hardly moves is not blown up beyond that
_Channels = tuple[Tensor, Tensor]  # smallest and greatest value of each, float64 (C,)


@dataclass(frozen=True)
class Equalisation:
    """What happens to the channels of one group: new = (old - shift) * scale; both (C,)."""

    scale: tuple[float, ...]
    shift: tuple[float, ...]


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that layers share, so that a factor on one side can be taken back on the other.

    Attributes:
        writers: layers whose outputs are added up to these channels; the first one's bias takes the shift.
        readers: layers that have them as inputs.
        partners: layers whose outputs are multiplied with these channels, one by one; they take the inverse of the scale.
    """

    writers: tuple[str, ...]
    readers: tuple[str, ...] = ()
    partners: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The first writer's."""
        return self.writers[0]


def channel_groups(model: DeployLeViT) -> Iterator[ChannelGroup]:
    """The residual stream of each stage, and the keys of each attention.

    A shift of a key's channel adds the same number to all scores of a query, and softmax takes no notice; so nobody has to
    take it back.
    """
    writers, readers = [f"stem.{len(model.stem) - 1}"], list[str]()
    for index, (block, add) in enumerate(zip(model.blocks, model.residual, strict=True)):
        name, attention = f"blocks.{index}", isinstance(block, DeployAttention)
        readers += [f"{name}.{part}" for part in (("q", "k", "v") if attention else ("up",))]
        last = f"{name}.{'proj' if attention else 'down'}"
        if attention:
            yield ChannelGroup((f"{name}.k",), partners=(f"{name}.q",))
        if add:
            writers.append(last)
        else:
            yield ChannelGroup(tuple(writers), tuple(readers))
            writers, readers = [last], []
    yield ChannelGroup(tuple(writers), (*readers, "head"))


def measure_channels(
    model: DeployLeViT, pictures: CalibrationSet, spec: Preprocessing, *, batch: int = 16
) -> dict[str, _Channels]:
    """{"blocks.0.q.in": (smallest, greatest)} of every channel that layers read, and ``.out`` of keys and queries.

    Raises:
        CalibrationError: an activation was not finite.
    """
    watched = set[str]()
    for group in channel_groups(model):
        watched |= {f"{name}.in" for name in group.readers}
        if group.partners:
            watched |= {f"{name}.out" for name in (group.name, *group.partners)}
    seen: dict[str, _Channels] = {}

    def widen(name: str, x: Tensor, axis: int) -> None:
        rows = x.detach().movedim(axis, -1).flatten(0, -2)
        low, high = rows.amin(0).double(), rows.amax(0).double()
        if not (low.isfinite().all() and high.isfinite().all()):
            raise CalibrationError(
                f"calibration met NaN or infinity in {name}: these weights do not work on these pictures"
            )
        before = seen.get(name)
        seen[name] = (low, high) if before is None else (torch.minimum(low, before[0]), torch.maximum(high, before[1]))

    def note(name: str, layer: nn.Module, before: Tensor, after: Tensor) -> None:
        axis = 1 if isinstance(layer, nn.Conv2d) else -1
        for part, x in ((f"{name}.in", before), (f"{name}.out", after)):
            if part in watched:
                widen(part, x, axis)

    watch(model, sorted({name.rpartition(".")[0] for name in watched}), pictures, spec, batch, note)
    return seen


def choose_equalisation(model: DeployLeViT, channels: Mapping[str, _Channels]) -> dict[str, Equalisation]:
    """{group: what to do with it}, such that channels lie around 0 and an int8 step suits all of them.

    Args:
        model: the deploy form.
        channels: from ``measure_channels``.
    """
    return {group.name: _choose(model, group, channels) for group in channel_groups(model)}


def _choose(model: DeployLeViT, group: ChannelGroup, channels: Mapping[str, _Channels]) -> Equalisation:
    if group.partners:
        low, high = channels[f"{group.name}.out"]
        shift = (low + high) / 2
        partner = torch.stack([_size(*channels[f"{name}.out"]) for name in group.partners]).amax(0)
        scale = (_floored(partner) / _floored((high - low) / 2)).sqrt()
    else:
        ends = [channels[f"{name}.in"] for name in group.readers]
        shift = torch.stack([(low + high) / 2 for low, high in ends]).mean(0)
        sizes = torch.stack([_floored(_size(low - shift, high - shift)) for low, high in ends])
        weights = torch.stack([_floored(_columns(model.get_submodule(name))) for name in group.readers])
        scale = (_ACTIVATIONS * -sizes.log().mean(0) + (1 - _ACTIVATIONS) * weights.log().mean(0)).exp()
    return Equalisation(_short(scale / scale.log().mean().exp()), _short(shift))


def _columns(layer: nn.Module) -> Tensor:
    """The greatest weight that each input channel meets."""
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    return layer.weight.detach().double().flatten(1).abs().amax(0)


def _size(low: Tensor, high: Tensor) -> Tensor:
    return torch.maximum(low.abs(), high.abs())


def _floored(size: Tensor) -> Tensor:
    return size.clamp_min(max(float(size.median()) * _LEAST, 1e-12))


def _short(values: Tensor) -> tuple[float, ...]:
    """Six digits, as float32: the last bits of a sum, which threads may change, are not in a calibration."""
    return tuple(float(np.float32(f"{value:.6g}")) for value in values.tolist())


def equalise(model: DeployLeViT, equalisation: Mapping[str, Equalisation]) -> DeployLeViT:
    """A copy with other weights and the same function (float64 agrees to 1e-10).

    Args:
        model: is not changed.
        equalisation: {group: what to do with it}; groups that are not in it stay as they are.

    Raises:
        CalibrationError: a group that the model does not have, or one with another number of channels.
    """
    groups = {group.name: group for group in channel_groups(model)}
    for name, change in equalisation.items():
        if name not in groups or not len(change.scale) == len(change.shift) == _width(model, name):
            raise CalibrationError(
                f"the equalisation of {name} does not fit this model; measure it anew with --calib-data DIR"
            )
    dtype = model.head.weight.dtype
    model = copy.deepcopy(model).double()  # rounded once, so that the order of the groups cannot be seen
    for name, group in groups.items():
        if name in equalisation:
            scale, shift = (
                torch.tensor(values, dtype=torch.float64)
                for values in (equalisation[name].scale, equalisation[name].shift)
            )
            for writer in group.writers:
                _scale_output(model.get_submodule(writer), scale, shift if writer == name else torch.zeros_like(shift))
            for partner in group.partners:
                _scale_output(model.get_submodule(partner), 1 / scale, torch.zeros_like(shift))
            for reader in group.readers:
                _unscale_input(model.get_submodule(reader), scale, shift)
    return model.to(dtype)


def _width(model: DeployLeViT, name: str) -> int:
    return int(model.get_submodule(name).weight.shape[0])  # type: ignore[index]


def _scale_output(layer: nn.Module, scale: Tensor, shift: Tensor) -> None:
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    assert layer.bias is not None  # BatchNorm left one in every layer
    factors = scale.view(-1, *[1] * (layer.weight.dim() - 1))
    _set(layer, layer.weight * factors, (layer.bias - shift) * scale)


def _unscale_input(layer: nn.Module, scale: Tensor, shift: Tensor) -> None:
    """Of a Linear or a convolution that pads nothing."""
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    assert layer.bias is not None
    weight = layer.weight
    _set(layer, weight / scale.view(1, -1, *[1] * (weight.dim() - 2)), layer.bias + weight.flatten(1) @ shift)  # 1x1


def _set(layer: nn.Linear | nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    layer.weight = nn.Parameter(weight.detach().contiguous(), requires_grad=False)
    layer.bias = nn.Parameter(bias.detach(), requires_grad=False)
