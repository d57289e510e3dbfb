"""``levit predict``."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import numpy as np

from levit_mobile.bundle import open_bundle
from levit_mobile.cli.console import Output, Steps, json_option
from levit_mobile.errors import CheckError
from levit_mobile.evaluate import top_k
from levit_mobile.preprocess import load_picture, resize_and_crop
from levit_mobile.runtimes import open_runtime
from levit_mobile.runtimes.base import stand_in

__all__ = ["command"]

_FEW = 20  # pictures that are done before anybody wonders


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("images", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--top-k", "k", type=click.IntRange(1), default=5, show_default=True, help="How many classes to name.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Threads to run on.")
@json_option
def command(bundle: Path, images: tuple[Path, ...], k: int, threads: int, as_json: bool) -> None:
    """Say what is in each of IMAGES, with the artifact in BUNDLE.

    \b
    levit predict levit_128s-int8-tflite photo.jpg
    """
    opened = open_bundle(bundle)
    runtime = open_runtime(opened, threads=threads)
    output, results = Output(as_json), []
    instead = stand_in(runtime)
    if instead is not None:
        click.echo(f"note: the answers are those of {instead}", err=True)
    steps = click.get_current_context().with_resource(Steps())
    # On a terminal the answers themselves are the progress, and a bar would be torn by them.
    seen = sys.stdout.isatty() and not as_json
    with steps.counter("running pictures", len(images), shown=len(images) > _FEW and not seen) as advance:
        for image in images:
            pixels = resize_and_crop(load_picture(image), opened.preprocessing)
            logits = runtime.logits(pixels[None])[0]
            if not np.isfinite(logits).all():
                raise CheckError(f"{bundle}: gives NaN or infinity for {image}; type: levit verify {bundle}")
            best = top_k(logits, k)
            results.append(
                {
                    "image": str(image),
                    "top": [{"label": opened.labels[i], "class": i, "probability": p} for i, p in best],
                }
            )
            output.say(str(image))
            for index, share in best:
                output.say(f"{share:>7.1%}  {opened.labels[index]}")
            advance(1)
    output.data({"predictions": results, **({} if instead is None else {"ran": instead})})
