"""The table of the five models, against the paper, the official counter and PyTorch's."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from levit_mobile.errors import UsageError
from levit_mobile.model import Attention, AttentionSubsample, LeViT
from levit_mobile.variants import VARIANTS, Variant, count_macs, get_variant

# Graham et al. 2021, tables 2 and 3, and the official repository's README.
PAPER = {
    "levit_128s": ((128, 256, 384), 16, (4, 6, 8), (2, 3, 4), 0.0, 76.6, 92.9),
    "levit_128": ((128, 256, 384), 16, (4, 8, 12), (4, 4, 4), 0.0, 78.6, 94.0),
    "levit_192": ((192, 288, 384), 32, (3, 5, 6), (4, 4, 4), 0.0, 80.0, 94.7),
    "levit_256": ((256, 384, 512), 32, (4, 6, 8), (4, 4, 4), 0.0, 81.6, 95.4),
    "levit_384": ((384, 512, 768), 32, (6, 9, 12), (4, 4, 4), 0.1, 82.6, 96.0),
}

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def official_name(variant: Variant) -> str:
    return variant.name.replace("levit", "LeViT").replace("s", "S")


def test_the_five_models_in_the_papers_order() -> None:
    assert list(VARIANTS) == list(PAPER)


@pytest.mark.parametrize("name", PAPER)
def test_rows_are_the_papers(name: str) -> None:
    v = VARIANTS[name]
    assert (v.channels, v.key_dim, v.heads, v.depth, v.drop_path, v.top1, v.top5) == PAPER[name]
    assert v.name == name


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=str)
def test_a_row_cannot_be_changed(variant: Variant) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        variant.key_dim = 1  # type: ignore[misc]


@pytest.mark.parametrize("name", VARIANTS)
def test_urls_name_the_variant_and_begin_a_digest(name: str) -> None:
    variant = VARIANTS[name]
    stem = official_name(variant).replace("_", "-")
    assert re.fullmatch(rf"https://dl\.fbaipublicfiles\.com/LeViT/{stem}-[0-9a-f]{{8}}\.pth", variant.url)


def test_heads_of_the_down_sampling_attentions() -> None:
    assert {v.name: (v.down_heads(0), v.down_heads(1)) for v in VARIANTS.values()} == {
        "levit_128s": (8, 16),
        "levit_128": (8, 16),
        "levit_192": (6, 9),
        "levit_256": (8, 12),
        "levit_384": (12, 16),
    }


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("levit_128s", "levit_128s"),
        ("LeViT-128S", "levit_128s"),
        ("128s", "levit_128s"),
        ("128S", "levit_128s"),
        ("128", "levit_128"),
        (" levit-192\n", "levit_192"),
        ("LEVIT_256", "levit_256"),
        ("384", "levit_384"),
    ],
)
def test_spellings(typed: str, name: str) -> None:
    assert get_variant(typed) is VARIANTS[name]


@pytest.mark.parametrize("typed", ["", "levit", "levit_512", "resnet50", "128-s", "levit_levit_128"])
def test_an_unknown_variant_is_refused_with_the_names_to_type(typed: str) -> None:
    with pytest.raises(UsageError) as raised:
        get_variant(typed)
    assert str(raised.value) == (
        f"unknown variant {typed!r}; type one of: levit_128s, levit_128, levit_192, levit_256, levit_384"
    )
    assert raised.value.exit_code == 2


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=lambda v: v.name)
def test_macs_and_parameters_are_the_official_counters(variant: Variant) -> None:
    golden = json.loads((GOLDEN / "official_state_dicts.json").read_text("utf-8"))[official_name(variant)]
    assert variant.macs == golden["macs_official_counter"]
    assert variant.parameters == golden["parameters"]


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=lambda v: v.name)
def test_count_macs_gives_the_published_figure(variant: Variant) -> None:
    assert count_macs(variant) == variant.macs
    assert count_macs(variant, heads=1) == variant.macs - variant.channels[2] * 1000
    assert count_macs(variant, num_classes=10) == variant.macs - 2 * variant.channels[2] * 990


@pytest.mark.slow
@pytest.mark.parametrize("image_size", [64, 160])
@pytest.mark.parametrize("name", ["levit_128s", "levit_384"])
def test_count_macs_is_what_pytorch_counts(name: str, image_size: int) -> None:
    """PyTorch counts two operations a multiply-add, and none for softmax, where the official counter has one a score."""
    variant = VARIANTS[name]
    with torch.device("meta"):
        model = LeViT(variant, num_classes=10, image_size=image_size).eval()
        pictures = torch.empty(1, 3, image_size, image_size)
        with FlopCounterMode(display=False) as counter:
            # The index of the biases is on the CPU wherever the model was made.
            model(pictures)
    scores = sum(
        module.heads * module.attention_bias_idxs.numel()
        for module in model.modules()
        if isinstance(module, Attention | AttentionSubsample)
    )
    assert count_macs(variant, image_size=image_size, num_classes=10) == counter.get_total_flops() // 2 + scores
