"""Write a bundle over an earlier one, and be killed before the N-th step on the disk, for every N until none is left.

python killed_writer.py FOLDER HOW; HOW is exchange or aside.

Prints how many steps there are. Each time the earlier bundle or the new one must be there, whole; a writer that comes after
must succeed, and leave nothing else.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from test_bundle import write

from levit_mobile import placing
from levit_mobile.bundle import open_bundle

STEPS = ("open", "os.chmod", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "shutil.rmtree", "ctypes.dlsym")


def write_and_die(out: Path, step: int) -> None:
    """In a process of its own, from which nothing comes back."""
    left = step

    def watch(event: str, args: tuple[object, ...]) -> None:
        nonlocal left
        if event in STEPS:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    write(out, b"new", overwrite=True)
    os._exit(0)


def main() -> None:
    folder, how = Path(sys.argv[1]), sys.argv[2]
    if how == "aside":
        placing.exchange = lambda one, other: False
    out = folder / "a-bundle"
    for step in range(1, 1000):
        write(out, b"old", overwrite=True)
        child = os.fork()
        if child == 0:
            write_and_die(out, step)
        _, status = os.waitpid(child, 0)
        visible = [name for name in os.listdir(folder) if not name.startswith(".")]
        if how == "aside" and visible == []:  # in between: the next writer brings it back
            placing.sweep(out)
            visible = os.listdir(folder)
            assert open_bundle(out).artifact.read_bytes() == b"old"
        assert "a-bundle" in visible, (step, visible)
        assert open_bundle(out).damage() == [], step
        assert open_bundle(out).artifact.read_bytes() in (b"old", b"new"), step
        for name in os.listdir(folder):  # as if a minute had gone by
            os.utime(folder / name, (time.time() - 100,) * 2)
        write(out, b"next", overwrite=True)
        assert os.listdir(folder) == ["a-bundle"], (step, os.listdir(folder))
        assert open_bundle(out).artifact.read_bytes() == b"next"
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            sys.stdout.write(f"{step - 1}\n")
            return
    raise AssertionError("it never ended")


if __name__ == "__main__":
    main()
