"""What all tests share: the folder of pictures, and weights that are the same everywhere."""

from __future__ import annotations

import os
import signal
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from torch import nn

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before torch is imported. Workers share the cores: threads that wait for each other's made inference ten times slower.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"  # transformers and timm are asked for architectures, never for weights

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Shells ignore it for what runs in the background, and programs that tests start and interrupt would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parents[1]

pytest_plugins = ["exports", "commands", "loopback", "boards", "desk"]


@pytest.fixture(scope="session")
def shared() -> Path:
    """``../shared`` beside the repository, or ``$LEVIT_MOBILE_SHARED``; the test is skipped where there is none."""
    folder = Path(os.environ.get("LEVIT_MOBILE_SHARED") or REPOSITORY.parent / "shared")
    if not folder.is_dir():
        pytest.skip(
            f"no folder {folder}: skipped is what reads Imagenette's pictures; "
            "set LEVIT_MOBILE_SHARED to where images/ is"
        )
    return folder


@pytest.fixture(scope="session")
def golden_fill() -> Callable[[nn.Module], nn.Module]:
    """Fills a model under official names with the weights that ``golden/official_logits.npz`` was made with."""
    return _golden_fill


@pytest.fixture(scope="session")
def random_fill() -> Callable[..., nn.Module]:
    """``random_fill(model, seed=0)``: any LeViT, whoever's code, gets random weights and BatchNorm statistics; eval mode."""
    return _random_fill


def _golden_fill(model: nn.Module) -> nn.Module:
    import torch

    for key, tensor in model.state_dict().items():
        if key.endswith(("attention_bias_idxs", "num_batches_tracked")):
            continue
        g, shape = np.random.default_rng(zlib.crc32(key.encode())), tuple(tensor.shape)
        if key.endswith("running_var"):
            values = g.uniform(0.5, 1.5, shape)
        elif key.endswith("running_mean"):
            values = g.normal(0, 0.1, shape)
        elif key.endswith(".bn.weight"):
            values = g.uniform(0.5, 1, shape)
        elif key.endswith(".bn.bias"):
            values = g.normal(0, 0.1, shape)
        elif key.endswith("attention_biases"):
            values = g.normal(0, 1, shape)
        elif key.endswith(".bias"):
            values = g.normal(0, 0.1, shape)
        else:
            values = g.normal(0, 1 / np.sqrt(max(1, np.prod(shape[1:]))), shape)
        tensor.copy_(torch.from_numpy(values.astype(np.float32)))
    return model.eval()


def _random_fill(model: nn.Module, seed: int = 0) -> nn.Module:
    import torch
    from torch import nn

    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=g)
            if "attention_biases" in name:
                parameter.copy_(noise)
            elif parameter.ndim > 1:
                parameter.copy_(noise / parameter[0].numel() ** 0.5)
            else:
                parameter.copy_(0.1 * noise)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.weight.copy_(0.5 + 0.5 * torch.rand(module.weight.shape, generator=g))
                module.running_mean.copy_(0.1 * torch.randn(module.running_mean.shape, generator=g))
                module.running_var.copy_(0.5 + torch.rand(module.running_var.shape, generator=g))
    return model.eval()
