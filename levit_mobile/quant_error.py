"""Which layer the noise of int8 comes from: every layer of a quantised program beside the float model."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from calib.hardswish import feeds_hardswish
from levit_mobile.errors import UsageError
from levit_mobile.fuse import DeployLeViT
from levit_mobile.preprocess import normalise
from levit_mobile.program import Program
from levit_mobile.qdq import quantize_dynamic, quantize_static

__all__ = ["Errors", "LayerError", "in_pytorch", "quant_error", "quantised_program", "sensitivities"]

_Arrays = npt.NDArray[np.floating]
_LAYERS = (nn.Linear, nn.Conv2d)
_MOST = 200.0  # decibels; a difference of nothing has none


@dataclass(frozen=True)
class LayerError:
    """Signal to noise of a layer, in decibels; 20 more is a tenth of the noise.

    Attributes:
        name: as in the deploy form.
        alone: of its output, where nothing before it is quantised. Where Hardswish sees the output, it is Hardswish's: what
            lies below -3 may be anything.
        logits: of the logits, where nothing but this layer is quantised: the less, the more it hurts.
        program: of its output in the whole program.
        artifact: the same in the artifact; None where its runtime does not show what is inside.
    """

    name: str
    alone: float
    logits: float
    program: float
    artifact: float | None


@dataclass(frozen=True)
class Errors:
    """Of all layers, in order of execution, and of the logits of the whole program and artifact."""

    layers: list[LayerError]
    program: float
    artifact: float


def quantised_program(program: Program) -> DeployLeViT:
    """The program in PyTorch, with its quantisation written out.

    Raises:
        UsageError: its precision has none that could be.
    """
    if program.precision.name == "int8-dynamic":
        return quantize_dynamic(program.model)
    if program.precision.name != "int8" or program.ranges is None:
        raise UsageError(
            f"{program.precision.name} has no quantised layers to look at; this is for int8 and int8-dynamic"
        )
    return quantize_static(program.model, program.ranges, kept=program.kept)


def in_pytorch(program: Program) -> Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]:
    """The quantised program as something to show pictures to: uint8 (B, S, S, 3) -> float32 (B, classes).

    Raises:
        UsageError: its precision has no quantisation that could be written out.
    """
    model, spec = quantised_program(program), program.preprocessing
    at_once = 1 if program.precision.name == "int8-dynamic" else 16  # scales are of one picture there

    def run(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        x = torch.from_numpy(normalise(pixels, spec))
        with torch.inference_mode():
            logits: npt.NDArray[np.float32] = torch.cat([model(part) for part in x.split(at_once)]).numpy()
        return logits

    return run


def quant_error(
    program: Program,
    x: Tensor,
    logits: npt.NDArray[np.float32],
    inside: Mapping[str, npt.NDArray[np.float32]] | None = None,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> Errors:
    """Compare a program, and an artifact made of it, with the float model, layer by layer.

    Args:
        program: in a precision that quantises layers.
        x: normalised pictures, float32 (B, 3, S, S).
        logits: the artifact's, (B, classes).
        inside: {layer: its output in the artifact}, channels last, of the same pictures; None if it cannot be looked into.
        progress: called with 1 after every layer.

    Raises:
        UsageError: the precision quantises no layers.
    """
    quantised = quantised_program(program)
    # A runtime has one picture at a time; it matters where scales depend on what is there.
    at_once = 1 if program.precision.name == "int8-dynamic" else len(x)
    expected = dict(_outputs(program.model, x, at_once))
    found = dict(_outputs(quantised, x, at_once))
    trial = copy.deepcopy(program.model)
    exact = expected.pop("")
    layers = []
    for name, layer in program.model.named_modules():
        other = quantised.get_submodule(name)
        if not isinstance(layer, _LAYERS) or type(other) is type(layer):
            continue
        alone, whole = _with(trial, name, other, x, at_once)
        seen = partial(_decibels, _seen(name, expected[name]))
        artifact = None if inside is None else seen(_seen(name, inside[name].reshape(expected[name].shape)))
        own, so_far = seen(_seen(name, alone)), seen(_seen(name, found[name]))
        layers.append(LayerError(name, own, _decibels(exact, whole), so_far, artifact))
        progress(1)
    return Errors(layers, _decibels(exact, found[""]), _decibels(exact, logits))


def sensitivities(program: Program, x: Tensor) -> dict[str, float]:
    """{layer: signal to noise of the logits, in decibels, when it alone is quantised}; x is (B, 3, S, S), normalised."""
    assert program.ranges is not None
    quantised = quantize_static(program.model, program.ranges)
    trial = copy.deepcopy(program.model)
    exact = dict(_outputs(trial, x, len(x), only=""))[""]
    found = {}
    for name, layer in program.model.named_modules():
        if isinstance(layer, _LAYERS):
            _, whole = _with(trial, name, quantised.get_submodule(name), x, len(x))
            found[name] = _decibels(exact, whole)
    return found


def _seen(name: str, output: _Arrays) -> _Arrays:
    """What later layers see of a layer's output."""
    if not feeds_hardswish(name):
        return output
    seen: _Arrays = F.hardswish(torch.from_numpy(np.ascontiguousarray(output))).numpy()
    return seen


def _with(model: DeployLeViT, name: str, layer: nn.Module, x: Tensor, at_once: int) -> tuple[_Arrays, _Arrays]:
    """A layer's output, and the logits, when it takes the place of the one of that name; which is put back."""
    parent, _, own = name.rpartition(".")
    place = model.get_submodule(parent)
    before = getattr(place, own)
    setattr(place, own, layer)
    try:
        found = dict(_outputs(model, x, at_once, only=name))
    finally:
        setattr(place, own, before)
    return found[name], found[""]


def _outputs(model: DeployLeViT, x: Tensor, at_once: int, only: str | None = None) -> Iterator[tuple[str, _Arrays]]:
    """(layer, its output with channels last), and ("", the logits)."""
    seen: dict[str, list[Tensor]] = {}

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(layer: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
            seen.setdefault(name, []).append(output.movedim(1, -1) if isinstance(layer, nn.Conv2d) else output)

        return hook

    handles = [
        layer.register_forward_hook(watch(name))
        for name, layer in model.named_modules()
        if isinstance(layer, _LAYERS) and only in (None, name)
    ]
    try:
        with torch.inference_mode():
            logits = torch.cat([model(part) for part in x.split(at_once)])
    finally:
        for handle in handles:
            handle.remove()
    for name, parts in seen.items():
        yield name, torch.cat(parts).numpy()
    yield "", logits.numpy()


def _decibels(expected: npt.NDArray[np.floating], found: npt.NDArray[np.floating]) -> float:
    """Of the variance over the mean squared difference; at most 200."""
    signal = float(expected.astype(np.float64).var())
    noise = float(np.square(expected.astype(np.float64) - found).mean())
    if noise <= signal * 10 ** (-_MOST / 10):
        return _MOST
    return float(10 * np.log10(max(signal, 1e-300) / noise))
