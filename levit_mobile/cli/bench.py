"""``levit bench``."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from levit_mobile import __version__
from levit_mobile.bench.result import Results, check_writable
from levit_mobile.bench.settings import Settings
from levit_mobile.bench.subject import open_subjects
from levit_mobile.cli.bench_report import say_counts, say_ratios, say_runs
from levit_mobile.cli.boards import board_options, boards_of
from levit_mobile.cli.console import Output, Steps, json_option, levit_command, needing
from levit_mobile.cli.live import places
from levit_mobile.cli.loop import run_to_end
from levit_mobile.download import default_cache
from levit_mobile.errors import LevitMobileError, UsageError

if TYPE_CHECKING:
    from levit_mobile.bench.address import Address

__all__ = ["command"]

_MILLIONS = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}


class _Instructions(click.ParamType):  # type: ignore[type-arg]  # no generic before Click 8.3
    name = "instructions"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        form = re.fullmatch(r"(\d+(?:\.\d+)?)([kMGmg]?)", str(value))
        if form is None:
            self.fail(f"{value!r} is no number of instructions; type for example 48M", param, ctx)
        return round(float(form[1]) * _MILLIONS[form[2].lower()])


class _Threads(click.ParamType):  # type: ignore[type-arg]
    name = "1,2,4"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        if not all(part.isdecimal() and 0 < int(part) <= 256 for part in parts):
            self.fail(f"{value!r} are no numbers of threads; type for example 1,2,4", param, ctx)
        return tuple(dict.fromkeys(map(int, parts)))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("bundles", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="BUNDLE...")
@board_options
@click.option(
    "--android",
    "phone",
    is_flag=False,
    flag_value="",
    help="Run on a phone over adb, in the app of android_demo; SERIAL where several are connected.",
    metavar="[SERIAL]",
)
@click.option(
    "--apk", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="With --android: install the app first."
)
@click.option("--threads", type=_Threads(), default="1", show_default=True, help="A run for each number.")
@click.option("--runs", type=click.IntRange(1), default=100, show_default=True, help="Inferences, at least.")
@click.option("--seconds", type=click.FloatRange(0), default=3.0, show_default=True, help="Of measuring, at least.")
@click.option("--warmup", type=click.IntRange(0), default=10, show_default=True, help="Inferences before that.")
@click.option("--cooldown", type=click.FloatRange(0), default=2.0, show_default=True, help="Seconds between runs.")
@click.option(
    "--governor", help="Of the clock, for the time of the bench; performance, as a rule. Put back at its end."
)
@click.option(
    "--emulate", "cpus", multiple=True, help="Count instructions on this core instead; repeats.", metavar="CPU"
)
@click.option("--operators", is_flag=True, help="Also what each kind of operator takes.")
@click.option("--budget", type=_Instructions(), help="With --emulate: exit 1 where more are needed; 48M.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Keep the results in this file.")
@click.option("--overwrite", is_flag=True, help="Replace the file of --out.")
@json_option
def command(
    bundles: tuple[Path, ...],
    boards: tuple[str, ...],
    selectors: tuple[str, ...],
    coordinator: str | None,
    phone: str | None,
    apk: Path | None,
    threads: tuple[int, ...],
    runs: int,
    seconds: float,
    warmup: int,
    cooldown: float,
    governor: str | None,
    cpus: tuple[str, ...],
    operators: bool,
    budget: int | None,
    out: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Measure the latency of each BUNDLE on this host or on boards, or its cost in instructions.

    \b
    levit bench levit_128s-fp32-tflite levit_128s-int8-tflite
    levit bench levit_128s-int8-tflite --board pi@raspberrypi.local
    levit bench levit_128s-int8-tflite --labgrid rpi5
    levit bench levit_128s-int8-tflite --android
    levit bench levit_128s-int8-tflite --emulate cortex-a76 --budget 60M

    Several bundles also run in turn, which gives the ratio of their latencies. Exits 1 if an answer is wrong there, or a
    budget is exceeded.
    """
    if cpus and (boards or selectors or coordinator):
        raise UsageError("--emulate counts instructions here, without a board; leave the board or --emulate out")
    if budget is not None and not cpus:
        raise UsageError("--budget is about instructions; type --emulate CPU too, for example --emulate cortex-a76")
    if operators and (boards or selectors):
        raise UsageError("--operators is about this host, or with --emulate about a core; leave it or the board out")
    if phone is not None and (cpus or boards or selectors or coordinator or governor or operators):
        raise UsageError(
            "--android is a place of its own, and leaves the phone as it is; leave it or the other options out"
        )
    if apk is not None and phone is None:
        raise UsageError("--apk is about a phone; type --android too")
    if out is not None and out.exists() and not overwrite:
        raise UsageError(f"{out} exists; type --overwrite, or another --out")
    now = datetime.datetime.now(datetime.UTC)
    settings = Settings(
        threads,
        warmup_runs=warmup,
        min_runs=runs,
        min_s=seconds,
        max_s=max(Settings.max_s, 2 * seconds),
        cooldown_s=cooldown,
        governor=governor,
    )
    results = Results(
        {
            "created": now.isoformat(timespec="seconds"),
            "tool": f"levit-mobile {__version__}",
            "settings": settings.to_dict(),
        }
    )
    file = out or default_cache() / "results" / f"bench-{now:%Y%m%d-%H%M%S-%f}.json"
    failed: dict[str, LevitMobileError] = {}
    check_writable(file)  # rather than after an hour of measuring
    ended = False
    try:
        if cpus:
            _count(bundles, cpus, operators, results)
        elif phone is not None:
            failed = _measure_phone(bundles, phone or None, apk, settings, results)
        else:
            failed = _measure(bundles, boards_of(boards, selectors, coordinator), settings, operators, results)
        ended = True
    finally:
        if results.runs or results.counts:
            results.write(file)  # also what was measured before something went wrong
            if not ended:
                click.echo(f"what was measured until then is in {file}", err=True)
    output = Output(as_json)
    say_runs(output, results.runs)
    say_ratios(output, results.ratios)
    over = say_counts(output, results.counts, budget)
    _end(output, results, file, failed)
    output.data({**_summary(results), "results": str(file), "failed": {k: str(v) for k, v in failed.items()}})
    if failed:
        raise SystemExit(max(error.exit_code for error in failed.values()))
    if over or any(run.get("wrong") for run in results.runs):
        raise SystemExit(1)


