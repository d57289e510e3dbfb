"""The ExecuTorch runner: how it is compiled, what is missing, and what it answers."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exports import Exported

from levit_mobile.bench import cross
from levit_mobile.bench.cross import build_etrun
from levit_mobile.errors import DownloadError, LevitMobileError, RuntimeMissingError, UsageError
from levit_mobile.golden import golden_pictures
from levit_mobile.preprocess import Preprocessing, normalise
from levit_mobile.runtimes.executorch import open_artifact

pytestmark = pytest.mark.xdist_group("etrun")  # or two workers would wait for one compiler


@pytest.fixture(scope="module")
def host() -> Path:
    """The runner for this machine."""
    if shutil.which("g++") is None or platform.system() != "Linux" or platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip("no g++ for this machine: the ExecuTorch runner is not compiled")
    return build_etrun(platform.machine())


class Talk:
    """A started runner."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def say(self, line: str, data: bytes = b"") -> Any:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(line.encode() + b"\n" + data)
        self.process.stdin.flush()
        answer = self.process.stdout.readline().decode().strip()
        return answer if answer == "ok" else json.loads(answer)

    def ends(self) -> int:
        assert self.process.stdin
        self.process.stdin.close()
        return self.process.wait(60)


@contextmanager
def talking(program: Path, *args: str | Path) -> Iterator[Talk]:
    command = [program, *args]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield Talk(process)
        finally:
            process.kill()


@pytest.mark.slow
def test_it_runs_a_model(host: Path, executorch_exported: Exported) -> None:
    artifact = executorch_exported.bundle("levit_128s-int8-executorch") / "model.pte"
    picture = golden_pictures(224, 1)
    with talking(host, artifact, "1") as talk:
        about = talk.say("describe")
        assert about["input"] == {"shape": [1, 3, 224, 224], "dtype": "float32"}
        assert about["output"] == {"shape": [1, 10], "dtype": "float32"}
        assert 0 < about["load_ms"] < 60_000
        data = np.ascontiguousarray(normalise(picture, Preprocessing())).tobytes()
        assert talk.say(f"input {len(data)}", data) == "ok"
        times = talk.say("run 3")["ns"]
        assert len(times) == 3
        assert all(1e5 < ns < 60e9 for ns in times)
        assert (talk.say("mark 7"), talk.say("marked 2")) == ("ok", "ok")
        assert talk.say("output") == {"bytes": 40}
        assert talk.process.stdout
        row = np.frombuffer(talk.process.stdout.read(40), np.float32)
        assert talk.ends() == 0
    expected = open_artifact(artifact, size=224, spec=Preprocessing()).logits(picture)[0]
    np.testing.assert_array_equal(row, expected)


@pytest.mark.slow
def test_it_tells_of_operators(host: Path, executorch_exported: Exported) -> None:
    artifact = executorch_exported.bundle("levit_128s-fp32-executorch") / "model.pte"
    with talking(host, artifact, "1", "--profile") as talk:
        told = talk.say("profile 3")
        assert talk.ends() == 0
    assert [len(row) for row in told["us"]] == [len(told["operators"])] * 3
    assert len(told["whole_us"]) == 3
    assert sum("Convolution" in name for name in told["operators"]) >= 4  # the stem
    assert sum("Softmax" in name for name in told["operators"]) == 11  # blocks with attention
    assert all(sum(row) <= whole for row, whole in zip(told["us"], told["whole_us"], strict=True))


@pytest.mark.slow
def test_it_writes_an_etdump(host: Path, executorch_exported: Exported, tmp_path: Path) -> None:
    artifact = executorch_exported.bundle("levit_128s-fp32-executorch") / "model.pte"
    with talking(host, artifact, "1", "--etdump", tmp_path / "dump") as talk:
        assert len(talk.say("run 2")["ns"]) == 2
        assert talk.ends() == 0
    assert b"ED00" in (tmp_path / "dump").read_bytes()[:16]  # the flatbuffer's name, behind its size


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "no command "),
        ("sing", "no command sing"),
        ("run", "no command run"),
        ("run 0", "run 0: expected a number from 1 to 1000000"),
        ("run 2 3", "run 2 3: expected a number from 1 to 1000000"),
        ("run 99999999999999999999", "run 99999999999999999999: expected a number from 1 to 1000000"),
        ("marked -1", "marked -1: expected a number from 1 to 65535"),
        ("mark 65536", "mark 65536: expected a number from 0 to 65535"),
        ("input x", "input x: expected a number from 0 to 1073741824"),
        ("input 4", "input of 4 bytes; the model takes 602112"),
        ("output", "output before any inference"),
        ("profile 1", "profile needs --profile on the command line"),
        ('"\\\t\x01é', 'no command "\\\t\x01'),
        ("x" * 5000, "no command " + "x" * 80),
    ],
)
def test_what_it_refuses(host: Path, executorch_exported: Exported, line: str, told: str) -> None:
    artifact = executorch_exported.bundle("levit_128s-fp32-executorch") / "model.pte"
    with talking(host, artifact, "1") as talk:
        assert talk.say(line)["error"].startswith(told)
        assert talk.process.wait(60) == 3


