"""What can be made: one row for each target, with all that it can be asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from levit_mobile.errors import UsageError

if TYPE_CHECKING:
    from levit_mobile.program import IoDtype, Layout

__all__ = ["TARGETS", "Request", "Target", "bundle_name", "check_request"]


@dataclass(frozen=True)
class Target:
    """One row of the table of targets.

    Attributes:
        module: has ``export(program, folder) -> Path``.
        extra: what pip installs for it.
        packages: whose versions the manifest tells.
        precisions: that it can do.
        layouts: of the input; the first is the default.
        io_dtypes: of input and output.
        options: what only this target can be asked for, and the values; ``--NAME`` on the command line. The default is
            the first value that can do the precision.
        narrowed: where an option's value leaves fewer choices: {(option, value): {attribute: what is left of it}}.
    """

    module: str
    extra: str
    packages: tuple[str, ...]
    precisions: tuple[str, ...]
    layouts: tuple[Layout, ...]
    io_dtypes: tuple[IoDtype, ...]
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    narrowed: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)

    def with_option(self, name: str, value: str) -> Target:
        """The row that is left with an option set."""
        narrowed = self.narrowed.get((name, value), {})
        rest: dict[str, Any] = {k: tuple(v for v in getattr(self, k) if v in left) for k, left in narrowed.items()}
        return replace(self, **rest)

    def with_options(self, options: Mapping[str, str]) -> Target:
        """The row that is left with all of these set."""
        row = self
        for name, value in options.items():
            row = row.with_option(name, value)
        return row

    def default(self, name: str, precision: str) -> str:
        """The value of an option that nobody set."""
        values = self.options[name]
        return next((v for v in values if precision in self.with_option(name, v).precisions), values[0])


TARGETS: dict[str, Target] = {
    "tflite": Target(
        "exporters.tflite",
        "tflite",
        ("litert-torch", "litert-converter", "ai-edge-quantizer", "ai-edge-litert", "onnx", "onnxscript"),
        precisions=("fp32", "fp16", "int8", "int8-dynamic"),
        layouts=("nhwc", "nchw"),
        io_dtypes=("float32", "int8", "uint8"),
        options={"via": ("litert-torch", "onnx2tf"), "activations": ("auto", "float32")},
        narrowed={
            # auto: what is float is computed in float16 where the processor can. Nobody who asks for fp32 wants that.
            ("activations", "auto"): {"precisions": ("fp16", "int8", "int8-dynamic")},
            ("via", "litert-torch"): {
                "packages": ("litert-torch", "litert-converter", "ai-edge-quantizer", "ai-edge-litert")
            },
            ("via", "onnx2tf"): {"packages": ("ai-edge-quantizer", "ai-edge-litert", "onnx", "onnxscript")},
        },
    ),
    "executorch": Target(
        "exporters.executorch",
        "executorch",
        ("executorch", "coremltools"),
        precisions=("fp32", "fp16", "int8", "int8-dynamic"),
        layouts=("nchw", "nhwc"),
        io_dtypes=("float32",),
        options={"delegate": ("xnnpack", "coreml", "vulkan", "none"), "activations": ("auto", "float32", "float16")},
        narrowed={
            # auto: XNNPACK's file holds both, in two methods; the others choose while the model is loaded, or know no float16.
            ("activations", "auto"): {"precisions": ("int8",)},
            ("activations", "float32"): {"precisions": ("fp32", "int8", "int8-dynamic")},
            # Processors without it cannot load it.
            ("activations", "float16"): {"precisions": ("fp16", "int8")},
            ("delegate", "xnnpack"): {"packages": ("executorch",)},
            # Neither has activations that are quantised while running: Core ML refuses them, Vulkan computes in float.
            ("delegate", "coreml"): {"precisions": ("fp32", "fp16", "int8")},
            ("delegate", "vulkan"): {"precisions": ("fp32", "fp16", "int8"), "packages": ("executorch",)},
            ("delegate", "none"): {"packages": ("executorch",)},
        },
    ),
    "coreml": Target(
        "exporters.coreml",
        "coreml",
        ("coremltools",),
        precisions=("fp32", "fp16", "int8", "int8-weights", "palettised-4bit"),
        layouts=("nchw",),
        io_dtypes=("float32",),
        options={"deployment-target": ("ios16", "ios17", "ios18", "ios15")},
        narrowed={
            ("deployment-target", "ios15"): {"precisions": ("fp32", "fp16")},
            ("deployment-target", "ios16"): {"precisions": ("fp32", "fp16", "int8-weights", "palettised-4bit")},
        },
    ),
    "onnx": Target(
        "exporters.onnx",
        "onnx",
        ("onnx", "onnxruntime", "onnxscript"),
        precisions=("fp32", "int8"),
        layouts=("nchw", "nhwc"),
        io_dtypes=("float32",),
        options={"batch": ("1", "dynamic")},
    ),
}


@dataclass(frozen=True)
class Request:
    """What one target is asked for, complete and possible.

    Attributes:
        target: a name in ``TARGETS``.
        precision: a name in ``PRECISIONS``.
        io_dtype: of input and output.
        layout: of the input.
        options: a value for each of the target's options.
    """

    target: str
    precision: str
    io_dtype: IoDtype
    layout: Layout
    options: Mapping[str, str]


def check_request(
    target: str,
    precision: str,
    io_dtype: IoDtype = "float32",
    layout: Layout | None = None,
    options: Mapping[str, str] | None = None,
) -> Request:
    """Fill in the defaults, once it is clear that the target can do all that is asked for.

    Args:
        target: what to make.
        precision: in which numbers.
        io_dtype: of input and output.
        layout: of the input; None takes the target's own.
        options: those of the target's options that were set.

    Raises:
        UsageError: it cannot; the message lists what it can.
    """
    if target not in TARGETS:
        raise UsageError(f"unknown target {target!r}; type one of: {', '.join(TARGETS)}")
    row, said, chosen = TARGETS[target], f"--target {target}", dict(options or {})
    for name, value in chosen.items():
        if name not in row.options:
            raise UsageError(f"--{name} is for {_those_with(name)}; --target {target} has no such option")
        _must(said, f"--{name}", value, row.options[name])
    _must(said, "--precision", precision, row.precisions)
    for name in (name for name in row.options if name in chosen):
        row = row.with_option(name, chosen[name])
        said += f" --{name} {chosen[name]}"
    _must(said, "--precision", precision, row.precisions)
    for name in (name for name in row.options if name not in chosen):
        chosen[name] = row.default(name, precision)
        row = row.with_option(name, chosen[name])
    _must(said, "--io-dtype", io_dtype, row.io_dtypes)
    axes = layout or row.layouts[0]
    _must(said, "--layout", axes, row.layouts)
    return Request(target, precision, io_dtype, axes, chosen)


def _must(said: str, option: str, value: str, able: Iterable[str]) -> None:
    if value not in able:
        raise UsageError(f"{said} cannot do {option} {value}; it can do: {', '.join(able)}")


def _those_with(option: str) -> str:
    names = [f"--target {name}" for name, row in TARGETS.items() if option in row.options]
    return " and ".join(names) or "no target"


def bundle_name(variant: str, request: Request) -> str:
    """The folder's default name, for example ``levit_128s-int8-tflite``; options that are not the default's come last."""
    row = TARGETS[request.target]
    rare = [v for name, v in request.options.items() if v != row.default(name, request.precision)]
    return "-".join([variant, request.precision, request.target, *rare])
