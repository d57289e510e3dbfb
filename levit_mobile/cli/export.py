"""``levit-export``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from levit_mobile.cli.console import Output, Steps, json_option, needing, verbose_option
from levit_mobile.cli.into import bundles_of
from levit_mobile.cli.made import compare_side_by_side, facts, show
from levit_mobile.cli.told import told_command
from levit_mobile.errors import UsageError
from levit_mobile.quantize import PRECISIONS
from levit_mobile.targets import TARGETS, bundle_name, check_request
from levit_mobile.variants import VARIANTS

if TYPE_CHECKING:
    from calib.calibration import Calibration
    from levit_mobile.checkpoints import Checkpoint
    from levit_mobile.datasets import LabelledPictures
    from levit_mobile.program import IoDtype, Layout
    from levit_mobile.runtimes.base import Runtime

__all__ = ["command"]

_OPTIONS = {  # of single targets: what --help says; the values are in TARGETS
    "activations": "What is float inside: auto lets processors that have it compute that in float16; float16, executorch "
    "only, needs such a processor.  [default: auto; float32 for fp32, and for executorch where it is not int8; "
    "executorch: float16 for fp16]",
    "batch": "onnx: pictures in a call; dynamic takes any number.  [default: 1]",
    "delegate": "executorch: who computes.  [default: xnnpack]",
    "deployment-target": "coreml: the oldest system that it shall run on.  [default: ios16; ios17 for int8]",
    "via": "tflite: the converter; onnx2tf checks the other one.  [default: litert-torch]",
}


def _options_of_targets(function: Callable[..., None]) -> Callable[..., None]:
    """A ``click.option`` for each option that some target has."""
    for name, text in reversed(_OPTIONS.items()):
        values = dict.fromkeys(value for row in TARGETS.values() for value in row.options.get(name, ()))
        function = click.option(f"--{name}", type=click.Choice(tuple(values)), help=text)(function)
    return function


def _complete_weights(_: click.Context, __: click.Parameter, typed: str) -> list[CompletionItem]:
    words = [CompletionItem(word) for word in ("demo", "imagenet") if word.startswith(typed)]
    return [CompletionItem(typed, type="file"), *words]  # files first: bash forgets what came before them


def _complete_variant(_: click.Context, __: click.Parameter, typed: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in VARIANTS if name.startswith(typed)]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--target",
    "targets",
    type=click.Choice((*TARGETS, "all")),
    multiple=True,
    required=True,
    help="What to make; may be repeated.",
)
@click.option("--int8", is_flag=True, help="Short for --precision int8.")
@click.option(
    "--precision",
    "precisions",
    type=click.Choice(list(PRECISIONS)),
    multiple=True,
    help="Number format; may be repeated.  [default: fp32]",
)
@click.option(
    "--weights",
    default="demo",
    show_default=True,
    shell_complete=_complete_weights,
    help="demo (10 classes, in the package), imagenet (the official file, downloaded once), or a checkpoint's path.",
)
@click.option(
    "--model",
    "variant",
    shell_complete=_complete_variant,
    help="Variant, see levit models; for --weights imagenet (default levit_128s), checked otherwise.",
)
@click.option(
    "--calib-data",
    type=click.Path(path_type=Path),
    help="Pictures to measure activation ranges on, for int8: a folder, an .npz, or a bundle's calibration.json.",
)
@click.option(
    "--calib-samples", type=click.IntRange(1), default=128, show_default=True, help="How many of them to use."
)
@click.option(
    "--calib-method",
    type=click.Choice(("min-max", "percentile", "mse", "entropy")),
    default="min-max",
    show_default=True,
    help="Where ranges end; for weights with rare, far outliers.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Which of them are chosen.")
@click.option(
    "--labels",
    "label_file",
    type=click.Path(path_type=Path),
    help="Names of the classes, one a line, if the file lacks them.",
)
@click.option(
    "--io-dtype",
    type=click.Choice(["float32", "int8", "uint8"]),
    default="float32",
    show_default=True,
    help="uint8 and int8: the artifact takes raw pixels (int8: less 128) and normalises them itself. For MediaPipe: uint8.",
)
@click.option(
    "--layout",
    type=click.Choice(["nhwc", "nchw"]),
    help="Of the input.  [default: nhwc for tflite, nchw for the others]",
)
@_options_of_targets
@click.option("--author", default="", help="Of the weights, for coreml, which shows it.")
@click.option("--license", default="", help="The same.  [default: Apache-2.0 for demo and imagenet]")
@click.option(
    "--out", type=click.Path(path_type=Path), help="The bundle's folder.  [default: ./MODEL-PRECISION-TARGET]"
)
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    help="The folder of an app, such as android_demo or ios_demo: the bundles go where it looks for them.",
)
@click.option(
    "--eval-data", type=click.Path(path_type=Path), help="Labelled pictures; the accuracy goes into the manifest."
)
@click.option(
    "--max-drop",
    type=click.FloatRange(0, 100),
    help="Leave as many layers of int8 in float as its top-1 on --eval-data needs to lose at most so many percentage points.",
)
@click.option("--overwrite", is_flag=True, help="Replace a bundle that is already there.")
@click.option(
    "--allow-drift", is_flag=True, help="Write the bundle although it is too far from PyTorch; it will say so."
)
@json_option
@verbose_option
def command(
    targets: tuple[str, ...],
    int8: bool,
    precisions: tuple[str, ...],
    weights: str,
    variant: str | None,
    calib_data: Path | None,
    calib_samples: int,
    calib_method: str,
    seed: int,
    label_file: Path | None,
    io_dtype: IoDtype,
    layout: Layout | None,
    author: str,
    license: str,
    out: Path | None,
    into: Path | None,
    eval_data: Path | None,
    max_drop: float | None,
    overwrite: bool,
    allow_drift: bool,
    as_json: bool,
    verbose: bool,
    **options: str | None,
) -> None:
    """Turn a trained LeViT into bundles that are fused, quantised and compared with PyTorch.

    \b
    levit-export --target tflite --int8
    levit-export --target executorch --int8
    levit-export --target executorch --int8 --into android_demo
    levit-export --target tflite --precision fp16 --weights mine.pth --labels classes.txt
    levit-export --target tflite --int8 --weights imagenet --model levit_256 --calib-data photos/
    """
    chosen = list(dict.fromkeys([*precisions, *(["int8"] if int8 else [])])) or ["fp32"]
    kinds = list(dict.fromkeys(t for name in targets for t in (TARGETS if name == "all" else (name,))))
    if out is not None and len(chosen) * len(kinds) > 1:
        raise UsageError("--out names one bundle, but several are to be made; leave it out")
    if out is not None and into is not None:
        raise UsageError("--out and --into both name the bundle's place; leave one out")
    place = Path() if into is None else bundles_of(into, kinds)
    needed = [name for name in chosen if PRECISIONS[name].needs_ranges]
    if io_dtype != "float32":
        needed.append(f"--io-dtype {io_dtype}")
    _check_calibration(calib_data, needed)
    if max_drop is not None and eval_data is None:
        raise UsageError(
            "--max-drop counts right answers; type --eval-data DIR with labelled pictures, one folder a class"
        )
    if max_drop is not None and "int8" not in chosen:
        raise UsageError("--max-drop is for int8; type --int8 too")
    asked = {name: value for name in _OPTIONS if (value := options[name.replace("-", "_")]) is not None}
    plan = [
        check_request(target, name, io_dtype, layout, _of_target(asked, target, kinds))
        for name, target in product(chosen, kinds)
    ]
    output = Output(as_json)
    steps = click.get_current_context().with_resource(Steps(verbose=verbose))
    with steps.step("loading PyTorch"), needing(*kinds):
        from levit_mobile.bundle import check_vacant
        from levit_mobile.datasets import find_labelled
        from levit_mobile.pipeline import check_packages, export_bundle, write_golden
        from levit_mobile.program import build_program, class_names, missing_ranges
        from levit_mobile.weights import resolve_weights

        for request in plan:
            check_packages(request)

    # What can go wrong is looked at before the long parts: the download, the calibration, the translation.
    if needed and calib_data is None and weights == "imagenet":
        raise missing_ranges(needed[0])
    for option, path in (("--calib-data", calib_data), ("--eval-data", eval_data)):
        if path is not None and not path.exists():
            raise UsageError(f"{option} {path}: no such file or folder")
    labels = _read_labels(label_file) if label_file is not None else None
    if out is not None:
        check_vacant(out, overwrite=overwrite)
    with steps.download("downloading weights") as advance:
        checkpoint = resolve_weights(weights, variant=variant, progress=advance)
    names = class_names(checkpoint, labels)
    folders = [out or place / bundle_name(checkpoint.variant.name, request) for request in plan]
    for folder in folders:
        check_vacant(folder, overwrite=overwrite)
    accuracy = None
    if eval_data is not None:
        accuracy = partial(_accuracy, checkpoint, find_labelled(eval_data, list(names)), steps)
    calibration = None
    if needed and calib_data is not None:
        calibration = _calibrate(checkpoint, calib_data, calib_samples, seed, calib_method, steps)
    if max_drop is not None:
        assert eval_data is not None
        from levit_mobile.cli.mixed import hold_accuracy
        from levit_mobile.program import calibration_for

        calibration = calibration or calibration_for(checkpoint, "int8")
        calibration = hold_accuracy(checkpoint, calibration, eval_data, names, max_drop, output, steps)
    with steps.step("fusing"):
        programs = [
            build_program(
                checkpoint,
                r.precision,
                calibration=calibration,
                labels=names,
                io_dtype=r.io_dtype,
                layout=r.layout,
                options=r.options,
                author=author,
                license=license or ("Apache-2.0" if weights in ("demo", "imagenet") else ""),
            )
            for r in plan
        ]
    with steps.step("asking PyTorch for the reference"):
        golden = write_golden(checkpoint)
    made = []
    for program, request, folder in zip(programs, plan, folders, strict=True):
        bundle = export_bundle(
            program,
            request.target,
            folder,
            golden=golden,
            overwrite=overwrite,
            allow_drift=allow_drift,
            accuracy=accuracy,
            command=told_command(request, checkpoint),
            step=steps.step,
        )
        made.append(bundle)
        show(output, bundle)
    if len(made) > 1:
        compare_side_by_side(output, made)
    output.data({"bundles": [{"folder": str(b.folder), **facts(b)} for b in made]})


def _of_target(asked: Mapping[str, str], target: str, kinds: Sequence[str]) -> dict[str, str]:
    """Those options that a target has; the others too where no target that is to be made has them, to be refused."""
    return {
        k: v
        for k, v in asked.items()
        if k in TARGETS[target].options or not any(k in TARGETS[t].options for t in kinds)
    }


def _check_calibration(source: Path | None, needed: list[str]) -> None:
    """Refuse options about calibration that would have no effect."""
    told = click.get_current_context().get_parameter_source
    for name in ("calib_data", "calib_samples", "calib_method", "seed"):
        option = f"--{name.replace('_', '-')}"
        if told(name) is ParameterSource.DEFAULT or (name == "calib_data" and needed):
            continue
        if not needed:
            raise UsageError(f"{option} is for int8; type --int8 too")
        if source is None:
            raise UsageError(f"{option} is about the pictures of --calib-data; type --calib-data DIR too")
        if source.suffix == ".json":
            raise UsageError(f"{option} is about pictures, but {source} holds measured ranges; leave {option} out")


def _read_labels(path: Path) -> tuple[str, ...]:
    try:
        text = path.read_text("utf-8-sig")  # Windows' editors put a mark in front
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--labels {path}: cannot be read as text ({error})") from error
    names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not names:
        raise UsageError(f"--labels {path} names no classes; write one a line")
    return names


def _calibrate(checkpoint: Checkpoint, source: Path, count: int, seed: int, method: str, steps: Steps) -> Calibration:
    from calib.calibrate import calibrate
    from calib.calibration import load_calibration
    from calib.familiar import unfamiliar
    from calib.pictures import load_calibration_set
    from calib.ranges import fingerprint
    from levit_mobile.fuse import fuse

    if source.suffix == ".json":
        return load_calibration(source)
    spec = checkpoint.preprocessing
    with steps.step(f"reading up to {count} calibration pictures"):
        pictures = load_calibration_set(source, spec, count=count, seed=seed)
    strange = unfamiliar(checkpoint.model(), pictures, spec)
    if strange is not None:
        click.echo(
            f"note: the pictures in {source} do not look like what {checkpoint.name} was trained on ({strange}). Use natural "
            "pictures of your kind, and see that mean and std are those of training",
            err=True,
        )
    weights = fingerprint(checkpoint.state)
    return calibrate(fuse(checkpoint.model()), pictures, spec, weights=weights, method=method, step=steps.step)


def _accuracy(checkpoint: Checkpoint, pictures: LabelledPictures, steps: Steps, runtime: Runtime) -> dict[str, Any]:
    from levit_mobile.evaluate import count_right

    with steps.counter("measuring accuracy", len(pictures)) as advance:
        return count_right(runtime.logits, pictures.batches(checkpoint.preprocessing), progress=advance).to_dict()
