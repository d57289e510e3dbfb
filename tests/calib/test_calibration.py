"""A calibration as a file, and on the model that it is of."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from calib import calibration as module
from calib.calibration import Calibration, bundled_calibration, load_calibration
from calib.equalisation import Equalisation
from calib.hardswish import LOWEST, fit_hardswish
from calib.ranges import Ranges, fingerprint
from calib.rounding import RoundedLayer
from levit_mobile.errors import CalibrationError
from levit_mobile.fuse import DeployLeViT, fuse
from levit_mobile.qdq import quantize_static
from levit_mobile.scales import affine
from levit_mobile.weights import resolve_weights


@pytest.fixture(scope="module")
def demo() -> DeployLeViT:
    return fuse(resolve_weights("demo").model())


# On a model


def test_the_prepared_model_is_the_same_but_for_the_stem(demo: DeployLeViT) -> None:
    """Equalisation changes nothing, and the stem's weights are whole numbers of steps."""
    found = bundled_calibration()
    x = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = demo(x)
        equal = replace(found, rounded={}).prepare(demo)(x)
        prepared = found.prepare(demo)(x)
    assert float((equal - expected).abs().max()) < 1e-4 * float(expected.abs().max())
    assert 1e-4 < float((prepared - expected).abs().max() / (expected.max() - expected.min())) < 0.05
    assert sorted(found.rounded) == ["stem.0", "stem.2", "stem.4", "stem.6"]


def test_rounded_weights_are_what_int8_layers_store(demo: DeployLeViT) -> None:
    """Rounding them again, as all exporters do, changes none."""
    found = bundled_calibration()
    program = quantize_static(found.prepare(demo), found.ranges)
    for name, layer in found.rounded.items():
        assert torch.equal(program.get_submodule(name).weight, torch.from_numpy(layer.weight.copy()))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"equalisation": {"stem.0": Equalisation((1.0,), (0.0,))}}, "the equalisation of stem.0 does not fit"),
        ({"rounded": {"stem.1": bundled_calibration().rounded["stem.0"]}}, "the weights of stem.1 do not fit"),
        ({"rounded": {"stem.2": bundled_calibration().rounded["stem.0"]}}, "the weights of stem.2 do not fit"),
    ],
)
def test_one_of_another_model(change: dict[str, Any], message: str, demo: DeployLeViT) -> None:
    with pytest.raises(CalibrationError, match=message):
        replace(bundled_calibration(), **change).prepare(demo)


# JSON


def some() -> Calibration:
    values = {"b.in": (-0.1, 1 / 3), "a.out": (1e-300, 1.7976931348623157e308), "c.in": (0.0, 0.0), "d": (-0.0, 5e-324)}
    layer = RoundedLayer(
        np.array([[[[1]], [[-127]]]], np.int8), np.array([0.1], np.float32), np.array([-1e-30], np.float32)
    )
    return Calibration(
        Ranges("ab" * 32, values, "min-max", 128, "cd" * 32),
        {"blocks.1.k": Equalisation((0.5, 3.0), (-1.0, 0.0))},
        {"stem.0": layer},
    )


def test_to_json_and_back(tmp_path: Path) -> None:
    text = some().to_json()
    (tmp_path / "calibration.json").write_text(text)
    read = load_calibration(tmp_path / "calibration.json")
    assert (read.ranges, read.equalisation) == (some().ranges, some().equalisation)
    (layer,), (expected,) = read.rounded.values(), some().rounded.values()
    for found, wanted in zip(vars(layer).values(), vars(expected).values(), strict=True):
        assert (found.dtype, found.tolist()) == (wanted.dtype, wanted.tolist())
    assert read.to_json() == text
    assert text.endswith("}\n")
    assert json.loads(text)["format"] == 2


def test_an_earlier_release_wrote_ranges_alone(tmp_path: Path) -> None:
    data = json.loads(some().to_json())
    del data["equalisation"], data["rounded"]
    (tmp_path / "calibration.json").write_text(json.dumps({**data, "format": 1}))
    read = load_calibration(tmp_path / "calibration.json")
    assert (read.ranges, read.equalisation, read.rounded) == (some().ranges, {}, {})


def test_the_same_ranges_give_the_same_text() -> None:
    one = some()
    other = replace(one, ranges=replace(one.ranges, values=dict(reversed(one.ranges.values.items()))))
    assert one.to_json() == other.to_json()


