"""The jobs: latency, several in turn, logits of pictures, and inferences between marks."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sys
import time
from typing import Any, Callable

from .events import RefusedError, emit, keep_apart
from .memory import peak_of
from .models import check, feed, open_model

__all__ = ["latency", "logits", "marked", "ratio", "work"]


def _timed(model: Any) -> int:
    """Nanoseconds of one inference, by a clock that nobody sets."""
    if hasattr(model, "timed"):
        return int(model.timed())
    start = time.perf_counter_ns()
    model.run()
    return time.perf_counter_ns() - start


def _repeat(once: Callable[[], Any], runs: int, seconds: float, most: float, say: Callable[..., None] | None) -> None:
    """Until there were so many runs and so many seconds; what they gave is told about once a second."""
    start = told = time.monotonic()
    done, kept = 0, []
    while done < runs or time.monotonic() - start < seconds:
        if time.monotonic() - start > most:
            break
        kept.append(once())
        done += 1
        if say is not None and time.monotonic() - told > 1:
            say(kept)
            kept, told = [], time.monotonic()
    if say is not None and kept:
        say(kept)


def _picture(job: dict[str, Any]) -> Any:
    import numpy as np

    return np.load(os.path.expanduser(job["pixels"]), allow_pickle=False)


def latency(job: dict[str, Any]) -> None:
    """Load, first inference, warm-up, steady state."""
    wall, steady = time.time(), time.monotonic()
    picture = _picture(job)
    model = open_model(job["artifact"], job)
    model.put(feed(picture, model, job["artifact"]))
    first = _timed(model)
    emit(
        "loaded",
        pids=[os.getpid(), *model.pids],
        runtime=model.about,
        load_ms=round(model.load_ms, 3),
        first_ms=first / 1e6,
        before_mb=round(model.before, 1),
    )
    _repeat(model.run, job["warmup_runs"], job["warmup_s"], job["max_s"], None)
    emit("steady")
    _repeat(
        lambda: _timed(model),
        job["min_runs"],
        job["min_s"],
        job["max_s"],
        lambda kept: emit("samples", ns=[list(kept)]),
    )
    jump = (time.time() - wall) - (time.monotonic() - steady)
    emit("done", peak_mb=round(peak_of(model), 1), clock_jump_s=round(jump, 1), logits=_packed(model.output()))


def ratio(job: dict[str, Any]) -> None:
    """Several artifacts in turn: A B, B A, A B ..."""
    picture = _picture(job)
    models = [open_model(about, job) for about in job["artifacts"]]
    for about, model in zip(job["artifacts"], models):
        model.put(feed(picture, model, about))
        _repeat(model.run, job["warmup_runs"], job["warmup_s"], job["max_s"], None)
    emit("loaded", pids=[os.getpid(), *(pid for model in models for pid in model.pids)], runtime=models[0].about)
    turn = [list(range(len(models)))]

    def one_round() -> list[int]:
        turn[0].reverse()
        times = {at: _timed(models[at]) for at in turn[0]}
        return [times[at] for at in range(len(models))]

    def say(kept: list[list[int]]) -> None:
        emit("samples", ns=[list(column) for column in zip(*kept)])

    _repeat(one_round, job["min_runs"], job["min_s"], job["max_s"], say)
    emit("done")


def logits(job: dict[str, Any]) -> None:
    """Pictures, a file at a time, as the host sends them; each file is removed when it has been read."""
    import numpy as np

    model = open_model(job["artifact"], job)
    emit("loaded", pids=[os.getpid(), *model.pids], runtime=model.about, load_ms=round(model.load_ms, 3))
    for line in sys.stdin:
        asked = json.loads(line)
        if "pixels" not in asked:
            break
        path = os.path.expanduser(asked["pixels"])
        check(path, asked["sha256"])
        pictures = np.load(path, allow_pickle=False)
        os.unlink(path)
        rows = []
        for picture in pictures:
            model.put(feed(picture, model, job["artifact"]))
            model.run()
            rows.append(np.array(model.output(), np.float32)[0])
        emit("logits", first=asked["first"], logits=_packed(np.stack(rows)))
    emit("done")


def marked(job: dict[str, Any]) -> None:
    """Inferences between marks that an emulator sees: calls of the system that name no process."""
    model = open_model(job["artifact"], job)
    model.put(feed(_picture(job), model, job["artifact"]))
    if hasattr(model, "marked"):
        model.marked(job["min_runs"])
    else:
        _mark(0)
        for at in range(1, job["min_runs"] + 1):
            model.run()
            _mark(at)
    emit("done", runtime=model.about, logits=_packed(model.output()))


def _mark(number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.getpgid(0x51450000 + number)


def _packed(rows: Any) -> dict[str, Any]:
    return {"shape": list(rows.shape), "float32": base64.b64encode(rows.astype("<f4").tobytes()).decode()}


_JOBS: dict[str, Callable[[dict[str, Any]], None]] = {
    "latency": latency,
    "logits": logits,
    "marked": marked,
    "ratio": ratio,
}


def work() -> int:
    """One job."""
    keep_apart()
    job = json.loads(sys.stdin.readline())
    try:
        _JOBS[job["do"]](job)
    except RefusedError as error:
        emit("refused", code=error.code, text=str(error))
        return 1
    except MemoryError:
        emit("refused", code="memory", text="there is not enough memory")
        return 1
    finally:
        sys.stderr.flush()
    os._exit(0)  # without the destructors of models
