"""The five published LeViT models as one table (Graham et al. 2021, table 2; official file ``levit.py``)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from levit_mobile.errors import UsageError

__all__ = [
    "ATTENTION_RATIO",
    "DOWN_ATTENTION_RATIO",
    "MLP_RATIO",
    "PATCH",
    "VARIANTS",
    "Variant",
    "count_macs",
    "get_variant",
]

ATTENTION_RATIO = 2  # a head's value is this many times as wide as its key
DOWN_ATTENTION_RATIO = 4  # the same, in the attention that halves the resolution
MLP_RATIO = 2
PATCH = 16  # pixels along one side of a token: four stride-2 convolutions


@dataclass(frozen=True)
class Variant:
    """One row of the table.

    Attributes:
        name: what users type, for example ``levit_128s``.
        channels: embedding width C of the three stages.
        key_dim: width D of one head's query and key.
        heads: attention heads N of the three stages.
        depth: [attention, MLP] pairs X in each stage.
        drop_path: stochastic depth rate while training.
        top1: published ImageNet-1k top-1 of the official checkpoint, percent.
        top5: the same, top-5.
        macs: multiply-adds at 224x224, 1000 classes, as the official counter has them.
        parameters: learnt parameters with two 1000-class heads.
        url: the official checkpoint; the eight hex digits in its name begin its sha256.
    """

    name: str
    channels: tuple[int, int, int]
    key_dim: int
    heads: tuple[int, int, int]
    depth: tuple[int, int, int]
    drop_path: float
    top1: float
    top5: float
    macs: int
    parameters: int
    url: str

    def down_heads(self, stage: int) -> int:
        """Heads of the down-sampling attention that leaves ``stage`` (0 or 1)."""
        return self.channels[stage] // self.key_dim


_OFFICIAL = "https://dl.fbaipublicfiles.com/LeViT/"


def _row(
    name: str,
    channels: tuple[int, int, int],
    key_dim: int,
    heads: tuple[int, int, int],
    depth: tuple[int, int, int],
    drop_path: float,
    top1: float,
    top5: float,
    macs: int,
    parameters: int,
    file: str,
) -> Variant:
    return Variant(name, channels, key_dim, heads, depth, drop_path, top1, top5, macs, parameters, _OFFICIAL + file)


# fmt: off
VARIANTS: dict[str, Variant] = {
    row.name: row
    for row in (
        _row("levit_128s", (128, 256, 384), 16, (4, 6, 8), (2, 3, 4), 0.0, 76.6, 92.9, 305_108_946, 7_777_058, "LeViT-128S-96703c44.pth"),
        _row("levit_128", (128, 256, 384), 16, (4, 8, 12), (4, 4, 4), 0.0, 78.6, 94.0, 406_114_880, 9_213_936, "LeViT-128-b88c2750.pth"),
        _row("levit_192", (192, 288, 384), 32, (3, 5, 6), (4, 4, 4), 0.0, 80.0, 94.7, 657_601_916, 10_947_069, "LeViT-192-92712e41.pth"),
        _row("levit_256", (256, 384, 512), 32, (4, 6, 8), (4, 4, 4), 0.0, 81.6, 95.4, 1_128_024_056, 18_893_876, "LeViT-256-13b5763e.pth"),
        _row("levit_384", (384, 512, 768), 32, (6, 9, 12), (4, 4, 4), 0.1, 82.6, 96.0, 2_352_935_380, 39_128_836, "LeViT-384-9bdaf2e2.pth"),
    )
}
# fmt: on


def get_variant(name: str) -> Variant:
    """The row called ``name``; ``LeViT-128S``, ``levit_128s`` and ``128s`` mean the same.

    Raises:
        UsageError: there is no such variant.
    """
    key = name.strip().lower().replace("-", "_")
    if not key.startswith("levit_"):
        key = f"levit_{key}"
    if key not in VARIANTS:
        raise UsageError(f"unknown variant {name!r}; type one of: {', '.join(VARIANTS)}")
    return VARIANTS[key]


def count_macs(variant: Variant, *, image_size: int = 224, num_classes: int = 1000, heads: int = 2) -> int:
    """Multiply-adds of one inference, counted as the official ``FLOPS_COUNTER`` does.

    Softmax counts one a score; activations, normalisation and sums count nothing.
    """
    total = 0
    side = image_size
    widths = (3, variant.channels[0] // 8, variant.channels[0] // 4, variant.channels[0] // 2, variant.channels[0])
    for a, b in pairwise(widths):
        side = (side - 1) // 2 + 1
        total += a * b * 9 * side**2

    def attend(n_heads: int, queries: int, keys: int, value_dim: int) -> int:
        return n_heads * queries * keys * (variant.key_dim + 1 + value_dim)

    for stage, width in enumerate(variant.channels):
        tokens = side**2
        d, n = variant.key_dim, variant.heads[stage]
        dv = ATTENTION_RATIO * d
        block = tokens * width * n * (2 * d + dv) + attend(n, tokens, tokens, dv) + tokens * n * dv * width
        mlp = 2 * tokens * width * width * MLP_RATIO
        total += variant.depth[stage] * (block + mlp)
        if stage < 2:
            after, n = variant.channels[stage + 1], variant.down_heads(stage)
            dv = DOWN_ATTENTION_RATIO * d
            side = (side - 1) // 2 + 1
            fewer = side**2
            total += tokens * width * n * (d + dv) + fewer * width * n * d + attend(n, fewer, tokens, dv)
            total += fewer * n * dv * after + 2 * fewer * after * after * MLP_RATIO
    return total + heads * variant.channels[2] * num_classes
