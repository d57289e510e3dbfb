"""A PyTorch model -> an ONNX graph, by PyTorch's own exporter; what the ONNX target writes, and what onnx2tf reads."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["OPSET", "to_onnx"]

OPSET = 18


def to_onnx(model: nn.Module, example: Tensor, *, dynamic: bool = False) -> Any:
    """Translate a model with the input ``image`` and the output ``logits``.

    Args:
        model: in eval mode.
        example: (B, 3, S, S) or (B, S, S, 3), of any values.
        dynamic: the first axis of both takes any number; B must not be 1 then.

    Returns:
        onnx.ModelProto

    Whatever PyTorch's exporter raises comes through as it is.
    """
    before = logging.root.manager.disable
    axes = ({0: torch.export.Dim("batch", min=1)},) if dynamic else None
    logging.disable(logging.WARNING)  # of operators that other packages would bring
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            written = torch.onnx.export(
                torch.export.export(model, (example,), dynamic_shapes=axes),
                dynamo=True,
                dynamic_shapes=axes,  # for their names
                opset_version=OPSET,
                input_names=["image"],
                output_names=["logits"],
                verbose=False,
            )
    finally:
        logging.disable(before)
    assert written is not None
    return written.model_proto
