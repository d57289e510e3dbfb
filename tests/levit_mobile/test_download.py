"""Downloads against a real server on the loopback that breaks in every way that servers break."""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from levit_mobile import download
from levit_mobile.download import Progress, default_cache, fetch
from levit_mobile.errors import DownloadError

BODY = bytes(range(256)) * 1024  # 262,144 bytes: a few reads
OTHER = BODY[::-1]
SIZE = len(BODY)
HALF = SIZE // 2


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves ``body`` with ETag and ranges; ``script`` holds replies for the next requests that do something else."""

    daemon_threads = False  # closing waits for the handlers, so that no socket outlives its test

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.body = BODY
        self.tags = {"ETag": '"one"'}
        self.script: list[Callable[[Handler], None]] = []
        self.seen: list[dict[str, str]] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/weights.pth"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are what is tested."""


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.close_connection = True
        self.server.seen.append(dict(self.headers))
        reply = self.server.script.pop(0) if self.server.script else whole
        reply(self)

    def head(self, code: int, **headers: str) -> None:
        self.send_response(code)
        for name, value in {**self.server.tags, **headers, "Connection": "close"}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def asked(self, *, heed_if_range: bool = True) -> int:
        """First byte asked for, 0 where the whole file is due."""
        if heed_if_range and self.headers.get("If-Range") not in (None, *self.server.tags.values()):
            return 0
        return int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))

    def part(self, start: int, *, sent: int | None = None) -> None:
        """The file from ``start``, as a good server answers; ``sent``: hang up after so many bytes."""
        body = self.server.body
        if start >= len(body):
            self.head(416, Content_Range=f"bytes */{len(body)}", Content_Length="0")
            return
        length = str(len(body) - start)
        if start:
            self.head(206, Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}", Content_Length=length)
        else:
            self.head(200, Content_Length=length)
        self.wfile.write(body[start:] if sent is None else body[start : start + sent])


def whole(handler: Handler) -> None:
    handler.part(handler.asked())


def truncated(sent: int) -> Callable[[Handler], None]:
    return lambda handler: handler.part(handler.asked(), sent=sent)


def ignoring_range(handler: Handler) -> None:
    handler.part(0)


def ignoring_if_range(handler: Handler) -> None:
    handler.part(handler.asked(heed_if_range=False))


def status(code: int) -> Callable[[Handler], None]:
    return lambda handler: handler.head(code, Content_Length="0")


def ranged(content_range: str | None) -> Callable[[Handler], None]:
    """206 with the whole file and this Content-Range."""

    def reply(handler: Handler) -> None:
        extra = {} if content_range is None else {"Content_Range": content_range}
        handler.head(206, Content_Length=str(SIZE), **extra)
        handler.wfile.write(BODY)

    return reply


def drip(first: int) -> Callable[[Handler], None]:
    """So many bytes at once, then one by one."""

    def reply(handler: Handler) -> None:
        handler.head(200, Content_Length=str(SIZE))
        handler.wfile.write(BODY[:first])
        for byte in BODY[first : first + 200]:
            handler.wfile.write(bytes([byte]))
            if handler.server.closing.wait(0.02):
                return

    return reply


def silent(handler: Handler) -> None:
    handler.server.closing.wait(5)


def half_then_silent(handler: Handler) -> None:
    handler.head(200, Content_Length=str(SIZE))
    handler.wfile.write(BODY[:HALF])
    silent(handler)


def hang_up(handler: Handler) -> None:
    """Closes without an answer."""


def chunked(handler: Handler) -> None:
    handler.head(200, Transfer_Encoding="chunked")
    for start in range(0, SIZE, 10_000):
        data = BODY[start : start + 10_000]
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
    handler.wfile.write(b"0\r\n\r\n")


def unmeasured(sent: int) -> Callable[[Handler], None]:
    """No Content-Length: the end of the connection is the end of the file."""

    def reply(handler: Handler) -> None:
        handler.head(200)
        handler.wfile.write(BODY[:sent])

    return reply