def _measure(
    bundles: Sequence[Path],
    boards: AbstractContextManager[Sequence[Address]],
    settings: Settings,
    operators: bool,
    results: Results,
) -> dict[str, LevitMobileError]:
    with needing("bench"):
        import scipy.stats  # noqa: F401  (before anything is measured, not after)

        from levit_mobile.bench.everywhere import measure_everywhere

    subjects = open_subjects(bundles)
    with boards as addresses, places() as seen:
        failed = run_to_end(measure_everywhere(addresses, subjects, settings, results, seen.tell))
    if operators and not addresses:
        from levit_mobile.bench.operators import time_operators

        steps = click.get_current_context().with_resource(Steps())
        for run in [run for run in results.runs if run["artifact"]["target"] != "onnx"]:
            subject = next(s for s in subjects if s.name == run["artifact"]["bundle"])
            with steps.step(f"profiling {subject.name}"):
                times = time_operators(
                    subject.bundle.artifact,
                    subject.target,
                    pixels=subject.bundle.golden().pixels[0],
                    spec=subject.bundle.preprocessing,
                    threads=run["threads"],
                )
            run["profile"] = [
                {"operator": share.name, "name": share.name, "times": share.times, "ms": round(share.amount, 6)}
                for share in times.by_kind()
            ]
    return failed


def _measure_phone(
    bundles: Sequence[Path], serial: str | None, apk: Path | None, settings: Settings, results: Results
) -> dict[str, LevitMobileError]:
    with needing("android"):
        import scipy.stats  # noqa: F401  (before anything is measured, not after)

        from levit_mobile.bench.android import measure_on_phone

    subjects = open_subjects(bundles)
    with places() as seen:
        return measure_on_phone(serial, apk, subjects, settings, results, seen.tell)


def _count(bundles: Sequence[Path], cpus: Sequence[str], operators: bool, results: Results) -> None:
    with needing("bench"):
        from levit_mobile.bench.instructions import count
        from levit_mobile.bench.operators import count_operators

    steps = click.get_current_context().with_resource(Steps())
    for subject in open_subjects(bundles):
        bundle = subject.bundle
        common = {"pixels": bundle.golden().pixels[0], "spec": bundle.preprocessing}
        for cpu in dict.fromkeys(cpus):
            with steps.step(f"counting {subject.name} on {cpu}"):
                found = count(bundle.artifact, subject.target, cpu, **common)
            row: dict[str, Any] = {
                "artifact": subject.about(),
                "cpu": cpu,
                "total": found.total,
                "classes": dict(found.classes),
                "runs": list(found.runs),
                "first": found.first,
                "repeatability": found.repeatability,
                "runtime": dict(found.runtime),
                "qemu": found.qemu,
            }
            if operators and subject.target != "onnx":
                with steps.step(f"counting operators of {subject.name} on {cpu}"):
                    shares = count_operators(bundle.artifact, subject.target, cpu, **common)
                row["operators"] = [
                    {"operator": s.name, "name": s.name, "times": s.times, "instructions": round(s.amount)}
                    for s in shares.by_kind()
                ]
                row["outside"] = shares.outside
            results.counts.append(row)


def _summary(results: Results) -> dict[str, Any]:
    """All but the raw samples, which the file has."""
    runs = [{k: v for k, v in run.items() if k not in ("samples_ms", "health")} for run in results.runs]
    return {"about": results.about, "runs": runs, "ratios": results.ratios, "counts": results.counts}


def _end(output: Output, results: Results, file: Path, failed: dict[str, LevitMobileError]) -> None:
    for text in results.about.get("warnings", []):
        click.echo(f"warning: {text}", err=True)
    for error in failed.values():
        click.echo(f"error: {error}", err=True)
    if results.runs or results.counts:
        output.say()
        output.say(f"results   {file}")
        output.say(f"next      {levit_command()} report {file}")
