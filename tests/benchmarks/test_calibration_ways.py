"""The hardened copy is the same function, and leaving nothing out is what ships."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from calib.calibrate import calibrate
from calib.pictures import CalibrationSet
from levit_mobile.fuse import fuse
from levit_mobile.golden import golden_pictures
from levit_mobile.model import LeViT
from levit_mobile.preprocess import Preprocessing
from levit_mobile.variants import VARIANTS

SIZE = 32
SPEC = Preprocessing(SIZE, SIZE)


@pytest.fixture(scope="module")
def model(random_fill: Callable[..., nn.Module]) -> LeViT:
    return random_fill(LeViT(VARIANTS["levit_128s"], num_classes=7, image_size=SIZE))  # type: ignore[return-value]


def test_the_hardened_copy_is_the_same_function(model: LeViT) -> None:
    from hardened import harden

    x = torch.randn(2, 3, SIZE, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    hard = harden(model)
    with torch.inference_mode():
        expected, found = model.double()(x), hard.double()(x)
    model.float()
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5  # the float32 weights were rescaled
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_third_of_the_channels_is_louder_and_a_third_quieter(model: LeViT) -> None:
    from hardened import harden

    plain, hard = fuse(model), fuse(harden(model, 16.0))
    for name in ("stem.6", "blocks.0.proj", "blocks.4.proj", "blocks.5.down"):
        layers = [m.get_submodule(name).weight.flatten(1).norm(dim=1) for m in (plain, hard)]  # type: ignore[union-attr, operator]
        ratios = np.round((layers[1] / layers[0]).numpy(), 4)
        assert set(ratios.tolist()) == {0.0625, 1.0, 16.0}, name
        assert min((ratios == value).mean() for value in (0.0625, 1.0, 16.0)) > 0.2


def test_all_parts_together_are_what_ships(model: LeViT) -> None:
    from calibration import WAYS, Parts

    deploy, pictures = fuse(model), CalibrationSet(golden_pictures(SIZE), "drawn")
    shipped = calibrate(deploy, pictures, SPEC, weights="")
    found = Parts().calibrate(deploy, pictures, SPEC, "")
    assert found.ranges.values == shipped.ranges.values
    assert found.equalisation == shipped.equalisation
    assert {name: layer.weight.tolist() for name, layer in found.rounded.items()} == {
        name: layer.weight.tolist() for name, layer in shipped.rounded.items()
    }
    others = [way(deploy, pictures, SPEC, "").to_json() for way in WAYS.values()]
    assert len(set(others)) == len(WAYS)