@pytest.mark.slow
def test_an_input_that_ends_early(host: Path, executorch_exported: Exported) -> None:
    artifact = executorch_exported.bundle("levit_128s-fp32-executorch") / "model.pte"
    with talking(host, artifact, "1") as talk:
        assert talk.process.stdin
        talk.process.stdin.write(b"input 602112\nshort")
        talk.process.stdin.close()
        assert talk.process.stdout
        assert json.loads(talk.process.stdout.readline()) == {"error": "the input ended early"}
        assert talk.process.wait(60) == 3


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"no program", b"\0" * 4096, None])
def test_a_file_that_is_no_program(host: Path, tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "model.pte").write_bytes(content)
    done = subprocess.run([host, tmp_path / "model.pte", "1"], input=b"describe\n", capture_output=True, check=False)
    assert done.returncode == 3
    assert json.loads(done.stdout)["error"].startswith(f"cannot load {tmp_path}/model.pte (")


@pytest.mark.slow
@pytest.mark.parametrize("args", [[], ["m"], ["m", "0"], ["m", "x"], ["m", "1", "--etdump"], ["m", "1", "--other"]])
def test_a_wrong_command_line(host: Path, args: list[str]) -> None:
    done = subprocess.run([host, *args], input="", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "usage: etrun MODEL THREADS [--profile | --etdump FILE]\n"


@pytest.mark.slow
def test_it_is_compiled_for_arm(tmp_path: Path) -> None:
    if shutil.which("aarch64-linux-gnu-g++") is None:
        pytest.skip("aarch64-linux-gnu-g++ not here: nothing is compiled for ARM")
    try:
        program = build_etrun("aarch64")
    except DownloadError as error:
        pytest.skip(f"the wheel for ARM is not here: {error}")
    head = program.read_bytes()[:20]
    assert (head[:5], head[18]) == (b"\x7fELF\x02", 183)  # 64 bits, AArch64
    assert {path.suffix for path in program.parent.iterdir()} == {"", ".so"}
    assert os.access(program, os.X_OK)
    before = program.stat().st_mtime_ns
    assert build_etrun("aarch64").stat().st_mtime_ns == before  # not compiled again


# What is missing


def test_another_machine() -> None:
    with pytest.raises(UsageError, match="no ExecuTorch runner for 'armv7l'; type one of aarch64, x86_64"):
        build_etrun("armv7l")


def test_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    with pytest.raises(
        RuntimeMissingError, match=r"needs .* \(aarch64-linux-gnu-g\+\+\); .* install g\+\+-aarch64-linux-gnu$"
    ):
        build_etrun("aarch64", cache=tmp_path)
    with pytest.raises(RuntimeMissingError, match=r"type apt-get install g\+\+$"):
        build_etrun("x86_64", cache=tmp_path)


def test_no_executorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    with pytest.raises(RuntimeMissingError, match=r"running a \.pte needs ExecuTorch; type in the checkout"):
        build_etrun("aarch64", cache=tmp_path)


def test_a_compiler_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "aarch64-linux-gnu-g++"
    compiler.write_text("#!/bin/sh\necho 'etrun.cpp:1: error: no such header' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(cross, "_package", lambda *_: tmp_path)
    with pytest.raises(
        LevitMobileError, match=r"does not compile against executorch .* \(.*no such header\); pip install"
    ):
        build_etrun("aarch64", cache=tmp_path)
    assert [path.suffix for path in (tmp_path / "etrun").iterdir()] == [".lock"]
