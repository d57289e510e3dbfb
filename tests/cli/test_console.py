"""What commands share: progress, chatter that is kept away from it, and how errors end."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from exports import run_script

from levit_mobile.cli import console
from levit_mobile.errors import BundleError, LevitMobileError, RuntimeMissingError


def test_step_times_are_told_of_what_went_well_only(capsys: pytest.CaptureFixture[str]) -> None:
    with console.Steps() as steps:
        with steps.step("good"):
            pass
        with pytest.raises(ValueError, match="bad"), steps.step("bad"):
            raise ValueError("bad")
        with steps.counter("pictures", 2) as advance:
            advance(2)
        with steps.counter("few pictures", 2, shown=False) as advance:
            advance(2)
        with steps.download("cached"):
            pass
        with steps.download("fetched") as progress:
            progress(5, 10, "")
            progress(10, 10, "")
    text = capsys.readouterr()
    assert text.out == ""
    lines = [re.sub(r"\d+\.\d", "N", line) for line in text.err.splitlines()]
    assert lines == [
        "  good ...",
        "  good (N s)",
        "  bad ...",
        "  pictures ...",
        "  pictures (N s)",
        "  fetched (N s)",
    ]


@pytest.mark.parametrize("verbose", [False, True])
def test_a_step_is_told_when_it_starts(capsys: pytest.CaptureFixture[str], verbose: bool) -> None:
    """Whoever reads a log wants to know what is waited for."""
    with console.Steps(verbose=verbose) as steps:
        with steps.step("long work"):
            assert capsys.readouterr().err == "  long work ...\n"
        assert re.fullmatch(r"  long work \(\d+\.\d s\)\n", capsys.readouterr().err)
        with steps.counter("pictures", 2):
            assert capsys.readouterr().err == "  pictures ...\n"
        assert re.fullmatch(r"  pictures \(\d+\.\d s\)\n", capsys.readouterr().err)


def test_waiting_for_a_connection_is_told_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    """Each wait once, when it begins; also where it comes to nothing. A host is no markup."""
    first, second = "connecting to [bold]host", "connecting to [/bold]host, attempt 2 of 5"
    with console.Steps() as steps:
        with steps.download("fetched") as progress:
            progress(0, None, first)
            assert capsys.readouterr().err == f"  {first}\n"
            progress(0, None, first)
            progress(5, 10, "")
            progress(5, None, second)
            progress(10, 10, "")
        assert re.fullmatch(rf"  {re.escape(second)}\n  fetched \(\d\.\d s\)\n", capsys.readouterr().err)
        with pytest.raises(ValueError, match="in vain"), steps.download("fetched") as progress:  # noqa: PT012
            progress(0, None, first)
            raise ValueError("in vain")
        assert capsys.readouterr().err == f"  {first}\n"


@pytest.mark.parametrize("verbose", [False, True])
def test_chatter_below_python(tmp_path: Path, verbose: bool) -> None:
    """What C code writes to descriptors 1 and 2 while a step runs: nowhere, or all to standard error."""
    code = (
        "import os, sys\n"
        "from levit_mobile.cli.console import Steps\n"
        f"with Steps(verbose={verbose}) as steps, steps.step('work'):\n"
        "    os.write(1, b'one\\n'); os.write(2, b'two\\n'); print('three')\n"
        "print('four')\n"
    )
    done = run_script(Path(sys.executable).name, ["-c", code], cwd=tmp_path)
    assert done.stdout == "four\n"
    start, *lines, end = done.stderr.splitlines()
    assert start == "  work ..."
    assert lines == (["one", "two", "three"] if verbose else [])
    assert end.startswith("  work (")


def on_a_terminal(code: str, folder: Path) -> bytes:
    """What Python code shows on one of 80 columns."""
    master, slave = pty.openpty()
    try:
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
        child = subprocess.Popen(
            [sys.executable, "-c", code], cwd=folder, stdin=slave, stdout=slave, stderr=slave, env=environment
        )
        os.close(slave)
        seen = b""
        with contextlib.suppress(OSError):  # Linux's way to say that the other side is closed
            while part := os.read(master, 4096):
                seen += part
        assert child.wait(60) == 0, seen
    finally:
        os.close(master)
    return seen


def test_a_download_is_seen_before_its_first_byte(tmp_path: Path) -> None:
    code = (
        "import time\n"
        "from levit_mobile.cli.console import Steps\n"
        "with Steps() as steps, steps.download('downloading weights') as progress:\n"
        "    for again in ('', ', attempt 2 of 5'):\n"
        "        progress(0, None, f'connecting to [/x]dl.fbaipublicfiles.com{again}'); time.sleep(0.3)\n"
        "    progress(5, 10, ''); time.sleep(0.3)\n"
    )
    seen = on_a_terminal(code, tmp_path)
    start, again = (
        b"connecting to [/x]dl.fbaipublicfiles.com",
        b"connecting to [/x]dl.fbaipublicfiles.com, attempt 2 of 5",
    )
    assert 0 <= seen.index(start) < seen.index(again) < seen.index(b"downloading weights") < seen.index(b"5/10 bytes")
    assert b"0/? bytes" in seen[: seen.index(again)]


def test_chatter_on_a_terminal(tmp_path: Path) -> None:
    """The spinner is seen, and what Python and C code print beside it is not."""
    code = (
        "import os, sys, time\n"
        "from levit_mobile.cli.console import Steps\n"
        "with Steps() as steps:\n"
        "    with steps.step('first work'):\n"
        "        os.write(1, b'one'); os.write(2, b'two'); print('three', file=sys.stderr, flush=True); time.sleep(0.3)\n"
        "    with steps.counter('second work', 2) as advance:\n"
        "        advance(1); time.sleep(0.3)\n"
    )
    seen = on_a_terminal(code, tmp_path)
    assert seen.count(b"first work") >= 2  # the spinner, and the line that stays
    assert b"second work" in seen
    assert b"1/2" in seen
    for chatter in (b"one", b"two", b"three"):
        assert chatter not in seen


def test_a_step_among_chatter_on_a_terminal(tmp_path: Path) -> None:
    """With --verbose there is no spinner, which chatter would tear: the line comes before it."""
    code = (
        "import os\n"
        "from levit_mobile.cli.console import Steps\n"
        "with Steps(verbose=True) as steps, steps.step('first work'):\n"
        "    os.write(1, b'one')\n"
    )
    seen = on_a_terminal(code, tmp_path)
    assert 0 <= seen.index(b"first work ...") < seen.index(b"one") < seen.rindex(b"first work ")


def test_steps_give_their_descriptors_back(tmp_path: Path) -> None:
    code = (
        "import os\n"
        "from levit_mobile.cli.console import Steps\n"
        "before = os.dup(0)\n"
        "for _ in range(9):\n"
        "    with Steps() as steps, steps.step('work'):\n"
        "        pass\n"
        "assert os.dup(0) == before + 1, (os.dup(0), before)\n"
    )
    done = run_script(Path(sys.executable).name, ["-W", "error", "-c", code], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "ResourceWarning" not in done.stderr


def test_how_to_call_levit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By its name where the shell finds it, else by the path beside this program, else as a module."""
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert console.levit_command() == "levit"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    scripts = tmp_path / "my env" / "bin"
    scripts.mkdir(parents=True)
    (scripts / "levit").touch()
    monkeypatch.setattr(sys, "argv", [str(scripts / "levit-export")])
    assert console.levit_command() == f"'{scripts / 'levit'}'"
    (scripts / "levit").unlink()
    assert console.levit_command() == f"{sys.executable} -m levit_mobile"


