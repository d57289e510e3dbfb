"""The networks that are compared, with random weights, and what is published of them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from levit_mobile.variants import VARIANTS


@dataclass(frozen=True)
class Network:
    """One network.

    Attributes:
        title: as tables have it.
        top1: published ImageNet-1k top-1 of the float weights, percent.
        source: where that is published.
        size: of its pictures, pixels.
        timm: its name there; empty where it is not built from timm.
    """

    title: str
    top1: float
    source: str
    size: int = 224
    timm: str = ""


_LEVIT = "Graham et al. 2021"
_LITE = "timm's results of the ported weights"
_EFFICIENT = "Tan and Le 2019"
_DEIT = "Touvron et al. 2021, distilled"
NETWORKS = {
    **{name: Network(name.replace("levit_", "LeViT-").upper().replace("LEVIT", "LeViT"), row.top1, _LEVIT)
       for name, row in VARIANTS.items()},
    "mobilenet_v2": Network("MobileNetV2", 71.8, "TensorFlow"),
    "efficientnet_lite0": Network("EfficientNet-Lite0", 74.8, _LITE, 224, "tf_efficientnet_lite0"),
    "efficientnet_lite1": Network("EfficientNet-Lite1", 76.6, _LITE, 240, "tf_efficientnet_lite1"),
    "efficientnet_lite2": Network("EfficientNet-Lite2", 77.5, _LITE, 260, "tf_efficientnet_lite2"),
    "efficientnet_b0": Network("EfficientNet-B0", 77.1, _EFFICIENT, 224, "efficientnet_b0"),
    "efficientnet_b1": Network("EfficientNet-B1", 79.1, _EFFICIENT, 240, "efficientnet_b1"),
    "efficientnet_b2": Network("EfficientNet-B2", 80.1, _EFFICIENT, 260, "efficientnet_b2"),
    "deit_tiny": Network("DeiT-Ti", 74.5, _DEIT, 224, "deit_tiny_distilled_patch16_224"),
    "deit_small": Network("DeiT-S", 81.2, _DEIT, 224, "deit_small_distilled_patch16_224"),
}  # fmt: skip


def build(name: str, folder: Path) -> Any:
    """The network in PyTorch, in eval mode, as its own code has it; a LeViT from ``thousand.safetensors`` in the folder."""
    import torch

    network = NETWORKS[name]
    if not network.timm:
        from instructions import official

        return official(folder)
    torch.manual_seed(0)
    model = _timm().create_model(network.timm, pretrained=False)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1)
            torch.nn.init.normal_(module.bias, std=0.1)
    return model.eval()


def _timm() -> Any:
    """timm, which imports torchvision; that one's plain wheel asks for operators that a CPU build of torch does not have."""
    import torch

    if "torchvision" not in sys.modules and torch.version.cuda is None:
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _timm.library = library  # type: ignore[attr-defined]  # gone with it are its operators
    import timm

    return timm
