"""Lends the board to one bench, and runs its jobs as long as the host is there."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from .events import emit
from .facts import facts
from .governor import Governor
from .health import Health

__all__ = ["BUSY", "LEASE_S", "Watch", "main"]

LEASE_S = 60.0
BUSY = 75  # exit status: another bench has the board


class Watch:
    """Runs the jobs of a request, one after the other, as long as the host is there."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.heard = time.monotonic()
        self.stopped = threading.Event()
        self.lines: queue.Queue[bytes] = queue.Queue()
        self.worker: subprocess.Popen[bytes] | None = None
        self.health = Health()

    def listen(self) -> None:
        """What the host says after its request is for the job; nothing but blanks says that it is there."""
        for line in sys.stdin.buffer:
            self.heard = time.monotonic()
            if line.strip():
                self.lines.put(line)
        self.stop()

    def look(self) -> None:
        """A reading now and then, and whether the host is still there."""
        while not self.stopped.wait(self.request.get("every_s", 2.0)):
            self.say("health", **self.health.reading())
            if time.monotonic() - self.heard > LEASE_S:
                self.stop()

    def stop(self, *_: Any) -> None:
        """End the job."""
        self.stopped.set()
        worker = self.worker
        if worker is not None and worker.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)

    def say(self, event: str, **more: Any) -> None:
        """To the host, who may be gone."""
        try:
            emit(event, **more)
        except OSError:
            self.stop()

    def run(self, job: dict[str, Any]) -> None:
        """In a process of its own, whose events are handed on."""
        command = [sys.executable, "-u", os.path.abspath(sys.argv[0]), "--work"]
        self.worker = worker = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        assert worker.stdin
        assert worker.stdout
        assert worker.stderr
        self.health.pids = [worker.pid]
        if self.stopped.is_set():  # since it was last asked, when there was nobody to end
            self.stop()
        said: list[bytes] = []
        errors = threading.Thread(target=lambda: said.append(_tail(worker.stderr)), daemon=True)
        errors.start()
        self.say("job", job=job["id"], pid=worker.pid)
        feeding = threading.Thread(target=self.feed, args=(worker, job), daemon=True)
        feeding.start()
        ended = False
        for line in worker.stdout:
            event = json.loads(line)
            ended = ended or event["event"] in ("done", "refused")
            self.health.pids = event.pop("pids", self.health.pids)
            self.say(event.pop("event"), job=job["id"], **event)
        status = worker.wait()
        errors.join(5)
        if not ended and not self.stopped.is_set():
            words = b"".join(said).decode("utf-8", "replace").strip()[-2000:]
            self.say("died", job=job["id"], status=status, text=words)

    def feed(self, worker: Any, job: dict[str, Any]) -> None:
        """The job, then what the host says while it runs."""
        try:
            worker.stdin.write((json.dumps(job) + "\n").encode())
            worker.stdin.flush()
            while worker.poll() is None:
                try:
                    line = self.lines.get(timeout=0.2)
                except queue.Empty:
                    continue
                worker.stdin.write(line)
                worker.stdin.flush()
        except OSError:
            pass  # the worker is gone, which its status tells

    def all_jobs(self) -> None:
        """With a pause between them."""
        for at, job in enumerate(self.request["jobs"]):
            if at and self.stopped.wait(self.request.get("cooldown_s", 0.0)):
                return
            if not self.stopped.is_set():
                self.say("health", **self.health.reading())
                self.run(job)
                self.say("health", **self.health.reading())


def _tail(stream: Any) -> bytes:
    kept = b""
    for block in iter(lambda: stream.read1(1 << 16), b""):
        kept = (kept + block)[-(1 << 14) :]
    return kept


def _lock(home: str) -> Any:
    """The board is this process's until it ends.

    Raises:
        BlockingIOError: it is another's.
    """
    file = open(os.path.join(home, "lock"), "a+", encoding="ascii")  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        emit("busy", text=file.read(200).strip())
        raise
    file.seek(0)
    file.truncate()
    file.write(f"process {os.getpid()}, since {time.strftime('%H:%M:%S %Z')}")
    file.flush()
    return file


def main() -> int:
    """Lend the board to one bench."""
    request = json.loads(sys.stdin.buffer.readline())
    home = os.path.expanduser(request["home"])
    os.makedirs(home, exist_ok=True)
    try:
        lock = _lock(home)
    except BlockingIOError:
        return BUSY
    watch, governor = Watch(request), Governor(home)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, watch.stop)
    governor.put_back()
    watch.say("facts", facts=facts())
    try:
        if request.get("governor"):
            governor.choose(request["governor"])
        for task in (watch.listen, watch.look):
            threading.Thread(target=task, daemon=True).start()
        watch.all_jobs()
        if not watch.stopped.is_set():
            watch.say("end")
    finally:
        watch.stop()
        governor.put_back()
        lock.close()
    return 0
