"""Names of parameters, against the code that owns them: timm and transformers, as installed."""

from __future__ import annotations

from functools import lru_cache

import pytest
import torch
from oracles import huggingface_levit, timm_levit
from torch import Tensor

from levit_mobile.key_schemes import SCHEMES, recognise_scheme, rename_keys
from levit_mobile.model import LeViT
from levit_mobile.variants import VARIANTS, get_variant

DERIVED = ("attention_bias_idxs", "num_batches_tracked")
KINDS = {"official": "official", "timm": "timm", "timm-conv": "timm", "hf": "huggingface", "hf-one-head": "huggingface"}


@lru_cache(maxsize=32)
def published(kind: str, name: str) -> dict[str, Tensor]:
    """The state dict of whoever's model: shapes only."""
    variant = VARIANTS[name]
    with torch.device("meta"):
        if kind == "official":
            return LeViT(variant).state_dict()
        if kind.startswith("timm"):
            return timm_levit(variant, conv=kind == "timm-conv").state_dict()
        return huggingface_levit(variant, teacher=kind == "hf").state_dict()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", VARIANTS)
def test_every_key_finds_its_official_name_and_shape(name: str, kind: str) -> None:
    state = published(kind, name)
    names = rename_keys(KINDS[kind], state, VARIANTS[name])
    assert list(names) == list(state)
    assert len(set(names.values())) == len(names)
    with torch.device("meta"):
        ours = LeViT(VARIANTS[name], distillation=kind != "hf-one-head").state_dict()
    assert {k for k in names.values() if not k.endswith(DERIVED)} == {k for k in ours if not k.endswith(DERIVED)}
    assert set(names.values()) <= set(ours)
    for key, value in state.items():
        shape = tuple(value.shape)
        if kind == "timm-conv" and shape[2:] == (1, 1):
            shape = shape[:2]
        assert shape == tuple(ours[names[key]].shape), key


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", VARIANTS)
def test_keys_alone_tell_the_scheme(name: str, kind: str) -> None:
    keys = list(published(kind, name))
    assert recognise_scheme(keys) == KINDS[kind]
    assert recognise_scheme(reversed(keys)) == KINDS[kind]
    assert recognise_scheme(iter(keys)) == KINDS[kind]


@pytest.mark.parametrize(
    "keys",
    [
        [],
        ["conv1.weight", "layer1.0.conv1.weight", "fc.weight"],
        ["cls_token", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "head.weight"],
        ["module.patch_embed.0.c.weight"],
        ["stem.conv1.weight"],
    ],
)
def test_other_models_are_none_of_them(keys: list[str]) -> None:
    assert recognise_scheme(keys) is None


def test_marks_are_each_schemes_own() -> None:
    assert list(SCHEMES) == ["official", "timm", "huggingface"]
    for scheme, mark in SCHEMES.items():
        assert recognise_scheme([mark]) == scheme


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    "key", ["", "fc.weight", "stages.x.blocks.0.attn.qkv.linear.weight", "levit.encoder.stages.0.layers", "stem.conv1"]
)
def test_a_key_that_the_scheme_lacks_stays(scheme: str, key: str) -> None:
    assert rename_keys(scheme, [key], VARIANTS["levit_128"]) == {key: key}


@pytest.mark.parametrize(
    ("scheme", "key", "name", "official"),
    [
        ("timm", "stem.conv4.bn.bias", "128s", "patch_embed.6.bn.bias"),
        ("timm", "stages.0.blocks.0.attn.qkv.linear.weight", "128s", "blocks.0.m.qkv.c.weight"),
        ("timm", "stages.0.blocks.1.mlp.ln2.bn.weight", "128s", "blocks.3.m.2.bn.weight"),
        ("timm", "stages.1.downsample.attn_downsample.q.ln.linear.weight", "128s", "blocks.4.q.1.c.weight"),
        ("timm", "stages.1.downsample.mlp.ln1.linear.weight", "128s", "blocks.5.m.0.c.weight"),
        ("timm", "stages.2.blocks.3.attn.proj.ln.bn.bias", "128s", "blocks.20.m.proj.1.bn.bias"),
        ("timm", "stages.2.downsample.attn_downsample.attention_biases", "384", "blocks.18.attention_biases"),
        ("timm", "head_dist.linear.bias", "384", "head_dist.l.bias"),
        (
            "huggingface",
            "levit.encoder.stages.0.layers.4.queries.linear.weight",
            "128s",
            "blocks.4.q.1.c.weight",
        ),
        (
            "huggingface",
            "levit.encoder.stages.2.layers.7.module.linear_down.batch_norm.bias",
            "128s",
            "blocks.21.m.2.bn.bias",
        ),
        ("huggingface", "classifier_distill.batch_norm.weight", "256", "head_dist.bn.weight"),
        ("huggingface", "classifier.linear.weight", "256", "head.l.weight"),
    ],
)
def test_some_names_by_hand(scheme: str, key: str, name: str, official: str) -> None:
    assert rename_keys(scheme, [key], get_variant(name)) == {key: official}
