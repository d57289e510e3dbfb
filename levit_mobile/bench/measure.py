"""Latency of bundles on a place: what is asked of its runner, and what becomes of the answers."""

from __future__ import annotations

import base64
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from levit_mobile.bench.cores import with_core
from levit_mobile.bench.place import Place, Prepared
from levit_mobile.bench.result import Results
from levit_mobile.bench.session import open_session
from levit_mobile.bench.settings import Settings
from levit_mobile.bench.statistics import drift_of, ratio_of, summarise
from levit_mobile.bench.subject import Subject, shared_job
from levit_mobile.bench.validity import doubts, notes
from levit_mobile.errors import BoardError, BundleError
from levit_mobile.evaluate import compare
from levit_mobile.quantize import tolerance_for

__all__ = ["Progress", "measure", "raise_if_stopped", "unpacked"]

# (what is being measured, inferences so far, the latest median in milliseconds or None)
Progress = Callable[[str, int, "float | None"], None]


async def measure(
    place: Place, subjects: Sequence[Subject], settings: Settings, results: Results, progress: Progress
) -> None:
    """Measure each bundle alone, then all in turn; ``results`` gets each as it comes, and keeps what is not complete.

    Raises:
        BoardError: the place cannot be used, or was lost.
        BundleError: an artifact does not arrive whole, or ends its runtime.
        RuntimeMissingError: the place, or this host, lacks what is needed.
    """
    prepared = await place.prepare(sorted({subject.target for subject in subjects}))
    with tempfile.TemporaryDirectory() as name:
        for again in (False, True):
            brought = [(await s.put(place), await s.put_picture(place, Path(name))) for s in subjects]
            jobs = _Jobs(place, subjects, settings, results, progress)
            try:
                await jobs.run(prepared, brought)
            except _NotWholeError as error:
                # What was brought is kept there by its digest; a disk that failed may have changed it since.
                await place.forget(error.path)
                if again:
                    raise BundleError(f"{place.name}: {error}, twice; mind its disk, or the connection") from error
                jobs.undo()
                continue
            return


class _NotWholeError(Exception):
    """An artifact is not there as it was sent."""

    def __init__(self, path: str, text: str) -> None:
        super().__init__(text)
        self.path = path


