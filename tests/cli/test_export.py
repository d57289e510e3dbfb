"""``levit-export``: what it prints and writes, with the real converter once and with a ready-made artifact otherwise."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import Answer, Levit
from exports import PRECISIONS, Exported, labelled_pictures, run_script
from pictures import draw

from calib.calibration import bundled_calibration
from exporters.tflite_graph import operators, read_graph, set_constant, write_graph
from levit_mobile.bundle import open_bundle
from levit_mobile.fuse import fuse
from levit_mobile.golden import golden_pictures
from levit_mobile.preprocess import IMAGENET, normalise, resize_and_crop
from levit_mobile.weights import resolve_weights

pytestmark = pytest.mark.slow

CHATTER = ("LiteRT-Torch Convert", "Decompositions", "Warning", "Applying Transformations", "MLIR", "I0000", "INFO")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own to work in: bundles go to the current one."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_people_read(exported: Exported) -> None:
    """What came out, where it is, and what to type next; for each precision, in the order asked for; then all together."""
    *blocks, together = exported.stdout.strip().split("\n\n")
    assert [line.split()[0] for line in together.splitlines()] == [
        "bundle",
        *(f"levit_128s-{p}-tflite" for p in PRECISIONS),
    ]
    assert [block.splitlines()[0] for block in blocks] == [f"levit_128s-{p}-tflite" for p in PRECISIONS]
    for precision, block in zip(PRECISIONS, blocks, strict=True):
        bundle = open_bundle(exported.bundle(f"levit_128s-{precision}-tflite"))
        manifest = bundle.manifest
        size, parity = bundle.artifact.stat().st_size, manifest["parity"]
        rows = {line.split()[0]: line.split(maxsplit=1)[1] for line in block.splitlines()[1:]}
        assert rows["model"] == "levit_128s, 10 classes"
        assert rows["artifact"] == f"model.tflite, {size / 1e6:.2f} MB, {precision}"
        total = sum(manifest["operators"].values())
        assert rows["runs"] == f"as    {total} operators, 1 XNNPACK part(s), 0 operators outside"
        assert rows["parity"] == (
            f"passed: difference {parity['max_abs']:.1e} of the logit range, cosine {parity['cosine']:.4f}, "
            f"same first class {parity['agreement']:.0%} of 8"
        )
        assert rows["next"].endswith(f"levit predict levit_128s-{precision}-tflite PICTURE")


def test_progress_without_chatter(exported: Exported) -> None:
    """Steps and their times on standard error, and nothing of what the converters print."""
    lines = exported.stderr.splitlines()
    both = [(f"translating to tflite, {p}", "comparing with PyTorch") for p in PRECISIONS]
    steps = ["loading PyTorch", "fusing", "asking PyTorch for the reference", *(step for pair in both for step in pair)]
    assert lines[::2] == [f"  {step} ..." for step in steps]
    for step, line in zip(steps, lines[1::2], strict=True):
        assert re.fullmatch(rf"  {step} \(\d+\.\d s\)", line)
    for word in CHATTER:
        assert word not in exported.stdout + exported.stderr


def test_what_a_bundle_holds(exported: Exported) -> None:
    assert sorted(names(exported.folder)) == sorted(
        f"levit_128s-{p}-tflite" for p in PRECISIONS
    )  # and no hidden folder
    demo = resolve_weights("demo")
    for precision in PRECISIONS:
        bundle = open_bundle(exported.bundle(f"levit_128s-{precision}-tflite"))
        ranges = ["calibration.json"] if precision == "int8" else []
        assert names(bundle.folder) == [*ranges, "golden.npz", "manifest.json", "model.tflite", "sbom.cdx.json"]
        assert bundle.damage() == []
        assert oct(bundle.folder.stat().st_mode & 0o777) == "0o755"
        manifest = bundle.manifest
        assert manifest["model"]["checkpoint"]["sha256"] == demo.sha256
        assert manifest["model"]["checkpoint"]["name"] == demo.name
        assert manifest["artifact"] == {
            "file": "model.tflite",
            "target": "tflite",
            "options": {"via": "litert-torch", "activations": "float32" if precision == "fp32" else "auto"},
            "precision": precision,
            "half_precision": precision != "fp32",
            "scheme": manifest["artifact"]["scheme"],
        }
        assert manifest["input"] == {
            "name": "image",
            "shape": [1, 224, 224, 3],
            "dtype": "float32",
            "layout": "nhwc",
            "takes": "normalised pixels",
        }
        assert manifest["output"] == {"name": "logits", "shape": [1, 10], "dtype": "float32"}
        assert (manifest["preprocessing"]["resize"], manifest["preprocessing"]["crop"]) == (256, 224)
        assert tuple(manifest["labels"]) == demo.labels
        assert manifest["accuracy"] is None
        assert manifest["command"] == f"levit-export --target tflite --precision {precision}"
        assert (manifest["calibration"] is not None) == (precision == "int8")
        assert set(manifest["tools"]) == {
            *("levit-mobile", "torch", "numpy", "pillow"),
            *("litert-torch", "litert-converter", "ai-edge-quantizer", "ai-edge-litert"),
        }
        assert str(Path.home()) not in json.dumps(manifest)
        golden = bundle.golden()
        assert golden.pixels.tobytes() == golden_pictures(224).tobytes()
        assert golden.logits.shape == (8, 10)


@pytest.mark.long
def test_the_same_bytes_from_another_process(exported: Exported, tmp_path: Path) -> None:
    """Another hash seed, time zone, working folder, home, language and number of threads; also --json and --verbose."""
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    environment = {
        "PYTHONHASHSEED": "77",
        "TZ": "Pacific/Kiritimati",
        "OMP_NUM_THREADS": "2",
        "LC_ALL": "C",
        "HOME": str(elsewhere),
        "SOURCE_DATE_EPOCH": "1",
    }
    asked = [part for precision in reversed(PRECISIONS) for part in ("--precision", precision)]
    done = run_script(
        "levit-export",
        ["--target", "tflite", *asked, "--json", "--verbose"],
        cwd=elsewhere,
        environment=environment,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    made = json.loads(done.stdout)["bundles"]  # one object and nothing else, although the converters print
    assert [row["folder"] for row in made] == [f"levit_128s-{p}-tflite" for p in reversed(PRECISIONS)]
    assert "LiteRT-Torch Convert > Run FX Passes" in done.stderr
    for precision in PRECISIONS:
        name = f"levit_128s-{precision}-tflite"
        one, other = exported.bundle(name), elsewhere / name
        assert names(other) == names(one)
        for file in names(one):
            assert (other / file).read_bytes() == (one / file).read_bytes(), (precision, file)


def test_accuracy_goes_into_the_manifest(other_kinds: Exported) -> None:
    bundle = open_bundle(other_kinds.bundle("nchw"))
    accuracy = bundle.manifest["accuracy"]
    assert accuracy["samples"] == 6
    assert set(accuracy) == {"samples", "top1", "top5"}
    first = json.loads(other_kinds.stdout.partition("\n}\n")[0] + "}")["bundles"][0]
    assert first["accuracy"] == accuracy
    assert first["folder"] == "nchw"
    assert first["bytes"] == bundle.artifact.stat().st_size


def test_default_is_fp32_of_the_demo_weights(export: Levit, ready_made: list[str], here: Path) -> None:
    answer = export("--json")
    assert answer.code == 0
    assert answer.err.splitlines()[-1].startswith("  comparing with PyTorch (")
    (row,) = answer.data["bundles"]
    assert set(row) == {"folder", "bytes", "model", "artifact", "delegate", "parity", "accuracy"}
    assert row["folder"] == "levit_128s-fp32-tflite"
    assert row["parity"]["passed"] is True
    assert row["delegate"] == {"name": "XNNPACK", "parts": 1, "outside": {}}
    assert names(here) == ["levit_128s-fp32-tflite"]
    assert ready_made == ["fp32"]


def test_precisions_are_made_once_each(export: Levit, ready_made: list[str], here: Path) -> None:
    answer = export("--target", "tflite", "--precision", "int8", "--int8", "--precision", "fp16", "--precision", "fp16")
    assert answer.code == 0
    assert ready_made == ["int8", "fp16"]
    assert names(here) == ["levit_128s-fp16-tflite", "levit_128s-int8-tflite"]
    assert answer.err.count("translating to tflite") == 4  # a line at the start of each, one at its end


def test_out_overwrite_and_labels(export: Levit, ready_made: list[str], here: Path) -> None:
    classes = here / "classes.txt"
    classes.write_text("\n".join(f"class {n}" for n in range(9)) + "\n\n  犬, dog [x]  \n", "utf-8-sig")
    out = here / "a folder" / "deep" / "mine"
    answer = export("--out", out, "--labels", classes)
    assert answer.code == 0
    assert answer.out.splitlines()[1] == str(out)
    assert answer.out.endswith(f"predict '{out}' PICTURE\n")  # ready to be pasted into a shell
    assert open_bundle(out).labels == [*(f"class {n}" for n in range(9)), "犬, dog [x]"]

    before = (out / "manifest.json").read_bytes()
    again = export("--out", out)
    assert (again.code, again.out) == (2, "")
    assert again.err.splitlines()[-1] == f"error: {out} is already there; type --overwrite to replace it"
    assert (out / "manifest.json").read_bytes() == before

    assert export("--out", out, "--overwrite").code == 0
    assert open_bundle(out).labels[0] == "tench"
    assert names(out.parent) == ["mine"]


def test_accuracy_in_text(export: Levit, ready_made: list[str], here: Path) -> None:
    labelled_pictures(here / "labelled")
    answer = export("--eval-data", here / "labelled")
    assert answer.code == 0
    (line,) = (line for line in answer.out.splitlines() if line.startswith("  accuracy"))
    assert " top-1 of 6 (95 % interval " in line
    assert "  measuring accuracy (" in answer.err


@pytest.fixture
def recognised(here: Path) -> Path:
    """Twelve drawn pictures, in folders that are called as the demo model calls them."""
    checkpoint = resolve_weights("demo")
    model = fuse(checkpoint.model())
    for n in range(12):
        picture = draw(f"{300 + 7 * n}x{280 - n}")
        x = torch.from_numpy(normalise(resize_and_crop(picture, IMAGENET)[None], IMAGENET))
        with torch.inference_mode():
            name = (checkpoint.labels or ())[int(model(x).argmax())]
        (here / "recognised" / name).mkdir(parents=True, exist_ok=True)
        picture.save(here / "recognised" / name / f"{n}.png")
    return here / "recognised"


def test_nothing_need_stay_float(export: Levit, ready_made: list[str], here: Path, recognised: Path) -> None:
    answer = export("--int8", "--max-drop", 10, "--eval-data", recognised, "--out", "easy")
    assert answer.code == 0
    assert "kept       nothing need stay float" in answer.out
    assert re.search(
        r"int8       [\d.]+% top-1 of 12 in PyTorch, float 100.00%; at most 10 points may be lost", answer.out
    )
    assert "All layers are in the bundle's calibration.json." in answer.out
    assert "counting right answers, 0 of 71 layers in float" in answer.err
    assert open_bundle(here / "easy").manifest["calibration"]["kept"] == []
    sensitivity = json.loads((here / "easy" / "calibration.json").read_text())["sensitivity"]
    assert len(sensitivity) == 71
    worst = sorted(sensitivity, key=lambda name: sensitivity[name])[:10]
    table = answer.out.split("logits, only it  kept\n")[1].splitlines()
    assert [line.split()[0] for line in table[:10]] == worst


def test_a_layer_stays_float(export: Levit, ready_made: list[str], here: Path, recognised: Path) -> None:
    """The head's outputs are spoilt; so it is kept, and again where that bundle's calibration is used."""
    calibration = bundled_calibration()
    values = {**calibration.ranges.values, "head.out": (-1e4, 1e4)}
    spoilt = replace(calibration, ranges=replace(calibration.ranges, values=values))
    (here / "spoilt.json").write_text(spoilt.to_json(), "utf-8")
    ask = ("--int8", "--calib-data", "spoilt.json", "--max-drop", 10, "--eval-data", recognised)
    answer = export(*ask, "--out", "kept")
    assert answer.code == 0
    assert "kept       1 of 71 layers stay float, and " in answer.out
    assert re.search(r"^head +-?[\d.]+ dB  float$", answer.out, re.MULTILINE)
    assert open_bundle(here / "kept").manifest["calibration"]["kept"] == ["head"]
    again = export("--int8", "--calib-data", here / "kept" / "calibration.json", "--out", "again")
    assert again.code == 0
    assert open_bundle(here / "again").manifest["calibration"]["kept"] == ["head"]


@pytest.mark.parametrize("method", ["percentile", "mse", "entropy"])
def test_ends_of_ranges_by_another_method(export: Levit, ready_made: list[str], here: Path, method: str) -> None:
    labelled_pictures(here / "labelled")
    ask = ("--int8", "--calib-data", here / "labelled", "--calib-samples", 2, "--allow-drift", "--calib-method", method)
    assert export(*ask, "--out", "other").code == 0
    told = open_bundle(here / "other").manifest["calibration"]["method"]
    assert told == f"equalised; {method}; the stem by the next layer's error"


def test_calibration_pictures(export: Levit, ready_made: list[str], here: Path) -> None:
    """Ranges measured anew: of how many pictures, and which, is told; the same seed gives the same."""
    labelled_pictures(here / "labelled")
    pictures = ["--calib-data", here / "labelled", "--calib-samples", 2, "--allow-drift", "--int8"]
    answers = [export(*pictures, "--seed", seed, "--out", here / name) for name, seed in (("a", 0), ("b", 0), ("c", 1))]
    assert [answer.code for answer in answers] == [0, 0, 0]
    a, b, c = (open_bundle(here / name).manifest["calibration"] for name in "abc")
    assert (a["samples"], a["method"]) == (2, "equalised; min-max; the stem by the next layer's error")
    assert a == b
    assert a["digest"] != c["digest"]
    assert (here / "a" / "calibration.json").read_bytes() == (here / "b" / "calibration.json").read_bytes()
    assert "reading up to 2 calibration pictures" in answers[0].err
    assert "measuring activation ranges" in answers[0].err
    # And from an earlier bundle's ranges.
    assert export("--int8", "--calib-data", here / "a" / "calibration.json", "--out", here / "d").code == 0
    assert open_bundle(here / "d").manifest["calibration"] == a


def test_calibration_pictures_of_noise(export: Levit, ready_made: list[str], here: Path) -> None:
    """Noticed, and told; the parity gate has the last word."""
    np.savez(here / "noise.npz", np.random.default_rng(0).integers(0, 256, (4, 224, 224, 3), np.uint8))
    answer = export("--int8", "--calib-data", here / "noise.npz", "--allow-drift", "--out", here / "noise")
    assert answer.code == 0
    assert "note: the pictures in " in answer.err
    assert "noise.npz do not look like what levit_128s-imagenette.safetensors was trained on (" in answer.err


def too_far(answer: Answer) -> None:
    assert answer.code == 1
    assert answer.out == ""
    last = answer.err.splitlines()[-1]
    assert last.startswith("error: fp32 for tflite is too far from PyTorch: greatest difference ")
    for text in (
        " of the logit range, cosine ",
        "allowed: 1.00e-04 of the range, cosine 0.999999",
        "No bundle was written",
    ):
        assert text in last


def test_an_artifact_too_far_from_pytorch(
    export: Levit, levit: Levit, ready_made: list[str], strange: Path, here: Path
) -> None:
    """The exporter gives another model's artifact: nothing is written, unless it is asked for; then it says so."""
    too_far(export("--weights", strange))
    too_far(export("--weights", strange, "--json"))
    assert names(here) == []

    answer = export("--weights", strange, "--allow-drift")
    assert answer.code == 0
    assert "  parity     FAILED, kept as you asked: difference " in answer.out
    bundle = here / "levit_128s-fp32-tflite"
    assert open_bundle(bundle).manifest["parity"]["passed"] is False
    verified = levit("verify", bundle)
    assert verified.code == 0
    assert "(out of bounds; the bundle was made with --allow-drift)" in verified.out
    assert verified.out.endswith(f"{bundle} is whole, and as far from PyTorch as --allow-drift let it be\n")
    data = levit("verify", bundle, "--json").data
    assert (data["ok"], data["waived"], data["parity"]["passed"]) == (True, True, False)
    assert levit("validate", bundle).code == 1


