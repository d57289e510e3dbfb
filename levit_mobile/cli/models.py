"""``levit models``."""

from __future__ import annotations

from dataclasses import asdict

import click

from levit_mobile.cli.console import Output, json_option
from levit_mobile.variants import VARIANTS

__all__ = ["command"]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@json_option
def command(as_json: bool) -> None:
    """List the five LeViT variants, with the published accuracy of their official checkpoints on ImageNet-1k.

    \b
    Export one with: levit-export --target tflite --weights imagenet --model NAME
    """
    output = Output(as_json)
    rows = [["name", "channels", "heads", "depth", "top-1", "MACs", "parameters"]]
    for row in VARIANTS.values():
        shape = ["/".join(map(str, numbers)) for numbers in (row.channels, row.heads, row.depth)]
        cost = [f"{row.macs / 1e6:,.0f} M", f"{row.parameters / 1e6:.1f} M"]
        rows.append([row.name, *shape, f"{row.top1:.1f} %", *cost])
    output.table(rows, "<<<<>>>")
    output.data({"models": [asdict(row) for row in VARIANTS.values()]})
