"""An adb server on loopback that speaks adb's own protocol, and a phone behind it that is a script."""

from __future__ import annotations

import json
import shlex
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

PACKAGE = "org.levitmobile.demo"
RESULTS = Path(__file__).parent / "android_demo" / "results.json"  # what the app writes: a test of its core wrote it


class HangUpError(Exception):
    """The connection ends here, in the middle."""


@dataclass
class FakePhone:
    """A phone whose state tests set, and read.

    Attributes:
        state: as adb tells it.
        level: of Android.
        installed: whether the app is.
        files: what lies on it.
        commands: what its shell was asked.
        answer: what the app does when it is started: the bytes that it writes; None: it dies.
        log: what logcat tells.
        hang_up: the connection is lost at the command or file that this is in.
        slow: looks that it takes until the results are there.
        install: what ``pm install`` says.
        start: what ``am start`` says.
    """

    state: str = "device"
    level: str = "34"
    installed: bool = True
    files: dict[str, bytes] = field(default_factory=dict)
    commands: list[list[str]] = field(default_factory=list)
    answer: Callable[[dict[str, str], dict[str, bytes]], bytes | None] = field(
        default=lambda extras, files: good(extras, files)
    )
    log: str = ""
    hang_up: str = ""
    slow: int = 1
    install: str = "Success"
    start: str = "Starting: Intent\nStatus: ok\nComplete"
    running: bool = False
    lost: bool = False
    _due: tuple[str, bytes] | None = None

    @property
    def shared(self) -> str:
        """Where the app puts results."""
        if int(self.level) >= 29:
            return f"/sdcard/Android/media/{PACKAGE}"
        return f"/sdcard/Android/data/{PACKAGE}/cache"

    def shell(self, line: str) -> str:
        """What a command prints; adb ends each with an echo."""
        command, _, echo = line.rpartition("; echo ")
        return self._answer(command) + echo + "\n"

    def _answer(self, line: str) -> str:
        words = shlex.split(line)
        self.commands.append(words)
        if self.hang_up and self.hang_up in line:
            raise self._gone()
        match words:
            case ["getprop", "ro.build.version.sdk"]:
                return f"{self.level}\n"
            case ["pm", "path", _]:
                return f"package:/data/app/{PACKAGE}/base.apk\n" if self.installed else ""
            case ["pm", "install", *_, path]:
                assert path in self.files
                self.installed = self.installed or "Success" in self.install
                return self.install + "\n"
            case ["am", "start", *_]:
                return self._start(words)
            case ["am", "force-stop", _]:
                self.running = False
            case ["pidof", _]:
                return "4711\n" if self.running else ""
            case ["logcat", "-d", *_]:
                return self.log
            case ["rm", "-rf", *paths]:
                self.files = {n: b for n, b in self.files.items() if not any(self._inside(n, p) for p in paths)}
            case ["mkdir" | "chmod" | "logcat", *_]:
                pass
            case _:
                return f"sh: {words[0]}: not found\n"
        return ""

    def _gone(self) -> HangUpError:
        self.lost = True
        return HangUpError()

    @staticmethod
    def _inside(name: str, folder: str) -> bool:
        return name == folder or PurePosixPath(folder) in PurePosixPath(name).parents

    def _start(self, words: list[str]) -> str:
        if "Error" in self.start or "Exception" in self.start:
            return self.start
        flags = [at for at, word in enumerate(words) if word in ("--es", "--ei", "--ef")]
        extras = {words[at + 1]: words[at + 2] for at in flags}
        found = self.answer(extras, self.files)
        self.running = found is not None
        if found is not None:
            self._due = (f"{self.shared}/{extras['id']}.json", found)
        return self.start

    def stat(self, path: str) -> bytes:
        if self.hang_up and self.hang_up in path:
            raise self._gone()
        if self._due is not None and path == self._due[0]:
            self.slow -= 1
            if self.slow < 0:
                self.files[path], self._due = self._due[1], None
        data = self.files.get(path)
        return struct.pack("<III", 0o100644 if data is not None else 0, len(data or b""), 1)


