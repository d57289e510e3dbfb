"""Public names of LeViT's parameters -> the official ones, which this project uses.

Schemes: official (facebookresearch/LeViT), timm (``levit_*`` and ``levit_conv_*``), Hugging Face transformers. Which one
a file follows is seen from its keys alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from levit_mobile.variants import Variant

__all__ = ["SCHEMES", "recognise_scheme", "rename_keys"]

# A key that each scheme has and no other.
SCHEMES: dict[str, str] = {
    "official": "patch_embed.0.c.weight",
    "timm": "stem.conv1.linear.weight",
    "huggingface": "levit.patch_embeddings.embedding_layer_1.convolution.weight",
}

# Names inside a block, most specific first.
_TIMM_PARTS = (
    ("q.ln.linear", "q.1.c"),
    ("q.ln.bn", "q.1.bn"),
    ("proj.ln.linear", "proj.1.c"),
    ("proj.ln.bn", "proj.1.bn"),
    ("ln1.linear", "0.c"),
    ("ln1.bn", "0.bn"),
    ("ln2.linear", "2.c"),
    ("ln2.bn", "2.bn"),
    (".linear", ".c"),
)
_HF_PARTS = (
    ("queries_keys_values.linear", "qkv.c"),
    ("queries_keys_values.batch_norm", "qkv.bn"),
    ("keys_values.linear", "kv.c"),
    ("keys_values.batch_norm", "kv.bn"),
    ("queries.linear", "q.1.c"),
    ("queries.batch_norm", "q.1.bn"),
    ("projection.linear", "proj.1.c"),
    ("projection.batch_norm", "proj.1.bn"),
    ("linear_up.linear", "0.c"),
    ("linear_up.batch_norm", "0.bn"),
    ("linear_down.linear", "2.c"),
    ("linear_down.batch_norm", "2.bn"),
)


def recognise_scheme(keys: Iterable[str]) -> str | None:
    """The scheme's name, or None."""
    present = set(keys)
    return next((name for name, mark in SCHEMES.items() if mark in present), None)


def rename_keys(scheme: str, keys: Iterable[str], variant: Variant) -> dict[str, str]:
    """{key in the file: official key}; a key that the scheme does not have maps to itself."""
    rename = {"official": lambda key, _: key, "timm": _from_timm, "huggingface": _from_huggingface}[scheme]
    return {key: rename(key, variant) for key in keys}


def _stage_start(variant: Variant, stage: int) -> int:
    """Index in ``blocks`` of a stage's first attention; the two blocks before it belong to the down-sampling."""
    return sum(2 * depth for depth in variant.depth[:stage]) + 2 * stage


def _replace(name: str, parts: tuple[tuple[str, str], ...]) -> str:
    for old, new in parts:
        if old in name:
            return name.replace(old, new)
    return name


def _from_timm(key: str, variant: Variant) -> str:
    if found := re.fullmatch(r"stem\.conv(\d)\.(linear|bn)\.(.+)", key):
        return f"patch_embed.{2 * int(found[1]) - 2}.{'c' if found[2] == 'linear' else 'bn'}.{found[3]}"
    if found := re.fullmatch(r"(head|head_dist)\.linear\.(.+)", key):
        return f"{found[1]}.l.{found[2]}"
    if found := re.fullmatch(r"stages\.(\d+)\.blocks\.(\d+)\.(attn|mlp)\.(.+)", key):
        index = _stage_start(variant, int(found[1])) + 2 * int(found[2]) + (found[3] == "mlp")
        return f"blocks.{index}.m.{_replace(found[4], _TIMM_PARTS)}"
    if found := re.fullmatch(r"stages\.(\d+)\.downsample\.(attn_downsample|mlp)\.(.+)", key):
        index = _stage_start(variant, int(found[1]))
        rest = _replace(found[3], _TIMM_PARTS)
        return f"blocks.{index - 2}.{rest}" if found[2] == "attn_downsample" else f"blocks.{index - 1}.m.{rest}"
    return key


def _from_huggingface(key: str, variant: Variant) -> str:
    if found := re.fullmatch(r"levit\.patch_embeddings\.embedding_layer_(\d)\.(convolution|batch_norm)\.(.+)", key):
        return f"patch_embed.{2 * int(found[1]) - 2}.{'c' if found[2] == 'convolution' else 'bn'}.{found[3]}"
    if found := re.fullmatch(r"classifier(_distill)?\.(batch_norm|linear)\.(.+)", key):
        head = "head_dist" if found[1] else "head"
        return f"{head}.{'bn' if found[2] == 'batch_norm' else 'l'}.{found[3]}"
    if found := re.fullmatch(r"levit\.encoder\.stages\.(\d+)\.layers\.(\d+)\.(module\.)?(.+)", key):
        index = _stage_start(variant, int(found[1])) + int(found[2])
        return f"blocks.{index}.{'m.' if found[3] else ''}{_replace(found[4], _HF_PARTS)}"
    return key
