"""What ``levit validate`` says, of this host and of boards alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from levit_mobile.cli.console import Output
from levit_mobile.evaluate import Accuracy, Parity
from levit_mobile.journal import Journal

__all__ = ["say_accuracy", "say_kept", "say_parity", "say_settled"]

_NAMES: Mapping[str, str] = {
    "top1": "top-1",
    "top5": "top-5",
    "reference_top1": "PyTorch",
    "agreement": "agreement",
}


def say_parity(parity: Parity, output: Output) -> None:
    """A line: passed or failed, and the figures."""
    output.say(f"parity      {'passed' if parity.passed else click.style('FAILED', fg='red', bold=True)}: {parity}")


def say_accuracy(accuracy: Accuracy, output: Output) -> dict[str, Any]:
    """A line a share, with its interval; the same as data."""
    found = accuracy.to_dict()
    for key, name in _NAMES.items():
        if key in found:
            share, (low, high) = found[key]["share"], found[key]["interval95"]
            output.say(f"{name:<11} {share:.2%} of {accuracy.samples} (95 % interval {low:.2%} to {high:.2%})")
    return found


def say_settled(kept: Journal) -> int:
    """How many pictures an earlier run has done, if it has any; that number."""
    if before := kept.settled():
        click.echo(f"  going on after {before} of {len(kept.done)} pictures, which were done before", err=True)
    return before


def say_kept(kept: Journal) -> None:
    """How many pictures a run that ends too early leaves to the next, if it does."""
    if done := kept.settled():
        click.echo(f"  {done} of {len(kept.done)} pictures are done and kept; type the same again to go on", err=True)
