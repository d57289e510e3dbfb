"""The whole calibration, in order: like channels, ranges, the stem's ends, the stem's weights."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from calib.calibration import Calibration
from calib.equalisation import choose_equalisation, equalise, measure_channels
from calib.estimators import estimate_ranges
from calib.hardswish import fit_hardswish
from calib.pictures import CalibrationSet
from calib.ranges import measure_ranges
from calib.rounding import round_stem
from calib.stem_ranges import search_stem
from levit_mobile.fuse import DeployLeViT
from levit_mobile.preprocess import Preprocessing

__all__ = ["calibrate"]


def calibrate(
    model: DeployLeViT,
    pictures: CalibrationSet,
    spec: Preprocessing,
    *,
    weights: str,
    method: str = "min-max",
    step: Callable[[str], AbstractContextManager[object]] = lambda _: nullcontext(),
) -> Calibration:
    """Find out what int8 needs to know. What each part gives is in docs/quantisation.md.

    Args:
        model: the deploy form, float32; is not changed.
        pictures: of the kind that the model will see; labels are not needed.
        spec: how pixels are normalised.
        weights: the checkpoint's fingerprint.
        method: where ranges end, a name in ``ESTIMATORS``.
        step: called with what is about to happen; the work is done inside the context it returns.

    Raises:
        CalibrationError: an activation was not finite, or the pictures have another size than the model's input.
    """
    pictures.check_size(model.image_size)
    with step("equalising channels"):
        equalisation = choose_equalisation(model, measure_channels(model, pictures, spec))
        model = equalise(model, equalisation)
    with step("measuring activation ranges"):
        ranges = measure_ranges(model, pictures, spec, weights=weights)
        ranges = fit_hardswish(estimate_ranges(method, model, ranges, pictures, spec))
    with step("fitting the stem"):
        values = {**ranges.values, **search_stem(model, ranges.values, pictures, spec)}
        rounded = round_stem(model, values, pictures, spec)
    told = f"equalised; {method}; the stem by the next layer's error"
    return Calibration(replace(ranges, values=values, method=told), equalisation, rounded)
