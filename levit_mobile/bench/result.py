"""What a bench found, as JSON: raw samples, where they come from, and what makes them doubtful."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from levit_mobile.errors import BundleError, LevitMobileError

__all__ = ["FORMAT", "Results", "check_writable", "read_results"]

FORMAT = 1
_LIMIT = 256 << 20  # bytes; raw samples of a night are a few MB


@dataclass
class Results:
    """All that one command measured; each entry is JSON as it is stored.

    Attributes:
        about: when (``created``, ISO 8601, UTC), by which version (``tool``), and ``settings``.
        runs: latency: ``artifact`` (bundle, target, variant, precision, options, sha256, bytes, accuracy, parity),
            ``where`` (kind: host, board, emulated, android or ios; name; facts), ``runtime`` (name, version), ``threads``,
            ``load_ms``, ``first_ms``, ``samples_ms``, ``summary``, ``drift``, ``peak_mb``, ``before_mb``, ``health``
            (readings: seconds, temperature_c, mhz, throttled, foreign_cores, swapped), ``profile``, ``invalid``
            (reasons), ``complete``.
        ratios: ``{base, other, where, threads, ratio, interval95, rounds}``, from runs in turn; base and other are names
            of artifacts.
        counts: instructions: ``artifact``, ``cpu``, ``total``, ``classes``, ``operators``, ``repeatability``.
        accuracy: on a place: ``artifact``, ``where``, ``samples``, ``top1``, ``top5``, ``agreement`` and the like.
    """

    about: dict[str, Any]
    runs: list[dict[str, Any]] = field(default_factory=list)
    ratios: list[dict[str, Any]] = field(default_factory=list)
    counts: list[dict[str, Any]] = field(default_factory=list)
    accuracy: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> str:
        """Stable: the same results give the same text."""
        whole = {
            "format": FORMAT,
            "kind": "levit-bench",
            "about": self.about,
            "runs": self.runs,
            "ratios": self.ratios,
            "counts": self.counts,
            "accuracy": self.accuracy,
        }
        return json.dumps(whole, indent=1, ensure_ascii=False, sort_keys=True) + "\n"

    def write(self, path: Path) -> None:
        """Store them beside the final name first, so that earlier results are never half replaced.

        Raises:
            LevitMobileError: the folder cannot be written to.
        """
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(self.to_json(), "utf-8")
            part.replace(path)
        except OSError as error:
            raise LevitMobileError(
                f"cannot write {path} ({error.strerror or error}); name another with --out"
            ) from error
        finally:
            with contextlib.suppress(OSError):  # which would hide the other one
                part.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """That results could be written to ``path``; nothing is left there.

    Raises:
        LevitMobileError: the folder cannot be written to.
    """
    probe = path.with_name(f".{path.name}.probe")
    Results({}).write(probe)
    probe.unlink(missing_ok=True)
    if path.is_dir():
        raise LevitMobileError(f"cannot write {path} (it is a folder); name another with --out")


def read_results(path: Path) -> Results:
    """The inverse of ``Results.write``.

    Raises:
        BundleError: not there, or no results of this toolkit.
    """
    try:
        if path.stat().st_size > _LIMIT:
            raise ValueError(f"it has more than {_LIMIT >> 20} MB")
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(
            f"{path}: cannot be read ({_reason(error)}); results come from levit bench --out FILE"
        ) from error
    if not isinstance(data, dict) or data.get("kind") != "levit-bench":
        raise BundleError(f"{path}: no results of levit bench")
    if data.get("format") != FORMAT:
        raise BundleError(f"{path}: results of format {data.get('format')!r}; this version reads {FORMAT}")
    lists = {name: data.get(name, []) for name in ("runs", "ratios", "counts", "accuracy")}
    for name, rows in lists.items():
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise BundleError(f"{path}: {name} is not a list of objects")
    about = data.get("about")
    if not isinstance(about, dict):
        raise BundleError(f"{path}: about is not an object")
    _check_runs(path, lists["runs"])
    return Results(about, **lists)


def _check_runs(path: Path, runs: Iterable[dict[str, Any]]) -> None:
    """What reports compute with must be numbers."""
    for at, run in enumerate(runs):
        for key in ("artifact", "where"):
            if not isinstance(run.get(key), dict):
                raise BundleError(f"{path}: runs[{at}].{key} is not an object")
        samples = run.get("samples_ms")
        numbers = isinstance(samples, list) and all(
            isinstance(v, (int, float)) and not isinstance(v, bool) and 0 < v < math.inf for v in samples
        )
        if not numbers:
            raise BundleError(f"{path}: runs[{at}].samples_ms is not a list of milliseconds")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
