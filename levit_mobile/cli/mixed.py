"""``levit-export --max-drop``: which layers stay float."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from levit_mobile.cli.console import Output, Steps

if TYPE_CHECKING:
    from calib.calibration import Calibration
    from levit_mobile.checkpoints import Checkpoint
    from levit_mobile.evaluate import Model
    from levit_mobile.mixed import Mixed

__all__ = ["hold_accuracy"]

_PICTURES = 32  # to measure sensitivity on
_SHOWN = 10  # layers; the rest is in calibration.json


def hold_accuracy(
    checkpoint: Checkpoint,
    calibration: Calibration,
    data: Path,
    labels: tuple[str, ...],
    drop: float,
    output: Output,
    steps: Steps,
) -> Calibration:
    """The calibration with as many layers in float as top-1 needs to lose no more than ``drop`` percentage points.

    Raises:
        UsageError: there are no labelled pictures.
    """
    import torch

    from levit_mobile.datasets import find_labelled
    from levit_mobile.evaluate import count_right
    from levit_mobile.mixed import keep_float, measure_sensitivity
    from levit_mobile.pipeline import reference_model
    from levit_mobile.preprocess import normalise

    spec = checkpoint.preprocessing
    pictures, few = (find_labelled(data, list(labels), limit=limit) for limit in (None, _PICTURES))
    x = torch.cat([torch.from_numpy(normalise(pixels, spec)) for pixels, _ in few.batches(spec)])

    def count(model: Model, what: str) -> int:
        with steps.counter(f"counting right answers, {what}", len(pictures)) as advance:
            return count_right(model, pictures.batches(spec), progress=advance).top1

    right = count(reference_model(checkpoint), "all in float")
    with steps.step("measuring what each layer does to the logits"):
        sensitivity = measure_sensitivity(checkpoint, calibration, x)
    most = drop / 100 * len(pictures)
    found = keep_float(checkpoint, replace(calibration, sensitivity=sensitivity), right, count, most)
    _tell(found, len(pictures), drop, output)
    return found.calibration


def _tell(found: Mixed, samples: int, drop: float, output: Output) -> None:
    kept, sensitivity = found.calibration.kept, found.calibration.sensitivity
    output.say(
        f"\nint8       {found.all_int8 / samples:.2%} top-1 of {samples} in PyTorch, float {found.in_float / samples:.2%}; "
        f"at most {drop:g} points may be lost"
    )
    if kept:
        output.say(
            f"kept       {len(kept)} of {len(sensitivity)} layers stay float, and {found.right / samples:.2%} are right"
        )
    else:
        output.say("kept       nothing need stay float")
    worst = sorted(sensitivity, key=lambda name: (sensitivity[name], name))[: max(_SHOWN, len(kept))]
    rows = [(name, f"{sensitivity[name]:.1f} dB", "float" if name in kept else "") for name in worst]
    output.table([("layer", "logits, only it", "kept"), *rows], "<><")
    if len(rows) < len(sensitivity):
        output.say("All layers are in the bundle's calibration.json.")
