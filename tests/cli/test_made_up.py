"""Commands with a runtime that is made up: answers, names and times that a real one seldom gives."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from commands import Levit
from pictures import draw

from levit_mobile.bundle import Golden, bundle_writer, write_manifest
from levit_mobile.errors import ExportError
from levit_mobile.golden import golden_pictures
from levit_mobile.preprocess import Preprocessing
from levit_mobile.runtimes.base import Anatomy, Port

SIZE = 32
SHAPES = (1, SIZE, SIZE, 3), (1, 3)
DIGEST = "0123456789ab" + "cd" * 26


class MadeUp:
    """Gives the same logits for every picture, and says that an inference took ``milliseconds``."""

    def __init__(self) -> None:
        self.input, self.output = Port("image", SHAPES[0], "float32"), Port("logits", SHAPES[1], "float32")
        self.answer = np.array([3, 2, 1], np.float32)
        self.milliseconds = 1.0
        self.timed: list[int] = []

    def logits(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return np.tile(self.answer, (len(pixels), 1))

    def anatomy(self) -> Anatomy:
        return Anatomy({"MEAN": 1}, "XNNPACK", 1, {}, [(DIGEST, 1000), (f"{DIGEST}.weight", 10)])

    def profile(self, runs: int) -> list[tuple[str, float]]:
        self.timed.append(runs)
        return [("inference", self.milliseconds)] * runs


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> MadeUp:
    """What every bundle is opened with."""
    made = MadeUp()
    for command in ("predict", "inspect", "validate"):
        monkeypatch.setattr(f"levit_mobile.cli.{command}.open_runtime", lambda *_, **__: made)
    return made


@pytest.fixture
def bundle(tmp_path: Path, runtime: MadeUp) -> Path:
    """Three classes; the golden logits are those of ``runtime``."""
    pixels = golden_pictures(SIZE)
    checkpoint = {"name": "none", "sha256": "0" * 64, "scheme": "official", "weights": "0" * 64}
    port = {"dtype": "float32", "layout": "nhwc", "takes": "normalised pixels"}
    with bundle_writer(tmp_path / "made-up", overwrite=False) as scratch:
        (scratch / "model.tflite").write_bytes(bytes(2000))
        (scratch / "golden.npz").write_bytes(Golden(pixels, runtime.logits(pixels)).to_bytes())
        manifest = {
            "model": {"variant": "levit_128s", "num_classes": 3, "checkpoint": checkpoint},
            "artifact": {"file": "model.tflite", "target": "tflite", "precision": "fp32", "scheme": "float32"},
            "input": {"name": "image", "shape": list(SHAPES[0]), **port},
            "output": {"name": "logits", "shape": list(SHAPES[1]), "dtype": "float32"},
            "preprocessing": Preprocessing(SIZE, SIZE).to_dict(),
            "labels": ["red", "green", "blue"],
            "parity": {"max_abs": 0.0, "cosine": 1.0, "agreement": 1.0, "samples": 8, "passed": True},
        }
        write_manifest(scratch, manifest)
    return tmp_path / "made-up"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    draw("40x50").save(tmp_path / "a.png")
    return tmp_path / "a.png"


def step(text: str) -> str:
    """What progress looks like in a log."""
    return rf"  {text} \.\.\.\n  {text} \(\d+\.\d s\)\n"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_logits_that_are_not_numbers(
    levit: Levit, runtime: MadeUp, bundle: Path, picture: Path, options: list[str], value: float
) -> None:
    runtime.answer[1] = value
    answer = levit("predict", bundle, picture, *options)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == f"error: {bundle}: gives NaN or infinity for {picture}; type: levit verify {bundle}\n"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_many_pictures_have_progress(levit: Levit, bundle: Path, picture: Path, options: list[str]) -> None:
    few = levit("predict", bundle, *[picture] * 20, *options)
    assert (few.code, few.err) == (0, "")
    many = levit("predict", bundle, *[picture] * 21, *options)
    assert many.code == 0
    assert re.fullmatch(step("running pictures"), many.err)
    assert many.out.count(str(picture)) == 21


def test_no_bar_where_the_answers_are_seen(
    levit: Levit, bundle: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal they come one by one; as JSON they come at the end, and there is a bar all the same."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert levit("predict", bundle, *[picture] * 21).err == ""
    assert levit("predict", bundle, *[picture] * 21, "--json").err.startswith("  running pictures ...\n")


def test_slow_inferences_have_progress(levit: Levit, runtime: MadeUp, bundle: Path) -> None:
    """Over two seconds of them. However many are asked for at once, so many are timed."""
    assert levit("inspect", bundle, "--runs", 2000, "--json").err == ""
    assert runtime.timed == [5, *[200] * 10]
    runtime.milliseconds, runtime.timed = 90.0, []
    assert levit("inspect", bundle, "--runs", 22).err == ""
    answer = levit("inspect", bundle, "--runs", 23, "--json")
    assert re.fullmatch(step("timing inferences"), answer.err)
    assert answer.data["milliseconds"] == {"runs": 23, "threads": 1, "median": 90.0, "least": 90.0}
    assert runtime.timed[-13:] == [5, *[2] * 11, 1]


@pytest.mark.parametrize("milliseconds", [0.0, 1e-9, 1e6])
def test_times_beyond_reason(levit: Levit, runtime: MadeUp, bundle: Path, milliseconds: float) -> None:
    runtime.milliseconds = milliseconds
    assert levit("inspect", bundle, "--runs", 7).code == 0
    assert sum(runtime.timed) == 12


def test_names_that_are_digests_are_cut(levit: Levit, bundle: Path) -> None:
    """In the table. As JSON they are whole; other names are whole everywhere."""
    lines = levit("inspect", bundle, "--runs", 1).out.splitlines()
    assert "0123456789ab " in lines[-2]
    assert DIGEST not in lines[-2]
    assert lines[-1].startswith(f"{DIGEST}.weight ")
    names = [row["name"] for row in levit("inspect", bundle, "--runs", 1, "--json").data["constants"]]
    assert names == [DIGEST, f"{DIGEST}.weight"]


@pytest.mark.parametrize("change", [{"scale": "x", "zero_point": 0}, {"scale": 0.1}])
def test_a_manifest_with_a_bad_scale(levit: Levit, bundle: Path, change: dict[str, Any]) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    manifest["output"].update(change)
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    answer = levit("inspect", bundle)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == (
        f"error: {bundle / 'manifest.json'}: has a bad scale or zero_point in output; whole numbers have both, floats neither\n"
    )


def test_json_keeps_its_progress(levit: Levit, bundle: Path, tmp_path: Path) -> None:
    """Only standard output is replaced: ``validate --data DIR --json > file`` may take an hour."""
    for label in ("red", "green"):
        (tmp_path / "labelled" / label).mkdir(parents=True)
        draw("40x50").save(tmp_path / "labelled" / label / "a.png")
    answer = levit("validate", bundle, "--data", tmp_path / "labelled", "--json")
    assert answer.code == 0
    assert answer.data["accuracy"]["top1"]["share"] == 0.5
    assert re.fullmatch(step("running pictures"), answer.err)


@pytest.mark.parametrize("options", [[], ["--json"], ["--verbose"]])
def test_every_long_part_of_an_export_is_told(
    export: Levit, strange: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: list[str]
) -> None:
    def stop(*_: object) -> Path:
        raise ExportError("so far")

    monkeypatch.setattr("exporters.tflite.export", stop)
    answer = export("--weights", strange, "--out", tmp_path / "out", *options)
    assert (answer.code, answer.out) == (2, "")
    done = "".join(step(text) for text in ("loading PyTorch", "fusing", "asking PyTorch for the reference"))
    assert re.fullmatch(done + r"  translating to tflite, fp32 \.\.\.\nerror: so far\n", answer.err)


@pytest.mark.parametrize("target", ["tflite", "executorch"])
def test_a_converter_that_is_not_there(
    levit: Levit, strange: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, target: str
) -> None:
    def missing(*_: object) -> Path:
        raise ModuleNotFoundError("No module named 'converter'", name="converter")

    monkeypatch.setattr(f"exporters.{target}.export", missing)
    answer = levit("export", "--target", target, "--weights", strange, "--out", tmp_path / "out")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.splitlines()[-1] == (
        f"error: --target {target} needs the package converter; type in the checkout: pip install '.[{target}]'"
    )
