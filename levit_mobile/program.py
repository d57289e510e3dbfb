"""What an exporter gets: the deploy form, its precision and ranges, and everything that travels with the artifact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from calib.calibration import Calibration, bundled_calibration
from calib.hardswish import fit_hardswish
from calib.ranges import Ranges, fingerprint
from levit_mobile.checkpoints import Checkpoint
from levit_mobile.errors import CalibrationError, CheckpointError, UsageError
from levit_mobile.fuse import DeployLeViT, fuse
from levit_mobile.preprocess import Preprocessing
from levit_mobile.quantize import Precision, get_precision

__all__ = ["IoDtype", "Layout", "Program", "build_program", "calibration_for", "class_names", "missing_ranges"]

IoDtype = Literal["float32", "int8", "uint8"]
Layout = Literal["nhwc", "nchw"]


@dataclass(frozen=True)
class Program:
    """One model, ready to be translated.

    Attributes:
        model: the deploy form, float32, eval mode; in int8 as the calibration prepares it.
        checkpoint: where the weights came from.
        fingerprint: of the weights.
        labels: names of the classes, one for each output.
        precision: a row of ``PRECISIONS``.
        calibration: there whenever the precision or the number format needs it.
        io_dtype: float32: normalised pictures in, logits out. int8 and uint8: raw pixels in (int8: less 128), logits
            quantised; the normalisation is then part of the artifact.
        layout: of the input.
        options: of the target, complete: see ``targets.check_request``.
        author: of the weights, for the targets that have a place for it; empty if not told.
        license: the same.
    """

    model: DeployLeViT
    checkpoint: Checkpoint
    fingerprint: str
    labels: tuple[str, ...]
    precision: Precision
    calibration: Calibration | None
    io_dtype: IoDtype = "float32"
    layout: Layout = "nhwc"
    options: Mapping[str, str] = field(default_factory=dict)
    author: str = ""
    license: str = ""

    @property
    def ranges(self) -> Ranges | None:
        """Of the activations; there whenever the precision needs them."""
        return None if self.calibration is None else self.calibration.ranges

    @property
    def kept(self) -> frozenset[str]:
        """Layers that stay float although the precision is int8."""
        return frozenset() if self.calibration is None else frozenset(self.calibration.kept)

    @property
    def preprocessing(self) -> Preprocessing:
        """What pictures go through."""
        return self.checkpoint.preprocessing

    @property
    def image_size(self) -> int:
        """Pixels a side."""
        return self.checkpoint.image_size


def build_program(
    checkpoint: Checkpoint,
    precision: str,
    *,
    calibration: Calibration | None = None,
    labels: tuple[str, ...] | None = None,
    io_dtype: IoDtype = "float32",
    layout: Layout = "nhwc",
    options: Mapping[str, str] | None = None,
    author: str = "",
    license: str = "",
) -> Program:
    """Fuse a checkpoint and put together what exporters need.

    Args:
        checkpoint: any.
        precision: a name in ``PRECISIONS``.
        calibration: of these weights; None takes the bundled one, which fits the bundled checkpoint only.
        labels: names of the classes; None takes the checkpoint's, or class_0, class_1...
        io_dtype: of input and output.
        layout: of the input.
        options: of the target, complete.
        author: of the weights.
        license: of the weights.

    Raises:
        CalibrationError: ranges are needed and there are none for these weights.
        CheckpointError: its preprocessing cuts pictures to another size than its weights fit.
        UsageError: the number of labels is not the number of classes, or an unknown precision.
    """
    crop, size = checkpoint.preprocessing.crop, checkpoint.image_size
    if crop != size:
        raise CheckpointError(
            f"{checkpoint.name}: its weights fit pictures of {size} pixels, but its preprocessing cuts them to {crop}; "
            f"save it anew with save_checkpoint(..., preprocessing=Preprocessing(resize=..., crop={size}))"
        )
    names = class_names(checkpoint, labels)
    row = get_precision(precision)
    weights = fingerprint(checkpoint.state)
    model = fuse(checkpoint.model())
    if row.needs_ranges or io_dtype != "float32":
        what = row.name if row.needs_ranges else f"--io-dtype {io_dtype}"
        calibration = calibration or calibration_for(checkpoint, what)
        calibration.ranges.check(weights)
        if row.needs_ranges:
            model = calibration.prepare(model)
        calibration = replace(calibration, ranges=fit_hardswish(calibration.ranges))
    else:
        calibration = None
    return Program(
        model=model,
        checkpoint=checkpoint,
        fingerprint=weights,
        labels=names,
        precision=row,
        calibration=calibration,
        io_dtype=io_dtype,
        layout=layout,
        options=options or {},
        author=author,
        license=license,
    )


def class_names(checkpoint: Checkpoint, labels: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """``labels``, or the checkpoint's, or class_0, class_1...

    Raises:
        UsageError: the number of labels is not the number of classes.
    """
    names = labels or checkpoint.labels or tuple(f"class_{i}" for i in range(checkpoint.num_classes))
    if len(names) != checkpoint.num_classes:
        raise UsageError(f"--labels names {len(names)} classes, but {checkpoint.name} has {checkpoint.num_classes}")
    return names


def missing_ranges(what: str) -> CalibrationError:
    """What to say where ``what`` needs activation ranges and there are none for these weights."""
    return CalibrationError(
        f"{what} needs activation ranges, and the ones in the package belong to the demo weights only; "
        "type --calib-data DIR with about 128 pictures of your kind (or a calibration.json from an earlier bundle)"
    )


def calibration_for(checkpoint: Checkpoint, what: str) -> Calibration:
    """The calibration in the package, if it is of these weights.

    Raises:
        CalibrationError: it is not; ``what`` needs it.
    """
    calibration = bundled_calibration()
    if calibration.ranges.weights != fingerprint(checkpoint.state):
        raise missing_ranges(what)
    return calibration