class _Jobs:
    """The jobs of one request, and the rows that they fill."""

    def __init__(
        self, place: Place, subjects: Sequence[Subject], settings: Settings, results: Results, progress: Progress
    ) -> None:
        self._place, self._subjects, self._settings = place, subjects, settings
        self._results, self._progress = results, progress
        self._emulated = place.kind == "emulated"
        self._where: dict[str, Any] = {"kind": place.kind, "name": place.name, "facts": {}}
        self._rows: dict[str, dict[str, Any]] = {}
        self._paths: dict[str, str] = {}
        self._added: list[dict[str, Any]] = []
        self._reading: dict[str, Any] | None = None  # the latest
        self._current: dict[str, Any] | None = None  # whose readings are taken

    async def run(self, prepared: Prepared, brought: Sequence[tuple[str, str]]) -> None:
        """All of them."""
        request = {**self._settings.request(), "jobs": self._plan(prepared, brought)}
        try:
            async with open_session(self._place, prepared, request) as session:
                async for event in session.events():
                    try:
                        self._take(event)
                    except (KeyError, TypeError, ValueError, AttributeError) as error:
                        raise BoardError(
                            f"{self._place.name}: its runner tells what it should not ({event['event']}: {error!r})"
                        ) from error
        finally:
            for row in self._rows.values():
                self._settle(row)

    def undo(self) -> None:
        """Take back what these jobs have added to the results; others may have added theirs meanwhile."""
        own = [id(row) for row in self._added]
        for rows in (self._results.runs, self._results.ratios):
            rows[:] = [row for row in rows if id(row) not in own]

    def _plan(self, prepared: Prepared, brought: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = []
        for threads in self._settings.threads:
            shared = shared_job(prepared, self._settings, threads)
            told = [s.told(path) for s, (path, _) in zip(self._subjects, brought, strict=True)]
            for subject, artifact, (path, picture) in zip(self._subjects, told, brought, strict=True):
                row = {
                    "artifact": subject.about(),
                    "where": self._where,
                    "threads": threads,
                    "samples_ms": [],
                    "complete": False,
                }
                name = f"{len(jobs)}"
                self._rows[name], self._paths[name] = row, path
                jobs.append({**shared, "do": "latency", "id": name, "artifact": artifact, "pixels": picture})
            if len(self._subjects) > 1 and self._place.kind != "emulated":
                name = f"{len(jobs)}"
                self._rows[name] = {"threads": threads, "where": self._where, "columns": [[] for _ in told]}
                jobs.append({**shared, "do": "ratio", "id": name, "artifacts": told, "pixels": brought[0][1]})
        return jobs

    def _take(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "facts":
            self._where["facts"] = with_core(event["facts"])
            if event["facts"].get("emulated"):  # also where it was not called by its name
                self._emulated = True
                self._where["kind"] = "emulated"
        elif kind == "health":
            self._read({k: v for k, v in event.items() if k != "event"})
        elif kind == "warning":
            self._results.about.setdefault("warnings", []).append(f"{self._place.name}: {event['text']}")
        elif kind in _TAKEN:
            _TAKEN[kind](self, self._rows[event["job"]], event)

    def _begun(self, row: dict[str, Any], event: dict[str, Any]) -> None:
        row["health"] = [] if self._reading is None else [self._reading]  # the one just before it
        self._current = row
        self._tell(row)

    def _read(self, reading: dict[str, Any]) -> None:
        self._reading = reading
        if self._current is not None:
            self._current["health"].append(reading)
            if self._current.get("complete"):
                self._current = None  # that was the one just after it

    def _loaded(self, row: dict[str, Any], event: dict[str, Any]) -> None:
        row |= {k: event[k] for k in ("runtime", "load_ms", "first_ms", "before_mb") if k in event}

    def _samples(self, row: dict[str, Any], event: dict[str, Any]) -> None:
        columns = row["columns"] if "columns" in row else [row["samples_ms"]]
        for column, ns in zip(columns, event["ns"], strict=True):
            column += [v / 1e6 for v in ns]
        self._tell(row)

    def _done(self, row: dict[str, Any], event: dict[str, Any]) -> None:
        row |= {k: event[k] for k in ("peak_mb", "clock_jump_s") if k in event}
        row["complete"] = True
        if "logits" in event:
            row["wrong"] = self._wrong(row, unpacked(event["logits"]))

    def _wrong(self, row: dict[str, Any], logits: npt.NDArray[np.float32]) -> str | None:
        """What is wrong with the answer to the golden picture; a fast wrong answer is worth nothing."""
        subject = next(s for s in self._subjects if s.name == row["artifact"]["bundle"])
        golden = subject.bundle.golden().logits[:1]
        if logits.shape != golden.shape:
            return f"its output has the shape {logits.shape}, not {golden.shape}"
        manifest = subject.bundle.manifest
        parity = compare(golden, logits, tolerance_for(manifest["artifact"]["precision"], manifest["output"]["dtype"]))
        return None if parity.passed else f"the answer to the golden picture is wrong there: {parity}"

    def _stopped(self, row: dict[str, Any], event: dict[str, Any]) -> None:
        if event.get("code") == "corrupt":
            raise _NotWholeError(self._paths.get(event["job"], ""), event["text"])
        raise_if_stopped(event, f"{self._place.name}: {self._of(row)}")

    def _of(self, row: dict[str, Any]) -> str:
        if "artifact" in row:
            return str(row["artifact"]["bundle"])
        return "all in turn"

    def _tell(self, row: dict[str, Any]) -> None:
        samples = row["columns"][0] if "columns" in row else row["samples_ms"]
        text = f"{self._of(row)}, {row['threads']} thread{'s' if row['threads'] > 1 else ''}"
        median = float(np.median(samples)) if samples and not self._emulated else None
        self._progress(text, len(samples), median)

    def _settle(self, row: dict[str, Any]) -> None:
        """Turn what came into what is kept; also of a run that did not come to its end."""
        if "columns" in row:
            self._keep_ratios(row)
            return
        row["invalid"] = doubts(row.setdefault("health", []))
        row["notes"] = notes(row.pop("clock_jump_s", 0.0))
        if row["complete"] and len(row["samples_ms"]) < self._settings.min_runs:
            row["invalid"].append(
                f"{len(row['samples_ms'])} inferences took {self._settings.max_s:.0f} s, and {self._settings.min_runs} were "
                "asked for; type a smaller --runs"
            )
        wrong = row.pop("wrong", None)
        row["wrong"] = wrong is not None
        row["invalid"] += [wrong] if wrong else []
        if self._emulated:
            _forget_times(row)
        if row["samples_ms"]:
            row["summary"] = summarise(row["samples_ms"]).to_dict()
            drift = drift_of(row["samples_ms"])
            row["drift"] = None if drift is None else drift.to_dict()
            if drift is not None and drift.drifted:
                row["invalid"].append(f"it drifted: the last third took {drift.ratio:.2f} times as long as the first")
        if row["samples_ms"] or row.get("inferences") or row["complete"]:
            self._results.runs.append(row)
            self._added.append(row)

    def _keep_ratios(self, row: dict[str, Any]) -> None:
        first, *others = row["columns"]
        if len(first) < 2 or self._emulated:
            return
        base, *rest = (subject.about() for subject in self._subjects)
        for other, column in zip(rest, others, strict=True):
            ratio = ratio_of(first, column).to_dict()
            made = {"base": base, "other": other, "where": row["where"], "threads": row["threads"], **ratio}
            made["complete"] = bool(row.get("complete"))
            self._results.ratios.append(made)
            self._added.append(made)


def _forget_times(row: dict[str, Any]) -> None:
    """An emulated board's milliseconds are the emulator's: they are not kept, so that nobody takes them for latency."""
    row["inferences"] = len(row["samples_ms"])
    row["samples_ms"] = []
    for key in ("load_ms", "first_ms", "peak_mb", "before_mb", "health"):
        row.pop(key, None)
    row["invalid"] = [] if not row["wrong"] else row["invalid"][-1:]


def raise_if_stopped(event: Mapping[str, Any], what: str) -> None:
    """If an event tells of a job's end.

    Raises:
        BoardError: the place lacks something, or what was sent arrived otherwise.
        BundleError: the runtime refuses the artifact, or died of it.
    """
    if event["event"] == "refused":
        kind = BundleError if event["code"] == "artifact" else BoardError
        raise kind(f"{what}: {event['text']}")
    if event["event"] == "died":
        raise BundleError(f"{what}: {_cause(int(event['status']), str(event['text']))}")


def _cause(status: int, words: str) -> str:
    """What to say of a job that ended by itself, with what it wrote to standard error."""
    last = (words.strip().splitlines() or ["without a word"])[-1]
    if status >= 0:
        return f"the job ended with status {status} ({last})"
    if -status == signal.SIGKILL:
        return (
            "the system ended the runtime (SIGKILL), for want of memory as a rule; free some, or use a smaller variant"
        )
    names = {int(known): known.name for known in signal.Signals}
    return f"the runtime died of {names.get(-status, f'signal {-status}')} there; try another version of it ({last})"


_TAKEN: dict[str, Callable[[_Jobs, dict[str, Any], dict[str, Any]], None]] = {
    "job": _Jobs._begun,
    "loaded": _Jobs._loaded,
    "samples": _Jobs._samples,
    "done": _Jobs._done,
    "refused": _Jobs._stopped,
    "died": _Jobs._stopped,
}


def unpacked(packed: dict[str, Any]) -> npt.NDArray[np.float32]:
    """An array as a runner sends it."""
    data = np.frombuffer(base64.b64decode(packed["float32"]), "<f4")
    return data.reshape(packed["shape"]).astype(np.float32)
