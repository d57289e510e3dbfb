"""Many labelled pictures on all cores of this host: each answer is kept as it comes, so that a long run can be gone on with."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext
from queue import SimpleQueue

import numpy as np
import numpy.typing as npt

from levit_mobile.datasets import LabelledPictures
from levit_mobile.evaluate import Accuracy, Model, judge, sum_up
from levit_mobile.journal import BATCH, Journal
from levit_mobile.preprocess import Preprocessing

__all__ = ["count_cores", "count_on_cores"]


def count_cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def count_on_cores(
    workers: Sequence[Mapping[str, Model]],
    pictures: LabelledPictures,
    spec: Preprocessing,
    kept: Journal,
    *,
    reference: Model | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Accuracy]:
    """``count_several``, with as many threads as there are workers; decoding, resizing and inference let each other run.

    Args:
        workers: the same models for each thread, by their names. A runtime answers one thread at a time; a PyTorch model
            may be in all of them.
        pictures: read when their turn comes, so memory does not grow with them.
        spec: what they go through.
        kept: rows of uint8, as ``judge`` gives them; what it has is not done again. It is saved now and
            then, and when an error or Ctrl-C ends this, and forgotten when all is done.
        reference: may be in all threads.
        progress: called with the number of pictures that were just done.

    Raises:
        PictureError: a file is no picture.
    """
    names = list(workers[0])
    free: SimpleQueue[Mapping[str, Model]] = SimpleQueue()
    for worker in workers:
        free.put(worker)

    def run(first: int) -> npt.NDArray[np.uint8]:
        models = free.get()
        try:
            pixels, labels = pictures.load(first, BATCH, spec)
            return judge(models, pixels, labels, reference=reference)
        finally:
            free.put(models)

    with _one_thread_each() if len(workers) > 1 else nullcontext():
        pool = ThreadPoolExecutor(len(workers))
        todo: dict[Future[npt.NDArray[np.uint8]], int] = {}
        try:
            todo |= {pool.submit(run, first): first for first in kept.missing()}
            for future in as_completed(todo):
                rows = future.result()
                kept.put(todo.pop(future), rows)
                kept.save(now=False)
                progress(len(rows))
        finally:
            pool.shutdown(cancel_futures=True)
            for future, first in todo.items():  # what was done when it ended, and has not been asked for
                if future.done() and not future.cancelled() and future.exception() is None:
                    kept.put(first, future.result())
            if kept.done.any():
                kept.save()
    kept.forget()
    return sum_up(names, kept.rows.sum(axis=0, dtype=np.int64), len(pictures), compared=reference is not None)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """PyTorch, where it is loaded, would take all cores for each worker."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
