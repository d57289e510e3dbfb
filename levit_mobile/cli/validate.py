"""``levit validate``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from levit_mobile.all_cores import count_cores, count_on_cores
from levit_mobile.bundle import Bundle, open_bundle
from levit_mobile.cli.boards import board_options, boards_of
from levit_mobile.cli.console import Output, Steps, json_option, needing
from levit_mobile.cli.origin import checkpoint_of, program_of
from levit_mobile.cli.validated import say_accuracy, say_kept, say_parity, say_settled
from levit_mobile.errors import UsageError
from levit_mobile.evaluate import Model, columns_of, compare, worst
from levit_mobile.journal import BATCH, Journal, open_journal, stamp
from levit_mobile.quantize import tolerance_for
from levit_mobile.runtimes import open_runtime
from levit_mobile.runtimes.base import every_way, stand_in
from levit_mobile.runtimes.trial import installed

if TYPE_CHECKING:
    from levit_mobile.bench.address import Address
    from levit_mobile.checkpoints import Checkpoint
    from levit_mobile.datasets import LabelledPictures

__all__ = ["command"]

_ARTIFACT, _PROGRAM = "artifact", "program"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), help="Labelled pictures: one folder a class.")
@click.option("--limit", type=click.IntRange(1), help="At most so many of them, spread evenly.")
@click.option("--weights", help="The checkpoint it was made from, to compare with PyTorch on the same pictures too.")
@board_options
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Threads of one inference.")
@click.option("--jobs", type=click.IntRange(1), help="Pictures at a time; as many as there are cores, if not told.")
@json_option
def command(
    bundle: Path,
    data: Path | None,
    limit: int | None,
    weights: str | None,
    boards: tuple[str, ...],
    selectors: tuple[str, ...],
    coordinator: str | None,
    threads: int,
    jobs: int | None,
    as_json: bool,
) -> None:
    """Measure BUNDLE: parity with PyTorch, and with --data also top-1, top-5 and agreement.

    \b
    levit validate levit_128s-int8-tflite
    levit validate levit_128s-int8-tflite --data imagenette/val --weights demo
    levit validate levit_128s-int8-tflite --data imagenette/val --board pi@raspberrypi.local
    levit validate levit_128s-int8-tflite --data imagenette/val --labgrid board=rpi5

    Shares come with their 95 % interval. Cores, or several boards, share the pictures; stopped with Ctrl-C or by an error, it
    goes on where it was when you type the same again. Exits 1 if the parity check fails.
    """
    if data is None and (weights is not None or limit is not None or jobs is not None):
        raise UsageError("--weights, --limit and --jobs are about the pictures of --data; type --data DIR too")
    output = Output(as_json)
    if boards or selectors or coordinator:
        if threads > 1:
            raise UsageError("--threads is about this host; on a board one thread answers the pictures")
        if jobs is not None:
            raise UsageError("--jobs is about this host; name several boards to share the pictures out")
        _on_boards(bundle, data, limit, weights, boards_of(boards, selectors, coordinator), output)
        return
    opened = open_bundle(bundle)
    runtime = open_runtime(opened, threads=threads)
    golden = opened.golden()
    tolerance = tolerance_for(opened.manifest["artifact"]["precision"], opened.manifest["output"]["dtype"])
    parity = worst(compare(golden.logits, way.logits(golden.pixels), tolerance) for way in every_way(runtime))
    say_parity(parity, output)
    instead = stand_in(runtime)
    ran = {} if instead is None else {"ran": instead}
    if instead is not None:
        output.say(f"measured    on {instead}")
    result: dict[str, Any] = {"parity": {**parity.to_dict(), **ran}}
    if data is not None:
        from levit_mobile.datasets import find_labelled

        steps = click.get_current_context().with_resource(Steps())
        pictures = find_labelled(data, opened.labels, limit=limit)
        models: dict[str, Model] = {}
        reference = None
        if weights is not None:
            checkpoint = checkpoint_of(opened, weights, steps)
            reference = _reference(checkpoint)
            if opened.manifest["artifact"]["precision"] in ("int8", "int8-dynamic"):
                from levit_mobile.quant_error import in_pytorch

                models[_PROGRAM] = in_pytorch(program_of(opened, checkpoint))
        wanted = min(jobs or max(1, count_cores() // threads), -(-len(pictures) // BATCH))
        runtimes = [runtime, *(open_runtime(opened, threads=threads) for _ in range(wanted - 1))]
        workers = [{_ARTIFACT: each.logits, **models} for each in runtimes]
        kept = _kept(opened, pictures, data, list(workers[0]), compared=reference is not None)
        before = say_settled(kept)
        with steps.counter("running pictures", len(pictures)) as advance:
            advance(before)
            spec = opened.preprocessing
            try:
                counts = count_on_cores(workers, pictures, spec, kept, reference=reference, progress=advance)
            except BaseException:  # Ctrl-C too
                say_kept(kept)
                raise
        result["accuracy"] = {**say_accuracy(counts[_ARTIFACT], output), **ran}
        if _PROGRAM in counts:
            program = counts[_PROGRAM].to_dict()
            result["program"] = program
            output.say(
                f"program     {program['top1']['share']:.2%} top-1, {program['agreement']['share']:.2%} agreement: "
                f"{opened.manifest['artifact']['precision']} in PyTorch"
            )
    output.data(result)
    if not parity.passed:
        raise SystemExit(1)


def _kept(bundle: Bundle, pictures: LabelledPictures, data: Path, models: list[str], *, compared: bool) -> Journal:
    """What an earlier validation of the same bundle on the same pictures has left."""
    runs = installed(bundle.manifest["artifact"]["target"])
    told = [bundle.manifest["digest"], *runs, str(data.resolve()), *models, f"compared: {compared}"]
    stamps = [stamp(path, label) for path, label in zip(pictures.paths, pictures.labels, strict=True)]
    return open_journal(told, stamps, columns_of(models), np.uint8)


def _on_boards(
    folder: Path,
    data: Path | None,
    limit: int | None,
    weights: str | None,
    boards: AbstractContextManager[Sequence[Address]],
    output: Output,
) -> None:
    with needing("bench"):
        from levit_mobile.bench.subject import open_subjects
        from levit_mobile.cli.validate_boards import validate_on_boards
    from levit_mobile.datasets import find_labelled

    (subject,) = open_subjects([folder])
    steps = click.get_current_context().with_resource(Steps())
    pictures = None if data is None else find_labelled(data, subject.bundle.labels, limit=limit)
    reference = _reference(checkpoint_of(subject.bundle, weights, steps)) if weights is not None else None
    result = validate_on_boards(subject, boards, pictures, reference, output, steps)
    output.data(result)
    if not result["parity"]["passed"]:
        raise SystemExit(1)


def _reference(checkpoint: Checkpoint) -> Model:
    from levit_mobile.pipeline import reference_model

    return reference_model(checkpoint)
