"""A trained LeViT at another picture size: the attention-bias tables are resampled, all else is kept."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from levit_mobile.model import Attention, AttentionSubsample, LeViT, bias_offsets

__all__ = ["resize_bias", "resize_model"]


def resize_bias(table: Tensor, old: int, new: int, stride: int) -> Tensor:
    """Resample one bias table.

    Args:
        table: (heads, offsets) learnt at ``old`` tokens a side; columns in the order of ``bias_offsets``.
        old: tokens a side before.
        new: tokens a side after.
        stride: 1, or 2 for a down-sampling attention.

    Returns:
        (heads, offsets) for ``new`` tokens a side, bicubic over the (|dx|, |dy|) plane; the ends stay where they are.
    """
    before, after = (torch.tensor(bias_offsets(side, stride)[0]) for side in (old, new))
    plane = table.new_zeros(table.size(0), old, old)
    plane[:, before[:, 0], before[:, 1]] = table
    plane = F.interpolate(plane[:, None], size=(new, new), mode="bicubic", align_corners=True)[:, 0]
    return plane[:, after[:, 0], after[:, 1]]


def resize_model(model: LeViT, image_size: int) -> LeViT:
    """The same weights for pictures of another size (a multiple of 16 pixels); the model itself if it has that size.

    The result has the model's dtype, device and mode (training or not).

    Raises:
        UsageError: the size is not a multiple of 16.
    """
    if image_size == model.image_size:
        return model
    resized = LeViT(
        model.variant,
        num_classes=model.num_classes,
        distillation=model.distillation,
        image_size=image_size,
        drop_path=max((getattr(m, "drop", 0.0) for m in model.modules()), default=0.0),
    )
    resized.to(next(model.parameters())).train(model.training)
    state = {k: v for k, v in model.state_dict().items() if "attention_bias" not in k}
    for (name, old), new in zip(model.named_modules(), resized.modules(), strict=True):
        if isinstance(old, Attention | AttentionSubsample) and isinstance(new, Attention | AttentionSubsample):
            table = old.attention_biases.detach()
            state[f"{name}.attention_biases"] = resize_bias(table, old.resolution, new.resolution, new.stride)
            state[f"{name}.attention_bias_idxs"] = new.attention_bias_idxs
    resized.load_state_dict(state)
    return resized