def test_an_artifact_that_gives_nan(
    export: Levit, levit: Levit, exported: Exported, monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    graph = read_graph((exported.bundle("levit_128s-fp32-tflite") / "model.tflite").read_bytes())
    *_, head = (op for kind, op in operators(graph) if kind == "FULLY_CONNECTED")
    set_constant(graph, head.inputs[2], np.full(10, np.nan))

    def broken(program: object, folder: Path) -> Path:
        (folder / "model.tflite").write_bytes(write_graph(graph))
        return folder / "model.tflite"

    monkeypatch.setattr("exporters.tflite.export", broken)
    answer = export()
    assert answer.code == 1
    assert "too far from PyTorch: greatest difference inf of the logit range" in answer.err
    assert names(here) == []
    assert export("--allow-drift", "--json").data["bundles"][0]["parity"]["max_abs"] == 1e9  # JSON has no infinity
    checked = levit("verify", here / "levit_128s-fp32-tflite", "--json")
    assert json.loads(checked.out, parse_constant=no_json)["parity"]["passed"] is False


def test_drift_does_not_replace_a_good_bundle(export: Levit, ready_made: list[str], strange: Path, here: Path) -> None:
    assert export("--out", here / "mine").code == 0
    before = {name: (here / "mine" / name).read_bytes() for name in names(here / "mine")}
    too_far(export("--weights", strange, "--out", here / "mine", "--overwrite"))
    assert {name: (here / "mine" / name).read_bytes() for name in names(here / "mine")} == before
    assert names(here) == ["mine"]


def test_numbers_of_the_reference_are_those_of_the_golden_file(exported: Exported) -> None:
    """All precisions are compared with the same reference."""
    found = [open_bundle(exported.bundle(f"levit_128s-{p}-tflite")).golden().logits for p in PRECISIONS]
    assert all(np.array_equal(found[0], other) for other in found[1:])


def no_json(name: str) -> Any:
    """For ``json.loads``: Python reads NaN and Infinity, other readers do not."""
    raise AssertionError(f"{name} is no JSON")


def test_manifests_are_for_other_readers_too(exported: Exported) -> None:
    for precision in PRECISIONS:
        text = (exported.bundle(f"levit_128s-{precision}-tflite") / "manifest.json").read_text("utf-8")
        json.loads(text, parse_constant=no_json)
        assert text.endswith("}\n")
