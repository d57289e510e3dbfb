"""An exported int8 graph in which each tensor is quantised once."""

from __future__ import annotations

from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Node

__all__ = ["share_quantised"]


def share_quantised(exported: ExportedProgram) -> ExportedProgram:
    """Quantise what goes to several layers with the same scale (q, k and v) for all of them at once; in place."""
    module = exported.graph_module
    found: dict[tuple[Any, ...], Node] = {}
    for node in list(module.graph.nodes):
        if node.target is torch.ops.quantized_decomposed.quantize_per_tensor.default:
            first = found.setdefault(node.args, node)
            if first is not node:
                node.replace_all_uses_with(first)
                module.graph.erase_node(node)
    module.graph.lint()
    module.recompile()
    return exported
