"""``levit validate --board``: the board's own logits, against this host's and PyTorch's."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from levit_mobile.bench.address import Address
from levit_mobile.bench.shards import gather
from levit_mobile.bench.subject import Subject
from levit_mobile.cli.console import Output, Steps
from levit_mobile.cli.loop import run_to_end
from levit_mobile.cli.validated import say_accuracy, say_kept, say_parity, say_settled
from levit_mobile.datasets import LabelledPictures
from levit_mobile.errors import LevitMobileError, RuntimeMissingError
from levit_mobile.evaluate import compare, count_right
from levit_mobile.journal import Journal, open_journal, stamp
from levit_mobile.preprocess import load_picture, resize_and_crop
from levit_mobile.quantize import tolerance_for
from levit_mobile.runtimes import open_runtime
from levit_mobile.runtimes.base import stand_in

__all__ = ["validate_on_boards"]

_Logits = npt.NDArray[np.float32]


def validate_on_boards(
    subject: Subject,
    boards: AbstractContextManager[Sequence[Address]],
    pictures: LabelledPictures | None,
    reference: Callable[[npt.NDArray[np.uint8]], _Logits] | None,
    output: Output,
    steps: Steps,
) -> dict[str, Any]:
    """Run the golden pictures and labelled ones on boards, say what they answer, and return it as ``--json`` prints it.

    Several boards share the pictures. What came before the connection was lost is kept, and not asked for again.

    Raises:
        BoardError: no board was left before all pictures were done.
        BundleError: the runtime there cannot run the artifact.
    """
    bundle = subject.bundle
    golden = bundle.golden()
    paths = [] if pictures is None else pictures.paths
    count = len(golden.pixels) + len(paths)

    def load(first: int, many: int) -> npt.NDArray[np.uint8]:
        rows = []
        for at in range(first, first + many):
            drawn = at < len(golden.pixels)
            picture = None if drawn else load_picture(paths[at - len(golden.pixels)])
            rows.append(golden.pixels[at] if picture is None else resize_and_crop(picture, bundle.preprocessing))
        return np.stack(rows)

    notes: list[str] = []
    with boards as addresses:  # of a farm no longer than needed: others wait for them
        kept = _kept(subject, addresses, paths, len(golden.pixels))
        before = say_settled(kept)
        names = ", ".join(address.name for address in addresses)
        with steps.counter(f"running pictures on {names}", count) as advance:
            advance(before)

            def progress(said: str, many: int) -> None:
                if many:
                    advance(many)
                else:
                    notes.append(said)

            did, failed = run_to_end(gather(addresses, subject, load, kept, progress))
    for note in dict.fromkeys(notes):
        click.echo(f"note: {note}", err=True)
    if kept.missing():
        say_kept(kept)
        raise next(iter(failed.values()))
    kept.forget()
    rows = kept.rows
    result = _say(subject, golden.logits, rows[: len(golden.pixels)], output)
    result["boards"] = {
        address.name: {"emulated": address.emulated, "pictures": did[address.name]} for address in addresses
    }
    result["failed"] = {name: str(error) for name, error in failed.items()}
    if pictures is not None:
        result["accuracy"] = _accuracy(pictures, rows[len(golden.pixels) :], subject, reference, output, steps)
    return result


def _kept(subject: Subject, addresses: Sequence[Address], paths: Sequence[Path], golden: int) -> Journal:
    """What an earlier validation of the same pictures on the same boards has left."""
    # Not by which boards: of a farm, another one may be free the next time.
    told = [subject.sha256, f"emulated: {[address.emulated for address in addresses].count(True) > 0}"]
    told += [os.path.commonpath([path.resolve() for path in paths])] if paths else []
    stamps = [*(f"golden {at}" for at in range(golden)), *map(stamp, paths)]
    return open_journal(told, stamps, len(subject.bundle.labels))


def _say(subject: Subject, golden: _Logits, got: _Logits, output: Output) -> dict[str, Any]:
    manifest = subject.bundle.manifest
    parity = compare(golden, got, tolerance_for(manifest["artifact"]["precision"], manifest["output"]["dtype"]))
    say_parity(parity, output)
    return {"parity": parity.to_dict()}


def _accuracy(
    pictures: LabelledPictures,
    rows: _Logits,
    subject: Subject,
    reference: Callable[[npt.NDArray[np.uint8]], _Logits] | None,
    output: Output,
    steps: Steps,
) -> dict[str, Any]:
    """Of the board; and how it compares with this host and PyTorch on the same pictures."""
    spec, at = subject.bundle.preprocessing, 0
    host = _host(subject)
    on_host = np.full_like(rows, np.nan)

    def board(pixels: npt.NDArray[np.uint8]) -> _Logits:
        nonlocal at
        part = slice(at, at + len(pixels))
        if host is not None:
            on_host[part] = host(pixels)
        at += len(pixels)
        return rows[part]

    with steps.counter("running pictures on this host", len(pictures)) as advance:
        accuracy = count_right(board, pictures.batches(spec), reference=reference, progress=advance)
    found = say_accuracy(accuracy, output)
    if host is not None:
        span = float(on_host.max() - on_host.min()) or 1.0
        far = float(np.abs(rows - on_host).max()) / span
        same = float((rows.argmax(1) == on_host.argmax(1)).mean())
        found["host"] = {"max_abs": far, "agreement": same, "equal": bool(np.array_equal(rows, on_host))}
        how = "the same bits" if found["host"]["equal"] else f"difference {far:.1e} of the logit range"
        output.say(f"this host   {how}, same first class {same:.2%}")
    return found


def _host(subject: Subject) -> Callable[[npt.NDArray[np.uint8]], _Logits] | None:
    """The same artifact here, if this host can run it."""
    try:
        runtime = open_runtime(subject.bundle)
    except (RuntimeMissingError, LevitMobileError):
        return None
    return None if stand_in(runtime) is not None else runtime.logits
