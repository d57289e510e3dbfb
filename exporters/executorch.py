"""Program -> ``model.pte``: PyTorch exports the graph, ExecuTorch lowers it to a delegate, or to its portable kernels."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from exporters.executorch_coreml import check_coreml, coreml_partitioner, settle
from exporters.executorch_int8 import share_quantised
from exporters.executorch_quick import quick_lowering
from levit_mobile.errors import ExportError, UsageError
from levit_mobile.fuse import DeployLeViT
from levit_mobile.half import fits_half
from levit_mobile.program import Layout, Program
from levit_mobile.qdq import quantize_dynamic, quantize_static
from levit_mobile.quantize import HALF_METHOD
from levit_mobile.quiet import quiet, unlogged

__all__ = ["about", "check", "export"]

FILE = "model.pte"


def check(precision: str, options: Mapping[str, str]) -> None:
    """What the delegate's part of ExecuTorch needs is there.

    Raises:
        RuntimeMissingError: it is not made for this machine.
        UsageError: the delegate chooses between float32 and float16 itself.
    """
    if precision == "int8" and options["activations"] == "float16" and options["delegate"] != "xnnpack":
        raise UsageError(
            f"--activations float16 with int8 is for XNNPACK; leave it out with --delegate {options['delegate']}"
        )
    if options["delegate"] == "coreml":
        check_coreml()


def export(program: Program, folder: Path) -> Path:
    """Write ``model.pte`` into ``folder``.

    Method ``forward``: float32 (1, 3, S, S), normalised, or (1, S, S, 3) with layout nhwc -> float32 (1, classes). int8 for
    XNNPACK has ``forward_float16`` beside it, which takes and gives the same and computes in float16 what is not int8: ARM
    processors with half-precision arithmetic load it, others refuse to. Both share the int8 weights. An app
    needs no other file: ``labels`` gives the names of the classes, ``image_mean``, ``image_std``, ``image_resize``,
    ``image_size`` and ``image_layout`` what a picture goes through, ``model_id`` the fingerprint of the weights.

    The option ``delegate`` says who computes: ``xnnpack`` (if not set), ``coreml``, ``vulkan``, or ``none``: ExecuTorch's
    portable kernels, one operator at a time.

    Raises:
        ExportError: ExecuTorch failed.
    """
    delegate = program.options.get("delegate", "xnnpack")
    entries = _entries(program, delegate)
    with unlogged():
        partitioners = {name: _PARTITIONERS[delegate](program.precision.name) for name in entries}
    from executorch.exir import to_edge_transform_and_lower

    try:
        with unlogged(), quick_lowering():
            exported = {name: _exported(entry, program, delegate) for name, entry in entries.items()}
            edge = to_edge_transform_and_lower(exported, partitioner=partitioners, constant_methods=_told(program))
            if delegate == "coreml":
                settle(edge)
            data = edge.to_executorch().buffer
    except Exception as error:  # every pass raises its own
        raise ExportError(f"ExecuTorch could not lower the model: {error}") from error
    path = folder / FILE
    path.write_bytes(data)
    return path


def about(artifact: Path) -> dict[str, Any]:
    """For the manifest: the methods that take a picture; whether processors that have it may compute in float16."""
    from executorch.runtime import Runtime

    with quiet():
        present = Runtime.get().load_program(artifact.read_bytes()).method_names
    methods = [name for name in ("forward", HALF_METHOD) if name in present]
    return {"half_precision": HALF_METHOD in methods, "methods": methods}


def _entries(program: Program, delegate: str) -> dict[str, _Entry]:
    """What the file computes, by the name of the method."""
    precision, activations = program.precision.name, program.options.get("activations", "float32")
    if precision != "int8":
        # Core ML and Vulkan narrow the graph themselves, and need no copies on the way in and out for it.
        half = precision == "fp16" and delegate not in ("coreml", "vulkan")
        return {"forward": _Entry(_float(program, half), program.layout, half)}
    between = {"forward": torch.float16 if activations == "float16" else torch.float32}
    if activations == "auto" and delegate == "xnnpack" and fits_half(program.model, program.preprocessing):
        between[HALF_METHOD] = torch.float16
    assert program.ranges is not None
    return {
        name: _Entry(
            quantize_static(program.model, program.ranges, dtype, kept=program.kept), program.layout, half=False
        )
        for name, dtype in between.items()
    }


def _exported(entry: _Entry, program: Program, delegate: str) -> torch.export.ExportedProgram:
    size = program.image_size
    shape = (1, size, size, 3) if program.layout == "nhwc" else (1, 3, size, size)
    exported = torch.export.export(entry.eval(), (torch.zeros(shape),))
    if delegate == "xnnpack" and program.precision.name == "int8":
        exported = share_quantised(exported)
    if delegate in ("vulkan", "none"):
        exported = exported.run_decompositions({torch.ops.aten.linear.default: _as_addmm})
    return exported


def _xnnpack(_: str) -> list[Any]:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    return [XnnpackPartitioner()]


def _coreml(precision: str) -> list[Any]:
    return [coreml_partitioner(precision)]


def _vulkan(precision: str) -> list[Any]:
    from executorch.backends.vulkan.partitioner.vulkan_partitioner import VulkanPartitioner

    return [VulkanPartitioner({"force_fp16": True} if precision == "fp16" else {})]


def _none(_: str) -> list[Any]:
    import executorch.kernels.quantized  # noqa: F401 -- tells PyTorch of the kernels that int8 is lowered to

    return []


_PARTITIONERS = {"xnnpack": _xnnpack, "coreml": _coreml, "vulkan": _vulkan, "none": _none}


def _as_addmm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A Linear on rows. PyTorch itself makes a batched product with a repeated weight of one whose input is transposed, and
    that one has no int8 kernel."""
    rows = torch.addmm(bias, x.reshape(-1, x.shape[-1]), weight.t())
    return rows.reshape(*x.shape[:-1], weight.shape[0])


def _float(program: Program, half: bool) -> DeployLeViT:
    """The model with weights in float, or in int8 where activations are quantised while running."""
    if program.precision.name == "int8-dynamic":
        return quantize_dynamic(program.model)
    if half:
        return copy.deepcopy(program.model).half()
    return program.model


class _Entry(nn.Module):
    """The deploy form behind the input that the artifact shall have, with the mean in a form that XNNPACK has."""

    def __init__(self, model: DeployLeViT, layout: Layout, half: bool) -> None:
        super().__init__()
        self.model, self.layout, self.half_inside = model, layout, half

    def forward(self, image: Tensor) -> Tensor:
        if self.layout == "nhwc":
            image = image.permute(0, 3, 1, 2)
        if self.half_inside:
            image = image.half()
        logits: Tensor = self.model.head(self.model.features(image, _mean_pixel))
        return logits.float() if self.half_inside else logits


def _mean_pixel(x: Tensor) -> Tensor:
    """(B, N, C) -> (B, C). XNNPACK averages pictures, (B, C, H, W) over H and W, and nothing else."""
    b, n, c = x.shape
    side = math.isqrt(n)
    return x.reshape(b, side, side, c).permute(0, 3, 1, 2).mean((2, 3), keepdim=True).flatten(1)


def _told(program: Program) -> dict[str, Any]:
    spec = program.preprocessing
    return {
        "image_layout": program.layout,
        "image_mean": list(spec.mean),
        "image_resize": spec.resize,
        "image_size": spec.crop,
        "image_std": list(spec.std),
        "labels": list(program.labels),
        "model_id": program.fingerprint,
    }
