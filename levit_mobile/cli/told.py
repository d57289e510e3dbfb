"""The command that makes one bundle, as its manifest tells it: no more than it needs, and no path of anybody's machine."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from levit_mobile.quantize import PRECISIONS
from levit_mobile.targets import TARGETS, Request

if TYPE_CHECKING:
    from levit_mobile.checkpoints import Checkpoint

__all__ = ["told_command"]

_OF_CALIBRATION = ("calib_data", "calib_samples", "calib_method", "seed")
_AS_TYPED = ("author", "license", "allow_drift")
_FILES = {"calib_data": "PICTURES", "eval_data": "PICTURES", "label_file": "NAMES"}


def told_command(request: Request, checkpoint: Checkpoint) -> str:
    """``levit-export`` with the options of the command that runs now, as far as they are of this bundle.

    Several bundles of one command are told as if each had its own. A checkpoint goes by its file's name, other files and
    folders by what they hold: ``--calib-data PICTURES``. What is the default, and what only says where things are written,
    is left out.
    """
    context = click.get_current_context()
    given = {
        name: value
        for name, value in context.params.items()
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT and value not in (None, "", False)
    }
    row, words = TARGETS[request.target], ["levit-export", "--target", request.target]
    words += ["--precision", request.precision]
    if "weights" in given and given["weights"] != "demo":
        known = given["weights"] == "imagenet"
        words += ["--weights", *(("imagenet", "--model", checkpoint.variant.name) if known else (checkpoint.name,))]
    if request.io_dtype != "float32":
        words += ["--io-dtype", request.io_dtype]
    if request.layout != row.layouts[0]:
        words += ["--layout", request.layout]
    for name, value in request.options.items():
        if value != row.default(name, request.precision):
            words += [f"--{name}", value]
    names = ["label_file", "eval_data"]
    if PRECISIONS[request.precision].needs_ranges or request.io_dtype != "float32":
        names += _OF_CALIBRATION
    if request.precision == "int8":
        names.append("max_drop")
    for name in (name for name in (*names, *_AS_TYPED) if name in given):
        words += _option(name, given[name])
    return shlex.join(words)


def _option(name: str, value: object) -> list[str]:
    option = "--labels" if name == "label_file" else f"--{name.replace('_', '-')}"
    if value is True:
        return [option]
    if name in _FILES:
        return [option, "calibration.json" if Path(str(value)).suffix == ".json" else _FILES[name]]
    return [option, str(value)]
