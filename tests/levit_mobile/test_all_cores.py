"""Many pictures on all cores: the same counts, in any order, and nothing is done twice."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from levit_mobile.all_cores import count_cores, count_on_cores
from levit_mobile.datasets import LabelledPictures
from levit_mobile.errors import PictureError
from levit_mobile.evaluate import columns_of, count_several
from levit_mobile.journal import Journal
from levit_mobile.preprocess import Preprocessing

SPEC = Preprocessing(8, 8)
COUNT, CLASSES = 70, 6
COLUMNS = columns_of(["a", "b"])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> LabelledPictures:
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for at in range(COUNT):
        Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(folder / f"{at:02}.png")
    return LabelledPictures(sorted(folder.iterdir()), [int(label) for label in random.integers(0, CLASSES, COUNT)])


def a(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    logits: npt.NDArray[np.float32] = pixels.reshape(len(pixels), -1)[:, :CLASSES].astype(np.float32)
    return logits


def b(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return -a(pixels)


def reference(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return np.roll(a(pixels), 1, axis=1)


def fresh(path: Path | None = None) -> Journal:
    return Journal(path, [str(at) for at in range(COUNT)], COLUMNS, "key", np.uint8)


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("compared", [True, False])
def test_the_counts_are_those_of_one_core(pictures: LabelledPictures, workers: int, compared: bool) -> None:
    models, beside = {"a": a, "b": b}, reference if compared else None
    told: list[int] = []
    counts = count_on_cores([models] * workers, pictures, SPEC, fresh(), reference=beside, progress=told.append)
    assert counts == count_several(models, pictures.batches(SPEC), reference=beside)
    assert counts["a"].top1 != counts["b"].top1
    assert (counts["a"].agree is not None) == compared
    assert sum(told) == COUNT


def test_one_model_answers_one_thread_at_a_time(pictures: LabelledPictures) -> None:
    busy, most = [threading.Lock(), threading.Lock()], []

    def runtime(at: int) -> dict[str, object]:
        def run(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            assert busy[at].acquire(blocking=False), "it is in use"
            most.append(sum(lock.locked() for lock in busy))
            time.sleep(0.02)
            busy[at].release()
            return a(pixels)

        return {"a": run, "b": b}

    count_on_cores([runtime(0), runtime(1)], pictures, SPEC, fresh())  # type: ignore[list-item]
    assert max(most) == 2


def test_an_interrupted_run_goes_on(pictures: LabelledPictures, tmp_path: Path) -> None:
    """Also what was done, and nobody had looked at yet, is kept."""
    asked: list[int] = []
    stopped = threading.Event()

    def counted(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        asked.append(len(pixels))
        if sum(asked) > 32:
            stopped.wait(60)
            time.sleep(0.2)  # the rest is not to be done before it ends
        return a(pixels)

    def stop(_: int) -> None:
        if sum(asked) >= 32:
            stopped.set()
            raise KeyboardInterrupt

    models = {"a": counted, "b": b}
    with pytest.raises(KeyboardInterrupt):
        count_on_cores([models], pictures, SPEC, fresh(tmp_path / "k.npz"), progress=stop)
    kept = fresh(tmp_path / "k.npz")
    before = int(kept.done.sum())
    assert 32 <= before == sum(asked) < COUNT
    asked.clear()
    counts = count_on_cores([models], pictures, SPEC, kept)
    assert sum(asked) == COUNT - before
    assert counts == count_several({"a": a, "b": b}, pictures.batches(SPEC))
    assert not (tmp_path / "k.npz").exists()


def test_a_bad_picture_ends_it_and_loses_nothing(pictures: LabelledPictures, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"nothing")
    paths = [*pictures.paths[:-1], tmp_path / "bad.png"]
    with pytest.raises(PictureError, match=r"bad\.png"):
        count_on_cores([{"a": a, "b": b}], LabelledPictures(paths, pictures.labels), SPEC, fresh(tmp_path / "k.npz"))
    kept = fresh(tmp_path / "k.npz")
    assert kept.missing() == [64]
    assert count_on_cores([{"a": a, "b": b}], pictures, SPEC, kept)["a"].samples == COUNT


def test_pytorch_has_one_thread_in_each(pictures: LabelledPictures) -> None:
    torch = pytest.importorskip("torch")
    before, seen = torch.get_num_threads(), []

    def model(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        seen.append(torch.get_num_threads())
        return a(pixels)

    torch.set_num_threads(3)
    try:
        for workers, threads in ((2, 1), (1, 3)):
            seen.clear()
            count_on_cores([{"a": model, "b": b}] * workers, pictures, SPEC, fresh())
            assert set(seen) == {threads}
            assert torch.get_num_threads() == 3, "as it was"
    finally:
        torch.set_num_threads(before)


def test_there_is_a_core() -> None:
    assert count_cores() >= 1