def ended(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    """Exit code and standard error of a command in which ``error`` happened."""
    with pytest.raises(SystemExit) as raised, console.guarded():
        raise error
    out, err = capsys.readouterr()
    assert out == ""
    return raised.value.code, err


def test_errors_end_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(LevitMobileError("so"), capsys) == (2, "error: so\n")
    assert ended(BundleError("so"), capsys) == (1, "error: so\n")
    assert ended(OSError(28, "No space left"), capsys) == (2, "error: [Errno 28] No space left\n")
    assert ended(KeyboardInterrupt(), capsys) == (
        130,
        "interrupted; no half-written bundle is left, and a download goes on where it stopped\n",
    )


def test_a_package_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    missing = ModuleNotFoundError("No module named 'numpy'", name="numpy")
    told = "this needs the package numpy, which is not installed; type in the checkout: pip install"
    assert ended(missing, capsys) == (2, f"error: {told} .\n")
    with pytest.raises(RuntimeMissingError) as raised, console.needing("tflite", "executorch"):
        raise missing
    assert str(raised.value) == f"{told} '.[tflite,executorch]'"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            ImportError("libgomp.so.1: cannot open shared object file", name="torch._C"),
            "torch is installed but cannot be loaded: libgomp.so.1: cannot open shared object file",
        ),
        (
            ModuleNotFoundError("No module named 'torch._C'", name="torch._C"),
            "torch is installed but cannot be loaded: No module named 'torch._C'",
        ),
        (
            ImportError("\n\nIMPORTANT: read this\n  and that\n"),
            "a package that this needs is installed but cannot be loaded: IMPORTANT: read this and that",
        ),
    ],
    ids=["library", "part", "nameless"],
)
def test_a_package_that_cannot_be_loaded(error: ImportError, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Installing it again would change nothing."""
    assert ended(error, capsys) == (2, f"error: {told}\n")


@pytest.mark.parametrize("name", ["levit_mobile.none", "exporters.none", "calib"])
def test_an_import_of_our_own_that_fails_is_our_mistake(name: str) -> None:
    with pytest.raises(ImportError, match="circle"), console.guarded():
        raise ImportError("circle", name=name)
