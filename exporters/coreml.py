"""Program -> ``model.mlpackage``: PyTorch exports the graph, coremltools translates it to an ML program."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from exporters.coreml_form import ChannelsFirstLeViT, Pictures
from exporters.coreml_package import write_package
from levit_mobile.errors import ExportError, RuntimeMissingError, install_hint
from levit_mobile.program import Program
from levit_mobile.qdq import quantize_static
from levit_mobile.quiet import unlogged

__all__ = ["check", "export"]

FILE = "model.mlpackage"
_SMALLEST = 512  # elements; what is smaller stays float, and saves nothing worth a loss


def check(precision: str, options: Mapping[str, str]) -> None:
    """What coremltools needs is there.

    Raises:
        RuntimeMissingError: it is not, or not made for this machine.
    """
    with unlogged():
        from coremltools.converters.mil.backend.mil.load import BlobWriter
    if BlobWriter is None:
        raise RuntimeMissingError(
            "--target coreml needs coremltools' native library, which there is for macOS and x86-64 Linux; "
            "export there, or type another --target"
        )
    if precision == "palettised-4bit" and find_spec("sklearn") is None:
        raise RuntimeMissingError(f"--precision {precision} needs scikit-learn; {install_hint('coreml')}")


def export(program: Program, folder: Path) -> Path:
    """Write the folder ``model.mlpackage`` into ``folder``.

    Input ``image``: a picture, S x S pixels, RGB, which the program normalises itself. Outputs: ``classLabel``, the likeliest
    class's name; ``classLabel_probs``, each name's probability; ``logits``, float32 (1, classes).

    Raises:
        ExportError: PyTorch or coremltools failed.
    """
    with unlogged():
        import coremltools
    try:
        with unlogged():
            return write_package(_convert(coremltools, program), program, folder / FILE)
    except OSError:  # a full disk: told by whoever gave the folder
        raise
    except Exception as error:  # every pass raises its own
        raise ExportError(f"coremltools could not translate the model: {' '.join(str(error).split())}") from error


def _convert(tools: Any, program: Program) -> Any:
    size, precision = program.image_size, program.precision.name
    form: nn.Module = ChannelsFirstLeViT(program.model)
    if precision == "int8":
        assert program.ranges is not None
        form = quantize_static(form, program.ranges, kept=program.kept)
    entry = Pictures(form, program.preprocessing).eval()
    exported = torch.export.export(entry, (torch.zeros(1, 3, size, size),)).run_decompositions({})
    common: dict[str, Any] = {
        "minimum_deployment_target": getattr(tools.target, program.options["deployment-target"].replace("ios", "iOS")),
        "compute_precision": tools.precision.FLOAT32 if precision == "fp32" else tools.precision.FLOAT16,
    }
    # Names that it makes up are numbered, and it counts on from one model to the next.
    tools.converters.mil.Builder.name_count.clear()
    # In two steps: the translation to MIL names the outputs, and the one to a package makes a classifier of it, which in a
    # single step refuses an output beside the classifier's own.
    middle = tools.convert(
        exported,
        convert_to="milinternal",
        inputs=[tools.ImageType(name="image", shape=(1, 3, size, size), color_layout=tools.colorlayout.RGB)],
        outputs=[tools.TensorType(name="logits", dtype=float), tools.TensorType(name="probabilities")],
        **common,
    )
    middle.functions["main"].output_types = None
    with _one_thread() if precision == "palettised-4bit" else contextlib.nullcontext():
        return tools.convert(
            middle,
            convert_to="mlprogram",
            classifier_config=tools.ClassifierConfig(
                _distinct(program.labels),
                predicted_feature_name="classLabel",
                predicted_probabilities_output="probabilities",
            ),
            pass_pipeline=_passes(tools, program, _stem(middle)),
            skip_model_load=True,
            **common,
        )


def _one_thread() -> contextlib.AbstractContextManager[Any]:
    """k-means adds up what each thread has found: another number of threads, another last digit of a palette."""
    from threadpoolctl import threadpool_limits

    limits: contextlib.AbstractContextManager[Any] = threadpool_limits(1)
    return limits


def _distinct(labels: Sequence[str]) -> list[str]:
    """The names, and the number of the class behind those that occur twice (ImageNet has two cranes).

    The probabilities come as a dictionary, in which one of them would be lost.
    """
    names = list(labels)
    while max((often := Counter(names)).values()) > 1:  # a name that was made up may be there already
        names = [name if often[name] == 1 else f"{name} ({index})" for index, name in enumerate(names)]
    return names


def _stem(program: Any) -> list[str]:
    """Names of the convolutions that see more than one pixel."""
    convolutions = program.functions["main"].find_ops(op_type="conv")
    return [op.name for op in convolutions if op.weight.shape[2:] != (1, 1)]


def _passes(tools: Any, program: Program, stem: list[str]) -> Any:
    """coremltools' own, and the one that stores weights in fewer bits than they are used in; activations stay float16."""
    optimize, passes = tools.optimize.coreml, tools.PassPipeline.DEFAULT
    if program.precision.name == "int8-weights":
        name, kept = "compression::linear_quantize_weights", []
        config = optimize.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=_SMALLEST)
    elif program.precision.name == "palettised-4bit":
        # 16 values are too few for the stem: it has 1 % of the weights, and most of the error came from it.
        name, kept = "compression::palettize_weights", stem
        # One palette a tensor is all that iOS 16 and 17 know; since iOS 18 channels may have a scale each beside it.
        scaled = program.options["deployment-target"] == "ios18"
        config = optimize.OpPalettizerConfig(
            nbits=4, weight_threshold=_SMALLEST, num_kmeans_workers=1, enable_per_channel_scale=scaled
        )
    else:
        return passes
    passes.append_pass(name)
    passes.set_options(name, {"config": optimize.OptimizationConfig(config, op_name_configs=dict.fromkeys(kept))})
    return passes