def refused(path: Path) -> str:
    with pytest.raises(CalibrationError) as raised:
        load_calibration(path)
    message = str(raised.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.json").startswith("cannot be read ([Errno 2]")
    assert refused(tmp_path).startswith("cannot be read ([Errno 21]")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    assert refused(tmp_path / "binary.json").startswith("cannot be read ('utf-8' codec")


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", "3", '"text"', "{}", "[" * 100_000, '{"format": 1}', "9" * 5000],
    ids=["empty", "cut", "null", "list", "number", "text", "nothing", "deep", "format alone", "long"],
)
def test_json_that_is_no_ranges(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    assert refused(tmp_path / "x.json").startswith("not a file of activation ranges (")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": 3}, "format 3"),
        ({"format": "1"}, "format 1"),
        ({"values": {"a": [0, math.inf]}}, "a range is empty or not finite"),
        ({"values": {"a": [-math.inf, 0]}}, "a range is empty or not finite"),
        ({"values": {"a": [math.nan, 1]}}, "a range is empty or not finite"),
        ({"values": {"a": [0, 1], "b": [2, 1]}}, "a range is empty or not finite"),
        ({"values": {"a": [0, "inf"]}}, "a range is empty or not finite"),
        ({"values": {"a": [0]}}, "not enough values"),
        ({"values": {"a": [0, 1, 2]}}, "too many values"),
        ({"values": {"a": 3}}, "cannot unpack"),
        ({"values": {"a": [None, 1]}}, ""),
        ({"values": {"a": [0, 10**400]}}, "too large"),
        ({"values": [1, 2]}, "no attribute 'items'"),
        ({"samples": math.inf}, "infinity"),
        ({"samples": None}, ""),
        ({"samples": "many"}, "invalid literal"),
        ({"equalisation": []}, "no attribute 'items'"),
        ({"equalisation": {"a": {"scale": "AAAA", "shift": ""}}}, "buffer size must be a multiple"),
        ({"equalisation": {"a": {"scale": "!", "shift": ""}}}, ""),
        ({"equalisation": {"a": {"scale": "AAAAAA==", "shift": ""}}}, "a scale is not positive"),
        ({"equalisation": {"a": {"scale": "AADAfw==", "shift": ""}}}, "a number is not finite"),
        ({"rounded": {"a": {"shape": [2, 1], "weight": "AA==", "scale": "", "bias": ""}}}, "cannot reshape"),
        ({"rounded": {"a": {"shape": [1], "weight": "AA==", "scale": "", "bias": ""}}}, "do not fit each other"),
    ],
)
def test_ranges_that_make_no_sense(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({**json.loads(some().to_json()), **change}))
    message = refused(tmp_path / "x.json")
    assert message.startswith("not a file of activation ranges (")
    assert reason in message


@pytest.mark.parametrize(
    "key", ["format", "weights", "method", "samples", "digest", "values", "equalisation", "rounded"]
)
def test_an_entry_is_missing(key: str, tmp_path: Path) -> None:
    data = json.loads(some().to_json())
    del data[key]
    (tmp_path / "x.json").write_text(json.dumps(data))
    assert refused(tmp_path / "x.json") == f"not a file of activation ranges ('{key}')"


# The one in the package


def test_it_belongs_to_the_demo_weights() -> None:
    ranges, checkpoint = bundled_calibration().ranges, resolve_weights("demo")
    assert ranges.weights == fingerprint(checkpoint.state)
    ranges.check(fingerprint(checkpoint.state))
    assert ranges.samples >= 100
    layers = [
        n for n, m in fuse(checkpoint.model()).named_modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.Hardswish)
    ]
    assert set(ranges.values) == {f"{name}.{side}" for name in layers for side in ("in", "out")}
    assert ranges.values["blocks.0.act.out"][0] == pytest.approx(-0.375, abs=1e-3)
    assert all(high - low > 1e-3 for low, high in ranges.values.values())


def test_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BUNDLED", "gone.json")
    with pytest.raises(CalibrationError) as raised:
        bundled_calibration()
    assert str(raised.value) == (
        "the activation ranges in the package (gone.json) are missing from this installation; "
        "install levit-mobile again, or type --calib-data DIR"
    )


def test_hardswish_lowest_value_is_a_step_wherever_it_is_quantised() -> None:
    values = bundled_calibration().ranges.values
    names = [n for n in values if n.endswith((".proj.in", ".down.in")) or n in ("stem.2.in", "stem.4.in", "stem.6.in")]
    assert len(names) == 11 + 11 + 3
    for name in names:
        scale, zero_point = affine(*values[name])
        steps = LOWEST / scale
        assert steps == pytest.approx(round(steps), abs=1e-4), name
        assert -128 <= round(steps) + zero_point <= 127
    ranges = bundled_calibration().ranges
    assert fit_hardswish(ranges) == ranges
