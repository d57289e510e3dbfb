"""Environments of their own: built once, whole or not at all, and what is said when that fails. No package is installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from fake_python import FakePython

from exporters.environment import Environment, is_ready, last_words, make_ready, run_logged
from levit_mobile.errors import ExportError, LevitMobileError, RuntimeMissingError

PYTHON = sys.executable
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
THING = Environment(
    name="thing-1.2",
    requirements="thing==1.2\n",
    pythons=(RUNNING,),
    proof=("thing", "part"),
    needed_by="--via thing",
    instead="--via other",
    room=3,
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where environments go in this test."""
    monkeypatch.setenv("LEVIT_MOBILE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "environments"


@pytest.fixture
def fake(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> FakePython:
    """Stands for the running Python."""
    python = FakePython(tmp_path / "fake", monkeypatch)
    monkeypatch.setattr("sys.executable", str(python.path))
    return python


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_is_built_once(fake: FakePython, cache: Path, tmp_path: Path) -> None:
    fake.tell(pip=f'cp "$listing" {tmp_path}/seen')
    assert not is_ready(THING)
    python = make_ready(THING)
    assert fake.calls == ["venv", "pip", "proof"]
    assert (tmp_path / "seen").read_text() == THING.requirements
    assert python.exists()
    assert python.relative_to(cache).parts[1:] == ("bin", "python")
    assert python.parents[1].name.startswith(f"thing-1.2-py{RUNNING}-")
    assert is_ready(THING)
    assert make_ready(THING) == python
    assert fake.calls == ["venv", "pip", "proof"]
    assert names(cache) == [python.parents[1].name, f"{python.parents[1].name}.lock"]


def test_another_version_is_another_environment(fake: FakePython) -> None:
    later = replace(THING, name="thing-1.3", requirements="thing==1.3\n")
    same_name = replace(THING, requirements="thing==1.2\npart==5\n")
    assert len({make_ready(THING), make_ready(later), make_ready(same_name)}) == 3


def test_it_is_built_anew_if_its_python_is_gone(fake: FakePython) -> None:
    python = make_ready(THING)
    python.unlink()
    python.symlink_to("/no/longer/there")
    (python.parents[1] / "old").touch()
    assert not is_ready(THING)
    assert make_ready(THING) == python
    assert fake.calls == ["venv", "pip", "proof"] * 2
    assert not (python.parents[1] / "old").exists()


@pytest.mark.parametrize("what", ["venv", "pip", "proof"])
def test_what_fails_leaves_nothing_that_would_be_used(fake: FakePython, cache: Path, what: str) -> None:
    fake.tell(**{what: "echo 'Error: out of order'; exit 3"})
    with pytest.raises(
        ExportError, match=r"^the environment for thing-1\.2 could not be made: Error: out of order; .*--via other$"
    ):
        make_ready(THING)
    assert not is_ready(THING)
    assert all(name.endswith(".lock") for name in names(cache))
    fake.tell(**{what: ""})
    assert make_ready(THING).exists()


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(\"<x>: Failed to establish a "
            "new connection: [Errno -3] Temporary failure in name resolution\")': /simple/thing/\n"
            "ERROR: Could not install packages",
            r"pip reached no index with its packages; connect to the network, or .*pip config set global\.index-url URL",
        ),
        (
            "ERROR: Could not find a version that satisfies the requirement thing==1.2 (from versions: 1.0)\n"
            "ERROR: No matching distribution found for thing==1.2",
            r"pip's index has no thing==1\.2 for \w+ on \w+; see with `pip config list`",
        ),
        (
            "ERROR: Could not find a version that satisfies the requirement thing==1.2 (from versions: none)\n"
            "ERROR: No matching distribution found for thing==1.2",
            r"pip found no thing==1\.2 for \w+ on \w+: its index has none, or was not reached; ",
        ),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "the disk is full; set LEVIT_MOBILE_CACHE to a folder with room for 3 GB",
        ),
        (
            "\x1b[31mERROR: THESE PACKAGES DO NOT MATCH\x1b[0m\n\n",
            "could not be made: ERROR: THESE PACKAGES DO NOT MATCH; ",
        ),
        ("", "could not be made: status 1; --verbose shows all of it"),
    ],
)
def test_what_pip_says_becomes_what_to_do(fake: FakePython, tmp_path: Path, printed: str, told: str) -> None:
    (tmp_path / "printed").write_text(printed)
    fake.tell(pip=f"cat {tmp_path}/printed >&2; exit 1")
    with pytest.raises(ExportError, match=told) as caught:
        make_ready(THING)
    assert str(caught.value).endswith("or type --via other")


