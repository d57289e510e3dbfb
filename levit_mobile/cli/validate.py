"""``levit validate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from levit_mobile.bundle import Bundle, open_bundle
from levit_mobile.cli.console import Output, Steps, json_option, needing
from levit_mobile.errors import BundleError, CheckpointError, UsageError
from levit_mobile.evaluate import compare, count_right
from levit_mobile.quantize import tolerance_for
from levit_mobile.runtimes import open_runtime
from levit_mobile.runtimes.base import stand_in

__all__ = ["command"]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), help="Labelled pictures: one folder a class.")
@click.option("--limit", type=click.IntRange(1), help="At most so many of them, spread evenly.")
@click.option("--weights", help="The checkpoint it was made from, to compare with PyTorch on the same pictures too.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Threads to run on.")
@json_option
def command(
    bundle: Path, data: Path | None, limit: int | None, weights: str | None, threads: int, as_json: bool
) -> None:
    """Measure BUNDLE: parity with PyTorch, and with --data also top-1, top-5 and agreement.

    \b
    levit validate levit_128s-int8-tflite
    levit validate levit_128s-int8-tflite --data imagenette/val --weights demo

    Shares come with their 95 % interval. Exits 1 if the parity check fails.
    """
    if data is None and (weights is not None or limit is not None):
        raise UsageError("--weights and --limit are about the pictures of --data; type --data DIR too")
    opened, output = open_bundle(bundle), Output(as_json)
    runtime = open_runtime(opened, threads=threads)
    golden = opened.golden()
    tolerance = tolerance_for(opened.manifest["artifact"]["precision"], opened.manifest["output"]["dtype"])
    parity = compare(golden.logits, runtime.logits(golden.pixels), tolerance)
    output.say(f"parity      {'passed' if parity.passed else click.style('FAILED', fg='red', bold=True)}: {parity}")
    instead = stand_in(runtime)
    ran = {} if instead is None else {"ran": instead}
    if instead is not None:
        output.say(f"measured    on {instead}")
    result: dict[str, Any] = {"parity": {**parity.to_dict(), **ran}}
    if data is not None:
        from levit_mobile.datasets import find_labelled

        steps = click.get_current_context().with_resource(Steps())
        pictures = find_labelled(data, opened.labels, limit=limit)
        reference = _reference(opened, weights, steps) if weights is not None else None
        with steps.counter("running pictures", len(pictures)) as advance:
            accuracy = count_right(
                runtime.logits, pictures.batches(opened.preprocessing), reference=reference, progress=advance
            )
        result["accuracy"] = {**accuracy.to_dict(), **ran}
        names = {"top1": "top-1", "top5": "top-5", "reference_top1": "PyTorch", "agreement": "agreement"}
        for key, name in names.items():
            if key in result["accuracy"]:
                share, (low, high) = result["accuracy"][key]["share"], result["accuracy"][key]["interval95"]
                output.say(f"{name:<11} {share:.2%} of {accuracy.samples} (95 % interval {low:.2%} to {high:.2%})")
    output.data(result)
    if not parity.passed:
        raise SystemExit(1)


def _reference(bundle: Bundle, weights: str, steps: Steps) -> Any:
    with steps.step("loading PyTorch"), needing("torch"):
        from calib.ranges import fingerprint
        from levit_mobile.pipeline import reference_model
        from levit_mobile.weights import resolve_weights

    model = bundle.manifest["model"]
    variant = str(model["variant"]) if weights == "imagenet" else None
    with steps.download("downloading weights") as advance:
        checkpoint = resolve_weights(weights, variant=variant, progress=advance)
    made_from = model["checkpoint"].get("weights")
    if not isinstance(made_from, str):
        raise BundleError(f"{bundle.folder}: the manifest does not tell its weights")
    if fingerprint(checkpoint.state) != made_from:
        raise CheckpointError(
            f"{checkpoint.name} is not what {bundle.folder} was made from ({model['checkpoint']['name']})"
        )
    return reference_model(checkpoint)
