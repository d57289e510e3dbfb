from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from benched import artifact
from commands import Levit
from exports import Exported
from loopback import Loopback

from levit_mobile.bench import address as address_module
from levit_mobile.bench import board as board_module
from levit_mobile.bench import instructions
from levit_mobile.bench.result import read_results

QUICK = ("--seconds", "0.1", "--runs", "10", "--warmup", "1", "--cooldown", "0")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVIT_MOBILE_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--budget", "48M"], "--budget is about instructions; type --emulate CPU too"),
        (["--budget", "many", "--emulate", "cortex-a76"], "'many' is no number of instructions; type for example 48M"),
        (["--threads", "1,0"], "'1,0' are no numbers of threads; type for example 1,2,4"),
        (["--threads", "x"], "'x' are no numbers of threads"),
        (["--emulate", "cortex-a76", "--board", "pi"], "leave the board or --emulate out"),
        (["--board", "a b"], "--board 'a b' is no board"),
        (["--runs", "0"], "0 is not in the range"),
        (["--board", "emulated"], "there is no emulated board; type: levit board up"),
    ],
)
def test_usage(args: list[str], said: str, levit: Levit, tmp_path: Path) -> None:
    answer = levit("bench", tmp_path / "none", *args)
    assert answer.code == 2
    assert said in answer.err


def test_no_bundle(levit: Levit, tmp_path: Path) -> None:
    answer = levit("bench", tmp_path / "none")
    assert answer.code == 1
    assert "none: no such bundle" in answer.err


def test_results_that_are_there_are_not_replaced(levit: Levit, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("mine")
    answer = levit("bench", tmp_path / "none", "--out", tmp_path / "r.json")
    assert answer.code == 2
    assert "r.json exists; type --overwrite, or another --out" in answer.err
    assert (tmp_path / "r.json").read_text() == "mine"


@pytest.mark.slow
def test_two_here(levit: Levit, exported: Exported, tmp_path: Path) -> None:
    names = [exported.bundle(f"levit_128s-{p}-tflite") for p in ("fp32", "int8")]
    answer = levit("bench", *names, *QUICK, "--out", tmp_path / "r.json", "--operators")
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0].split()[:4] == ["bundle", "on", "threads", "p50"]
    assert lines[1].startswith("levit_128s-fp32-tflite  this host        1  ")
    ratio = next(line for line in lines if " takes " in line)
    assert "levit_128s-int8-tflite takes 0." in ratio
    assert "rounds in turn)" in ratio
    assert lines[-2] == f"results   {tmp_path / 'r.json'}"
    found = read_results(tmp_path / "r.json")
    assert [run["artifact"]["precision"] for run in found.runs] == ["fp32", "int8"]
    assert set(found.runs[0]["artifact"]) == set(artifact()), "what the tests of reports read is what a bench writes"
    profile = found.runs[1]["profile"]
    assert profile[0]["operator"].startswith("Fully Connected (NC, QS8")
    assert profile[0]["times"] == 65
    again = levit("report", tmp_path / "r.json", "--out", tmp_path / "page.html")
    assert again.code == 0, again.err


@pytest.mark.slow
def test_json_and_results_in_the_cache(levit: Levit, exported: Exported, tmp_path: Path) -> None:
    answer = levit("bench", exported.bundle("levit_128s-int8-tflite"), *QUICK, "--json")
    assert answer.code == 0, answer.err
    assert answer.data["runs"][0]["complete"] is True
    assert "samples_ms" not in answer.data["runs"][0]
    kept = Path(answer.data["results"])
    assert kept.parent == tmp_path / "cache/results"
    assert read_results(kept).runs[0]["samples_ms"]


@pytest.fixture
def boards(loopback: Loopback, monkeypatch: pytest.MonkeyPatch) -> Loopback:
    """``--board pi@loopback`` is this machine behind SSH."""
    monkeypatch.setattr(board_module, "wheels_for", lambda names, **_: [])
    real = address_module.address_of

    def address_of(text: str) -> Any:
        return loopback.address(name=text) if text == "pi@loopback" else real(text)

    monkeypatch.setattr(address_module, "address_of", address_of)
    return loopback