def good(extras: dict[str, str], files: dict[str, bytes]) -> bytes:
    """What the app writes when all is well: the results of a test of its core, as if of the bundle that was asked for."""
    manifest = json.loads(files[f"{extras['bundle']}/manifest.json"])
    for name, about in manifest["files"].items():
        assert len(files[f"{extras['bundle']}/{name}"]) == about["bytes"]
    data: dict[str, Any] = json.loads(RESULTS.read_text())
    run = data["runs"][0]
    run["artifact"]["sha256"] = manifest["files"][manifest["artifact"]["file"]]["sha256"]
    run["threads"] = int(extras["threads"])
    return json.dumps(data).encode()


@dataclass
class FakeServer:
    """What is connected, by serial number."""

    phones: dict[str, FakePhone]
    port: int = 0

    @property
    def phone(self) -> FakePhone:
        """The only one."""
        (phone,) = self.phones.values()
        return phone


class _Talk(socketserver.StreamRequestHandler):
    """One connection: a service of the server, or, after a transport, one of the phone."""

    fake: FakeServer

    def handle(self) -> None:
        try:
            while length := self.rfile.read(4):
                self._serve(self.rfile.read(int(length, 16)).decode())
        except (HangUpError, ConnectionError):
            pass

    def _serve(self, asked: str) -> None:
        if asked == "host:version":
            self._okay(b"0029")
        elif asked == "host:devices":
            self._okay("".join(f"{name}\t{phone.state}\n" for name, phone in self.fake.phones.items()).encode())
        elif asked.startswith("host:tport:serial:"):
            self._transport(asked.rpartition(":")[2], struct.pack("<Q", 1))
        elif asked.startswith("host:transport:"):
            self._transport(asked.removeprefix("host:transport:"), b"")
        elif asked.startswith("shell:"):
            self.wfile.write(b"OKAY")
            self.wfile.write(self.phone.shell(asked.removeprefix("shell:")).encode())
            raise HangUpError  # as a shell does at its end
        elif asked == "sync:":
            self.wfile.write(b"OKAY")
            self._sync()
        else:
            self._fail(f"unknown host service {asked!r}")

    def _okay(self, text: bytes) -> None:
        self.wfile.write(b"OKAY%04x" % len(text) + text)

    def _fail(self, text: str) -> None:
        self.wfile.write(b"FAIL%04x" % len(text) + text.encode())
        raise HangUpError

    def _transport(self, serial: str, more: bytes) -> None:
        if serial not in self.fake.phones or self.fake.phones[serial].lost:
            self._fail(f"device '{serial}' not found")
        self.phone = self.fake.phones[serial]
        self.wfile.write(b"OKAY" + more)

    def _sync(self) -> None:
        while head := self.rfile.read(8):
            kind, length = struct.unpack("<4sI", head)
            path = self.rfile.read(length).decode()
            if kind == b"STAT":
                self.wfile.write(b"STAT" + self.phone.stat(path))
            elif kind == b"SEND":
                self._receive(path.rpartition(",")[0])
            elif kind == b"RECV":
                self._send(path)
            else:
                raise HangUpError

    def _receive(self, path: str) -> None:
        data = b""
        while True:
            kind, length = struct.unpack("<4sI", self.rfile.read(8))
            if kind == b"DONE":
                break
            assert kind == b"DATA"
            data += self.rfile.read(length)
            if self.phone.hang_up and self.phone.hang_up in path:
                raise self.phone._gone()
        self.phone.files[path] = data
        self.wfile.write(b"OKAY" + struct.pack("<I", 0))

    def _send(self, path: str) -> None:
        data = self.phone.files.get(path)
        if data is None:
            text = b"No such file or directory"
            self.wfile.write(b"FAIL" + struct.pack("<I", len(text)) + text)
            return
        for at in range(0, len(data), 65536):
            block = data[at : at + 65536]
            self.wfile.write(b"DATA" + struct.pack("<I", len(block)) + block)
            if self.phone.hang_up == "RECV":
                raise self.phone._gone()
        self.wfile.write(b"DONE" + struct.pack("<I", 0))


@contextmanager
def serving(phones: dict[str, FakePhone]) -> Iterator[FakeServer]:
    """A server with these phones, on a port of its own."""
    fake = FakeServer(phones)
    handler = type("Handler", (_Talk,), {"fake": fake})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        fake.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()
