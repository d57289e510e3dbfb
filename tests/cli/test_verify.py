"""``levit verify``: whole, unedited, and computing what PyTorch did."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Levit
from exports import PRECISIONS, Exported

from exporters.tflite_graph import constant, operators, read_graph, set_constant, write_graph
from levit_mobile.bundle import open_bundle, write_manifest

pytestmark = pytest.mark.slow


@pytest.fixture
def bundle(exported: Exported, tmp_path: Path) -> Path:
    """A copy, to be damaged."""
    return exported.copy("levit_128s-int8-tflite", tmp_path)


def rewrite(bundle: Path, change: Callable[[dict[str, Any]], Any] = lambda manifest: None) -> None:
    """The manifest anew, with checksums of what is there: what somebody does who means to deceive."""
    manifest = dict(open_bundle(bundle).manifest)
    del manifest["files"], manifest["digest"]
    change(manifest)
    (bundle / "manifest.json").unlink()
    write_manifest(bundle, manifest)


def refused(levit: Levit, bundle: Path, *texts: str) -> None:
    """Exit 1 with these texts on standard error, and as JSON."""
    answer = levit("verify", bundle)
    assert answer.code == 1
    assert answer.err.startswith(f"error: {bundle}: ")
    for text in texts:
        assert text in answer.err
    assert "is whole" not in answer.out
    machine = levit("verify", bundle, "--json")
    assert machine.code == 1
    assert machine.data["ok"] is False
    assert all(any(text in problem for problem in machine.data["problems"]) for text in texts)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_all_is_well(levit: Levit, exported: Exported, precision: str) -> None:
    bundle = exported.bundle(f"levit_128s-{precision}-tflite")
    answer = levit("verify", bundle)
    assert (answer.code, answer.err) == (0, "")
    count = 4 if precision == "int8" else 3
    assert answer.out.splitlines()[0] == f"files       all {count} as in the manifest"
    assert answer.out.splitlines()[-1] == f"{bundle} is whole and computes what it should"
    data = levit("verify", bundle, "--json").data
    assert data == {"ok": True, "problems": [], "waived": False, "parity": open_bundle(bundle).manifest["parity"]}


@pytest.mark.parametrize("kind", ["nchw", "uint8", "int8", "uint8-fp32"])
def test_all_kinds_are_well(levit: Levit, other_kinds: Exported, kind: str) -> None:
    assert levit("verify", other_kinds.bundle(kind), "--json").data["ok"] is True


@pytest.mark.parametrize("name", ["model.tflite", "golden.npz", "calibration.json"])
@pytest.mark.parametrize("place", [0.0, 0.5, 0.999])
def test_a_flipped_bit(levit: Levit, bundle: Path, name: str, place: float) -> None:
    data = bytearray((bundle / name).read_bytes())
    data[int(place * len(data))] ^= 1
    (bundle / name).write_bytes(data)
    refused(levit, bundle, f"{name} was changed: its sha256 is not the manifest's")


def test_files_that_are_cut_missing_or_left_over(levit: Levit, bundle: Path) -> None:
    size = (bundle / "model.tflite").stat().st_size
    os.truncate(bundle / "model.tflite", size - 1)
    (bundle / "golden.npz").unlink()
    (bundle / "notes.txt").write_text("mine")
    refused(
        levit,
        bundle,
        f"model.tflite has {size - 1} bytes, the manifest says {size}",
        "golden.npz is missing",
        "notes.txt is not in the manifest",
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["labels"].reverse(),
        lambda m: m.update(accuracy={"samples": 3925, "top1": {"share": 0.99}}),
        lambda m: m["parity"].update(max_abs=0.0),
        lambda m: m["delegate"].update(parts=2),
        lambda m: m["tools"].update(torch="1.0"),
        lambda m: m.pop("digest"),
    ],
    ids=["labels", "accuracy", "parity", "delegate", "tools", "digest"],
)
def test_an_edited_manifest(levit: Levit, bundle: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    change(manifest)
    (bundle / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", "utf-8")
    refused(levit, bundle, "manifest.json was edited: its digest is not that of what it says")


def test_a_manifest_that_is_only_laid_out_anew(levit: Levit, bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    (bundle / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    assert levit("verify", bundle).code == 0


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "manifest.json: cannot be read ("),
        ("[]", "manifest.json: is not an object"),
        ('{"format": 2}', "manifest.json: has format 2; this version reads 1"),
        ('{"format": 1}', "manifest.json: lacks or garbles 'files'"),
    ],
)
def test_a_manifest_that_is_none(levit: Levit, bundle: Path, text: str, error: str) -> None:
    (bundle / "manifest.json").write_text(text)
    answer = levit("verify", bundle, "--json")
    assert (answer.code, answer.out) == (1, "")
    assert error in answer.err


def test_another_valid_artifact_with_its_checksums(levit: Levit, exported: Exported, bundle: Path) -> None:
    """The same network, one layer's weights in another order: it runs, its sums are right, its answers are not."""
    graph = read_graph((exported.bundle("levit_128s-fp32-tflite") / "model.tflite").read_bytes())
    *_, (_, head) = ((kind, op) for kind, op in operators(graph) if kind == "FULLY_CONNECTED")
    weight = constant(graph, head.inputs[1])
    assert weight is not None
    set_constant(graph, head.inputs[1], np.roll(weight, 1, axis=0))
    (bundle / "model.tflite").write_bytes(write_graph(graph))
    rewrite(bundle)
    refused(levit, bundle, "the artifact no longer computes what PyTorch does here: greatest difference ")


def test_an_artifact_with_other_classes(levit: Levit, thousand: Path, bundle: Path) -> None:
    assert levit("verify", thousand, "--json").data["ok"] is True
    shutil.copy(thousand / "model.tflite", bundle)
    rewrite(bundle)
    for command in ("verify", "validate", "inspect"):
        answer = levit(command, bundle, "--json")
        assert (answer.code, answer.out) == (1, "")
        assert "the manifest says [1, 224, 224, 3] to [1, 10]" in answer.err


def test_an_artifact_that_is_none(levit: Levit, bundle: Path) -> None:
    (bundle / "model.tflite").write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(1000))
    rewrite(bundle)
    answer = levit("verify", bundle)
    assert answer.code == 1
    assert f"{bundle / 'model.tflite'}: LiteRT cannot load it" in answer.err


def test_a_target_and_a_precision_of_later_versions(levit: Levit, bundle: Path) -> None:
    rewrite(bundle, lambda m: m.update(artifact={**m["artifact"], "target": "coffee"}))
    answer = levit("verify", bundle)
    assert (answer.code, answer.err) == (
        1,
        f"error: {bundle}: made for 'coffee'; this version runs coreml, executorch, onnx, tflite\n",
    )
    rewrite(bundle, lambda m: m.update(artifact={**m["artifact"], "target": "tflite", "precision": "int3"}))
    answer = levit("verify", bundle)
    assert answer.code == 2
    known = "fp32, fp16, int8, int8-weights, palettised-4bit, int8-dynamic"
    assert answer.err == f"error: unknown precision 'int3'; type one of: {known}\n"


def test_damaged_files_are_not_opened(levit: Levit, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("it was opened")

    monkeypatch.setattr("levit_mobile.cli.verify.open_runtime", refuse)
    with (bundle / "model.tflite").open("ab") as file:
        file.write(b"\0")
    assert levit("verify", bundle).code == 1