@pytest.mark.slow
def test_a_board_and_one_that_is_not_there(levit: Levit, exported: Exported, boards: Loopback) -> None:
    """The one's results are told and kept, the other's failure too."""
    bundle = exported.bundle("levit_128s-int8-tflite")
    answer = levit("bench", bundle, *QUICK, "--board", "pi@loopback", "--board", "pi@127.0.0.1:1", "--json")
    assert answer.code == 2
    assert [run["where"]["name"] for run in answer.data["runs"]] == ["pi@loopback"]
    assert list(answer.data["failed"]) == ["pi@127.0.0.1:1"]
    assert "error: pi@127.0.0.1:1: refuses connections" in answer.err
    assert "pi@loopback: done" in answer.err


@pytest.mark.slow
def test_validate_there(levit: Levit, exported: Exported, boards: Loopback, photos: Path) -> None:
    bundle = exported.bundle("levit_128s-int8-tflite")
    answer = levit("validate", bundle, "--board", "pi@loopback", "--data", photos, "--weights", "demo", "--json")
    assert answer.code == 0, answer.err
    here = levit("validate", bundle, "--data", photos, "--weights", "demo", "--json")
    for key in ("top1", "top5", "agreement", "reference_top1", "samples"):
        assert answer.data["accuracy"][key] == here.data["accuracy"][key]
    assert answer.data["accuracy"]["host"] == {"max_abs": 0.0, "agreement": 1.0, "equal": True}
    assert answer.data["parity"] == here.data["parity"]
    assert answer.data["boards"]["pi@loopback"]["emulated"] is False


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """One picture a class."""
    from pictures import draw

    from levit_mobile.weights import resolve_weights

    for at, label in enumerate(resolve_weights("demo").labels or ()):
        folder = tmp_path / "photos" / label
        folder.mkdir(parents=True)
        draw(f"{300 + at}x300").save(folder / "a.png")
    return tmp_path / "photos"


# Instructions, which are another test's to count


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def count(path: Path, target: str, cpu: str, **more: Any) -> Any:
        assert path.is_file()
        assert more["pixels"].shape == (224, 224, 3)
        total = 44_000_000 if cpu == "cortex-a76" else 100_000_000
        return SimpleNamespace(
            total=total,
            classes={"simd": total - 1, "dot": 1},
            runs=(total, total),
            first=total + 5,
            repeatability=0.0,
            runtime={"name": "ai-edge-litert", "version": "2.3.0"},
            qemu="7.2",
        )

    monkeypatch.setattr(instructions, "count", count)


@pytest.mark.slow
@pytest.mark.parametrize(("budget", "code"), [("44M", 0), ("43.9M", 1), ("44000k", 0), ("43999999", 1)])
def test_a_budget(budget: str, code: int, levit: Levit, exported: Exported, counted: None) -> None:
    bundle = exported.bundle("levit_128s-int8-tflite")
    answer = levit("bench", bundle, "--emulate", "cortex-a76", "--budget", budget)
    assert answer.code == code, answer.err
    assert "44.00" in answer.out
    assert ("over budget" in answer.out) == bool(code)


@pytest.mark.slow
def test_two_cores(levit: Levit, exported: Exported, counted: None, tmp_path: Path) -> None:
    bundle = exported.bundle("levit_128s-int8-tflite")
    cores = ("--emulate", "cortex-a76", "--emulate", "cortex-a72")
    answer = levit("bench", bundle, *cores, "--out", tmp_path / "r.json", "--json")
    assert answer.code == 0
    assert [(row["cpu"], row["total"]) for row in answer.data["counts"]] == [
        ("cortex-a76", 44_000_000),
        ("cortex-a72", 100_000_000),
    ]
    assert read_results(tmp_path / "r.json").counts == json.loads(json.dumps(answer.data["counts"]))
