"""What people type after ``--weights`` -> a checkpoint: ``demo``, ``imagenet`` or a path."""

from __future__ import annotations

import os
from importlib import resources

from levit_mobile.checkpoints import Checkpoint, find_file, is_safetensors, load_checkpoint
from levit_mobile.download import Progress, default_cache, fetch
from levit_mobile.errors import CheckpointError, UsageError
from levit_mobile.isolated import run_isolated
from levit_mobile.variants import get_variant

__all__ = ["resolve_weights"]

_SECONDS = 600  # to import PyTorch and to read a file, on a slow disk
_DEMO_VARIANT = "levit_128s"
_DEMO = resources.files("levit_mobile").joinpath("data", f"{_DEMO_VARIANT}-imagenette.safetensors")


def resolve_weights(
    weights: str, *, variant: str | None = None, base_url: str | None = None, progress: Progress | None = None
) -> Checkpoint:
    """Read the checkpoint that ``weights`` names; the official files are downloaded once, then read from the cache.

    Args:
        weights: ``demo`` (in the package), ``imagenet`` (the official file of ``variant``), or a path. The two words
            win over files of the same name; ``./demo`` is the file.
        variant: which of the five models. None means levit_128s for ``imagenet``, and what the file holds for a path.
        base_url: folder of a mirror that has the official files under their names; the environment's
            ``LEVIT_MOBILE_WEIGHTS_URL`` does the same.
        progress: as ``fetch`` calls it while a file comes.

    Raises:
        UsageError: neither a known word nor a path, no such variant, or no demo weights for it.
        DownloadError: the official file cannot be fetched whole.
        CheckpointError: the file cannot be read, or holds another variant.
    """
    if weights == "demo":
        return _demo(variant)
    if weights == "imagenet":
        return _imagenet(variant, base_url, progress)
    if not os.path.exists(weights):
        raise UsageError(f"--weights {weights}: no such file; type demo, imagenet, or the path of a checkpoint")
    _try(weights)
    return load_checkpoint(weights, variant=variant)


def _try(weights: str) -> None:
    """Have another process read it first, if the reader is PyTorch's: that one unpacks archives in C++."""
    file = find_file(weights)
    if not is_safetensors(file):
        call = load_checkpoint.__module__, load_checkpoint.__name__, [weights]
        run_isolated(*call, file=file, reader="PyTorch", seconds=_SECONDS, error=CheckpointError)


def _demo(variant: str | None) -> Checkpoint:
    wanted = get_variant(variant or _DEMO_VARIANT).name
    if wanted != _DEMO_VARIANT:
        raise UsageError(
            f"the demo weights are those of {_DEMO_VARIANT}, there are none for {wanted}; "
            f"type --model {_DEMO_VARIANT}, or --weights imagenet"
        )
    if not _DEMO.is_file():
        raise CheckpointError(
            f"the demo weights ({_DEMO.name}) are missing from this installation; "
            "install levit-mobile again, or type --weights imagenet"
        )
    with resources.as_file(_DEMO) as file:
        return load_checkpoint(file, variant=wanted)


def _imagenet(variant: str | None, base_url: str | None, progress: Progress | None) -> Checkpoint:
    row = get_variant(variant or "levit_128s")
    folder, _, name = row.url.rpartition("/")
    mirror = base_url or os.environ.get("LEVIT_MOBILE_WEIGHTS_URL") or folder
    digest_prefix = name.rpartition(".")[0].rpartition("-")[2]
    file = fetch(
        f"{mirror.rstrip('/')}/{name}", default_cache() / "weights", digest_prefix=digest_prefix, progress=progress
    )
    return load_checkpoint(file, variant=row.name)
