"""How much memory is counted, and whose."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from levit_mobile.bench.onboard import memory

# The child of a process that has, or had, 400 MB; what the child has itself is less than a tenth.
_CHILD = "from levit_mobile.bench.onboard.memory import resident; print(resident())"
_PARENT = (
    "import subprocess, sys\n"
    "del [bytearray(b'x' * 200_000_000)][:]\n"
    f"print(subprocess.run([sys.executable, '-c', {_CHILD!r}], capture_output=True, text=True, check=True).stdout)\n"
)
linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux counts a parent's memory")


@linux
def test_what_the_parent_had_is_not_counted() -> None:
    done = subprocess.run([sys.executable, "-c", _PARENT], capture_output=True, text=True, check=True)
    assert 5 < float(done.stdout) < 100


@linux
def test_of_another_process() -> None:
    model = SimpleNamespace(pids=[os.getpid(), os.getpid()])
    assert memory.peak_of(model) == pytest.approx(2 * memory.resident(), rel=0.01)


def test_a_system_that_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "read", lambda _: "")
    assert memory.resident() > 5
    assert memory.peak_of(SimpleNamespace(pids=[1])) == 0
    assert memory.peak_of(SimpleNamespace(pids=[])) > 5


def test_a_megabyte_is_a_million_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "read", lambda _: "VmHWM:\t 1000000 kB\nVmRSS:\t 10 kB")
    assert memory.resident() == memory.peak_of(SimpleNamespace(pids=[1])) == 1024
