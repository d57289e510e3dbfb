"""The deploy form with its quantisation written out: quantise and dequantise around every int8 layer (QDQ).

The same arithmetic as an int8 runtime's, in float: PyTorch runs it as it is, and ExecuTorch and ONNX read the pairs as
int8 layers. The constants are those that the TFLite artifact stores: int8 weights and attention-bias tables, biases in
int32's steps.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.ao.quantization.fx import _decomposed  # noqa: F401  (registers torch.ops.quantized_decomposed)

from calib.ranges import Ranges
from levit_mobile.errors import CalibrationError
from levit_mobile.fuse import DeployAttention
from levit_mobile.scales import PACKED_FROM, affine, lift_dead_channels, pack_table

__all__ = ["DynamicLinear", "QdqConv2d", "QdqLinear", "quantize_dynamic", "quantize_static"]

_Model = TypeVar("_Model", bound=nn.Module)
_Ends = tuple[float, float]
_INT8 = (-128, 127, torch.int8)
_WEIGHTS = (-127, 127, torch.int8)  # symmetric


class _Int8Weight(nn.Module):
    """int8 weights in ``weight``, a scale for each output channel in ``scale``; ``bias`` is float."""

    weight: Tensor
    scale: Tensor
    zero_point: Tensor
    between = torch.float32  # of what the layer gives to operators that are not int8

    def _take(self, weight: Tensor) -> None:
        del self.weight
        scale = weight.flatten(1).abs().amax(1).clamp_min(1e-12) / 127
        self.register_buffer("scale", scale)
        self.register_buffer("zero_point", torch.zeros(len(scale), dtype=torch.int64))
        # Divided, not multiplied with the inverse as PyTorch's own operator does: one weight in 10,000 is another then.
        steps = weight / scale.view(-1, *[1] * (weight.dim() - 1))
        self.register_buffer("weight", steps.round().clamp(*_WEIGHTS[:2]).to(_WEIGHTS[2]))

    def _as_int32(self, bias: Tensor, before: _Ends) -> nn.Parameter:
        """A bias as int32 holds it: in steps of input scale times weight scale."""
        step = affine(*before)[0] * self.scale
        return nn.Parameter((bias.detach() / step).round() * step, requires_grad=False)

    def _weight(self) -> Tensor:
        return cast(
            Tensor,
            torch.ops.quantized_decomposed.dequantize_per_channel(
                self.weight, self.scale, self.zero_point, 0, *_WEIGHTS
            ),
        )


def _through_int8(x: Tensor, ends: _Ends, between: torch.dtype = torch.float32) -> Tensor:
    """Quantise and dequantise one tensor whose values lie between ``ends``."""
    ops, (scale, zero_point) = torch.ops.quantized_decomposed, affine(*ends)
    quantized = ops.quantize_per_tensor(x, scale, zero_point, *_INT8)
    dtype = {} if between is torch.float32 else {"out_dtype": between}  # delegates look for the plain form
    return cast(Tensor, ops.dequantize_per_tensor(quantized, scale, zero_point, *_INT8, **dtype))


class QdqLinear(_Int8Weight, nn.Linear):
    """Linear with int8 input, weights and output, both with a static range each; shapes as ``nn.Linear``."""

    def __init__(self, layer: nn.Linear, weight: Tensor, before: _Ends, after: _Ends) -> None:
        nn.Linear.__init__(self, layer.in_features, layer.out_features, device="meta")
        self.before, self.after = before, after
        self._take(weight)
        assert layer.bias is not None  # BatchNorm left one in every layer
        self.bias = self._as_int32(layer.bias, before)

    def forward(self, x: Tensor) -> Tensor:
        y = F.linear(_through_int8(x, self.before), self._weight(), self.bias)
        return _through_int8(y, self.after, self.between)


class QdqConv2d(_Int8Weight, nn.Conv2d):
    """Convolution with int8 input, weights and output, both with a static range each; shapes as ``nn.Conv2d``."""

    def __init__(self, layer: nn.Conv2d, weight: Tensor, before: _Ends, after: _Ends) -> None:
        shape = (layer.in_channels, layer.out_channels, cast(Any, layer.kernel_size))
        nn.Conv2d.__init__(
            self, *shape, stride=cast(Any, layer.stride), padding=cast(Any, layer.padding), device="meta"
        )
        self.before, self.after = before, after
        self._take(weight)
        assert layer.bias is not None  # BatchNorm left one in every layer
        self.bias = self._as_int32(layer.bias, before)

    def forward(self, x: Tensor) -> Tensor:
        y = F.conv2d(_through_int8(x, self.before), self._weight(), self.bias, self.stride, self.padding)
        return _through_int8(y, self.after, self.between)


class DynamicLinear(_Int8Weight, nn.Linear):
    """Linear with int8 weights, whose input is quantised by the range that it has at that moment."""

    def __init__(self, layer: nn.Linear) -> None:
        nn.Linear.__init__(self, layer.in_features, layer.out_features, device="meta")
        self.bias = layer.bias
        self._take(layer.weight.detach())

    def forward(self, x: Tensor) -> Tensor:
        ops = torch.ops.quantized_decomposed
        scale, zero_point = ops.choose_qparams.tensor(x, -128, 127, torch.finfo(torch.float32).eps, torch.int8)
        quantized = ops.quantize_per_tensor.tensor(x, scale, zero_point, *_INT8)
        x = ops.dequantize_per_tensor.tensor(quantized, scale, zero_point, *_INT8)
        return F.linear(x, self._weight(), self.bias)


def quantize_static(
    model: _Model, ranges: Ranges, between: torch.dtype = torch.float32, *, kept: Collection[str] = ()
) -> _Model:
    """A copy with every convolution and Linear in int8, as the policy ``INT8_POLICY`` has it.

    Attention-bias tables, (heads, Nq, N), take the values that they have when they are packed into int8.

    Args:
        model: the deploy form, or one whose layers are called the same; float32; is not changed.
        ranges: of the input and output of every layer.
        between: in what everything is computed that is not int8: float32 or float16. Input and logits stay float32.
        kept: layers that stay as they are.

    Raises:
        CalibrationError: a range is missing.
    """

    def ends(name: str) -> _Ends:
        if name not in ranges.values:
            raise CalibrationError(f"the activation ranges lack {name}; measure them anew with --calib-data DIR")
        return ranges.values[name]

    def replaced(name: str, layer: nn.Linear | nn.Conv2d) -> nn.Module:
        if name in kept:
            return layer
        before, after = ends(f"{name}.in"), ends(f"{name}.out")
        flat = layer.weight.detach().flatten(1).numpy()
        assert layer.bias is not None  # BatchNorm left one in every layer
        weight = torch.from_numpy(lift_dead_channels(flat, layer.bias.detach().numpy(), before)).view_as(layer.weight)
        kind = QdqConv2d if isinstance(layer, nn.Conv2d) else QdqLinear
        made = kind(layer, weight, before, after)  # type: ignore[arg-type]
        made.between = torch.float32 if name == "head" else between
        return made

    swapped = _swap(model, (nn.Linear, nn.Conv2d), replaced)
    for module in swapped.modules():
        if isinstance(module, DeployAttention):
            module.bias = module.bias.to(between)
    return swapped


def quantize_dynamic(model: _Model) -> _Model:
    """A copy with every Linear in int8 by ``DynamicLinear``; convolutions stay float."""
    return _swap(model, (nn.Linear,), lambda _, layer: DynamicLinear(layer))


def _swap(model: _Model, kinds: tuple[type[nn.Module], ...], replaced: Any) -> _Model:
    model = copy.deepcopy(model)
    for name, layer in list(model.named_modules()):
        if isinstance(layer, kinds):
            parent, _, own = name.rpartition(".")
            setattr(model.get_submodule(parent), own, replaced(name, layer))
    for name, table in model.named_buffers():
        if name.endswith(".bias") and table.dim() == 3 and table.numel() >= PACKED_FROM:  # of an attention
            integers, scale = pack_table(table.numpy())
            table.copy_(torch.from_numpy(integers * scale))
    return model.eval().requires_grad_(False)
