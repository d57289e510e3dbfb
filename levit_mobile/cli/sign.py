"""``levit sign``."""

from __future__ import annotations

from pathlib import Path

import click

from levit_mobile.bundle import open_bundle
from levit_mobile.cli.console import Output, Steps, json_option, verbose_option

__all__ = ["command"]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--key", type=click.Path(path_type=Path), required=True, help="Your private key, PEM (P-256, 384 or 521)."
)
@click.option("--signature", type=click.Path(path_type=Path), help="The file to write.  [default: BUNDLE.sig]")
@json_option
@verbose_option
def command(bundle: Path, key: Path, signature: Path | None, as_json: bool, verbose: bool) -> None:
    """Sign every file of BUNDLE with a private key; the signature is a file beside it.

    \b
    levit sign levit_128s-int8-tflite --key key.pem

    levit verify --signature checks it. A password for the key is read from $LEVIT_MOBILE_KEY_PASSWORD.
    """
    from levit_mobile.signing import is_prepared, prepare, sign_bundle, signature_beside

    opened, output = open_bundle(bundle), Output(as_json)
    place = signature or signature_beside(bundle)
    steps = click.get_current_context().with_resource(Steps(verbose=verbose))
    if not is_prepared():
        with steps.step("making an environment for model-signing, once"):
            prepare()
    sign_bundle(opened, key, place)
    output.say(f"signed {len(opened.manifest['files']) + 1} files of {bundle} in {place}")
    output.data({"bundle": str(bundle), "signature": str(place)})
