"""``levit report``."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import click

from levit_mobile.bench.result import read_results
from levit_mobile.cli.console import Output, Steps, json_option, needing
from levit_mobile.errors import CheckError, LevitMobileError, UsageError

__all__ = ["command"]

_DEFAULT = "levit-report.html"
_KINDS = (".html", ".htm", ".md")
_SAID = {"worse": "worse", "better": "better", "same": "within noise", "unclear": "not to be told"}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("results", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=_DEFAULT,
    show_default=True,
    help="The page's file; Markdown if its name ends in .md.",
)
@click.option(
    "--baseline",
    "baselines",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Earlier results to compare with; may be repeated.",
)
@click.option("--fail-if-worse", is_flag=True, help="End with 1 if anything is worse than the baseline, beyond noise.")
@click.option("--overwrite", is_flag=True, help="Replace a file that is already there.")
@json_option
def command(
    results: tuple[Path, ...],
    out: Path,
    baselines: tuple[Path, ...],
    fail_if_worse: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Make a page of RESULTS, the files that levit bench writes: figures, tables, and what they say in words.

    \b
    levit report results.json
    levit report monday.json tuesday.json --out report.md
    levit report results.json --baseline main.json --fail-if-worse
    """
    if fail_if_worse and not baselines:
        raise UsageError("--fail-if-worse needs something to compare with; type --baseline FILE too")
    _check(out, (*results, *baselines), overwrite=overwrite)
    read = [read_results(path) for path in results]
    before = [read_results(path) for path in baselines]
    with needing("bench"):
        from levit_mobile.bench.report.compare import VERDICTS, compare
        from levit_mobile.bench.report.entries import gather
        from levit_mobile.bench.report.markdown import markdown
        from levit_mobile.bench.report.summary import figures

        material = gather(read)
        comparison = compare(material, gather(before)) if before else None
        if out.suffix.lower() == ".md":
            text = markdown(material, comparison)
        else:
            steps = click.get_current_context().with_resource(Steps())
            with steps.step("drawing figures"):
                from levit_mobile.bench.report.page import page

                text = page(material, comparison)
    _write(out, text)
    output = Output(as_json)
    told = figures(material, comparison)
    output.say(f"{click.style(str(out), fg='green', bold=True)}: {_counted(len(material.runs), len(told['invalid']))}")
    worse = [] if comparison is None else comparison.of("worse")
    if comparison is not None:
        counts = ", ".join(f"{len(comparison.of(verdict))} {_SAID[verdict]}" for verdict in VERDICTS)
        output.say(
            f"  against the baseline: {counts}" if comparison.changes else "  the baseline has nothing to compare with"
        )
        for change in worse:
            output.say(f"  worse: {change.artifact.label}, {change.figure}: {change.before} before, {change.after} now")
    output.data({"report": str(out), **told})
    if fail_if_worse and comparison is not None:
        if not comparison.changes:
            raise CheckError("there is nothing to compare with in the baseline: no artifact of these results is in it")
        if worse:
            raise CheckError(
                f"{len(worse)} of {len(comparison.changes)} figures are worse than the baseline's; {out} shows which"
            )


def _counted(runs: int, invalid: int) -> str:
    told = f"{runs} run{'' if runs == 1 else 's'}"
    return told + (f", {click.style(f'{invalid} NOT VALID', fg='red', bold=True)}" if invalid else "")


def _check(out: Path, sources: tuple[Path, ...], *, overwrite: bool) -> None:
    """Refuse a place that cannot be meant, before anything is read."""
    if out.suffix.lower() not in _KINDS:
        raise UsageError(f"--out {out}: the name tells the kind; end it in .html or .md")
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder; name a file in it, {out / _DEFAULT} for one")
    if out.exists():
        if any(path.exists() and path.samefile(out) for path in sources):
            raise UsageError(f"--out {out} is one of the files to read; name another")
        if not overwrite:
            raise UsageError(f"{out} is already there; type --overwrite to replace it, or name another with --out")


def _write(out: Path, text: str) -> None:
    """Beside the final name first, so that an earlier report is never half replaced."""
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, "utf-8", newline="\n")
        part.replace(out)
    except OSError as error:
        raise LevitMobileError(f"cannot write {out} ({error.strerror or error}); name another with --out") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
