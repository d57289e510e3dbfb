"""What an exporter gets: whole, or an error that says what to type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import nn

from calib.calibration import Calibration, bundled_calibration
from calib.equalisation import Equalisation
from calib.hardswish import fit_hardswish
from calib.ranges import Ranges, fingerprint
from levit_mobile.checkpoints import Checkpoint
from levit_mobile.errors import CalibrationError, CheckpointError, UsageError
from levit_mobile.fuse import DeployLeViT
from levit_mobile.model import LeViT
from levit_mobile.preprocess import Preprocessing
from levit_mobile.program import IoDtype, build_program
from levit_mobile.quantize import PRECISIONS
from levit_mobile.variants import VARIANTS
from levit_mobile.weights import resolve_weights

SIZE = 32


@pytest.fixture(scope="module")
def model(random_fill: Callable[..., nn.Module]) -> LeViT:
    return cast(LeViT, random_fill(LeViT(VARIANTS["levit_128s"], num_classes=3, image_size=SIZE)))


@pytest.fixture(scope="module")
def checkpoint(model: LeViT) -> Checkpoint:
    state = {k: v for k, v in model.state_dict().items() if not k.endswith(("idxs", "num_batches_tracked"))}
    spec = Preprocessing(36, SIZE)
    return Checkpoint(model.variant, state, 3, True, SIZE, None, spec, "official", "some.pth", "ab" * 32)


@pytest.fixture(scope="module")
def calibration(checkpoint: Checkpoint) -> Calibration:
    values = {"head.in": (-1.0, 1.0), "stem.2.in": (-0.375, 9.0)}
    keys = Equalisation((2.0,) * 64, (0.5,) * 64)
    return Calibration(Ranges(fingerprint(checkpoint.state), values, "min-max", 8, "cd" * 32), {"blocks.0.k": keys})


def test_a_float_program(model: LeViT, checkpoint: Checkpoint) -> None:
    program = build_program(checkpoint, "fp32")
    assert isinstance(program.model, DeployLeViT)
    assert not program.model.training
    assert {p.dtype for p in program.model.parameters()} == {torch.float32}
    assert program.precision is PRECISIONS["fp32"]
    assert program.ranges is None
    assert (program.io_dtype, program.layout) == ("float32", "nhwc")
    assert program.fingerprint == fingerprint(checkpoint.state)
    assert program.preprocessing == Preprocessing(36, SIZE)
    assert program.image_size == SIZE
    x = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert (program.model(x) - model(x)).abs().max() < 1e-5


def test_an_int8_program(checkpoint: Checkpoint, calibration: Calibration) -> None:
    program = build_program(checkpoint, "int8", calibration=calibration, io_dtype="uint8", layout="nchw")
    assert program.ranges == fit_hardswish(calibration.ranges) != calibration.ranges
    assert program.calibration == replace(calibration, ranges=program.ranges)
    plain = build_program(checkpoint, "fp32").model
    assert torch.equal(
        program.model.get_submodule("blocks.0.k").weight,  # type: ignore[arg-type]
        2 * plain.get_submodule("blocks.0.k").weight,  # type: ignore[arg-type, operator]
    )
    assert program.precision is PRECISIONS["int8"]
    assert (program.io_dtype, program.layout) == ("uint8", "nchw")


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8-dynamic"])
def test_a_calibration_that_nobody_needs_is_not_carried(
    precision: str, checkpoint: Checkpoint, calibration: Calibration
) -> None:
    """It would be written into the bundle, as if the artifact depended on it."""
    assert build_program(checkpoint, precision, calibration=calibration).calibration is None


def test_whole_numbers_in_and_out_leave_the_weights_alone(checkpoint: Checkpoint, calibration: Calibration) -> None:
    plain, found = (
        build_program(checkpoint, "fp32"),
        build_program(checkpoint, "fp32", calibration=calibration, io_dtype="uint8"),
    )
    assert found.calibration is not None
    other = found.model.state_dict()
    assert all(torch.equal(value, other[name]) for name, value in plain.model.state_dict().items())


# Ranges


@pytest.mark.parametrize(
    ("precision", "io_dtype", "what"),
    [
        ("int8", "float32", "int8"),
        ("int8", "int8", "int8"),
        ("fp32", "uint8", "--io-dtype uint8"),
        ("fp16", "int8", "--io-dtype int8"),
    ],
)
def test_other_weights_need_ranges_of_their_own(
    precision: str, io_dtype: IoDtype, what: str, checkpoint: Checkpoint
) -> None:
    with pytest.raises(CalibrationError) as raised:
        build_program(checkpoint, precision, io_dtype=io_dtype)
    assert raised.value.exit_code == 2
    assert str(raised.value) == (
        f"{what} needs activation ranges, and the ones in the package belong to the demo weights only; type --calib-data "
        "DIR with about 128 pictures of your kind (or a calibration.json from an earlier bundle)"
    )


@pytest.mark.parametrize(("precision", "io_dtype"), [("int8", "float32"), ("fp32", "uint8")])
def test_ranges_of_other_weights(
    precision: str, io_dtype: IoDtype, checkpoint: Checkpoint, calibration: Calibration
) -> None:
    other = replace(calibration, ranges=replace(calibration.ranges, weights="0" * 64))
    with pytest.raises(CalibrationError, match=r"belong to other weights .*; measure them anew with --calib-data DIR"):
        build_program(checkpoint, precision, calibration=other, io_dtype=io_dtype)


def test_the_demo_weights_have_theirs() -> None:
    demo = resolve_weights("demo")
    program = build_program(demo, "int8")
    assert program.calibration is not None
    assert program.calibration.to_json() == bundled_calibration().to_json()
    assert len(program.labels) == demo.num_classes


# Labels


def test_where_labels_come_from(checkpoint: Checkpoint) -> None:
    told = replace(checkpoint, labels=("ant", "bee", "cat"))
    assert build_program(checkpoint, "fp32").labels == ("class_0", "class_1", "class_2")
    assert build_program(told, "fp32").labels == ("ant", "bee", "cat")
    assert build_program(told, "fp32", labels=("x", "y", "z")).labels == ("x", "y", "z")


@pytest.mark.parametrize("labels", [("x",), ("x", "y", "z", "w")])
def test_another_number_of_labels(labels: tuple[str, ...], checkpoint: Checkpoint) -> None:
    with pytest.raises(UsageError) as raised:
        build_program(checkpoint, "fp32", labels=labels)
    assert str(raised.value) == f"--labels names {len(labels)} classes, but some.pth has 3"


# What fits nothing


def test_an_unknown_precision(checkpoint: Checkpoint) -> None:
    with pytest.raises(UsageError, match="unknown precision 'int4'; type one of: fp32, "):
        build_program(checkpoint, "int4")


def test_pictures_of_another_size_than_the_weights(checkpoint: Checkpoint) -> None:
    """Such a file can be made with ``save_checkpoint``: nothing there compares the two."""
    with pytest.raises(CheckpointError) as raised:
        build_program(replace(checkpoint, preprocessing=Preprocessing()), "fp32")
    message = str(raised.value)
    assert message.startswith(
        "some.pth: its weights fit pictures of 32 pixels, but its preprocessing cuts them to 224; "
    )
    assert "crop=32" in message
