"""Equalisation beside the model that it is of: the same logits, and channels of like size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calib.equalisation import Equalisation, channel_groups, choose_equalisation, equalise
from levit_mobile.errors import CalibrationError
from levit_mobile.fuse import DeployAttention, DeployLeViT, fuse
from levit_mobile.model import LeViT
from levit_mobile.variants import VARIANTS

SIZE = 32


@pytest.fixture(scope="module")
def deploy(random_fill: Callable[..., nn.Module]) -> DeployLeViT:
    return fuse(random_fill(LeViT(VARIANTS["levit_128s"], num_classes=7, image_size=SIZE)))  # type: ignore[arg-type]


def at_random(model: DeployLeViT, factor: float = 20.0) -> dict[str, Equalisation]:
    """A change of every channel of every group."""
    rng = np.random.default_rng(0)

    def scales(width: int) -> tuple[float, ...]:
        found = factor ** rng.uniform(-1, 1, width)
        return tuple(found / np.exp(np.log(found).mean()))

    widths = {group.name: len(model.get_submodule(group.name).weight) for group in channel_groups(model)}  # type: ignore[arg-type]
    return {name: Equalisation(scales(width), tuple(rng.normal(0, 3, width))) for name, width in widths.items()}


def channels_of(model: DeployLeViT, x: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Smallest and greatest value of each channel, by hooks of this test's own."""
    seen: dict[str, tuple[Tensor, Tensor]] = {}

    def watch(name: str, last: bool) -> Callable[..., None]:
        def ends(y: Tensor) -> tuple[Tensor, Tensor]:
            rows = (y if last else y.movedim(1, -1)).double().flatten(0, -2)
            return rows.amin(0), rows.amax(0)

        def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            seen[f"{name}.in"], seen[f"{name}.out"] = ends(inputs[0]), ends(output)

        return hook

    handles = [
        layer.register_forward_hook(watch(name, isinstance(layer, nn.Linear)))
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
    ]
    with torch.inference_mode():
        model(x)
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_function_stays(variant: str, random_fill: Callable[..., nn.Module]) -> None:
    model = random_fill(LeViT(VARIANTS[variant], num_classes=3, image_size=SIZE))
    deploy = fuse(model.double())  # type: ignore[arg-type]
    x = torch.randn(2, 3, SIZE, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    before = {name: value.clone() for name, value in deploy.state_dict().items()}
    changed = equalise(deploy, at_random(deploy))
    with torch.inference_mode():
        expected, found = deploy(x), changed(x)
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-10
    assert all(torch.equal(value, before[name]) for name, value in deploy.state_dict().items())


def test_the_order_of_the_groups_is_nothing(deploy: DeployLeViT) -> None:
    """To the last bit: a file has them sorted."""
    changes = at_random(deploy)
    one, other = (equalise(deploy, way).state_dict() for way in (changes, dict(sorted(changes.items()))))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_every_layer_takes_part(deploy: DeployLeViT) -> None:
    """All layers but the stem's inner ones, and v, whose outputs Hardswish sees."""
    groups = list(channel_groups(deploy))
    attentions = sum(isinstance(block, DeployAttention) for block in deploy.blocks)
    assert len(groups) == 3 + attentions
    assert len({group.name for group in groups}) == len(groups)
    layers = [name for name, layer in deploy.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    written = [name for group in groups for name in (*group.writers, *group.partners)]
    read = [name for group in groups for name in group.readers]
    ends = [n for n in layers if n.startswith("stem.")][-1:]
    assert sorted(written) == sorted(ends + [n for n in layers if n.endswith((".proj", ".down", ".k", ".q"))])
    assert sorted(read) == sorted(n for n in layers if n.endswith((".q", ".k", ".v", ".up")) or n == "head")


def test_channels_are_alike_afterwards(deploy: DeployLeViT) -> None:
    x = torch.randn(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    hard = equalise(deploy, at_random(deploy))

    def spread(model: DeployLeViT) -> dict[str, float]:
        """The greatest channel's size beside the middle one's, where a group is read or, for keys, written."""
        seen, found = channels_of(model, x), {}
        for group in channel_groups(model):
            low, high = seen[f"{group.readers[0]}.in" if group.readers else f"{group.name}.out"]
            size = torch.maximum(low.abs(), high.abs())
            found[group.name] = float(size.max() / size.median())
        return found

    before = spread(hard)
    after = spread(equalise(hard, choose_equalisation(hard, channels_of(hard, x))))
    assert all(after[name] < before[name] for name in before)
    assert max(after.values()) < 7 < min(before.values())


def test_a_hardened_model_gets_back_what_it_was(deploy: DeployLeViT) -> None:
    x = torch.randn(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    hard = equalise(deploy, at_random(deploy))
    once, twice = (equalise(model, choose_equalisation(model, channels_of(model, x))) for model in (deploy, hard))
    for name, value in once.state_dict().items():
        assert float((value - twice.state_dict()[name]).norm()) < 0.05 * float(value.norm()), name


def test_a_shift_of_keys_changes_nothing_even_alone(deploy: DeployLeViT) -> None:
    name = next(group.name for group in channel_groups(deploy) if group.partners)
    width = deploy.get_submodule(name).out_features
    x = torch.randn(2, 3, SIZE, SIZE, dtype=torch.float64)
    model = deploy.double()
    try:
        changed = equalise(model, {name: Equalisation((1.0,) * width, (5.0,) * width)})  # type: ignore[operator]
        with torch.inference_mode():
            assert torch.allclose(model(x), changed(x), rtol=0, atol=1e-10)
    finally:
        deploy.float()


@pytest.mark.parametrize(
    "changes",
    [
        {"blocks.99.k": Equalisation((1.0,), (0.0,))},
        {"stem.6": Equalisation((1.0,), (0.0,))},
        {"blocks.0.q": Equalisation((1.0,) * 64, (0.0,) * 64)},
    ],
)
def test_what_does_not_fit_is_refused(deploy: DeployLeViT, changes: dict[str, Equalisation]) -> None:
    with pytest.raises(CalibrationError, match=r"the equalisation of .* does not fit this model; .*--calib-data DIR"):
        equalise(deploy, changes)
