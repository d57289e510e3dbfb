"""The checkpoint that a bundle was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from levit_mobile.bundle import Bundle
from levit_mobile.cli.console import Steps, needing
from levit_mobile.errors import BundleError, CheckpointError

if TYPE_CHECKING:
    from levit_mobile.checkpoints import Checkpoint
    from levit_mobile.program import Program

__all__ = ["checkpoint_of", "program_of"]


def checkpoint_of(bundle: Bundle, weights: str, steps: Steps) -> Checkpoint:
    """What ``--weights`` names, if the bundle was made from it.

    Raises:
        BundleError: the manifest does not tell what it was made from.
        CheckpointError: it was made from something else.
    """
    with steps.step("loading PyTorch"), needing("torch"):
        from calib.ranges import fingerprint
        from levit_mobile.weights import resolve_weights

    model = bundle.manifest["model"]
    variant = str(model["variant"]) if weights == "imagenet" else None
    with steps.download("downloading weights") as advance:
        checkpoint = resolve_weights(weights, variant=variant, progress=advance)
    made_from = model["checkpoint"].get("weights")
    if not isinstance(made_from, str):
        raise BundleError(f"{bundle.folder}: the manifest does not tell its weights")
    if fingerprint(checkpoint.state) != made_from:
        raise CheckpointError(
            f"{checkpoint.name} is not what {bundle.folder} was made from ({model['checkpoint']['name']})"
        )
    return checkpoint


def program_of(bundle: Bundle, checkpoint: Checkpoint) -> Program:
    """The program that a bundle's artifact was made from, with the calibration that the bundle has.

    Raises:
        CalibrationError: ``calibration.json`` is damaged, or of other weights.
    """
    with needing("torch"):
        from calib.calibration import load_calibration
        from levit_mobile.program import build_program

    path = bundle.folder / "calibration.json"
    calibration = load_calibration(path) if path.exists() else None
    return build_program(checkpoint, str(bundle.manifest["artifact"]["precision"]), calibration=calibration)
