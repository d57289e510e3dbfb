"""``levit-export --target all --int8``: every target from one program, and a summary of them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from answers import of_range
from commands import Levit
from exports import Exported, once, run_script
from pictures import draw

from levit_mobile.bundle import open_bundle
from levit_mobile.preprocess import IMAGENET, resize_and_crop
from levit_mobile.runtimes import open_runtime
from levit_mobile.targets import TARGETS

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("all"), pytest.mark.long]


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    def make(folder: Path) -> subprocess.CompletedProcess[str]:
        return run_script("levit-export", ["--target", "all", "--int8"], cwd=folder)

    return once(tmp_path_factory, "everything", make)


def test_a_bundle_for_each_target(everything: Exported) -> None:
    assert sorted(p.name for p in everything.folder.iterdir()) == sorted(f"levit_128s-int8-{t}" for t in TARGETS)
    for target in TARGETS:
        opened = open_bundle(everything.bundle(f"levit_128s-int8-{target}"))
        assert opened.manifest["artifact"]["target"] == target
        assert opened.manifest["parity"]["passed"]
        assert opened.damage() == []


def test_the_summary(everything: Exported) -> None:
    *blocks, table = everything.stdout.strip().split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == [f"levit_128s-int8-{target}" for target in TARGETS]
    header, *rows = (line.split() for line in table.splitlines())
    assert header == [
        "bundle",
        "size",
        "operators",
        "parts",
        "outside",
        "difference",
        "cosine",
        "same",
        "class",
        "parity",
    ]
    for target, row in zip(TARGETS, rows, strict=True):
        opened = open_bundle(everything.bundle(f"levit_128s-int8-{target}"))
        manifest = opened.manifest
        parity, delegate = manifest["parity"], manifest["delegate"]
        assert row == [
            *(f"levit_128s-int8-{target}", f"{opened.artifact_bytes / 1e6:.2f}", "MB"),
            *(str(sum(manifest["operators"].values())), str(delegate["parts"])),
            *(str(sum(delegate["outside"].values())), f"{parity['max_abs']:.1e}", f"{parity['cosine']:.4f}"),
            *(f"{parity['agreement']:.0%}", "passed"),
        ]
        assert delegate["parts"] == 1
        assert delegate["outside"] == {}


def test_one_ranges_file_and_one_golden_file(everything: Exported) -> None:
    for file in ("golden.npz", "calibration.json"):
        contents = {(everything.bundle(f"levit_128s-int8-{t}") / file).read_bytes() for t in TARGETS}
        assert len(contents) == 1, file


@pytest.mark.parametrize(
    ("target", "alone"), [("tflite", "exported"), ("executorch", "executorch_exported"), ("onnx", "onnx_exported")]
)
def test_the_same_bytes_as_alone(target: str, alone: str, everything: Exported, request: pytest.FixtureRequest) -> None:
    name = f"levit_128s-int8-{target}"
    other: Exported = request.getfixturevalue(alone)
    for file in everything.bundle(name).iterdir():
        assert file.read_bytes() == (other.bundle(name) / file.name).read_bytes(), file.name


def test_all_answer_alike(everything: Exported) -> None:
    """Any two within what separates float16 from float32 between the layers."""
    pixels: npt.NDArray[np.uint8] = np.stack(
        [resize_and_crop(draw(f"{290 + 9 * n}x{270 + n}"), IMAGENET) for n in range(8)]
    )
    logits = {
        target: open_runtime(open_bundle(everything.bundle(f"levit_128s-int8-{target}"))).logits(pixels)
        for target in TARGETS
    }
    for target, found in logits.items():
        assert of_range(found, logits["tflite"]) <= (0.04 if target == "coreml" else 0.02), target


def test_a_precision_that_one_cannot_do(levit: Levit) -> None:
    """Refused before anything is made, with what there is to choose from."""
    answer = levit("export", "--target", "all", "--precision", "int8-dynamic", "--json")
    assert answer.code == 2
    assert "--target coreml cannot do --precision int8-dynamic; it can do: fp32, fp16, int8" in answer.err
    assert answer.out == "" or "error" in json.loads(answer.out)
