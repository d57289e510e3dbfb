"""What users get wrong: one sentence that names it, an exit code, no traceback, nothing written, nothing waited for."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commands import Answer, Levit
from pictures import draw

from calib.calibration import bundled_calibration
from levit_mobile.bundle import MANIFEST

if TYPE_CHECKING:
    from torch import Tensor

State = dict[str, "Tensor"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, so that anything left behind is seen."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def early(export: Levit, not_translated: None, here: Path) -> Callable[..., str]:
    """Run an export that must be refused before the translation; the sentence."""

    def call(*args: object, code: int = 2) -> str:
        before = sorted(os.listdir(here))
        answer = export(*args)
        assert (answer.code, answer.out) == (code, "")
        assert sorted(os.listdir(here)) == before
        assert "Traceback" not in answer.err
        *steps, last = answer.err.splitlines()
        assert all(step.startswith("  ") for step in steps)  # progress
        return last

    return call


def official(here: Path, strange: Path, change: Callable[[State], Any]) -> Path:
    """A changed copy of the random checkpoint, as the official code saves it."""
    import torch
    from safetensors.torch import load_file

    state = dict(load_file(strange))
    change(state)
    path = here / "changed.pth"
    torch.save({"model": state}, path)
    return path


def test_unknown_variant(early: Callable[..., str]) -> None:
    known = "levit_128s, levit_128, levit_192, levit_256, levit_384"
    assert early("--model", "levit_512").startswith(f"error: unknown variant 'levit_512'; type one of: {known}")
    assert early("--model", "levit_512", "--weights", "imagenet").startswith("error: unknown variant 'levit_512'")


def test_a_variant_that_the_weights_are_not(early: Callable[..., str], strange: Path) -> None:
    assert early("--weights", strange, "--model", "levit_256") == (
        f"error: {strange}: these are the weights of levit_128s, not of levit_256; leave --model out"
    )


def test_a_file_that_is_not_there(early: Callable[..., str]) -> None:
    assert early("--weights", "none.pth") == (
        "error: --weights none.pth: no such file; type demo, imagenet, or the path of a checkpoint"
    )


class Code:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("ran",)


def test_a_pickle_with_code_in_it(early: Callable[..., str], here: Path) -> None:
    import torch

    torch.save({"model": {"patch_embed.0.c.weight": torch.zeros(1), "extra": Code()}}, here / "a.pth")
    (here / "b.pth").write_bytes(pickle.dumps(Code()))
    for name in ("a.pth", "b.pth"):
        sentence = early("--weights", name)
        assert sentence.startswith(f"error: {name}: ")
        assert "weights_only" not in sentence  # torch's advice is to load it in a way that runs the code
    assert "could run code" in early("--weights", "a.pth")
    assert not (here / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02}q\x00.", b"text"])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_file_that_is_no_checkpoint(early: Callable[..., str], here: Path, content: bytes, suffix: str) -> None:
    (here / f"a.{suffix}").write_bytes(content)
    assert early("--weights", f"a.{suffix}").startswith(f"error: a.{suffix}: not a")


def test_a_tensor_too_few(early: Callable[..., str], here: Path, strange: Path) -> None:
    path = official(here, strange, lambda s: s.pop("blocks.3.m.0.c.weight"))
    assert early("--weights", path) == (
        f"error: {path}: does not fit levit_128s, the nearest variant: blocks.3.m.0.c.weight is missing"
    )


def test_a_tensor_too_many(early: Callable[..., str], here: Path, strange: Path) -> None:
    path = official(here, strange, lambda s: s.update({"blocks.99.extra": s["head.l.bias"]}))
    assert early("--weights", path) == (
        f"error: {path}: does not fit levit_128s, the nearest variant: blocks.99.extra is left over"
    )


def test_a_tensor_of_another_shape(early: Callable[..., str], here: Path, strange: Path) -> None:
    path = official(here, strange, lambda s: s.update({"head.l.weight": s["head.l.weight"][:, :383]}))
    assert early("--weights", path).endswith("head.l.weight has the shape (10, 383), expected (10, 384)")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers(early: Callable[..., str], here: Path, strange: Path, value: float) -> None:
    path = official(here, strange, lambda s: s["blocks.5.m.2.c.weight"].view(-1)[7:8].fill_(value))
    assert early("--weights", path) == (
        f"error: {path}: blocks.5.m.2.c.weight holds NaN or infinity; the training that wrote it went wrong"
    )


@pytest.mark.parametrize("count", [9, 11])
def test_labels_that_do_not_count(early: Callable[..., str], here: Path, count: int) -> None:
    (here / "classes.txt").write_text("a\n" * count)
    assert early("--labels", "classes.txt") == (
        f"error: --labels names {count} classes, but levit_128s-imagenette.safetensors has 10"
    )


def test_labels_without_a_name(early: Callable[..., str], here: Path) -> None:
    (here / "classes.txt").write_text("\n \n")
    assert early("--labels", "classes.txt") == "error: --labels classes.txt names no classes; write one a line"


def test_labels_that_cannot_be_read(early: Callable[..., str], here: Path) -> None:
    assert early("--labels", "none.txt").startswith("error: --labels none.txt: cannot be read as text (")
    (here / "classes.txt").write_bytes(b"\xff\xfe\x00")
    assert early("--labels", "classes.txt").startswith("error: --labels classes.txt: cannot be read as text (")
    assert early("--labels", ".").startswith("error: --labels .: cannot be read as text (")


def test_calibration_pictures_that_are_not_there(early: Callable[..., str], here: Path) -> None:
    (here / "empty").mkdir()
    (here / "bad").mkdir()
    (here / "bad" / "a.png").write_bytes(b"no picture")
    (here / "a.npz").write_bytes(b"PK")
    (here / "a.json").write_text("{}")
    for name in ("none", "none.json"):
        assert early("--int8", "--calib-data", name) == f"error: --calib-data {name}: no such file or folder"
    assert early("--int8", "--calib-data", "empty").startswith("error: empty: no pictures in this folder or below it (")
    assert early("--int8", "--calib-data", "bad").startswith("error: bad/a.png: ")
    assert early("--int8", "--calib-data", "a.npz").startswith("error: a.npz: not an .npz file of pictures (")
    assert early("--int8", "--calib-data", "a.json").startswith("error: a.json: not a file of activation ranges (")
    assert early("--int8", "--calib-data", "bad", "--seed", "-1").startswith("error: the seed -1 makes no sense")


def test_ranges_of_other_weights(early: Callable[..., str], here: Path, strange: Path) -> None:
    (here / "calibration.json").write_text(bundled_calibration().to_json(), "utf-8")
    sentence = early("--int8", "--weights", strange, "--calib-data", "calibration.json")
    assert sentence.startswith("error: these activation ranges belong to other weights (")
    assert sentence.endswith("; measure them anew with --calib-data DIR")


@pytest.mark.parametrize(("args", "what"), [(["--int8"], "int8"), (["--io-dtype", "uint8"], "--io-dtype uint8")])
def test_int8_of_other_weights_without_pictures(
    early: Callable[..., str], strange: Path, args: list[str], what: str
) -> None:
    assert early(*args, "--weights", strange) == (
        f"error: {what} needs activation ranges, and the ones in the package belong to the demo weights only; "
        "type --calib-data DIR with about 128 pictures of your kind (or a calibration.json from an earlier bundle)"
    )


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8-dynamic"])
@pytest.mark.parametrize("option", ["--calib-data", "--calib-samples", "--calib-method", "--seed"])
def test_options_for_int8_without_it(export: Levit, here: Path, option: str, precision: str) -> None:
    """Also where the value is the default: who types it expects something of it."""
    value = {"--calib-data": here, "--calib-samples": 128, "--calib-method": "min-max", "--seed": 0}[option]
    answer = export("--precision", precision, option, value)
    assert (answer.code, answer.out, answer.err) == (2, "", f"error: {option} is for int8; type --int8 too\n")


@pytest.mark.parametrize(("option", "value"), [("--calib-samples", 1), ("--calib-method", "mse"), ("--seed", 1)])
def test_options_for_pictures_that_are_not_read(export: Levit, here: Path, option: str, value: object) -> None:
    for needing in (["--int8"], ["--io-dtype", "uint8"], ["--precision", "fp16", "--precision", "int8"]):
        answer = export(*needing, option, value)
        told = f"error: {option} is about the pictures of --calib-data; type --calib-data DIR too\n"
        assert (answer.code, answer.out, answer.err) == (2, "", told)
        answer = export(*needing, "--calib-data", "calibration.json", option, value)
        told = f"error: {option} is about pictures, but calibration.json holds measured ranges; leave {option} out\n"
        assert (answer.code, answer.out, answer.err) == (2, "", told)


def test_raw_pixels_need_ranges_too(early: Callable[..., str], here: Path) -> None:
    options = ("--io-dtype", "int8", "--calib-data", "none", "--calib-samples", 1, "--seed", 1)
    assert early(*options) == "error: --calib-data none: no such file or folder"


def test_accuracy_pictures_that_are_not_there(early: Callable[..., str], here: Path) -> None:
    assert early("--eval-data", "none") == "error: --eval-data none: no such file or folder"
    draw("30x30").save(here / "a.png")
    assert early("--eval-data", ".").startswith("error: .: pictures lie loose in it; ")


def test_a_drop_that_cannot_be_counted(early: Callable[..., str], here: Path, strange: Path) -> None:
    wanted = "error: --max-drop counts right answers; type --eval-data DIR with labelled pictures, one folder a class"
    assert early("--int8", "--max-drop", 0.5) == wanted
    assert early("--max-drop", 0.5, "--eval-data", here) == "error: --max-drop is for int8; type --int8 too"
    draw("30x30").save(here / "a.png")
    assert early("--int8", "--max-drop", 1, "--eval-data", here).startswith(
        f"error: {here}: pictures lie loose in it; "
    )
    (here / "photos" / "class_0").mkdir(parents=True)
    draw("30x30").save(here / "photos" / "class_0" / "a.png")
    lacking = early("--int8", "--max-drop", 1, "--eval-data", here / "photos", "--weights", strange)
    assert lacking.startswith(
        "error: int8 needs activation ranges, and the ones in the package belong to the demo weights"
    )


def test_a_folder_that_is_there(early: Callable[..., str], here: Path) -> None:
    (here / "levit_128s-fp32-tflite").mkdir()
    assert early() == "error: levit_128s-fp32-tflite is already there; it is no bundle: type another --out"
    (here / "levit_128s-fp32-tflite" / MANIFEST).touch()
    assert early() == "error: levit_128s-fp32-tflite is already there; type --overwrite to replace it"
    # Of several bundles the first could be made; it is not, so that nobody waits for half of them.
    assert early("--precision", "fp16", "--precision", "fp32").startswith("error: levit_128s-fp32-tflite is already")
    (here / "file").touch()
    assert early("--out", "file", "--overwrite") == "error: file is already there; it is no bundle: type another --out"
    assert early("--out", ".", "--overwrite").startswith("error: . is already there; it is no bundle")


def test_what_a_target_cannot_do(levit: Levit, here: Path) -> None:
    for io_dtype in ("uint8", "int8"):
        answer = levit("export", "--target", "executorch", "--int8", "--io-dtype", io_dtype)
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.splitlines()[-1] == (
            f"error: --target executorch cannot do --io-dtype {io_dtype}; it can do: float32"
        )
    for precision in ("fp16", "int8-dynamic"):
        answer = levit("export", "--target", "onnx", "--precision", precision)
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.splitlines()[-1] == (
            f"error: --target onnx cannot do --precision {precision}; it can do: fp32, int8"
        )
    assert not list(here.iterdir())


def test_one_name_for_several_bundles(early: Callable[..., str]) -> None:
    sentence = "error: --out names one bundle, but several are to be made; leave it out"
    assert early("--out", "mine", "--int8", "--precision", "fp32") == sentence
    assert early("--out", "mine", "--target", "executorch") == sentence
    assert early("--out", "mine", "--target", "all") == sentence


def test_nothing_is_downloaded_for_a_request_that_cannot_be_met(
    early: Callable[..., str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("it went to the network")

    monkeypatch.setattr("levit_mobile.weights.fetch", refuse)
    (here / "there").mkdir()
    ask = ("--weights", "imagenet")
    assert early(*ask, "--int8").startswith("error: int8 needs activation ranges, and the ones in the package belong")
    assert early(*ask, "--io-dtype", "int8").startswith("error: --io-dtype int8 needs activation ranges")
    assert early(*ask, "--int8", "--calib-data", "none") == "error: --calib-data none: no such file or folder"
    assert early(*ask, "--eval-data", "none") == "error: --eval-data none: no such file or folder"
    assert early(*ask, "--labels", "none.txt").startswith("error: --labels none.txt: cannot be read as text (")
    assert early(*ask, "--out", "there") == "error: there is already there; it is no bundle: type another --out"


def test_nothing_is_measured_for_a_folder_that_is_there(
    early: Callable[..., str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("pictures were read")

    monkeypatch.setattr("calib.pictures.load_calibration_set", refuse)
    (here / "levit_128s-int8-tflite").mkdir()
    (here / "photos").mkdir()
    draw("30x30").save(here / "photos" / "a.png")
    assert early("--int8", "--calib-data", "photos").startswith("error: levit_128s-int8-tflite is already there")
    sentence = early("--int8", "--out", "other", "--calib-data", "photos", "--eval-data", "photos")
    assert sentence.startswith("error: photos: pictures lie loose in it; ")


def cannot_write(answer: Answer, folder: Path, reason: str) -> None:
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.splitlines()[-1] == f"error: cannot write {folder}: {reason}; type another folder with --out"


def test_a_folder_that_cannot_be(export: Levit, not_translated: None, here: Path, strange: Path) -> None:
    (here / "file").touch()
    cannot_write(
        export("--weights", strange, "--out", here / "file" / "mine"),
        here / "file" / "mine",
        "a part of the path is a file",
    )
    long = here / ("x" * 300)
    cannot_write(export("--weights", strange, "--out", long), long, "the name is too long")
    assert os.listdir(here) == ["file"]


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """``mounted(options)``: a small file system of its own; skips where this user may not have one."""
    made: list[Path] = []

    def mount(options: str) -> Path:
        folder = tmp_path / f"disk{len(made)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        except OSError as error:
            pytest.skip(f"no mount here: {error}")
        if done.returncode:
            pytest.skip(f"may not mount: {done.stderr.strip()}")
        made.append(folder)
        return folder

    yield mount
    for folder in made:
        subprocess.run(["umount", str(folder)], check=True, timeout=30)


def test_a_full_disk(
    export: Levit, monkeypatch: pytest.MonkeyPatch, mounted: Callable[[str], Path], strange: Path
) -> None:
    disk = mounted("size=1m")
    monkeypatch.setattr("exporters.tflite.export", lambda program, folder: (folder / "m").write_bytes(bytes(2 << 20)))
    cannot_write(export("--weights", strange, "--out", disk / "mine"), disk / "mine", "no space left on the disk")
    assert os.listdir(disk) == []


def test_a_disk_that_is_read_only(
    export: Levit, not_translated: None, mounted: Callable[[str], Path], strange: Path
) -> None:
    disk = mounted("size=1m,ro")
    cannot_write(export("--weights", strange, "--out", disk / "mine"), disk / "mine", "the file system is read-only")


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "no space left on the disk"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EACCES, "no permission to write there"),
    ],
)
def test_writing_that_fails(
    export: Levit, monkeypatch: pytest.MonkeyPatch, here: Path, strange: Path, number: int, reason: str
) -> None:
    """The same without a file system of its own: in the middle of the artifact."""

    def fail(program: object, folder: Path) -> Path:
        (folder / "model.tflite").write_bytes(b"TFL3")
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("exporters.tflite.export", fail)
    cannot_write(export("--weights", strange, "--out", here / "mine"), here / "mine", reason)
    assert os.listdir(here) == []


def test_a_folder_of_somebody_else(
    export: Levit, not_translated: None, monkeypatch: pytest.MonkeyPatch, here: Path, strange: Path
) -> None:
    """Nothing may be put there: found before the translation."""

    def refuse(**_: object) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(here))

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    cannot_write(export("--weights", strange, "--out", here / "mine"), here / "mine", "no permission to write there")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143)])
def test_an_interrupt_while_translating(
    export: Levit, monkeypatch: pytest.MonkeyPatch, here: Path, strange: Path, error: BaseException
) -> None:
    def interrupted(program: object, folder: Path) -> Path:
        (folder / "model.tflite").write_bytes(b"TFL3")
        raise error

    monkeypatch.setattr("exporters.tflite.export", interrupted)
    answer = export("--weights", strange, "--out", "mine")
    told = "interrupted; no half-written bundle is left, and a download goes on where it stopped"
    assert answer.out == ""
    if isinstance(error, KeyboardInterrupt):
        assert (answer.code, answer.err.splitlines()[-1]) == (130, told)
    else:
        assert answer.code == 143
        assert "Traceback" not in answer.err
    assert os.listdir(here) == []


STARTED = "LiteRT-Torch Convert > Torch Export"  # what the converter prints when it is at work
INTERRUPTIBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it for what runs in the background
sys.argv = ["levit-export", "--target", "tflite", "--int8", "--verbose"]
from levit_mobile.cli.main import export_main
export_main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "terminated"]
)
def test_a_signal_in_the_middle(here: Path, number: signal.Signals, code: int) -> None:
    with (
        (here.parent / "log").open("w+") as log,
        subprocess.Popen(
            [sys.executable, "-c", INTERRUPTIBLE], cwd=here, stdout=log, stderr=subprocess.PIPE, text=True
        ) as child,
    ):
        assert child.stderr is not None
        try:
            for line in child.stderr:
                if STARTED in line:
                    break
            assert [name for name in os.listdir(here) if name.startswith(".levit_128s-int8-tflite.")]
            child.send_signal(number)
            rest = child.stderr.read()
            assert child.wait(120) == code
        finally:
            child.kill()
        log.seek(0)
        assert log.read() == ""
    assert "Traceback" not in rest
    assert ("interrupted; no half-written bundle is left, and" in rest) == (number == signal.SIGINT)
    assert os.listdir(here) == []


def test_nothing_but_json_on_standard_output(
    export: Levit, not_translated: None, here: Path, strange: Path, levit: Levit
) -> None:
    """Also where it fails: nothing at all."""
    for answer in (
        export("--json", "--weights", "none"),
        export("--json", "--weights", strange, "--int8"),
        levit("inspect", here, "--json"),
        levit("predict", here, here / "a.png", "--json"),
    ):
        assert answer.code in (1, 2)
        assert answer.out == ""
        *steps, last = answer.err.splitlines()
        assert last.startswith("error: ")
        assert all(step.startswith("  ") for step in steps)


def test_weights_from_nowhere(early: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network: the URL, and the option that takes a file from elsewhere."""
    monkeypatch.setenv("LEVIT_MOBILE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LEVIT_MOBILE_WEIGHTS_URL", "http://127.0.0.1:9")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    sentence = early("--weights", "imagenet")
    assert "http://127.0.0.1:9/LeViT-128S-96703c44.pth" in sentence
    assert "--weights PATH" in sentence
