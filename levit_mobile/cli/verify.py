"""``levit verify``."""

from __future__ import annotations

from pathlib import Path

import click

from levit_mobile.bundle import open_bundle
from levit_mobile.cli.console import Output, json_option
from levit_mobile.errors import BundleError
from levit_mobile.evaluate import compare, worst
from levit_mobile.quantize import tolerance_for
from levit_mobile.runtimes import open_runtime
from levit_mobile.runtimes.base import every_way, stand_in

__all__ = ["command"]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("bundle", type=click.Path(path_type=Path))
@json_option
def command(bundle: Path, as_json: bool) -> None:
    """Check BUNDLE: every file is as the manifest says, and the golden inputs still give the golden outputs.

    \b
    levit verify levit_128s-int8-tflite

    Exits 0 if all is well, 1 if not, 2 if the files are as they should be and nothing on this host can run the artifact.
    """
    opened, output = open_bundle(bundle), Output(as_json)
    problems = opened.damage()
    if problems:
        # Damaged files are not opened any further.
        output.data({"ok": False, "problems": problems})
        raise BundleError(f"{bundle}: " + "; ".join(problems))
    output.say(f"files       all {len(opened.manifest['files'])} as in the manifest")
    golden, runtime = opened.golden(), open_runtime(opened)
    tolerance = tolerance_for(opened.manifest["artifact"]["precision"], opened.manifest["output"]["dtype"])
    parity = worst(compare(golden.logits, way.logits(golden.pixels), tolerance) for way in every_way(runtime))
    instead = stand_in(runtime)
    waived = not opened.manifest["parity"]["passed"]
    output.say(f"parity      {parity}" + (" (out of bounds; the bundle was made with --allow-drift)" if waived else ""))
    if instead is not None:
        output.say(f"measured    on {instead}")
    if not parity.passed and not waived:
        problems = [f"the artifact no longer computes what PyTorch does here: {parity}"]
    told = {**parity.to_dict(), **({} if instead is None else {"ran": instead})}
    output.data({"ok": not problems, "problems": problems, "waived": waived, "parity": told})
    if problems:
        raise BundleError(f"{bundle}: {problems[0]}")
    if waived:
        output.say(click.style(f"{bundle} is whole, and as far from PyTorch as --allow-drift let it be", fg="yellow"))
    else:
        output.say(click.style(f"{bundle} is whole and computes what it should", fg="green", bold=True))
