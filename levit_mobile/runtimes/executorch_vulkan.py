"""The graph that Vulkan got, and a reference interpreter of it in PyTorch, for hosts whose ExecuTorch has no Vulkan.

Each operator computes in float32 and is rounded to the number format that the graph declares for its result. Only those
operators that the toolkit's programs are lowered to. A graph is a list of calls by name, arguments and result by index, and
its weights lie in the program's named data (``backends/vulkan/serialization/schema.fbs`` in the package).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from levit_mobile.errors import BundleError
from levit_mobile.runtimes.executorch_graph import DelegateGraph

__all__ = ["read_graph"]

_DTYPES = (
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int32,
    torch.float16,
    torch.float32,
    torch.float64,
    torch.int64,
)
_LOADING = "et_vk.prepack.default"  # a weight's way to the GPU, once
_aten = torch.ops.aten


def read_graph(payload: bytes, constants: Mapping[str, bytes]) -> DelegateGraph:
    """Operators, constants and interpreter of a delegate call."""
    from executorch.backends.vulkan.serialization import vulkan_graph_serialize as format_

    graph = format_.flatbuffer_to_vk_graph(format_.extract_vk_flatbuffer(payload))
    return DelegateGraph(
        operators=Counter(call.name.split(".")[1] for call in graph.chain if call.name != _LOADING),
        constants=[(row.named_key, int(row.length)) for row in graph.constants],
        run=_interpreter(graph, constants),
    )


def _interpreter(graph: Any, constants: Mapping[str, bytes]) -> Callable[[list[Tensor]], list[Tensor]]:
    known = {index: _constant(graph, entry.value, constants) for index, entry in enumerate(graph.values)}
    inputs, outputs = ([getattr(i, "value_id", i) for i in ids] for ids in (graph.input_ids, graph.output_ids))

    def declared(index: int) -> torch.dtype:
        return _DTYPES[graph.values[index].value.datatype]

    def run(given: list[Tensor]) -> list[Tensor]:
        values = dict(known)
        values.update({i: _rounded(x, declared(i)) for i, x in zip(inputs, given, strict=True)})
        for call in graph.chain:
            if call.name not in OPERATORS:
                raise BundleError(
                    f"the Vulkan graph has the operator {call.name}, which is not one that this toolkit writes"
                )
            *arguments, result = call.args
            y = OPERATORS[call.name](*[values[i] for i in arguments])
            values[result] = _rounded(y, declared(result))
        return [values[i].float() for i in outputs]

    return run


def _constant(graph: Any, value: Any, constants: Mapping[str, bytes]) -> Any:
    """A value that is known before anything runs; None for those that are not."""
    kind = type(value).__name__
    if kind == "VkTensor":
        if value.constant_id < 0:
            return None
        dtype = _DTYPES[value.datatype]
        data = bytearray(constants[graph.constants[value.constant_id].named_key])
        return _rounded(torch.frombuffer(data, dtype=dtype).view(value.dims), dtype)
    field = {"Int": "int_val", "Double": "double_val", "Bool": "bool_val", "String": "string_val"}.get(kind, "items")
    return getattr(value, field, None)


def _rounded(x: Tensor, dtype: torch.dtype) -> Tensor:
    """As ``dtype`` can hold it; floats then come as float32, in which every operator computes."""
    return x.to(dtype).float() if dtype.is_floating_point else x.to(dtype)


def _quantize(x: Tensor, scale: float, zero_point: int, low: int = -128, high: int = 127, *_: object) -> Tensor:
    return (torch.round(x / scale) + zero_point).clamp(low, high)


def _dequantize(x: Tensor, scale: float, zero_point: int, *_: object) -> Tensor:
    return (x.float() - zero_point) * scale


def _weights(weight: Tensor, scales: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """int8 (C, K) with a scale a row -> float32; scales and biases are filled up to a multiple of four."""
    rows = len(weight)
    return weight.float() * scales[:rows, None], None if bias is None else bias[:rows]


def _q8ta_linear(
    x: Tensor,
    scale: float,
    zero_point: int,
    weight: Tensor,
    sums: Tensor,
    scales: Tensor,
    out_scale: float,
    out_zero_point: int,
    bias: Tensor | None,
    activation: str,
) -> Tensor:
    _check_activation(activation)
    y = F.linear(_dequantize(x, scale, zero_point), *_weights(weight, scales, bias))
    return _quantize(y, out_scale, out_zero_point)


def _q8ta_conv2d(
    x: Tensor,
    scale: float,
    zero_point: int,
    weight: Tensor,
    sums: Tensor,
    scales: Tensor,
    out_scale: float,
    out_zero_point: int,
    bias: Tensor | None,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    activation: str,
) -> Tensor:
    """The weight is (C', H*W*C), filled up to a multiple of four."""
    _check_activation(activation)
    high, wide = kernel
    channels = x.shape[1] // groups
    flat, bias = _weights(weight, scales, bias)
    folded = flat[:, : high * wide * channels].reshape(-1, high, wide, channels).permute(0, 3, 1, 2)
    y = F.conv2d(_dequantize(x, scale, zero_point), folded, bias, stride, padding, dilation, groups)
    return _quantize(y, out_scale, out_zero_point)


def _check_activation(name: str) -> None:
    if name != "none":
        raise BundleError(f"the Vulkan graph has a layer with {name} inside, which this toolkit does not write")


def _add(x: Tensor, y: Tensor, alpha: float | None = None) -> Tensor:
    return x + y if alpha is None else x + alpha * y


OPERATORS: Mapping[str, Callable[..., Tensor]] = {
    _LOADING: lambda x: x,
    "aten._softmax.default": lambda x, dim, _: x.softmax(dim),
    "aten.add.Tensor": _add,
    "aten.bmm.default": torch.bmm,
    "aten.clone.default": lambda x, *_: x,
    "aten.convolution.default": _aten.convolution.default,
    "aten.hardswish.default": F.hardswish,
    "aten.linear.default": F.linear,
    "aten.mean.dim": lambda x, dims, keep=False, *_: x.mean(dims, keepdim=bool(keep)),
    "aten.permute_copy.default": lambda x, dims: x.permute(dims),
    "aten.squeeze_copy.dims": lambda x, dims: x.squeeze(tuple(dims)),
    "aten.unsqueeze_copy.default": lambda x, dim: x.unsqueeze(dim),
    "aten.view_copy.default": lambda x, shape: x.reshape(shape),
    "et_vk.q8ta_conv2d.default": _q8ta_conv2d,
    "et_vk.q8ta_linear.default": _q8ta_linear,
    "et_vk.q8ta_linear_gemv.default": _q8ta_linear,
    "quantized_decomposed.dequantize_per_tensor.default": _dequantize,
    "quantized_decomposed.quantize_per_tensor.default": _quantize,
}
