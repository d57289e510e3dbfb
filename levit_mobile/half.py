"""Whether a model stands being computed in float16."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from levit_mobile.evaluate import compare
from levit_mobile.fuse import DeployLeViT
from levit_mobile.golden import golden_pictures
from levit_mobile.preprocess import Preprocessing, normalise
from levit_mobile.quantize import PRECISIONS

__all__ = ["fits_half"]


class _HalfBetween(TorchFunctionMode):
    """Rounds what each operation gives to float16. Sums inside of one stay float32: half of that takes minutes here."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.dtype is torch.float32:
            return result.half().float()
        return result


def fits_half(model: DeployLeViT, spec: Preprocessing) -> bool:
    """Whether the logits of golden pictures stay within fp16's tolerance when every activation is float16.

    Numbers over 65504, or many that differ in a few last bits, do not fit.
    """
    pixels = golden_pictures(model.image_size, 2)
    picture = torch.from_numpy(normalise(pixels, spec))
    with torch.inference_mode():
        whole = model(picture)
        with _HalfBetween():
            half = model(picture)
    return compare(whole.numpy(), half.numpy(), PRECISIONS["fp16"].tolerance).passed