def test_pip_that_reaches_no_index(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real venv and the real pip, which are told of an index where nobody listens."""
    settings = tmp_path / "pip.conf"
    settings.write_text("[global]\nindex-url = http://127.0.0.1:9/simple\nretries = 0\ntimeout = 5\n")
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
    monkeypatch.setenv("PIP_EXTRA_" + "INDEX_URL", "")
    with pytest.raises(ExportError, match=r"pip found no \S+ for .*: its index has none, or was not reached; "):
        make_ready(THING)
    assert not is_ready(THING)


def test_a_python_without_venv(fake: FakePython) -> None:
    fake.tell(venv="echo 'The virtual environment was not created because ensurepip is not available.'; exit 1")
    with pytest.raises(ExportError, match="type apt-get install python3-venv"):
        make_ready(THING)


def test_no_python_that_fits(fake: FakePython, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version manager's shim without a Python behind it counts as none."""
    fake.tell(version="no such version; exit 127")
    monkeypatch.setenv("PATH", f"{tmp_path / 'fake'}:/bin:/usr/bin")
    fake.path.rename(fake.path.with_name("python3.98"))
    with pytest.raises(RuntimeMissingError) as caught:
        make_ready(replace(THING, pythons=("3.99", "3.98")))
    assert str(caught.value) == (
        f"--via thing needs Python 3.99 or 3.98, for thing-1.2 has no packages for Python {RUNNING}, and python3.99, "
        "python3.98 are not on the PATH; install one of them (uv python install 3.99, or apt-get install python3.99-venv), "
        "or type --via other"
    )
    assert fake.calls == []


def test_another_python_on_the_path(fake: FakePython, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.tell(version="3.98")
    monkeypatch.setenv("PATH", f"{tmp_path / 'fake'}:/bin:/usr/bin")
    fake.path.rename(fake.path.with_name("python3.98"))
    python = make_ready(replace(THING, pythons=("3.99", "3.98")))
    assert "-py3.98-" in python.parents[1].name
    assert fake.calls == ["venv", "pip", "proof"]


_MAKE = """
import signal, sys
from exporters.environment import Environment, make_ready
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what runs in the background
sys.executable = sys.argv[1]
make_ready(Environment("thing-1.2", "thing==1.2\\n", (sys.argv[2],), ("thing", "part"), "--via thing", "--via other", 3))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_build_is_never_used(fake: FakePython, cache: Path, number: signal.Signals) -> None:
    fake.tell(pip="sleep 1 > /dev/null 2>&1; touch $(dirname $0)/late")
    command = [PYTHON, "-c", _MAKE, str(fake.path), RUNNING]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while "pip" not in fake.calls:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
    left = [name for name in names(cache) if not name.endswith(".lock")]
    assert [name.partition(".part")[1] for name in left] == ([".part"] if number == signal.SIGKILL else [])
    assert not is_ready(THING)
    fake.tell(pip="")
    python = make_ready(THING)
    assert python.exists()
    assert not python.with_name("late").exists()  # what the first pip did in its last moments
    assert names(cache) == [python.parents[1].name, f"{python.parents[1].name}.lock"]


def test_one_builds_and_the_others_wait(fake: FakePython) -> None:
    fake.tell(pip="sleep 0.3")
    with ThreadPoolExecutor(3) as pool:
        pythons = set(pool.map(make_ready, [THING] * 3))
    assert len(pythons) == 1
    assert fake.calls == ["venv", "pip", "proof"]


def test_a_cache_that_cannot_be_written_to(fake: FakePython, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LEVIT_MOBILE_CACHE", str(tmp_path / "file"))
    with pytest.raises(LevitMobileError, match=r"^cannot use .*file.*; set LEVIT_MOBILE_CACHE to .* 3 GB$"):
        make_ready(THING)
    assert fake.calls == []


def test_what_a_program_prints_is_kept_and_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = "cd .; pwd; printf '\\033[31mERROR:\\033[0m no\\n' >&2; printf 'caf\\351'; exit 4"
    status, printed = run_logged(["sh", "-c", script], tmp_path)
    assert (status, printed) == (4, f"{tmp_path}\nERROR: no\ncaf\ufffd")
    assert capfd.readouterr().err == f"{tmp_path}\n\x1b[31mERROR:\x1b[0m no\ncaf\ufffd"
    assert run_logged(["sh", "-c", "kill -9 $$"], tmp_path) == (-signal.SIGKILL, "")


def test_a_program_gets_none_of_our_pythons_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/ours")
    monkeypatch.setenv("PIP_USER", "1")
    assert run_logged(["sh", "-c", 'echo "$PYTHONPATH" "$PIP_USER"'], tmp_path) == (0, " 0\n")


def test_last_words() -> None:
    assert last_words("a\n  b: c  \n\n") == "b: c"
    assert last_words(" \n") == ""
