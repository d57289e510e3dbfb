"""``levit models``."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.table import Table

from levit_mobile.cli.console import Output, json_option
from levit_mobile.variants import VARIANTS

__all__ = ["command"]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@json_option
def command(as_json: bool) -> None:
    """List the five LeViT variants, with the published accuracy of their official checkpoints on ImageNet-1k."""
    output = Output(as_json)
    table = Table("name", "channels", "heads", "depth", "top-1", "MACs", "parameters", box=None)
    for row in VARIANTS.values():
        table.add_row(
            row.name,
            "/".join(map(str, row.channels)),
            "/".join(map(str, row.heads)),
            "/".join(map(str, row.depth)),
            f"{row.top1:.1f} %",
            f"{row.macs / 1e6:,.0f} M",
            f"{row.parameters / 1e6:.1f} M",
        )
    output.say(table)
    output.data({"models": [asdict(row) for row in VARIANTS.values()]})
