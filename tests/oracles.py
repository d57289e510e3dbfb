"""Other people's LeViT, ready to compare with: timm's and transformers'; and torchvision, which timm imports.

No network: every model is built from its configuration. torchvision's plain wheel is compiled for CUDA and cannot load
its operators on a CPU build of torch; two empty stubs, defined before its import, make its Python part importable. Beside
a CUDA build it loads its own, and a stub of the same name would end the process.
"""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before any import of huggingface_hub

from functools import lru_cache
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from levit_mobile.variants import Variant

_STUBS: list[torch.library.Library] = []  # a library's definitions live as long as the object


@lru_cache(maxsize=1)
def _define_stubs() -> None:
    if torch.version.cuda is not None:
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _STUBS.append(library)


def import_torchvision() -> ModuleType:
    """torchvision beside a CPU build of torch; its nms and qnms cannot be called. Skips where it is not installed."""
    _define_stubs()
    return pytest.importorskip("torchvision", reason="timm is the oracle here, and it imports torchvision")


def timm_levit(variant: Variant, *, conv: bool = False, num_classes: int = 1000) -> nn.Module:
    """timm's model, with Linears or with 1x1 convolutions. Skips where timm is not installed."""
    import_torchvision()
    timm = pytest.importorskip("timm", reason="timm is the oracle here")
    name = variant.name.replace("levit_", "levit_conv_") if conv else variant.name
    model: nn.Module = timm.create_model(name, pretrained=False, num_classes=num_classes)
    return model.eval()


def huggingface_levit(variant: Variant, *, teacher: bool = True, labels: list[str] | None = None) -> Any:
    """transformers' model, with the teacher's head or without. Skips where transformers is not installed."""
    _define_stubs()  # transformers imports torchvision where there is one
    transformers = pytest.importorskip("transformers", reason="transformers is the oracle here")
    config = transformers.LevitConfig(
        hidden_sizes=list(variant.channels),
        num_attention_heads=list(variant.heads),
        depths=list(variant.depth),
        key_dim=[variant.key_dim] * 3,
        drop_path_rate=0,
        num_labels=1000,
    )
    if labels is not None:
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: i for i, label in enumerate(labels)}
    name = "LevitForImageClassificationWithTeacher" if teacher else "LevitForImageClassification"
    return getattr(transformers, name)(config).eval()
