"""Which layers stay float, on a small model some of whose ranges are spoilt on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from calib.calibration import Calibration, load_calibration
from calib.pictures import CalibrationSet
from calib.ranges import fingerprint, measure_ranges
from levit_mobile.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from levit_mobile.errors import CalibrationError
from levit_mobile.evaluate import Model
from levit_mobile.fuse import fuse
from levit_mobile.golden import golden_pictures
from levit_mobile.mixed import keep_float, measure_sensitivity
from levit_mobile.model import LeViT
from levit_mobile.preprocess import Preprocessing, normalise
from levit_mobile.program import build_program
from levit_mobile.qdq import QdqLinear
from levit_mobile.quant_error import quantised_program
from levit_mobile.variants import VARIANTS

SIZE = 32
SPEC = Preprocessing(SIZE, SIZE)
PIXELS = golden_pictures(SIZE)


@pytest.fixture(scope="module")
def checkpoint(random_fill: Callable[..., nn.Module], tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    model = random_fill(LeViT(VARIANTS["levit_128s"], num_classes=7, image_size=SIZE))
    assert isinstance(model, LeViT)
    path = tmp_path_factory.mktemp("mixed") / "small.safetensors"
    save_checkpoint(path, model, preprocessing=SPEC)
    return load_checkpoint(path)


@pytest.fixture(scope="module")
def good(checkpoint: Checkpoint) -> Calibration:
    pictures = CalibrationSet(PIXELS, "drawn")
    return Calibration(measure_ranges(fuse(checkpoint.model()), pictures, SPEC, weights=fingerprint(checkpoint.state)))


@pytest.fixture(scope="module")
def x() -> Tensor:
    return torch.from_numpy(normalise(PIXELS, SPEC))


def spoilt(calibration: Calibration, *layers: str) -> Calibration:
    """Ranges so wide that these layers give nothing but zeros."""
    values = dict(calibration.ranges.values)
    for layer in layers:
        values[f"{layer}.out"] = (-1e4, 1e4)
    return replace(calibration, ranges=replace(calibration.ranges, values=values))


class Counter:
    """Right answers of pictures whose right answer is the float model's; close calls included."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        model, self.asked = fuse(checkpoint.model()), list[str]()
        with torch.inference_mode():
            self.logits = model(torch.from_numpy(normalise(PIXELS, SPEC))).numpy()

    def __call__(self, model: Model, what: str) -> int:
        self.asked.append(what)
        found: npt.NDArray[np.floating] = model(PIXELS)
        behind = self.logits.max(1) - self.logits[np.arange(len(PIXELS)), found.argmax(1)]
        return int((behind <= 0.05 * np.ptp(self.logits)).sum())


def decided(
    checkpoint: Checkpoint, calibration: Calibration, x: Tensor, most: float
) -> tuple[tuple[str, ...], Counter]:
    count = Counter(checkpoint)
    measured = replace(calibration, sensitivity=measure_sensitivity(checkpoint, calibration, x))
    found = keep_float(checkpoint, measured, len(PIXELS), count, most)
    assert found.in_float == len(PIXELS)
    assert found.in_float - found.right <= most
    return found.calibration.kept, count


def test_nothing_stays_float_where_int8_holds(checkpoint: Checkpoint, good: Calibration, x: Tensor) -> None:
    kept, count = decided(checkpoint, good, x, most=1)
    assert kept == ()
    assert count.asked == ["0 of 71 layers in float"]


def test_a_spoilt_layer_is_found_and_kept(checkpoint: Checkpoint, good: Calibration, x: Tensor) -> None:
    bad = spoilt(good, "head")
    sensitivity = measure_sensitivity(checkpoint, bad, x)
    assert min(sensitivity, key=lambda name: sensitivity[name]) == "head"
    kept, count = decided(checkpoint, bad, x, most=0)
    assert kept == ("head",)
    assert count.asked == ["0 of 71 layers in float", "1 of 71 layers in float"]


@pytest.mark.parametrize("needed", [0, 1, 2, 3, 5, 8, 40, 64, 65, 70, 71])
def test_the_fewest_that_hold(checkpoint: Checkpoint, good: Calibration, needed: int) -> None:
    """Whatever number it is: found, and after few programs."""
    names = sorted({name.rpartition(".")[0] for name in good.ranges.values if ".act" not in name})
    layers = [name for name in names if name not in ("stem.1", "stem.3", "stem.5")]
    measured = replace(good, sensitivity={name: float(-at) for at, name in enumerate(layers)})
    asked: list[int] = []

    def count(_: Model, what: str) -> int:
        asked.append(int(what.split()[0]))
        return 90 if asked[-1] >= needed else 89

    found = keep_float(checkpoint, measured, 100, count, 10)
    assert found.calibration.kept == tuple(layers[::-1][:needed])
    assert (found.right, found.all_int8, found.in_float) == (90, 90 if needed == 0 else 89, 100)
    assert len(layers) == 71
    assert len(asked) == len(set(asked)) <= 14


def test_more_may_be_lost(checkpoint: Checkpoint, good: Calibration, x: Tensor) -> None:
    assert decided(checkpoint, spoilt(good, "head"), x, most=len(PIXELS))[0] == ()


def test_what_was_kept_before_does_not_count(checkpoint: Checkpoint, good: Calibration, x: Tensor) -> None:
    before = replace(good, kept=("blocks.0.q",))
    assert measure_sensitivity(checkpoint, before, x) == measure_sensitivity(checkpoint, good, x)
    assert decided(checkpoint, before, x, most=1)[0] == ()


def test_a_program_with_kept_layers(checkpoint: Checkpoint, good: Calibration) -> None:
    program = build_program(checkpoint, "int8", calibration=replace(good, kept=("blocks.1.up", "stem.2")))
    assert program.kept == {"blocks.1.up", "stem.2"}
    quantised = quantised_program(program)
    assert type(quantised.get_submodule("blocks.1.up")) is nn.Linear
    assert type(quantised.get_submodule("stem.2")) is nn.Conv2d
    assert type(quantised.get_submodule("blocks.1.down")) is QdqLinear


def test_a_layer_that_is_not_there(checkpoint: Checkpoint, good: Calibration) -> None:
    with pytest.raises(CalibrationError, match=r"has no layer blocks\.99\.q to keep in float"):
        build_program(checkpoint, "int8", calibration=replace(good, kept=("blocks.99.q",)))


def test_a_calibration_carries_them(good: Calibration, tmp_path: Path) -> None:
    full = replace(good, kept=("head", "stem.0"), sensitivity={"head": 12.5, "stem.0": 20.25})
    path = tmp_path / "calibration.json"
    path.write_text(full.to_json())
    assert load_calibration(path) == full
    assert '"kept"' not in good.to_json()


@pytest.mark.parametrize("kept", ['"head"', "[1]", "null"])
def test_a_damaged_list(good: Calibration, tmp_path: Path, kept: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(replace(good, kept=("head",)).to_json().replace('[\n  "head"\n ]', kept))
    with pytest.raises(CalibrationError, match="kept is not a list of names"):
        load_calibration(path)
