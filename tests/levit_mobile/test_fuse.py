"""The deploy form is the trained model: exactly, and in fewer operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from levit_mobile.fuse import DeployAttention, DeployLeViT, DeployMLP, fuse
from levit_mobile.model import LeViT
from levit_mobile.variants import VARIANTS
from levit_mobile.weights import resolve_weights

Fill = Callable[..., nn.Module]


def pictures(batch: int, size: int) -> Tensor:
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(batch)).double()


def made(fill: Fill, name: str, *, distillation: bool = True, image_size: int = 224, seed: int = 0) -> LeViT:
    model = LeViT(VARIANTS[name], num_classes=12, distillation=distillation, image_size=image_size)
    return cast(LeViT, fill(model, seed).double())


@pytest.mark.parametrize(
    ("batch", "image_size", "distillation"),
    [(1, 224, True), (3, 160, False)],
)
@pytest.mark.parametrize("name", VARIANTS)
def test_the_same_function(name: str, batch: int, image_size: int, distillation: bool, random_fill: Fill) -> None:
    model = made(random_fill, name, distillation=distillation, image_size=image_size)
    deploy = fuse(model)
    x = pictures(batch, image_size)
    with torch.no_grad():
        expected, logits = model(x), deploy(x)
    assert logits.shape == (batch, 12)
    assert expected.abs().max() > 0.1
    assert (logits - expected).abs().max() < 1e-10


@pytest.mark.parametrize(
    ("batch", "image_size", "distillation"),
    [(3, 224, True), (1, 160, True), (1, 48, False), (2, 80, True), (1, 16, True)],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_other_weights_and_sizes(seed: int, batch: int, image_size: int, distillation: bool, random_fill: Fill) -> None:
    model = made(random_fill, "levit_128s", distillation=distillation, image_size=image_size, seed=seed)
    x = pictures(batch, image_size)
    with torch.no_grad():
        assert (fuse(model)(x) - model(x)).abs().max() < 1e-10


def test_trained_weights() -> None:
    """Training leaves scales and variances that no random fill has."""
    model = cast(LeViT, resolve_weights("demo").model().double())
    x = pictures(2, model.image_size)
    with torch.no_grad():
        expected = model(x)
        assert expected.abs().max() > 0.1
        assert (fuse(model)(x) - expected).abs().max() < 1e-10


def test_negative_and_tiny_batch_norms(random_fill: Fill) -> None:
    """A scale below zero, a variance near zero, a scale of zero: folding divides by none of them."""
    model = made(random_fill, "levit_128s", image_size=64)
    with torch.no_grad():
        for i, bn in enumerate([m for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]):
            bn.weight[i % 7 :: 7] *= -1
            bn.weight[i % 5] = 0
            assert bn.running_var is not None
            bn.running_var[i % 3 :: 11] = 1e-4
    x = pictures(2, 64)
    with torch.no_grad():
        expected = model(x)
        assert (fuse(model)(x) - expected).abs().max() < 1e-10 * max(1, expected.abs().max().item())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtype_of_the_model(dtype: torch.dtype, random_fill: Fill) -> None:
    model = made(random_fill, "levit_128s", image_size=64).to(dtype)
    deploy = fuse(model)
    assert {t.dtype for t in (*deploy.parameters(), *deploy.buffers())} == {dtype}
    x = pictures(2, 64).to(dtype)
    with torch.no_grad():
        difference = (deploy(x) - model(x)).abs().max()
    assert difference < (1e-5 if dtype == torch.float32 else 0.1)


@pytest.mark.parametrize("training", [True, False])
def test_the_trained_model_is_not_changed(training: bool, random_fill: Fill) -> None:
    model = made(random_fill, "levit_128s", image_size=64).train(training)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    deploy = fuse(model)
    with torch.no_grad():
        deploy(pictures(2, 64))
        for tensor in (*deploy.parameters(), *deploy.buffers()):  # nothing is shared either
            tensor.zero_()
    assert {m.training for m in model.modules()} == {training}
    assert all(p.requires_grad for p in model.parameters())
    assert before.keys() == model.state_dict().keys()
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_a_model_in_training_is_fused_as_it_will_run(random_fill: Fill) -> None:
    model = made(random_fill, "levit_128s", image_size=64)
    x = pictures(2, 64)
    with torch.no_grad():
        expected = model(x)
        assert (fuse(cast(LeViT, model.train()))(x) - expected).abs().max() < 1e-10


def test_the_last_linear_sees_one_token(random_fill: Fill) -> None:
    deploy = fuse(made(random_fill, "levit_128s"))
    seen: list[torch.Size] = []
    last = deploy.blocks[-1]
    assert isinstance(last, DeployMLP)
    last.down.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape))
    last.up.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape))
    with torch.no_grad():
        deploy(pictures(3, 224))
    assert seen == [(3, 16, 384), (3, 768)]


def test_ready_to_run(random_fill: Fill) -> None:
    deploy = fuse(made(random_fill, "levit_128s", image_size=64))
    assert isinstance(deploy, DeployLeViT)
    assert not any(m.training for m in deploy.modules())
    assert not any(p.requires_grad for p in deploy.parameters())
    assert deploy.image_size == 64


@pytest.mark.parametrize("distillation", [True, False])
@pytest.mark.parametrize("name", VARIANTS)
def test_no_batch_norm_and_one_head(name: str, distillation: bool) -> None:
    variant = VARIANTS[name]
    with torch.device("meta"):
        deploy = fuse(LeViT(variant, num_classes=12, distillation=distillation))
    assert not [m for m in deploy.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    wide = [m for m in deploy.modules() if isinstance(m, nn.Linear) and m.out_features == 12]
    assert wide == [deploy.head]
    assert tuple(deploy.head.weight.shape) == (12, variant.channels[2])
    kinds = Counter(type(block) for block in deploy.blocks)
    assert kinds == {DeployAttention: sum(variant.depth) + 2, DeployMLP: sum(variant.depth) + 2}
    assert deploy.residual.count(False) == 2
    assert len(deploy.residual) == len(deploy.blocks)


@pytest.mark.parametrize("name", ["levit_128s", "levit_192"])
def test_biases_are_constants_of_the_looked_up_shape(name: str, random_fill: Fill) -> None:
    model = made(random_fill, name)
    deploy = fuse(model)
    state = model.state_dict()
    tables = [key for key in state if key.endswith("attention_biases")]
    constants = [m.bias for m in deploy.modules() if isinstance(m, DeployAttention)]
    assert len(tables) == len(constants) == sum(VARIANTS[name].depth) + 2
    for key, bias in zip(tables, constants, strict=True):
        index = state[key.replace("biases", "bias_idxs")]
        for head in range(bias.size(0)):
            assert torch.equal(bias[head], state[key][head][index])


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 2])
def test_the_exported_graph_has_no_lookup_and_no_batch_norm(batch: int, random_fill: Fill) -> None:
    model = made(random_fill, "levit_128s").float()
    x = pictures(batch, 224).float()
    program = torch.export.export(fuse(cast(LeViT, model)), (x,))
    operators = Counter(str(node.target) for node in program.graph.nodes if node.op == "call_function")
    forbidden = ("index", "gather", "batch_norm", "slice", "select", "embedding", "clone", "expand", "div", "sub")
    assert {op: n for op, n in operators.items() if any(word in op for word in forbidden)} == {}
    # Nine attentions and the two that down-sample (their q is a convolution); eleven MLPs; the head.
    assert operators["aten.linear.default"] == 11 * 4 - 2 + 11 * 2 + 1
    assert operators["aten.conv2d.default"] == 4 + 2
    assert operators["aten.bmm.default"] == 2 * 11
    assert operators["aten.softmax.int"] == 11
    assert operators["aten.hardswish.default"] == 3 + 11 + 11
    assert operators["aten.mean.dim"] == 2  # of the stream, and of what the last Linear would read
    with torch.no_grad():
        assert (program.module()(x) - model(x)).abs().max() < 1e-5
