"""What ``levit-export`` prints of the bundles that it made."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from levit_mobile.cli.console import Output, levit_command

if TYPE_CHECKING:
    from levit_mobile.bundle import Bundle

__all__ = ["compare_side_by_side", "facts", "show"]


def facts(bundle: Bundle) -> dict[str, Any]:
    """What ``--json`` tells of a bundle."""
    manifest = bundle.manifest
    return {
        "bytes": bundle.artifact_bytes,
        **{key: manifest[key] for key in ("model", "artifact", "delegate", "parity", "accuracy")},
    }


def show(output: Output, bundle: Bundle) -> None:
    """One bundle: what it is, how it runs, how close it is to PyTorch, what to type next."""
    manifest = bundle.manifest
    parity, delegate = manifest["parity"], manifest["delegate"]
    outside = sum(delegate["outside"].values())
    output.say("\n" + click.style(str(bundle.folder), fg="green", bold=True))
    output.say(f"  model      {manifest['model']['variant']}, {manifest['model']['num_classes']} classes")
    output.say(
        f"  artifact   {manifest['artifact']['file']}, {bundle.artifact_bytes / 1e6:.2f} MB, {manifest['artifact']['precision']}"
    )
    parts = f"{delegate['parts']} {delegate['name']} part(s), {outside} operators outside"
    output.say(
        f"  runs as    {sum(manifest['operators'].values())} operators, {parts if delegate['parts'] else 'no delegate'}"
    )
    verdict = "passed" if parity["passed"] else click.style("FAILED, kept as you asked", fg="red", bold=True)
    output.say(
        f"  parity     {verdict}: "
        f"difference {parity['max_abs']:.1e} of the logit range, cosine {parity['cosine']:.4f}, "
        f"same first class {parity['agreement']:.0%} of {parity['samples']}"
    )
    if "ran" in parity:
        output.say(f"  measured   on {parity['ran']}")
    if manifest["accuracy"]:
        top1 = manifest["accuracy"]["top1"]
        low, high = top1["interval95"]
        output.say(
            f"  accuracy   {top1['share']:.2%} top-1 of {manifest['accuracy']['samples']} "
            f"(95 % interval {low:.2%} to {high:.2%})"
        )
    output.say(f"  next       {levit_command()} predict {shlex.quote(str(bundle.folder))} PICTURE")


def compare_side_by_side(output: Output, bundles: Sequence[Bundle]) -> None:
    """Several bundles in one table: size, operators, parts, and how close each is to PyTorch on the golden inputs."""
    rows = [["bundle", "size", "operators", "parts", "outside", "difference", "cosine", "same class", "parity"]]
    for bundle in bundles:
        manifest = bundle.manifest
        parity, delegate = manifest["parity"], manifest["delegate"]
        rows.append(
            [
                bundle.folder.name,
                f"{bundle.artifact_bytes / 1e6:.2f} MB",
                str(sum(manifest["operators"].values())),
                str(delegate["parts"]),
                str(sum(delegate["outside"].values())),
                f"{parity['max_abs']:.1e}",
                f"{parity['cosine']:.4f}",
                f"{parity['agreement']:.0%}",
                "passed" if parity["passed"] else "FAILED",
            ]
        )
    output.say()
    output.table(rows, "<>>>>>>><")
