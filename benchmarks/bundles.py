"""Bundles that are measured side by side: all of the same weights, no two of a kind."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from levit_mobile.bundle import Bundle, open_bundle
from levit_mobile.checkpoints import Checkpoint
from levit_mobile.errors import UsageError


def open_bundles(folders: Iterable[Path], checkpoint: Checkpoint) -> dict[str, Bundle]:
    """{"tflite int8": bundle}, in the order given.

    Raises:
        BundleError: not a bundle.
        UsageError: made from other weights than ``checkpoint``, or two of the same target and precision.
    """
    found: dict[str, Bundle] = {}
    for folder in folders:
        bundle = open_bundle(folder)
        artifact, made_from = bundle.manifest["artifact"], bundle.manifest["model"]["checkpoint"]
        if made_from["sha256"] != checkpoint.sha256:
            raise UsageError(
                f"{folder} was made from {made_from['name']} (sha256 {made_from['sha256'][:12]}...), not from "
                f"{checkpoint.name} ({checkpoint.sha256[:12]}...); make it anew with: "
                f"levit-export --target {artifact['target']} --precision {artifact['precision']}"
            )
        name = f"{artifact['target']} {artifact['precision']}"
        if name in found:
            raise UsageError(f"{found[name].folder} and {folder} are both {name}; type only one of them")
        found[name] = bundle
    return found