class Proxy(BaseHTTPRequestHandler):
    """A forward proxy for one origin, whatever host the client names."""

    origin: int
    lines: list[str]

    def do_GET(self) -> None:
        self.lines.append(self.requestline)
        origin = http.client.HTTPConnection("127.0.0.1", self.origin, timeout=5)
        origin.request("GET", urlsplit(self.path).path, headers=dict(self.headers))
        answer = origin.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.read())
        origin.close()

    def log_message(self, format: str, *args: object) -> None:
        pass


def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[Server]:
    server = Server(handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.closing.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    yield from serving(Handler)


@pytest.fixture
def proxy(server: Server) -> Iterator[Server]:
    handler = type("Handler", (Proxy,), {"origin": server.server_port, "lines": []})
    yield from serving(handler)


@pytest.fixture(autouse=True)
def _plain_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(download, "_PAUSE", 0.001)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Nobody listens there, and nobody else can take it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def get(server: Server, folder: Path, *, body: bytes = BODY, **options: object) -> Path:
    return fetch(server.url, folder, digest_prefix=sha256(body)[:8], **options)  # type: ignore[arg-type]


def bytes_into(calls: list[tuple[int, int | None]]) -> Progress:
    """Keeps what is told while bytes come, and not what is told while there is none."""

    def progress(done: int, total: int | None, waiting: str) -> None:
        if not waiting:
            calls.append((done, total))

    return progress


def leave_part(folder: Path, data: bytes, tag: str | None = '"one"') -> None:
    (folder / "weights.pth.part").write_bytes(data)
    if tag is not None:
        (folder / "weights.pth.part.tag").write_text(tag)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


DONE = ["weights.pth", "weights.pth.lock"]


def test_whole_file(server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    calls: list[tuple[int, int | None]] = []
    folder = tmp_path / "made" / "on the way"
    file = get(server, folder, progress=bytes_into(calls))
    assert file == folder / "weights.pth"
    assert file.read_bytes() == BODY
    assert names(folder) == DONE
    assert calls[0] == (0, SIZE)
    assert calls[-1] == (SIZE, SIZE)
    assert calls == sorted(calls)
    assert server.seen[0]["Accept-Encoding"] == "identity"
    assert "Range" not in server.seen[0]
    assert capfd.readouterr() == ("", "")


def test_a_verified_file_needs_no_network(tmp_path: Path, closed_port: int) -> None:
    (tmp_path / "weights.pth").write_bytes(BODY)
    file = fetch(f"http://127.0.0.1:{closed_port}/weights.pth", tmp_path, digest_prefix=sha256(BODY))
    assert file.read_bytes() == BODY
    assert names(tmp_path) == ["weights.pth"]  # nothing was written, so a read-only cache will do


def test_a_file_that_does_not_verify_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(OTHER)
    assert get(server, tmp_path).read_bytes() == BODY
    assert len(server.seen) == 1


def test_a_file_that_does_not_verify_does_not_stay(server: Server, tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(OTHER)
    server.script = [status(404)]
    with pytest.raises(DownloadError):
        get(server, tmp_path)
    assert names(tmp_path) == ["weights.pth.lock"]


def test_resumes_a_part(server: Server, tmp_path: Path) -> None:
    leave_part(tmp_path, BODY[:1000])
    calls: list[tuple[int, int | None]] = []
    assert get(server, tmp_path, progress=bytes_into(calls)).read_bytes() == BODY
    assert server.seen[0]["Range"] == "bytes=1000-"
    assert server.seen[0]["If-Range"] == '"one"'
    assert calls[0] == (1000, SIZE)
    assert names(tmp_path) == DONE


@pytest.mark.parametrize("tag", [None, "", "bad\r\nheader", "\u00e9"])
def test_resumes_a_part_without_a_usable_tag(server: Server, tmp_path: Path, tag: str | None) -> None:
    leave_part(tmp_path, BODY[:1000], tag)
    assert get(server, tmp_path).read_bytes() == BODY
    assert server.seen[0]["Range"] == "bytes=1000-"
    assert "If-Range" not in server.seen[0]


def test_every_retry_resumes(server: Server, tmp_path: Path) -> None:
    server.script = [truncated(1000), hang_up, truncated(500), status(503)]
    assert get(server, tmp_path).read_bytes() == BODY
    assert [seen.get("Range") for seen in server.seen] == [None, "bytes=1000-", "bytes=1000-", *["bytes=1500-"] * 2]
    assert [seen.get("If-Range") for seen in server.seen] == [None, *['"one"'] * 4]


def test_every_connection_is_told_before_it_is_made(server: Server, tmp_path: Path) -> None:
    """With the bytes that are there already: a firewall that drops packets is silent for ten seconds an attempt."""
    calls: list[tuple[int, int | None, str, int]] = []
    server.script = [truncated(1000), status(503)]
    get(server, tmp_path, progress=lambda *call: calls.append((*call, len(server.seen))))
    assert [call for call in calls if call[2]] == [
        (0, None, "connecting to 127.0.0.1", 0),
        (1000, None, "connecting to 127.0.0.1, attempt 2 of 5", 1),
        (1000, None, "connecting to 127.0.0.1, attempt 3 of 5", 2),
    ]
    assert calls[0][2] != ""
    assert calls[-1] == (SIZE, SIZE, "", 3)


def test_connecting_in_vain_is_told(tmp_path: Path, closed_port: int) -> None:
    told: list[str] = []
    url = f"http://me:secret@127.0.0.1:{closed_port}/weights.pth"
    with pytest.raises(DownloadError):
        fetch(url, tmp_path, digest_prefix="00000000", attempts=2, progress=lambda *call: told.append(call[2]))
    assert told == ["connecting to 127.0.0.1", "connecting to 127.0.0.1, attempt 2 of 2"]


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_an_error_that_passes_is_tried_again(server: Server, tmp_path: Path, code: int) -> None:
    server.script = [status(code)]
    assert get(server, tmp_path).read_bytes() == BODY
    assert len(server.seen) == 2


def test_attempts_are_bounded(server: Server, tmp_path: Path) -> None:
    server.script = [truncated(1000)] * 9
    with pytest.raises(DownloadError) as caught:
        get(server, tmp_path, attempts=3)
    assert len(server.seen) == 3
    assert str(caught.value) == (
        f"cannot download {server.url} (the connection broke at 3,000 bytes); "
        "type the same again to go on from there, or fetch it elsewhere and type --weights PATH"
    )
    assert (tmp_path / "weights.pth.part").read_bytes() == BODY[:3000]
    server.script = []
    assert get(server, tmp_path).read_bytes() == BODY
    assert server.seen[-1]["Range"] == "bytes=3000-"


def test_pauses_grow_and_stay_short(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_PAUSE", 0.25)
    pauses: list[float] = []
    monkeypatch.setattr("levit_mobile.download.time.sleep", pauses.append)
    server.script = [status(500)] * 9
    with pytest.raises(DownloadError, match="the server answered 500 Internal Server Error"):
        get(server, tmp_path, attempts=6)
    assert pauses == [0.25, 0.5, 1.0, 2.0, 2.0]


def test_a_refusal_is_final(server: Server, tmp_path: Path) -> None:
    server.script = [status(404)]
    leave_part(tmp_path, BODY[:10])
    with pytest.raises(DownloadError) as caught:
        get(server, tmp_path)
    assert len(server.seen) == 1
    assert str(caught.value) == (
        f"cannot download {server.url} (the server answered 404 Not Found); fetch it elsewhere and type --weights PATH"
    )


def test_a_server_without_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    server.script = [truncated(1000), ignoring_range]
    calls: list[tuple[int, int | None]] = []
    assert get(server, tmp_path, progress=bytes_into(calls)).read_bytes() == BODY
    assert server.seen[1]["Range"] == "bytes=1000-"
    assert calls.count((0, SIZE)) == 2


def test_416_for_a_whole_part(server: Server, tmp_path: Path) -> None:
    leave_part(tmp_path, BODY)  # killed between the last byte and the renaming
    assert get(server, tmp_path).read_bytes() == BODY
    assert [seen["Range"] for seen in server.seen] == [f"bytes={SIZE}-"]
    assert names(tmp_path) == DONE


@pytest.mark.parametrize("part", [OTHER, BODY + b"more"])
def test_416_for_a_wrong_part_starts_over(server: Server, tmp_path: Path, part: bytes) -> None:
    leave_part(tmp_path, part)
    assert get(server, tmp_path).read_bytes() == BODY
    assert [seen.get("Range") for seen in server.seen] == [f"bytes={len(part)}-", None]


@pytest.mark.parametrize(
    "content_range",
    [
        None,
        f"bytes 0-{SIZE - 1}/{SIZE}",
        f"bytes 999-{SIZE - 1}/{SIZE}",
        f"bytes 1001-{SIZE - 1}/*",
        f"bytes */{SIZE}",
        "nonsense",
    ],
)
def test_206_with_another_range_starts_over(server: Server, tmp_path: Path, content_range: str | None) -> None:
    leave_part(tmp_path, BODY[:1000])
    server.script = [ranged(content_range)]
    calls: list[tuple[int, int | None]] = []
    assert get(server, tmp_path, progress=bytes_into(calls)).read_bytes() == BODY
    assert [seen.get("Range") for seen in server.seen] == ["bytes=1000-", None]
    assert calls[0] == (0, SIZE)  # the wrong bytes were not even read


def test_206_for_a_part_of_the_rest(server: Server, tmp_path: Path) -> None:
    def short(handler: Handler) -> None:
        handler.head(206, Content_Range=f"bytes 1000-1999/{SIZE}", Content_Length="1000")
        handler.wfile.write(BODY[1000:2000])

    leave_part(tmp_path, BODY[:1000])
    server.script = [short]
    assert get(server, tmp_path).read_bytes() == BODY
    assert [seen["Range"] for seen in server.seen] == ["bytes=1000-", "bytes=2000-"]


@pytest.mark.parametrize("second", [whole, ignoring_if_range])
def test_a_changed_file_is_not_spliced(server: Server, tmp_path: Path, second: Callable[[Handler], None]) -> None:
    def replaced(handler: Handler) -> None:
        server.body, server.tags = OTHER, {"ETag": '"two"'}
        second(handler)

    server.script = [truncated(1000), replaced]
    calls: list[tuple[int, int | None]] = []
    file = get(server, tmp_path, body=OTHER, progress=bytes_into(calls))
    assert file.read_bytes() == OTHER
    assert calls[:3] == [(0, SIZE), (1000, SIZE), (0, SIZE)]  # no byte of the new file went behind the old ones
    ranges = [seen.get("Range") for seen in server.seen]
    assert ranges == [None, "bytes=1000-"] if second is whole else [None, "bytes=1000-", None]


def test_a_splice_that_no_tag_could_prevent_is_found_and_mended(server: Server, tmp_path: Path) -> None:
    leave_part(tmp_path, OTHER[:1000], None)
    assert get(server, tmp_path).read_bytes() == BODY
    assert [seen.get("Range") for seen in server.seen] == ["bytes=1000-", None]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"ETag": 'W/"one"', "Last-Modified": "Mon, 06 Jul 2026 10:00:00 GMT"}, "Mon, 06 Jul 2026 10:00:00 GMT"),
        ({"Last-Modified": "Mon, 06 Jul 2026 10:00:00 GMT"}, "Mon, 06 Jul 2026 10:00:00 GMT"),
        ({"ETag": '"one"', "Last-Modified": "Mon, 06 Jul 2026 10:00:00 GMT"}, '"one"'),
        ({"ETag": 'W/"one"'}, None),
    ],
)
def test_what_if_range_is_made_of(server: Server, tmp_path: Path, tags: dict[str, str], expected: str | None) -> None:
    server.tags = tags
    server.script = [truncated(1000)]
    assert get(server, tmp_path).read_bytes() == BODY
    assert server.seen[1]["Range"] == "bytes=1000-"
    assert server.seen[1].get("If-Range") == expected


