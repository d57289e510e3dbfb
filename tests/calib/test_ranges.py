"""Activation ranges: what really passed through the layers, bound to the weights they were measured on."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from oracles import timm_levit
from torch import Tensor, nn

from calib.pictures import CalibrationSet
from calib.ranges import Ranges, fingerprint, measure_ranges
from levit_mobile.checkpoints import load_checkpoint, save_checkpoint
from levit_mobile.errors import CalibrationError
from levit_mobile.fuse import DeployLeViT, DeployMLP, fuse
from levit_mobile.key_schemes import rename_keys
from levit_mobile.model import LeViT
from levit_mobile.preprocess import Preprocessing, normalise
from levit_mobile.variants import VARIANTS

Fill = Callable[..., nn.Module]
SMALL = VARIANTS["levit_128s"]
SPEC = Preprocessing(32, 32)
PLAIN = Preprocessing(2, 2, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))  # a pixel of 255 is 1.0


def pictures(count: int, size: int = 32) -> CalibrationSet:
    return CalibrationSet(np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8), "d" * 64)


@pytest.fixture(scope="module")
def trained(random_fill: Fill) -> LeViT:
    return cast(LeViT, random_fill(LeViT(SMALL, num_classes=3, image_size=32)))


# Measuring


def by_hand() -> DeployLeViT:
    """One 1x1 convolution, one MLP, one head: x -> 2x + 1 -> -3x, Hardswish, sum of the channels -> + x -> mean."""

    def linear(weight: list[list[float]], bias: list[float]) -> nn.Linear:
        made = nn.Linear(len(weight[0]), len(weight))
        made.weight, made.bias = nn.Parameter(torch.tensor(weight)), nn.Parameter(torch.tensor(bias))
        return made

    stem = nn.Conv2d(3, 2, 1)
    stem.weight = nn.Parameter(torch.tensor([[2.0, 0, 0], [0, 2.0, 0]])[:, :, None, None])
    stem.bias = nn.Parameter(torch.ones(2))
    mlp = DeployMLP(linear([[-3.0, 0], [0, 3.0]], [0.0, 0.0]), linear([[1.0, 1], [0, 0]], [0.0, 0.0]))
    return DeployLeViT(nn.Sequential(stem), [mlp], [True], linear([[1.0, 0]], [-5.0]), 2).eval()


def test_numbers_by_hand() -> None:
    """Red is 0 and green 1 in all pixels of the first picture, and the other way round in the second."""
    pixels = np.zeros((2, 2, 2, 3), np.uint8)
    pixels[0, :, :, 1] = pixels[1, :, :, 0] = 255
    ranges = measure_ranges(by_hand(), CalibrationSet(pixels, "d" * 64), PLAIN, weights="w" * 64, batch=1)
    # Stem: (1, 3), then (3, 1). Up: (-3, 9), then (-9, 3). Hardswish: (0, 9), then (0, 3). Down: 9, then 3.
    # With the residual (10, 3), then (6, 1); the head takes the first of them.
    assert dict(ranges.values) == {
        "stem.0.in": (0.0, 1.0),
        "stem.0.out": (1.0, 3.0),
        "blocks.0.up.in": (1.0, 3.0),
        "blocks.0.up.out": (-9.0, 9.0),
        "blocks.0.act.in": (-9.0, 9.0),
        "blocks.0.act.out": (0.0, 9.0),
        "blocks.0.down.in": (0.0, 9.0),
        "blocks.0.down.out": (0.0, 9.0),
        "head.in": (1.0, 10.0),
        "head.out": (1.0, 5.0),
    }
    assert (ranges.weights, ranges.method, ranges.samples, ranges.digest) == ("w" * 64, "min-max", 2, "d" * 64)


def test_numbers_of_an_independent_run(trained: LeViT) -> None:
    """The layers' inputs and outputs, caught by replacing their ``forward``, all pictures at once."""
    model, chosen = fuse(trained), pictures(5)
    caught: dict[str, Tensor] = {}

    def spy(name: str, inner: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def forward(x: Tensor) -> Tensor:
            y = inner(x)
            caught[f"{name}.in"], caught[f"{name}.out"] = x.clone(), y.clone()
            return y

        return forward

    expected = fuse(trained)
    for name, layer in expected.named_modules():
        if type(layer) in (nn.Conv2d, nn.Linear, nn.Hardswish):
            layer.forward = spy(name, layer.forward)  # type: ignore[method-assign]
    with torch.no_grad():
        expected(torch.from_numpy(normalise(chosen.pixels, SPEC)))
    ranges = measure_ranges(model, chosen, SPEC, weights="w", batch=2)
    # 4 convolutions and 3 Hardswish in the stem; 11 attentions with q, k, v, proj and act; 11 MLPs of three; the head.
    assert len(ranges.values) == len(caught) == 2 * (4 + 3 + 11 * 5 + 11 * 3 + 1)
    assert ranges.values.keys() == caught.keys()
    for name, (low, high) in ranges.values.items():
        assert low == pytest.approx(caught[name].min().item(), rel=1e-4, abs=1e-4), name
        assert high == pytest.approx(caught[name].max().item(), rel=1e-4, abs=1e-4), name
    assert min(low for name, (low, _) in ranges.values.items() if name.endswith("act.out")) >= -0.375


def test_the_model_is_left_as_it_was(trained: LeViT) -> None:
    model = fuse(trained)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    measure_ranges(model, pictures(1), SPEC, weights="w")
    assert not any(m._forward_hooks for m in model.modules())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_batches() -> None:
    ranges = measure_ranges(by_hand(), pictures(7, 2), PLAIN, weights="w", batch=3)
    assert ranges.samples == 7
    whole = measure_ranges(by_hand(), pictures(7, 2), PLAIN, weights="w")
    assert whole.values.keys() == ranges.values.keys()
    assert np.allclose(list(whole.values.values()), list(ranges.values.values()), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("at", [0, 1])
def test_what_is_not_finite_is_refused(at: int, bad: float) -> None:
    """Also if only one picture makes it, and others follow that do not."""
    model = by_hand()
    mlp = model.blocks[0]
    assert isinstance(mlp, DeployMLP)
    up, first = mlp.up.forward, []

    def broken(x: Tensor) -> Tensor:
        first.append(x)
        return up(x) * bad if len(first) == at + 1 else up(x)

    mlp.up.forward = broken  # type: ignore[method-assign]
    with pytest.raises(CalibrationError) as raised:
        measure_ranges(model, pictures(3, 2), PLAIN, weights="w", batch=1)
    assert str(raised.value) == (
        "calibration met NaN or infinity in blocks.0.up.out: these weights do not work on these pictures"
    )
    assert not any(m._forward_hooks for m in model.modules())


def test_pictures_of_another_size_are_refused(trained: LeViT) -> None:
    with pytest.raises(CalibrationError, match=r"^calibration pictures of 48x48 pixels for a model that takes 32$"):
        measure_ranges(fuse(trained), pictures(1, 48), SPEC, weights="w")


# Whose ranges they are


def some() -> Ranges:
    return Ranges("ab" * 32, {"head.in": (0.0, 1.0)}, "min-max", 128, "cd" * 32)


def test_other_weights_are_refused() -> None:
    some().check("ab" * 32)
    with pytest.raises(CalibrationError) as raised:
        some().check("ef" * 32)
    assert raised.value.exit_code == 2
    assert str(raised.value) == (
        "these activation ranges belong to other weights (abababababab..., not efefefefefef...); "
        "measure them anew with --calib-data DIR"
    )


def test_the_fingerprint_is_of_the_weights_not_of_their_file(trained: LeViT, tmp_path: Path) -> None:
    """Official, timm's with Linears and with 1x1 convolutions, and our own safetensors: four files, one fingerprint."""
    model = LeViT(SMALL, num_classes=3)
    model.load_state_dict({k: v for k, v in trained.state_dict().items() if "bias" not in k}, strict=False)
    state = model.state_dict()
    torch.save({"model": dict(reversed(state.items()))}, tmp_path / "official.pth")
    save_checkpoint(tmp_path / "own.safetensors", model, labels=["a", "b", "c"], dtype=torch.float32)
    keys = list(timm_levit(SMALL, num_classes=3).state_dict())
    linears = {key: state[name] for key, name in rename_keys("timm", keys, SMALL).items()}
    torch.save(linears, tmp_path / "timm.pth")
    wide = {key for key in keys if key.startswith("stages") and key.endswith("linear.weight")}
    convs = {key: value[:, :, None, None] if key in wide else value for key, value in linears.items()}
    torch.save(convs, tmp_path / "timm_conv.pth")
    read = [load_checkpoint(path) for path in sorted(tmp_path.iterdir())]
    assert [checkpoint.scheme for checkpoint in read] == ["official", "levit-mobile", "timm", "timm"]
    assert len({checkpoint.sha256 for checkpoint in read}) == 4
    assert len({fingerprint(checkpoint.state) for checkpoint in read}) == 1


def test_the_fingerprint_sees_one_weight() -> None:
    state = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(2)}
    seen = {fingerprint(state), fingerprint(dict(reversed(state.items()))), fingerprint({**state, "b": torch.zeros(2)})}
    assert len(seen) == 1
    changed = state["a"].clone()
    changed[1, 2] = torch.nextafter(changed[1, 2], torch.tensor(9.0))
    seen |= {
        fingerprint({**state, "a": changed}),
        fingerprint({**state, "a": state["a"].reshape(3, 2)}),
        fingerprint({"a": state["a"], "c": state["b"]}),
        fingerprint({"a": state["a"]}),
        fingerprint({**state, "b": torch.zeros(3)}),
    }
    assert len(seen) == 6
    assert all(len(digest) == 64 for digest in seen)


def test_the_fingerprint_of_a_view_and_of_other_dtypes() -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    expected = fingerprint({"a": whole.T.contiguous()})
    assert fingerprint({"a": whole.T}) == expected
    assert fingerprint({"a": nn.Parameter(whole.T)}) == expected
    assert fingerprint({"a": whole.T.half()}) == expected  # these numbers are exact in float16
