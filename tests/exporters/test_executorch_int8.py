"""int8 for ExecuTorch: what is quantised once, and float16 between the int8 layers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from answers import of_range
from commands import Levit
from exports import Exported
from torch import Tensor, nn

from exporters.executorch_int8 import share_quantised
from levit_mobile.bench.instructions import count
from levit_mobile.bundle import open_bundle
from levit_mobile.qdq import QdqLinear
from levit_mobile.runtimes import open_runtime

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


def test_float16_is_for_xnnpack(levit: Levit) -> None:
    done = levit("export", "--target", "executorch", "--int8", "--activations", "float16", "--delegate", "vulkan")
    assert done.code == 2
    assert "--activations float16 with int8 is for XNNPACK; leave it out with --delegate vulkan" in done.err


@pytest.mark.slow
@pytest.mark.xdist_group("executorch")
def test_float16_computes_the_same(executorch_exported: Exported, pixels: npt.NDArray[np.uint8]) -> None:
    plain, half = (
        open_bundle(executorch_exported.bundle(f"levit_128s-int8-executorch{more}")) for more in ("", "-float16")
    )
    assert half.manifest["artifact"]["options"] == {"delegate": "xnnpack", "activations": "float16"}
    assert half.manifest["delegate"] == {"name": "XNNPACK", "parts": 1, "outside": {}}
    assert half.manifest["parity"]["passed"] is True
    found, expected = (open_runtime(opened).logits(pixels) for opened in (half, plain))
    assert 0 < of_range(found, expected) <= 0.04
    assert (found.argmax(1) == expected.argmax(1)).mean() >= 11 / 12


@pytest.mark.slow
@pytest.mark.xdist_group("executorch")
@pytest.mark.parametrize(("more", "least", "most"), [("", 40, 46), ("-float16", 30, 38)])
@pytest.mark.usefixtures("counts")
def test_what_it_is_worth(executorch_exported: Exported, more: str, least: int, most: int) -> None:
    """In millions of instructions of a Cortex-A76."""
    file = executorch_exported.bundle(f"levit_128s-int8-executorch{more}") / "model.pte"
    assert least < count(file, "executorch", "cortex-a76", runs=1).total / 1e6 < most
