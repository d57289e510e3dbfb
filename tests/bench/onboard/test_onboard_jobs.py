"""The jobs in this process, with a runtime that takes as long as it is told."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from levit_mobile.bench.measure import unpacked
from levit_mobile.bench.onboard import jobs, models

Run = Callable[..., list[dict[str, Any]]]


class Model:
    """Answers with the sum of its input; its clock goes on by ``ms`` an inference."""

    about, pids, before, shape, dtype = {"name": "fake", "version": "1"}, [], 10.0, (1, 2, 2, 3), "uint8"

    def __init__(self, path: str, threads: int, job: dict[str, Any]) -> None:
        if "fail" in path:
            raise RuntimeError("not a\nmodel")
        self.load_ms, self.ms, self.inputs = 7.0, 1 + len(Path(path).name), 0

    def put(self, x: Any) -> None:
        self.x = x

    def run(self) -> None:
        self.inputs += 1

    def timed(self) -> int:
        self.run()
        return self.ms * 1_000_000

    def output(self) -> Any:
        return np.array([[float(self.x.sum())]], np.float32)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """A job's events; artifacts are files of these names."""
    monkeypatch.setattr(models, "import_module", lambda name: SimpleNamespace(Tflite=Model))
    np.save(tmp_path / "picture.npy", np.full((2, 2, 3), 2, np.uint8))
    standard = {"warmup_runs": 1, "warmup_s": 0, "min_runs": 5, "min_s": 0, "max_s": 60, "threads": 1}

    def go(do: str, *names: str, said: str = "", **more: Any) -> list[dict[str, Any]]:
        abouts = []
        for name in names:
            (tmp_path / name).write_text(name)
            digest = hashlib.sha256(name.encode()).hexdigest()
            abouts.append({"path": str(tmp_path / name), "sha256": digest, "target": "tflite", "mean": [], "std": []})
        monkeypatch.setattr(sys, "stdin", io.StringIO(said))
        job = {**standard, "artifact": abouts[0], "artifacts": abouts, "pixels": str(tmp_path / "picture.npy"), **more}
        getattr(jobs, do)(job)
        return [json.loads(line) for line in capfd.readouterr().out.splitlines()]

    return go


def test_latency(run: Run) -> None:
    loaded, steady, samples, done = run("latency", "aaa")
    assert loaded["event"] == "loaded"
    assert (loaded["load_ms"], loaded["first_ms"], loaded["before_mb"]) == (7.0, 4.0, 10.0)
    assert loaded["runtime"] == {"name": "fake", "version": "1"}
    assert steady["event"] == "steady"
    assert samples["ns"] == [[4_000_000] * 5]
    assert unpacked(done["logits"]).tolist() == [[24.0]]
    assert abs(done["clock_jump_s"]) < 0.2
    assert done["peak_mb"] > 10


def test_a_clock_that_is_set_meanwhile_changes_no_sample(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    wall = iter([1_000_000.0, 1_000_000.0 - 86_400])
    monkeypatch.setattr(jobs.time, "time", lambda: next(wall))
    *_, samples, done = run("latency", "aaa")
    assert samples["ns"] == [[4_000_000] * 5]
    assert done["clock_jump_s"] == pytest.approx(-86_400, abs=1)


def test_at_least_so_many_and_so_long(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 0.25
        return now[0]

    monkeypatch.setattr(jobs.time, "monotonic", clock)
    *_, done = events = run("latency", "aaa", min_runs=2, min_s=10.0, warmup_runs=0)
    counts = [len(event["ns"][0]) for event in events if event["event"] == "samples"]
    assert len(counts) > 3, "told about once a second"
    assert sum(counts) > 10
    assert done["event"] == "done"


def test_not_longer_than_it_may(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 1.0
        return now[0]

    monkeypatch.setattr(jobs.time, "monotonic", clock)
    events = run("latency", "aaa", min_runs=10_000, max_s=30.0)
    assert 5 < sum(len(event["ns"][0]) for event in events if event["event"] == "samples") < 31


def test_in_turn(run: Run) -> None:
    events = run("ratio", "a", "bbb", "cc")
    (samples,) = [event for event in events if event["event"] == "samples"]
    assert samples["ns"] == [[2_000_000] * 5, [4_000_000] * 5, [3_000_000] * 5]


def test_logits_of_files_that_are_removed(run: Run, tmp_path: Path) -> None:
    pictures = np.arange(2 * 12, dtype=np.uint8).reshape(2, 2, 2, 3)
    np.save(tmp_path / "batch.npy", pictures)
    digest = hashlib.sha256((tmp_path / "batch.npy").read_bytes()).hexdigest()
    line = {"pixels": str(tmp_path / "batch.npy"), "sha256": digest, "first": 32}
    loaded, logits, done = run("logits", "aaa", said=json.dumps(line) + '\n{"end": true}\n')
    assert (loaded["event"], done["event"], logits["first"]) == ("loaded", "done", 32)
    assert unpacked(logits["logits"]).tolist() == [[66.0], [210.0]]
    assert not (tmp_path / "batch.npy").exists()


def test_marks(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def getpgid(number: int) -> int:
        asked.append(number - 0x51450000)
        raise ProcessLookupError

    monkeypatch.setattr(jobs.os, "getpgid", getpgid)
    (done,) = run("marked", "aaa", min_runs=3)
    assert asked == [0, 1, 2, 3]
    assert done["runtime"]["name"] == "fake"


def test_an_artifact_that_the_runtime_refuses(run: Run) -> None:
    with pytest.raises(models.RefusedError, match="the runtime cannot load it: not a model") as raised:
        run("latency", "fail")
    assert raised.value.code == "artifact"


def test_a_runtime_that_is_not_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(path: str, threads: int, job: dict[str, Any]) -> None:
        raise ImportError("libgomp.so.1: cannot open shared object file")

    monkeypatch.setattr(models, "import_module", lambda name: SimpleNamespace(Tflite=missing))
    with pytest.raises(models.RefusedError, match=r"libgomp.so.1") as raised:
        run("latency", "aaa")
    assert raised.value.code == "runtime"
