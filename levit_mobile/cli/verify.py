"""``levit verify``."""

from __future__ import annotations

from pathlib import Path

import click

from levit_mobile.bundle import Bundle, open_bundle
from levit_mobile.cli.console import Output, Steps, json_option
from levit_mobile.errors import BundleError, UsageError
from levit_mobile.evaluate import compare, worst
from levit_mobile.quantize import tolerance_for
from levit_mobile.runtimes import open_runtime
from levit_mobile.runtimes.base import every_way, stand_in

__all__ = ["command"]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--signature",
    is_flag=False,
    flag_value="",
    metavar="[FILE]",
    help="Check who made it, too; needs --key.  [default: BUNDLE.sig]",
)
@click.option("--key", type=click.Path(path_type=Path), help="The signer's public key, PEM.")
@json_option
def command(bundle: Path, signature: str | None, key: Path | None, as_json: bool) -> None:
    """Check BUNDLE: every file is as the manifest says, and the golden inputs still give the golden outputs.

    \b
    levit verify levit_128s-int8-tflite
    levit verify levit_128s-int8-tflite --signature --key key.pub

    Exits 0 if all is well, 1 if not, 2 if the files are as they should be and nothing on this host can run the artifact.
    """
    if (signature is None) != (key is None):
        raise UsageError("--signature and --key go together: whose signature it should be is told by a public key")
    opened, output = open_bundle(bundle), Output(as_json)
    problems = opened.damage()
    if signature is not None and key is not None:
        problems += _unsigned(opened, key, signature)
    if problems:
        # Damaged files are not opened any further.
        output.data({"ok": False, "problems": problems})
        raise BundleError(f"{bundle}: " + "; ".join(problems))
    output.say(f"files       all {len(opened.manifest['files'])} as in the manifest")
    if key is not None:
        output.say(f"signature   by {key}, of every file")
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


def _unsigned(bundle: Bundle, key: Path, signature: str) -> list[str]:
    from levit_mobile.signing import check_signature, is_prepared, prepare, signature_beside

    if not is_prepared():
        with Steps() as steps, steps.step("making an environment for model-signing, once"):
            prepare()
    return check_signature(bundle, key, Path(signature) if signature else signature_beside(bundle.folder))