def test_a_new_answer_without_a_tag_forgets_the_old_tag(server: Server, tmp_path: Path) -> None:
    leave_part(tmp_path, OTHER[:1000], '"old"')
    server.tags = {}
    server.script = [lambda handler: handler.part(0, sent=1000)]
    assert get(server, tmp_path).read_bytes() == BODY
    assert server.seen[0]["If-Range"] == '"old"'
    assert "If-Range" not in server.seen[1]


@pytest.mark.parametrize("first", [0, HALF])
def test_a_dripping_connection_is_given_up(server: Server, tmp_path: Path, first: int) -> None:
    server.script = [drip(first)]
    start = time.monotonic()
    assert get(server, tmp_path, timeout=0.2).read_bytes() == BODY
    assert time.monotonic() - start < 2  # the drip alone goes on for four seconds
    assert 1 <= int(server.seen[1]["Range"].removeprefix("bytes=").removesuffix("-")) - first < 200


def test_every_connection_drips(server: Server, tmp_path: Path) -> None:
    server.script = [drip(0)]
    with pytest.raises(DownloadError, match=r"\(slower than 1024 bytes a second, at \d+ bytes\)"):
        get(server, tmp_path, timeout=0.3, attempts=1)


def test_a_slow_connection_is_not_given_up(server: Server, tmp_path: Path) -> None:
    def steady(handler: Handler) -> None:
        handler.head(200, Content_Length=str(SIZE))
        for start in range(0, SIZE, SIZE // 8):
            handler.wfile.write(BODY[start : start + SIZE // 8])
            handler.server.closing.wait(0.1)

    server.script = [steady]
    assert get(server, tmp_path, timeout=0.3, attempts=1).read_bytes() == BODY


@pytest.mark.parametrize(("reply", "have"), [(silent, 0), (half_then_silent, HALF)])
def test_a_silent_connection_is_given_up(
    server: Server, tmp_path: Path, reply: Callable[[Handler], None], have: int
) -> None:
    server.script = [reply]
    start = time.monotonic()
    with pytest.raises(DownloadError, match=r"\(nothing came for 0\.4 s\)"):
        get(server, tmp_path, timeout=0.4, attempts=1)
    assert time.monotonic() - start < 2
    assert get(server, tmp_path).read_bytes() == BODY
    assert server.seen[1].get("Range") == (f"bytes={have}-" if have else None)


def test_a_corrupt_file_is_deleted(server: Server, tmp_path: Path) -> None:
    server.body = OTHER
    with pytest.raises(DownloadError) as caught:
        get(server, tmp_path)
    assert str(caught.value) == (
        f"cannot download {server.url} (expected a sha256 that starts with {sha256(BODY)[:8]}, got {sha256(OTHER)}; "
        "the file was deleted); fetch it elsewhere and type --weights PATH"
    )
    assert len(server.seen) == 1
    assert names(tmp_path) == ["weights.pth.lock"]


def test_the_digest_is_compared_whole(server: Server, tmp_path: Path) -> None:
    digest = sha256(BODY)
    wrong = digest[:-1] + ("0" if digest[-1] != "0" else "1")
    with pytest.raises(DownloadError, match=f"starts with {wrong}, got {digest}"):
        fetch(server.url, tmp_path, digest_prefix=wrong)
    assert fetch(server.url, tmp_path, digest_prefix=digest.upper()).read_bytes() == BODY


@pytest.mark.parametrize("reply", [chunked, unmeasured(SIZE)])
def test_a_file_of_unknown_length(server: Server, tmp_path: Path, reply: Callable[[Handler], None]) -> None:
    server.script = [reply]
    calls: list[tuple[int, int | None]] = []
    assert get(server, tmp_path, progress=bytes_into(calls)).read_bytes() == BODY
    assert calls[-1] == (SIZE, None)
    assert len(server.seen) == 1


def test_a_file_of_unknown_length_cut_short_is_tried_again(server: Server, tmp_path: Path) -> None:
    server.script = [unmeasured(1000)]
    assert get(server, tmp_path).read_bytes() == BODY
    assert len(server.seen) == 2


def test_redirects_keep_the_range(server: Server, tmp_path: Path) -> None:
    leave_part(tmp_path, BODY[:1000])
    server.script = [lambda handler: handler.head(302, Location="/elsewhere/blob?x=1", Content_Length="0")]
    assert get(server, tmp_path).name == "weights.pth"
    assert server.seen[1]["Range"] == "bytes=1000-"


def test_endless_redirects(server: Server, tmp_path: Path) -> None:
    server.script = [lambda handler: handler.head(302, Location="/weights.pth", Content_Length="0")] * 99
    with pytest.raises(DownloadError, match="Exceeded 30 redirects"):
        get(server, tmp_path)


def test_nobody_listens(tmp_path: Path, closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}/weights.pth"
    with pytest.raises(DownloadError) as caught:
        fetch(url, tmp_path, digest_prefix="00000000")
    assert str(caught.value) == (
        f"cannot download {url} (no network connection: Connection refused); fetch it elsewhere and type --weights PATH"
    )


def test_no_name_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(DownloadError) as caught:
        fetch("https://weights.invalid/weights.pth", tmp_path, digest_prefix="00000000")
    assert str(caught.value) == (
        "cannot download https://weights.invalid/weights.pth "
        "(no network connection: Temporary failure in name resolution); fetch it elsewhere and type --weights PATH"
    )


@pytest.mark.parametrize(
    "url",
    [
        "weights.pth",
        "file:///etc/weights.pth",
        "http:///weights.pth",
        "http://a:b/weights.pth",
        f"http://{'a' * 70}.com/weights.pth",
    ],
)
def test_an_url_that_makes_no_sense_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr("levit_mobile.download.time.sleep", lambda seconds: pytest.fail("tried again"))
    with pytest.raises(DownloadError, match=r"cannot download .*--weights PATH"):
        fetch(url, tmp_path, digest_prefix="00000000")


@pytest.mark.parametrize("url", ["http://host", "http://host/", "http://host/a/..", "http://[::1", "http://host/a\0b"])
def test_an_url_without_a_file(tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="names no file to download"):
        fetch(url, tmp_path, digest_prefix="00000000")


def test_goes_through_the_proxy(server: Server, proxy: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's name exists nowhere, so only the proxy can have answered."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.server_port}")
    leave_part(tmp_path, BODY[:1000])
    file = fetch("http://weights.invalid/weights.pth", tmp_path, digest_prefix=sha256(BODY)[:8])
    assert file.read_bytes() == BODY
    assert proxy.RequestHandlerClass.lines == ["GET http://weights.invalid/weights.pth HTTP/1.1"]  # type: ignore[attr-defined]
    assert server.seen[0]["Range"] == "bytes=1000-"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_proxy_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed_port: int, scheme: str) -> None:
    monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://127.0.0.1:{closed_port}")
    with pytest.raises(DownloadError, match=r"\(no network connection to the proxy: Connection refused\)"):
        fetch(f"{scheme}://weights.invalid/weights.pth", tmp_path, digest_prefix="00000000")


def test_the_folder_is_a_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(DownloadError, match=r"cannot use .*weights\.pth \(Not a directory\); set LEVIT_MOBILE_CACHE"):
        get(server, tmp_path / "cache")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to(server: Server, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DownloadError, match=r"\(Permission denied\); set LEVIT_MOBILE_CACHE"):
        get(server, tmp_path)
    tmp_path.chmod(0o700)


def test_a_read_only_file_system(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", fail)
    with pytest.raises(DownloadError, match=r"\(Read-only file system\); set LEVIT_MOBILE_CACHE to a folder that can"):
        get(server, tmp_path / "cache")
    assert server.seen == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
def test_a_full_disk(server: Server, tmp_path: Path) -> None:
    (tmp_path / "weights.pth.part").symlink_to("/dev/full")
    with pytest.raises(DownloadError, match=r"\(No space left on device\); set LEVIT_MOBILE_CACHE .* has room"):
        get(server, tmp_path)
    assert len(server.seen) == 1


def test_an_error_of_the_callback_is_its_own(server: Server, tmp_path: Path) -> None:
    def fail(done: int, total: int | None, waiting: str) -> None:
        if not waiting or not done:
            raise BrokenPipeError("the terminal went away")

    with pytest.raises(BrokenPipeError):
        get(server, tmp_path, progress=fail)
    assert server.seen == []  # it was told before the first connection
    leave_part(tmp_path, BODY[:1000])
    with pytest.raises(BrokenPipeError):
        get(server, tmp_path, progress=fail)
    assert len(server.seen) == 1


PROCESS = """
import sys
from pathlib import Path
from levit_mobile.download import fetch
print("ready", flush=True)
sys.stdin.readline()
print(fetch(sys.argv[1], Path(sys.argv[2]), digest_prefix=sys.argv[3]), flush=True)
"""


def start(server: Server, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROCESS, server.url, str(folder), sha256(BODY)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def release(*processes: subprocess.Popen[str]) -> None:
    """Lets all of them go at once, as soon as the last one is ready."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def test_two_processes_fetch_once(server: Server, tmp_path: Path) -> None:
    def slow(handler: Handler) -> None:
        handler.head(200, Content_Length=str(SIZE))
        handler.wfile.write(BODY[:HALF])
        handler.server.closing.wait(0.4)
        handler.wfile.write(BODY[HALF:])

    server.script = [slow]
    with start(server, tmp_path) as one, start(server, tmp_path) as two:
        release(one, two)
        told = [process.communicate(timeout=20)[0] for process in (one, two)]
    assert told == [f"{tmp_path / 'weights.pth'}\n"] * 2
    assert (one.returncode, two.returncode) == (0, 0)
    assert len(server.seen) == 1
    assert (tmp_path / "weights.pth").read_bytes() == BODY
    assert names(tmp_path) == DONE


def test_a_killed_process_leaves_its_part_and_no_lock(server: Server, tmp_path: Path) -> None:
    server.script = [half_then_silent]
    part = tmp_path / "weights.pth.part"
    with start(server, tmp_path) as process:
        release(process)
        deadline = time.monotonic() + 10
        while not (part.exists() and part.stat().st_size == HALF) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert part.stat().st_size == HALF
    assert get(server, tmp_path).read_bytes() == BODY
    assert server.seen[1]["Range"] == f"bytes={HALF}-"
    assert server.seen[1]["If-Range"] == '"one"'


def test_waiting_tells_of_the_others_progress(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_POLL", 0.01)
    calls: list[tuple[int, int | None, str]] = []
    part = tmp_path / "weights.pth.part"
    with (tmp_path / "weights.pth.lock").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)

        def watch(done: int, total: int | None, waiting: str) -> None:
            calls.append((done, total, waiting))
            if done == 0:
                part.write_bytes(BODY)
            else:
                part.replace(tmp_path / "weights.pth")
                fcntl.flock(other, fcntl.LOCK_UN)

        assert get(server, tmp_path, progress=watch).read_bytes() == BODY
    waiting = "waiting for another process that downloads it"
    assert calls == [(0, None, waiting), (SIZE, None, waiting)]
    assert server.seen == []


def test_waiting_is_bounded(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_POLL", 0.01)
    monkeypatch.setattr(download, "_PATIENCE", 0.1)
    with (tmp_path / "weights.pth.lock").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(
            DownloadError, match=r"another process .* nothing came for 0\.1 s; stop .*weights\.pth\.lock"
        ):
            get(server, tmp_path)
    assert get(server, tmp_path).read_bytes() == BODY


@pytest.mark.parametrize("prefix", ["", "abc", "0123456", "0" * 65, "sixteen!"])
def test_a_digest_prefix_must_prove_something(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(ValueError, match="digest_prefix must be 8 to 64 hex digits"):
        fetch("http://host/weights.pth", tmp_path, digest_prefix=prefix)


def test_no_attempts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="attempts must be at least 1, not 0"):
        fetch("http://host/weights.pth", tmp_path, digest_prefix="00000000", attempts=0)


def test_default_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVIT_MOBILE_CACHE", str(tmp_path))
    assert default_cache() == tmp_path
    monkeypatch.setenv("LEVIT_MOBILE_CACHE", "~/levit")
    assert default_cache() == Path.home() / "levit"
    monkeypatch.setenv("LEVIT_MOBILE_CACHE", "")
    assert default_cache().name == "levit-mobile"
    monkeypatch.delenv("LEVIT_MOBILE_CACHE")
    assert default_cache().name == "levit-mobile"
