"""A function in a process of its own, with limits on time and memory: what reads foreign files in C may die of one, hang or grow.

What the function raises is raised here too, so that nobody need open the file again to learn what is wrong with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from levit_mobile import errors
from levit_mobile.errors import LevitMobileError

__all__ = ["GIBIBYTES", "cause_of_death", "child", "run_isolated"]

GIBIBYTES = 8  # of memory that such a process may write to; the largest variant needs less than one
# Not -m: the package has imported this module by then, which Python warns of, and warnings may be errors.
_CHILD = f"import sys; from {__name__} import child; child(*sys.argv[1:])"
_DONE, _REFUSED = 0, 3  # statuses of the child; Python itself ends with 1 and 2
_LONGEST = 4000  # letters of a reason; a pipe holds more


def run_isolated(
    module: str,
    function: str,
    words: Sequence[str],
    *,
    file: Path,
    reader: str,
    seconds: int,
    error: type[LevitMobileError],
) -> None:
    """Call ``module.function(*words)`` in another process; what it returns is lost.

    Args:
        module: that has it.
        function: its name.
        words: what it is given.
        file: that it reads, for messages.
        reader: who reads it, for messages.
        seconds: that it may take.
        error: raised where the file is to blame.

    Raises:
        LevitMobileError: what the function raised; ``error`` where it raised anything else, died, took too long or wanted
            more than ``GIBIBYTES``; or it could not be tried at all.
    """
    package = str(Path(__file__).parents[1])
    paths = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))
    reading, writing = os.pipe()
    with open(reading, "rb") as answers:
        try:
            # -P: else Python would look for modules in the current folder first, which may be the bundle's.
            # A session of its own: Ctrl-C is for the parent, which ends it.
            done = subprocess.run(
                [sys.executable, "-P", "-c", _CHILD, str(writing), str(seconds), module, function, *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds,
                check=False,
                start_new_session=True,
                pass_fds=[writing],
                env={**os.environ, "PYTHONPATH": paths},
            )
        except subprocess.TimeoutExpired as expired:
            raise error(f"{file}: {reader} did not come to an end with it in {seconds} s") from expired
        finally:
            os.close(writing)
        answer = answers.read()
    if done.returncode < 0:
        raise error(f"{file}: {cause_of_death(-done.returncode, reader, seconds)}")
    if done.returncode == _REFUSED:
        told = json.loads(answer)
        raise getattr(errors, told["kind"], error)(told["text"] if told["kind"] else f"{file}: {told['text']}")
    if done.returncode != _DONE:
        last = " ".join(done.stderr.decode(errors="replace").split())[-300:]
        raise LevitMobileError(f"{file}: could not be tried in a process of its own: {last or done.returncode}")


def cause_of_death(number: int, reader: str, seconds: int) -> str:
    """What to say of a process that a signal ended."""
    if number == signal.SIGALRM:
        return f"{reader} did not come to an end with it in {seconds} s"
    if number == signal.SIGKILL:
        return f"the system ended {reader} (SIGKILL), for want of memory as a rule"
    names = {int(known): known.name for known in signal.Signals}
    how = names.get(number, f"signal {number}")
    return f"{reader} dies of it ({how}); it is damaged, or none of this toolkit's"


def child(told: str, seconds: str, module: str, function: str, *words: str) -> None:
    """What the other process does; it ends there, without the destructors of half-loaded models."""
    signal.alarm(int(seconds))  # also if the parent is gone by then
    for kind, most in ((resource.RLIMIT_DATA, GIBIBYTES << 30), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(OSError, ValueError):  # a lower one is there already, or macOS
            resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))
    call = getattr(import_module(module), function)  # what fails here is no file's fault
    try:
        call(*words)
    except BaseException as error:
        os.write(int(told), json.dumps(_reason(error)).encode())
        os._exit(_REFUSED)
    os._exit(_DONE)


def _reason(error: BaseException) -> dict[str, str]:
    if isinstance(error, LevitMobileError):
        return {"kind": type(error).__name__, "text": str(error)[:_LONGEST]}
    if isinstance(error, MemoryError):
        return {"kind": "", "text": f"reading it takes more than {GIBIBYTES} GiB of memory"}
    return {"kind": "", "text": f"cannot be read ({' '.join(f'{type(error).__name__}: {error}'.split())[:_LONGEST]})"}
