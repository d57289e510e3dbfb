"""``levit bench --android`` with a scripted adb server: the protocol is adb's own, the phone is made up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from adb_server import PACKAGE, FakePhone, FakeServer, good, serving
from adbutils import AdbConnection
from adbutils.errors import AdbConnectionError
from commands import Answer, Levit

from levit_mobile.bench import adb, android
from levit_mobile.bench.result import read_results
from levit_mobile.bench.settings import Settings
from levit_mobile.bundle import write_manifest
from levit_mobile.preprocess import IMAGENET

Bench = Callable[..., Answer]
Connect = Callable[..., FakeServer]
QUICK = ("--cooldown", "0")


class Hurried(android.Clock):
    """Waiting takes no time, and yet time passes."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVIT_MOBILE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    monkeypatch.setenv("ADBUTILS_ADB_PATH", "false")  # no real server is started
    monkeypatch.setattr(android, "Clock", Hurried)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    with ExitStack() as stack:

        def call(**phones: FakePhone) -> FakeServer:
            server = stack.enter_context(serving(phones))
            monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.port))
            return server

        yield call


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Whole as a bundle, and no model: nothing here runs it."""
    folder = tmp_path / "levit_128s-int8-tflite"
    folder.mkdir()
    (folder / "model.tflite").write_bytes(b"TFL3" * 30_000)
    (folder / "golden.npz").write_bytes(b"none")
    port = {"dtype": "float32", "layout": "nhwc", "takes": "normalised pixels"}
    manifest = {
        "model": {"variant": "levit_128s", "num_classes": 3, "checkpoint": {"name": "demo", "sha256": "0" * 64}},
        "artifact": {"file": "model.tflite", "target": "tflite", "precision": "int8", "scheme": "int8"},
        "input": {"name": "image", "shape": [1, 224, 224, 3], **port},
        "output": {"name": "logits", "shape": [1, 3], "dtype": "float32"},
        "preprocessing": IMAGENET.to_dict(),
        "labels": ["a", "b", "c"],
        "parity": {"max_abs": 0.03, "cosine": 0.999, "agreement": 1.0, "samples": 8, "passed": True},
    }
    write_manifest(folder, manifest)
    return folder


@pytest.fixture
def bench(levit: Levit, bundle: Path) -> Bench:
    return lambda *args: levit("bench", bundle, *QUICK, *args)


def test_a_phone_measures(bench: Bench, levit: Levit, connect: Connect, bundle: Path, tmp_path: Path) -> None:
    phone = connect(R58M=FakePhone()).phone
    answer = bench("--android", "--threads", "1,4", "--out", tmp_path / "r.json")
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0].split()[:4] == ["bundle", "on", "threads", "p50"]
    assert lines[1].split()[:3] == ["levit_128s-int8-tflite", "R58M", "1"]
    assert lines[2].split()[:3] == ["levit_128s-int8-tflite", "R58M", "4"]
    runs = read_results(tmp_path / "r.json").runs
    assert [run["where"]["kind"] for run in runs] == ["android", "android"]
    assert runs[0]["artifact"]["variant"] == "levit_128s"
    assert runs[0]["where"]["facts"]["model"] == "Phone 1"
    assert runs[0]["summary"]["count"] == len(runs[0]["samples_ms"]) == 20
    report = levit("report", tmp_path / "r.json", "--out", tmp_path / "page.md")
    assert report.code == 0, report.err
    assert "Phone 1" in (tmp_path / "page.md").read_text()
    assert [name for name in phone.files if not name.startswith("/data/local/tmp/levit-mobile/")] == []
    sent = {name.rpartition("/")[2] for name in phone.files}
    assert sent == {path.name for path in bundle.iterdir()}
    assert ["am", "force-stop", PACKAGE] in phone.commands


def test_what_is_there_is_not_sent_again(bench: Bench, connect: Connect) -> None:
    phone = connect(R58M=FakePhone()).phone
    assert bench("--android").code == 0
    (model,) = (name for name in phone.files if name.endswith(".tflite"))
    phone.files[model] = bytes(len(phone.files[model]))  # as long, so that a second copy would show
    assert bench("--android", "R58M").code == 0
    assert set(phone.files[model]) == {0}


@pytest.mark.parametrize(
    ("level", "folder"), [("24", "data/org.levitmobile.demo/cache"), ("36", "media/org.levitmobile.demo")]
)
def test_old_and_new_androids(level: str, folder: str, bench: Bench, connect: Connect) -> None:
    phone = connect(R58M=FakePhone(level=level)).phone
    assert bench("--android").code == 0
    removed = [words[2] for words in phone.commands if words[:2] == ["rm", "-rf"]]
    assert removed[0].startswith(f"/sdcard/Android/{folder}/levit-")


def test_the_app_is_asked_for_what_was_typed(bench: Bench, connect: Connect) -> None:
    asked: dict[str, str] = {}

    def answer(extras: dict[str, str], files: dict[str, bytes]) -> bytes:
        asked.update(extras)
        return good(extras, files)

    connect(R58M=FakePhone(answer=answer))
    assert bench("--android", "--runs", "7", "--seconds", "2", "--warmup", "3", "--threads", "2").code == 0
    assert (asked["min_runs"], asked["min_s"], asked["warmup_runs"], asked["threads"]) == ("7", "2.0", "3", "2")
    assert asked["max_s"] == str(Settings.max_s)
    assert asked["bundle"].endswith("/levit_128s-int8-tflite")


# What goes wrong


def test_no_phone(bench: Bench, connect: Connect) -> None:
    connect()
    answer = bench("--android")
    assert answer.code == 2
    assert "no phone is connected; plug one in with USB debugging on" in answer.err


def test_no_server(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: object) -> None:
        raise AdbConnectionError("connect to adb server failed: [Errno 111] Connection refused")

    monkeypatch.setattr(AdbConnection, "_create_socket", refused)
    answer = bench("--android")
    assert answer.code == 2
    assert (
        "the adb server cannot be reached (connect to adb server failed: [Errno 111] Connection refused)" in answer.err
    )
    assert "type: adb start-server" in answer.err


def test_several_phones(bench: Bench, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    server = connect(A1=FakePhone(), B2=FakePhone(), C3=FakePhone(state="offline"))
    answer = bench("--android")
    assert answer.code == 2
    assert "several phones are connected: A1, B2, C3 (offline); type --android SERIAL" in answer.err
    assert bench("--android", "B2").code == 0
    assert server.phones["B2"].files
    assert not server.phones["A1"].files
    monkeypatch.setenv("ANDROID_SERIAL", "A1")
    assert bench("--android").code == 0
    assert server.phones["A1"].files


def test_the_one_that_is_ready_is_taken(bench: Bench, connect: Connect) -> None:
    server = connect(A1=FakePhone(state="unauthorized"), B2=FakePhone())
    assert bench("--android").code == 0
    assert server.phones["B2"].files


def test_another_name(bench: Bench, connect: Connect) -> None:
    connect(R58M=FakePhone())
    answer = bench("--android", "X9")
    assert answer.code == 2
    assert "no phone is called 'X9'; connected: R58M; name bundles before --android" in answer.err


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("unauthorized", "R58M: it does not trust this computer; unlock it, and allow USB debugging"),
        ("offline", "R58M: it is offline; plug it in again"),
        ("recovery", "R58M: it is in recovery; restart it"),
        ("connecting", "R58M: it is not ready, but connecting"),
    ],
)
def test_a_phone_that_is_not_ready(state: str, said: str, bench: Bench, connect: Connect) -> None:
    connect(R58M=FakePhone(state=state))
    answer = bench("--android")
    assert answer.code == 2
    assert said in answer.err


def test_no_app(bench: Bench, connect: Connect) -> None:
    connect(R58M=FakePhone(installed=False))
    answer = bench("--android")
    assert answer.code == 2
    assert "R58M: the app is not installed; build it (see android_demo/README.md), and type --apk " in answer.err


def test_the_app_is_installed(bench: Bench, connect: Connect, tmp_path: Path) -> None:
    phone = connect(R58M=FakePhone(installed=False)).phone
    (tmp_path / "x.apk").write_bytes(b"PK")
    assert bench("--android", "--apk", tmp_path / "x.apk").code == 0
    assert [words for words in phone.commands if words[:2] == ["pm", "install"]]


def test_an_app_that_was_built_is_installed_only_where_it_is_missing(
    bench: Bench, connect: Connect, tmp_path: Path
) -> None:
    built = tmp_path / android.BUILT_APK
    built.parent.mkdir(parents=True)
    built.write_bytes(b"PK")
    for installed in (True, False):
        phone = connect(R58M=FakePhone(installed=installed)).phone
        assert bench("--android").code == 0
        assert any(words[:2] == ["pm", "install"] for words in phone.commands) is not installed


def test_an_apk_that_is_refused(bench: Bench, connect: Connect, tmp_path: Path) -> None:
    connect(R58M=FakePhone(install="Failure [INSTALL_FAILED_UPDATE_INCOMPATIBLE: signatures do not match]"))
    (tmp_path / "x.apk").write_bytes(b"PK")
    answer = bench("--android", "--apk", tmp_path / "x.apk")
    assert answer.code == 2
    assert "x.apk cannot be installed (Failure [INSTALL_FAILED_UPDATE_INCOMPATIBLE" in answer.err


def test_an_app_that_does_not_start(bench: Bench, connect: Connect) -> None:
    said = "Starting: Intent\nError type 3\nError: Activity class {x} does not exist."
    connect(R58M=FakePhone(start=said))
    answer = bench("--android")
    assert answer.code == 2
    assert "R58M: the app does not start (Error type 3); install it again with --apk" in answer.err


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (
            "--------- beginning of crash\nFATAL EXCEPTION: benchmark\njava.lang.OutOfMemoryError: x\n at y",
            "OutOfMemoryError: x",
        ),
        ("--------- beginning of crash\nFatal signal 11 (SIGSEGV), code 1", "Fatal signal 11 (SIGSEGV), code 1"),
        ("", "without a word; perhaps there was not enough memory"),
    ],
)
def test_an_app_that_dies(log: str, said: str, bench: Bench, connect: Connect) -> None:
    connect(R58M=FakePhone(answer=lambda extras, files: None, log=log))
    answer = bench("--android")
    assert answer.code == 1
    assert "R58M: the app died while it measured (" in answer.err
    assert said in answer.err


@pytest.mark.long
def test_a_phone_that_takes_too_long(bench: Bench, connect: Connect) -> None:
    phone = connect(R58M=FakePhone(slow=10_000)).phone
    answer = bench("--android")
    assert answer.code == 2
    assert "R58M: no results after 660 s; look at its screen, unlock it" in answer.err
    assert phone.commands[-2:][0] == ["am", "force-stop", PACKAGE], "it is not left running"


def test_what_the_app_refuses_is_told_and_removed(bench: Bench, connect: Connect) -> None:
    failure = json.dumps(
        {"kind": "levit-bench-failure", "message": "model.tflite was changed: its sha256 is not the manifest's"}
    )
    phone = connect(R58M=FakePhone(answer=lambda extras, files: failure.encode())).phone
    answer = bench("--android")
    assert answer.code == 1
    assert "R58M: levit_128s-int8-tflite: model.tflite was changed: its sha256 is not the manifest's" in answer.err
    assert phone.files == {}


def test_a_wrong_answer(bench: Bench, connect: Connect) -> None:
    def answer(extras: dict[str, str], files: dict[str, bytes]) -> bytes:
        data = json.loads(good(extras, files))
        data["runs"][0] |= {"wrong": True, "invalid": ["the answer to the golden picture is wrong there: x"]}
        return json.dumps(data).encode()

    connect(R58M=FakePhone(answer=answer))
    found = bench("--android")
    assert found.code == 1
    assert "the answer to the golden picture is wrong there: x" in found.out


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (b"no", "the app's results are no JSON"),
        (b"[]", "the app's results cannot be used (no results of levit bench)"),
        (b'{"kind": "levit-bench", "format": 2}', "the app's results cannot be used (results of format 2"),
        (b'{"kind": "levit-bench", "format": 1, "about": {}, "runs": []}', "the app measured something else than"),
    ],
)
def test_results_that_are_none(written: bytes, said: str, bench: Bench, connect: Connect) -> None:
    connect(R58M=FakePhone(answer=lambda extras, files: written))
    answer = bench("--android")
    assert answer.code == 2
    assert said in answer.err


@pytest.mark.parametrize(
    "where", ["pm path", "getprop", "mkdir", "model.tflite", "am start", "pidof", "levit-", "RECV"]
)
def test_a_connection_that_is_lost(where: str, bench: Bench, connect: Connect) -> None:
    phone = FakePhone(hang_up=where)
    if where == "pidof":
        phone.slow = 5
    connect(R58M=phone)
    answer = bench("--android")
    assert answer.code == 2
    assert "error: R58M: the connection was lost; plug it in again" in answer.err


def test_what_was_measured_until_then_is_kept(bench: Bench, connect: Connect, tmp_path: Path) -> None:
    def answer(extras: dict[str, str], files: dict[str, bytes]) -> bytes | None:
        return good(extras, files) if extras["threads"] == "1" else None

    connect(R58M=FakePhone(answer=answer))
    found = bench("--android", "--threads", "1,2", "--out", tmp_path / "r.json")
    assert found.code == 1
    assert [run["threads"] for run in read_results(tmp_path / "r.json").runs] == [1]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--android", "--board", "pi"], "--android is a place of its own"),
        (["--android", "--emulate", "cortex-a76"], "--android is a place of its own"),
        (["--android", "--governor", "performance"], "--android is a place of its own"),
        (["--android", "--operators"], "--android is a place of its own"),
    ],
)
def test_options_that_do_not_go_together(args: list[str], said: str, levit: Levit, tmp_path: Path) -> None:
    answer = levit("bench", tmp_path / "none", *args)
    assert answer.code == 2
    assert said in answer.err


def test_apk_is_about_a_phone(levit: Levit, tmp_path: Path) -> None:
    (tmp_path / "x.apk").write_bytes(b"PK")
    answer = levit("bench", tmp_path / "none", "--apk", tmp_path / "x.apk")
    assert answer.code == 2
    assert "--apk is about a phone; type --android too" in answer.err


def test_bundles_of_another_kind(connect: Connect) -> None:
    from types import SimpleNamespace

    from levit_mobile.bench.result import Results
    from levit_mobile.errors import UsageError

    subject = SimpleNamespace(name="b", target="onnx")
    with pytest.raises(UsageError, match="b: made for onnx; the app runs executorch and tflite"):
        android.measure_on_phone(None, None, [subject], Settings(), Results({}), lambda *_: None)  # type: ignore[list-item]


def test_a_minute_without_an_answer(monkeypatch: pytest.MonkeyPatch, connect: Connect) -> None:
    from levit_mobile.errors import BoardError

    class Silent(FakePhone):
        def shell(self, line: str) -> str:
            import time

            time.sleep(1)
            return ""

    monkeypatch.setattr(adb, "_PATIENCE", 0.1)
    connect(R58M=Silent())
    phone = adb.find_phone()
    with pytest.raises(BoardError, match="R58M: no answer for 0 seconds; plug it in again"):
        phone.shell("getprop")
