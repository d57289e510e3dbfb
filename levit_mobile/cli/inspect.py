"""``levit inspect``."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import median
from typing import Any

import click
from click.core import ParameterSource

from levit_mobile.bundle import open_bundle
from levit_mobile.cli.console import Output, Steps, json_option
from levit_mobile.cli.inspect_error import show_quant_error
from levit_mobile.errors import UsageError
from levit_mobile.runtimes import Runtime, open_runtime
from levit_mobile.runtimes.base import stand_in

__all__ = ["command"]

_WARM_UP = 5
_PATIENCE = 2000.0  # milliseconds before anybody wonders


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--runs", type=click.IntRange(1), default=30, show_default=True, help="Inferences to time on this host.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Threads to run on.")
@click.option("--quant-error", is_flag=True, help="Show instead how much noise int8 adds to every layer.")
@click.option("--weights", default="demo", show_default=True, help="For that: the checkpoint it was made from.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="For that: pictures.  [default: the bundle's golden ones]"
)
@click.option("--limit", type=click.IntRange(1), default=8, show_default=True, help="How many of them.")
@json_option
def command(
    bundle: Path,
    runs: int,
    threads: int,
    quant_error: bool,
    weights: str,
    data: Path | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show what is inside BUNDLE: operators, delegate parts, where the bytes are, and how long it takes here.

    \b
    levit inspect levit_128s-int8-tflite
    levit inspect levit_128s-int8-tflite --quant-error --data photos/

    The time is of this host, whatever else it is doing; it says nothing about a phone.
    """
    opened, output = open_bundle(bundle), Output(as_json)
    runtime = open_runtime(opened, threads=threads)
    if quant_error:
        output.data(show_quant_error(opened, runtime, weights, data, limit, output))
        return
    _refuse_without_effect()
    anatomy, manifest = runtime.anatomy(), opened.manifest
    instead = stand_in(runtime)
    times = _time(runtime, runs) if instead is None else []
    size = opened.artifact_bytes
    result: dict[str, Any] = {
        "folder": str(bundle),
        "artifact": manifest["artifact"],
        "model": manifest["model"],
        "bytes": size,
        "input": manifest["input"],
        "output": manifest["output"],
        "operators": anatomy.operators,
        "delegate": {"name": anatomy.delegate, "parts": anatomy.parts, "outside": anatomy.outside},
        "constants": [{"name": name, "bytes": count} for name, count in anatomy.largest],
        "milliseconds": {
            "runs": runs,
            "threads": threads,
            "median": round(median(times), 3),
            "least": round(min(times), 3),
        }
        if times
        else None,
    }
    output.say(
        f"{click.style(str(bundle), bold=True)}: {manifest['model']['variant']}, {manifest['artifact']['precision']}, "
        f"{size / 1e6:.2f} MB"
    )
    output.say(
        f"weights     {manifest['model']['checkpoint']['name']}, sha256 {manifest['model']['checkpoint']['sha256'][:16]}..."
    )
    for side in ("input", "output"):
        port = manifest[side]
        scale = f", scale {port['scale']:.6g}, zero point {port['zero_point']}" if "scale" in port else ""
        output.say(f"{side:<11} {port['name']} {port['dtype']}{tuple(port['shape'])}{scale}")
    output.say(
        f"delegate    {anatomy.delegate}, {anatomy.parts} part(s); outside: "
        + (", ".join(f"{count} {name}" for name, count in anatomy.outside.items()) or "nothing")
    )
    output.say(
        f"this host   {median(times):.2f} ms median, {min(times):.2f} ms least, of {runs} with {threads} thread(s)"
        if times
        else f"this host   not timed: here runs {instead}"
    )
    operators = sorted(anatomy.operators.items(), key=lambda row: (-row[1], row[0]))
    output.say()
    output.table([["operator", "times"], *([name, str(count)] for name, count in operators)], "<>")
    output.say()
    constants = [[_short(name), f"{count:,}", f"{count / size:.1%}"] for name, count in anatomy.largest[:10]]
    output.table([["largest constants", "bytes", "share"], *constants], "<>>")
    output.data(result)


def _refuse_without_effect() -> None:
    told = click.get_current_context().get_parameter_source
    for name in ("weights", "data", "limit"):
        if told(name) is not ParameterSource.DEFAULT:
            raise UsageError(f"--{name} is about --quant-error; type --quant-error too")


def _time(runtime: Runtime, runs: int) -> list[float]:
    """Milliseconds of each of ``runs`` inferences after some that do not count, with a bar if they will take long."""
    guess = min(ms for _, ms in runtime.profile(_WARM_UP))
    at_once = max(1, int(_PATIENCE / 10 / max(guess, 1e-3)))  # a bar that moves five times a second
    times: list[float] = []
    steps = click.get_current_context().with_resource(Steps())
    with steps.counter("timing inferences", runs, shown=guess * runs > _PATIENCE) as advance:
        while len(times) < runs:
            some = runtime.profile(min(at_once, runs - len(times)))
            times += [ms for _, ms in some]
            advance(len(some))
    return times


def _short(name: str) -> str:
    """A constant's name; an ExecuTorch program calls each by the sha256 of its bytes."""
    return name[:12] if re.fullmatch("[0-9a-f]{64}", name) else name
