"""``levit validate``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from commands import Levit
from exports import Exported, labelled_pictures

from levit_mobile.bundle import open_bundle, write_manifest

pytestmark = pytest.mark.slow


@pytest.fixture
def bundle(exported: Exported) -> Path:
    return exported.bundle("levit_128s-int8-tflite")


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    labelled_pictures(tmp_path / "labelled")
    return tmp_path / "labelled"


def test_parity_only(levit: Levit, bundle: Path) -> None:
    answer = levit("validate", bundle)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("parity      passed: greatest difference ")
    told = open_bundle(bundle).manifest["parity"]
    assert answer.out.endswith(f"same first class {told['agreement']:.1%} of 8\n")
    assert levit("validate", bundle, "--json").data == {"parity": told}


def test_labelled_pictures(levit: Levit, bundle: Path, labelled: Path) -> None:
    answer = levit("validate", bundle, "--data", labelled)
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert [line.split()[0] for line in lines] == ["parity", "top-1", "top-5"]
    assert re.fullmatch(r"top-1       \d+\.\d\d% of 6 \(95 % interval \d+\.\d\d% to \d+\.\d\d%\)", lines[1])
    assert re.fullmatch(r"  running pictures \.\.\.\n  running pictures \(\d+\.\d s\)\n", answer.err)


def test_labelled_pictures_as_json(levit: Levit, bundle: Path, labelled: Path) -> None:
    answer = levit("validate", bundle, "--data", labelled, "--limit", 4, "--threads", 2, "--json")
    assert answer.code == 0
    assert answer.err.startswith("  running pictures ...\n")
    accuracy = answer.data["accuracy"]
    assert accuracy["samples"] == 4
    assert set(accuracy) == {"samples", "top1", "top5"}
    low, high = accuracy["top1"]["interval95"]
    assert 0 <= low <= accuracy["top1"]["share"] <= high <= 1


def test_beside_pytorch(levit: Levit, exported: Exported, labelled: Path) -> None:
    bundle = exported.bundle("levit_128s-fp32-tflite")
    answer = levit("validate", bundle, "--data", labelled, "--weights", "demo")
    assert answer.code == 0
    lines = {line.split()[0]: line for line in answer.out.splitlines()}
    assert list(lines) == ["parity", "top-1", "top-5", "PyTorch", "agreement"]
    assert lines["agreement"].startswith("agreement   100.00% of 6 (95 % interval ")
    steps = [line.strip() for line in answer.err.splitlines()]
    assert steps[::2] == ["loading PyTorch ...", "running pictures ..."]
    assert [step.partition(" (")[0] for step in steps[1::2]] == ["loading PyTorch", "running pictures"]


@pytest.mark.parametrize("precision", ["int8", "int8-dynamic"])
def test_beside_the_quantised_program(levit: Levit, exported: Exported, labelled: Path, precision: str) -> None:
    """fp32, the program in PyTorch and the artifact: three answers for the same pictures."""
    bundle = exported.bundle(f"levit_128s-{precision}-tflite")
    answer = levit("validate", bundle, "--data", labelled, "--weights", "demo")
    assert answer.code == 0, answer.err
    last = answer.out.splitlines()[-1]
    assert re.fullmatch(rf"program     \d+\.\d\d% top-1, \d+\.\d\d% agreement: {precision} in PyTorch", last)
    found = levit("validate", bundle, "--data", labelled, "--weights", "demo", "--json").data
    program, accuracy = found["program"], found["accuracy"]
    assert (program["samples"], program["reference_top1"]) == (6, accuracy["reference_top1"])
    assert abs(program["agreement"]["share"] - accuracy["agreement"]["share"]) <= 1 / 6
    assert f"{program['top1']['share']:.2%} top-1" in last


def test_imagenette(levit: Levit, bundle: Path, shared: Path) -> None:
    """Folders by their WordNet numbers, one a class: matched in sorted order."""
    answer = levit("validate", bundle, "--data", shared / "images/imagenette/val", "--limit", 60, "--json")
    accuracy = answer.data["accuracy"]
    assert accuracy["samples"] == 60
    assert accuracy["top1"]["share"] >= 0.65  # 80 % is the least on all of them
    assert accuracy["top5"]["share"] >= 0.93


def test_other_weights(levit: Levit, bundle: Path, labelled: Path, strange: Path) -> None:
    answer = levit("validate", bundle, "--data", labelled, "--weights", strange)
    assert answer.code == 2
    assert answer.err.splitlines()[-1] == (
        f"error: strange.safetensors is not what {bundle} was made from (levit_128s-imagenette.safetensors)"
    )


@pytest.mark.parametrize("option", [("--weights", "demo"), ("--limit", 3), ("--jobs", 2)])
def test_options_that_need_pictures(levit: Levit, bundle: Path, option: tuple[object, ...]) -> None:
    answer = levit("validate", bundle, *option)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "error: --weights, --limit and --jobs are about the pictures of --data; type --data DIR too\n"


@pytest.mark.parametrize(
    ("option", "said"), [("--jobs", "--jobs is about this host"), ("--threads", "--threads is about this host")]
)
def test_options_of_this_host(levit: Levit, bundle: Path, labelled: Path, option: str, said: str) -> None:
    answer = levit("validate", bundle, "--data", labelled, "--board", "pi@raspberrypi.local", option, 2)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err


def test_pictures_that_do_not_fit(levit: Levit, bundle: Path, labelled: Path, tmp_path: Path) -> None:
    missing = levit("validate", bundle, "--data", tmp_path / "none")
    assert (missing.code, missing.err) == (
        2,
        f"error: {tmp_path / 'none'}: no such folder; --data wants one folder a class with pictures in it\n",
    )
    (labelled / "church").rename(labelled / "cathedral")
    other = levit("validate", bundle, "--data", labelled)
    assert other.code == 2
    assert "'cathedral' is not one of the model's labels" in other.err


def test_a_bad_picture_among_them(levit: Levit, bundle: Path, labelled: Path) -> None:
    bad = labelled / "church" / "0.png"
    bad.write_bytes(b"nothing")
    answer = levit("validate", bundle, "--data", labelled, "--json")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.splitlines()[-1].startswith(f"error: {bad}: ")


def test_stopped_by_a_bad_picture_it_goes_on(
    levit: Levit, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEVIT_MOBILE_CACHE", str(tmp_path / "cache"))
    labelled_pictures(tmp_path / "labelled", 12)
    whole = levit("validate", bundle, "--data", tmp_path / "labelled", "--jobs", 2, "--json")
    last = max((tmp_path / "labelled").rglob("*.png"))
    good = last.read_bytes()
    last.write_bytes(b"nothing")
    stopped = levit("validate", bundle, "--data", tmp_path / "labelled", "--jobs", 1, "--json")
    assert stopped.code == 2
    assert "  16 of 24 pictures are done and kept; type the same again to go on" in stopped.err
    last.write_bytes(good)
    again = levit("validate", bundle, "--data", tmp_path / "labelled", "--json")
    assert again.code == 0
    assert "  going on after 16 of 24 pictures, which were done before" in again.err
    assert again.data == whole.data
    assert list((tmp_path / "cache" / "validations").iterdir()) == []


def test_parity_that_fails(levit: Levit, exported: Exported, other_kinds: Exported, tmp_path: Path) -> None:
    """An artifact of other weights, under a manifest that says it is what it is not: exit 1, and all is told."""
    bundle = exported.copy("levit_128s-int8-tflite", tmp_path)
    manifest = dict(open_bundle(bundle).manifest)
    manifest["artifact"] = {**manifest["artifact"], "precision": "fp32"}
    del manifest["files"], manifest["digest"]
    (bundle / "manifest.json").unlink()
    write_manifest(bundle, manifest)
    text = levit("validate", bundle)
    assert (text.code, text.err) == (1, "")
    assert text.out.startswith("parity      FAILED: greatest difference ")
    machine = levit("validate", bundle, "--json")
    assert machine.code == 1
    assert machine.data["parity"]["passed"] is False
