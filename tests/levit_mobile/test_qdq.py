"""Quantisation written out in PyTorch, beside the same in numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from calib.pictures import CalibrationSet
from calib.ranges import Ranges, measure_ranges
from levit_mobile.errors import CalibrationError
from levit_mobile.fuse import DeployLeViT, fuse
from levit_mobile.golden import golden_pictures
from levit_mobile.model import LeViT
from levit_mobile.preprocess import Preprocessing, normalise
from levit_mobile.qdq import DynamicLinear, QdqConv2d, QdqLinear, quantize_dynamic, quantize_static
from levit_mobile.scales import PACKED_FROM
from levit_mobile.variants import VARIANTS

SIZE = 32
SPEC = Preprocessing(SIZE, SIZE)


@pytest.fixture(scope="module")
def deploy(random_fill: Callable[..., nn.Module]) -> DeployLeViT:
    model = random_fill(LeViT(VARIANTS["levit_128s"], num_classes=7, image_size=SIZE))
    assert isinstance(model, LeViT)
    return fuse(model)


@pytest.fixture(scope="module")
def ranges(deploy: DeployLeViT) -> Ranges:
    return measure_ranges(deploy, CalibrationSet(golden_pictures(SIZE), "drawn"), SPEC, weights="these")


def int8(x: npt.NDArray[np.float64], low: float, high: float) -> npt.NDArray[np.float64]:
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32((high - low) / 255))
    zero = round(-128 - low / scale)
    return (np.clip(np.rint(x / scale) + zero, -128, 127) - zero) * scale


def int8_weights(w: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    scale = np.abs(w).reshape(len(w), -1).max(1).reshape(-1, *[1] * (w.ndim - 1)) / 127
    return np.rint(w / scale) * scale


def int32_bias(
    b: npt.NDArray[np.float64], w: npt.NDArray[np.float64], low: float, high: float
) -> npt.NDArray[np.float64]:
    step = (high - low) / 255 * np.abs(w).reshape(len(w), -1).max(1) / 127
    return np.rint(b / step) * step


def test_a_linear() -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(6, 4), torch.randn(3, 5, 6)
    quantized = QdqLinear(layer, layer.weight.detach(), (-2.0, 3.0), (-1.0, 1.5))
    assert quantized.weight.dtype == torch.int8
    assert quantized.scale.shape == (4,)
    w, b = (p.detach().double().numpy() for p in (layer.weight, layer.bias))
    b = int32_bias(b, w, -2.0, 3.0)
    assert np.abs(quantized.bias.numpy() - b).max() <= 1e-6
    expected = int8(int8(x.double().numpy(), -2.0, 3.0) @ int8_weights(w).T + b, -1.0, 1.5)
    # A value on the border between two steps may fall to either side in float32.
    difference = np.abs(quantized(x).double().detach().numpy() - expected)
    assert difference.max() <= 2.5 / 255 + 1e-6
    assert (difference > 1e-5).mean() < 0.05


def test_a_convolution() -> None:
    torch.manual_seed(0)
    layer, x = nn.Conv2d(3, 4, 3, stride=2, padding=1), torch.randn(2, 3, 8, 8)
    quantized = QdqConv2d(layer, layer.weight.detach(), (-2.0, 2.0), (-1.5, 1.5))
    assert (quantized.stride, quantized.padding, quantized.out_channels) == ((2, 2), (1, 1), 4)
    w, b = (p.detach().double().numpy() for p in (layer.weight, layer.bias))
    pieces = (int8(x.double().numpy(), -2.0, 2.0), int8_weights(w), int32_bias(b, w, -2.0, 2.0))
    middle = nn.functional.conv2d(*map(torch.from_numpy, pieces), 2, 1)
    difference = np.abs(quantized(x).double().detach().numpy() - int8(middle.numpy(), -1.5, 1.5))
    assert difference.max() <= 3 / 255 + 1e-6
    assert (difference > 1e-5).mean() < 0.05


def test_a_weight_between_two_steps() -> None:
    """By division, as ai-edge-quantizer does it; the product with the inverse would round some of them elsewhere."""
    layer = nn.Linear(255, 64)
    quantized = QdqLinear(layer, layer.weight.detach(), (-1.0, 1.0), (-1.0, 1.0))
    w = layer.weight.detach().numpy()
    scale = np.abs(w).max(axis=1, keepdims=True) / np.float32(127)
    np.testing.assert_array_equal(quantized.weight.numpy(), np.rint(w / scale))
    np.testing.assert_array_equal(quantized.scale.numpy(), scale.ravel())


def test_the_attention_bias_tables_are_int8s(random_fill: Callable[..., nn.Module]) -> None:
    model = random_fill(LeViT(VARIANTS["levit_128s"], num_classes=7, image_size=128))
    assert isinstance(model, LeViT)
    deploy = fuse(model)
    pixels = golden_pictures(128)
    ranges = measure_ranges(deploy, CalibrationSet(pixels, "drawn"), Preprocessing(128, 128), weights="these")
    for quantized in (quantize_static(deploy, ranges), quantize_dynamic(deploy)):
        small = 0
        for name, table in deploy.named_buffers():
            found = quantized.get_buffer(name)
            assert (found.shape, found.dtype) == (table.shape, torch.float32)
            if table.numel() < PACKED_FROM:
                small += 1
                assert torch.equal(found, table)
                continue
            step = table.abs().amax((1, 2), keepdim=True) / 127  # a head's
            whole = found / step
            assert float((whole - whole.round()).abs().max()) < 1e-4
            assert float(((found - table) / step).abs().max()) <= 0.5001
        assert small == 4 < len(list(deploy.named_buffers()))


def test_a_dynamic_linear_takes_the_range_of_the_moment() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(6, 4)
    quantized = DynamicLinear(layer)
    w, b = (p.detach().double().numpy() for p in (layer.weight, layer.bias))
    for size in (0.01, 100.0):
        x = size * torch.randn(3, 6)
        expected = int8(x.double().numpy(), float(x.min()), float(x.max())) @ int8_weights(w).T + b
        assert np.abs(quantized(x).double().detach().numpy() - expected).max() <= 0.02 * size


def test_all_layers_are_replaced_and_the_model_is_left_alone(deploy: DeployLeViT, ranges: Ranges) -> None:
    before = {name: value.clone() for name, value in deploy.state_dict().items()}
    static, dynamic = quantize_static(deploy, ranges), quantize_dynamic(deploy)
    kinds = [type(m) for m in deploy.modules()]
    assert sum(isinstance(m, QdqLinear) for m in static.modules()) == kinds.count(nn.Linear) == 65
    assert sum(isinstance(m, QdqConv2d) for m in static.modules()) == kinds.count(nn.Conv2d) == 6
    assert sum(isinstance(m, DynamicLinear) for m in dynamic.modules()) == 65
    assert sum(type(m) is nn.Conv2d for m in dynamic.modules()) == 6
    assert not any(p.requires_grad for model in (static, dynamic) for p in model.parameters())
    for name, value in deploy.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_whole_model_stays_close(deploy: DeployLeViT, ranges: Ranges) -> None:
    x = torch.from_numpy(normalise(golden_pictures(SIZE), SPEC))

    def cosine(a: Tensor, b: Tensor) -> float:
        a, b = (t - t.mean(1, keepdim=True) for t in (a, b))
        return float(nn.functional.cosine_similarity(a, b).min())

    with torch.inference_mode():
        expected = deploy(x)
        assert 0.98 < cosine(quantize_static(deploy, ranges)(x), expected) < 1
        assert 0.98 < cosine(quantize_dynamic(deploy)(x), expected) < 1
        # Ranges that are far too wide do harm: the numbers of the ranges are what is used.
        wide = replace(ranges, values={name: (50 * low, 50 * high) for name, (low, high) in ranges.values.items()})
        assert cosine(quantize_static(deploy, wide)(x), expected) < 0.95


def test_a_missing_range_is_named(deploy: DeployLeViT, ranges: Ranges) -> None:
    values = {name: pair for name, pair in ranges.values.items() if name != "blocks.3.up.out"}
    with pytest.raises(CalibrationError, match=r"^the activation ranges lack blocks\.3\.up\.out; measure them anew"):
        quantize_static(deploy, replace(ranges, values=values))
