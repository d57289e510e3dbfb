"""The table of targets, and what is refused before anything long begins."""

from __future__ import annotations

import click
import pytest

from levit_mobile.cli.main import cli
from levit_mobile.errors import UsageError
from levit_mobile.quantize import PRECISIONS
from levit_mobile.runtimes import RUNTIMES
from levit_mobile.targets import TARGETS, Target, bundle_name, check_request

MADE_UP = Target(
    "exporters.none",
    "none",
    (),
    precisions=("fp32", "fp16", "int8"),
    layouts=("nchw", "nhwc"),
    io_dtypes=("float32", "uint8"),
    options={"delegate": ("fast", "small"), "since": ("old", "new")},
    narrowed={
        ("delegate", "small"): {"precisions": ("fp32",), "io_dtypes": ("float32",)},
        ("since", "old"): {"precisions": ("fp32", "fp16")},
    },
)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TARGETS, "made-up", MADE_UP)


@pytest.mark.parametrize("target", TARGETS)
def test_a_row_names_what_there_is(target: str) -> None:
    row = TARGETS[target]
    assert target in RUNTIMES
    assert set(row.precisions) <= set(PRECISIONS)
    for (option, value), rest in row.narrowed.items():
        assert value in row.options[option]
        for attribute, left in rest.items():
            assert set(left) < set(getattr(row, attribute)), (option, value, attribute)


@pytest.mark.parametrize(("target", "precision"), [(t, p) for t, row in TARGETS.items() for p in row.precisions])
def test_every_precision_can_be_had_without_options(target: str, precision: str) -> None:
    request = check_request(target, precision)
    assert (request.target, request.precision, request.io_dtype) == (target, precision, "float32")
    assert request.layout == TARGETS[target].layouts[0]
    assert set(request.options) == set(TARGETS[target].options)
    assert bundle_name("levit_256", request) == f"levit_256-{precision}-{target}"


def test_every_option_is_on_the_command_line_with_its_values() -> None:
    export = cli.get_command(click.Context(cli), "export")
    assert export is not None
    offered = {p.opts[-1]: p.type.choices for p in export.params if isinstance(p.type, click.Choice)}
    for row in TARGETS.values():
        for name, values in row.options.items():
            assert [value for value in offered[f"--{name}"] if value in values] == list(values)
    for name, found in offered.items():
        known = {v for row in TARGETS.values() for v in row.options.get(name[2:], found)}
        assert set(found) <= known


@pytest.mark.parametrize(
    ("request_", "options", "folder"),
    [
        (("made-up", "fp32"), {"delegate": "fast", "since": "old"}, "fp32-made-up"),
        (("made-up", "int8"), {"delegate": "fast", "since": "new"}, "int8-made-up"),
    ],
)
def test_the_default_is_the_first_value_that_can(
    made_up: None, request_: tuple[str, str], options: dict[str, str], folder: str
) -> None:
    request = check_request(*request_)
    assert request.options == options
    assert bundle_name("m", request) == f"m-{folder}"


def test_what_is_not_the_default_is_in_the_name(made_up: None) -> None:
    request = check_request("made-up", "fp32", options={"delegate": "small", "since": "new"})
    assert bundle_name("m", request) == "m-fp32-made-up-small-new"
    assert bundle_name("m", check_request("made-up", "int8", options={"since": "new"})) == "m-int8-made-up"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("tflight", "fp32"), {}, "unknown target 'tflight'; type one of: tflite, "),
        (("made-up", "int4"), {}, "--target made-up cannot do --precision int4; it can do: fp32, fp16, int8"),
        (("made-up", "fp32"), {"colour": "red"}, "--colour is for no target; --target made-up has no such option"),
        (("made-up", "fp32"), {"since": "ever"}, "--target made-up cannot do --since ever; it can do: old, new"),
        (
            ("made-up", "fp16"),
            {"delegate": "small"},
            "--target made-up --delegate small cannot do --precision fp16; it can do: fp32",
        ),
        (
            ("made-up", "int8"),
            {"since": "old"},
            "--target made-up --since old cannot do --precision int8; it can do: fp32, fp16",
        ),
        (
            ("made-up", "fp32", "uint8"),
            {"delegate": "small"},
            "--target made-up --delegate small cannot do --io-dtype uint8; it can do: float32",
        ),
        (("executorch", "fp32", "uint8"), {}, "--target executorch cannot do --io-dtype uint8; it can do: float32"),
        (
            ("tflite", "fp32"),
            {"activations": "auto"},
            "--target tflite --activations auto cannot do --precision fp32; it can do: fp16, int8, int8-dynamic",
        ),
        (("tflite", "fp32"), {"batch": "dynamic"}, "--batch is for --target onnx; --target tflite has no such option"),
    ],
)
def test_what_cannot_be(made_up: None, arguments: tuple[str, ...], options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_request(*arguments, options=options)  # type: ignore[arg-type]
    assert message in str(caught.value)
