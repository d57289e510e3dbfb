"""int8 for ExecuTorch: what is quantised once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from exporters.executorch_int8 import share_quantised
from levit_mobile.qdq import QdqLinear

QUANTIZE = torch.ops.quantized_decomposed.quantize_per_tensor.default


class Three(nn.Module):
    """Three int8 Linears of the same input; the third has a range of its own for it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        layers = [nn.Linear(6, 4) for _ in range(3)]
        ranges = [(-2.0, 2.0), (-2.0, 2.0), (-1.0, 2.0)]
        made = [QdqLinear(m, m.weight.detach(), ends, (-3.0, 3.0)) for m, ends in zip(layers, ranges, strict=True)]
        self.layers = nn.ModuleList(made)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [layer(x) for layer in self.layers]


def test_what_has_the_same_scale_is_quantised_once() -> None:
    x = torch.randn(2, 6)
    exported = torch.export.export(Three().eval(), (x,))
    before = [node for node in exported.graph.nodes if node.target is QUANTIZE]
    expected = exported.module()(x)
    shared = share_quantised(exported)
    after = [node for node in shared.graph.nodes if node.target is QUANTIZE]
    assert (len(before), len(after)) == (6, 5)  # each output has its own
    assert all(torch.equal(a, b) for a, b in zip(shared.module()(x), expected, strict=True))
