"""A file from the web -> the cache: resumed, retried, checked against its digest, renamed into place whole.

Beside the file, while it comes: ``NAME.part`` (what came so far), ``NAME.part.tag`` (the ETag or Last-Modified that it
came with, so that a later request can ask for the rest of that very version) and ``NAME.lock`` (one process at a time).
The lock file stays, empty: removing it would let two processes hold it at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
from platformdirs import user_cache_dir
from urllib3.exceptions import HTTPError, ReadTimeoutError

from levit_mobile.errors import DownloadError

__all__ = ["Progress", "default_cache", "fetch"]

# Bytes so far, bytes in all where the server tells, and what is waited for: "" while bytes come.
Progress = Callable[[int, int | None, str], None]

_CHUNK = 1 << 16
_SLOWEST = 1024  # bytes a second; under it a fresh connection is worth a try
_CONNECT = 10.0  # seconds; a firewall that drops packets should not cost `timeout` on every attempt
_PAUSE = 0.25  # seconds before the second attempt; doubles
_LONGEST_PAUSE = 2.0
_PATIENCE = 300.0  # seconds to wait for another process whose download does not move
_POLL = 0.1
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


def default_cache() -> Path:
    """The folder for downloads: ``LEVIT_MOBILE_CACHE`` where it is set, else the user's cache folder of this system."""
    chosen = os.environ.get("LEVIT_MOBILE_CACHE")
    return Path(chosen).expanduser() if chosen else Path(user_cache_dir("levit-mobile"))


def fetch(
    url: str,
    folder: Path,
    *,
    digest_prefix: str,
    progress: Progress | None = None,
    timeout: float = 30,
    attempts: int = 5,
) -> Path:
    """The file behind ``url`` in ``folder``, under its own name; no network is used where it is there and whole.

    Proxies come from the environment (``HTTPS_PROXY`` and friends). A broken download is resumed, by this call and by
    later ones. A second process waits for the first, and tells of its progress.

    Args:
        url: http or https; the last part of its path names the file.
        folder: made if need be.
        digest_prefix: how the file's sha256 starts, 8 to 64 hex digits.
        progress: is called with the bytes so far, the bytes in all (None: unknown), and what is waited for ("" while
            bytes come): from before the first connection on, and again before each further one.
        timeout: seconds without a byte, or at less than 1 KiB/s, after which a connection is given up.
        attempts: connections to try before giving up.

    Raises:
        DownloadError: no network, a refusal, too many broken connections, another digest, or a folder that cannot be
            written to. A file with another digest is deleted; a part is kept.
        ValueError: ``digest_prefix`` is not 8 to 64 hex digits, or ``attempts`` is not positive.
    """
    prefix = digest_prefix.lower()
    if not re.fullmatch("[0-9a-f]{8,64}", prefix):
        raise ValueError(f"digest_prefix must be 8 to 64 hex digits, not {digest_prefix!r}")
    if attempts < 1:
        raise ValueError(f"attempts must be at least 1, not {attempts}")
    transfer = _Transfer(url, folder / _name(url), prefix, timeout, progress or _say_nothing)
    with _disk(transfer.file):
        if _sha256(transfer.file).startswith(prefix):
            return transfer.file
        folder.mkdir(parents=True, exist_ok=True)
    with _locked(transfer):
        with _disk(transfer.file):
            if _sha256(transfer.file).startswith(prefix):  # another process fetched it meanwhile
                return transfer.file
            transfer.file.unlink(missing_ok=True)
        _download(transfer, attempts)
    return transfer.file


@dataclass(frozen=True)
class _Transfer:
    url: str
    file: Path
    prefix: str
    timeout: float
    report: Progress

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or self.url

    @property
    def part(self) -> Path:
        return self.file.with_name(f"{self.file.name}.part")

    @property
    def tag(self) -> Path:
        return self.file.with_name(f"{self.file.name}.part.tag")

    @property
    def lock(self) -> Path:
        return self.file.with_name(f"{self.file.name}.lock")

    def come(self) -> int:
        """Bytes in the part."""
        with _disk(self.part):
            try:
                return self.part.stat().st_size
            except FileNotFoundError:  # not begun, or just renamed by the process that has the lock
                return 0

    def discard(self) -> None:
        with _disk(self.part):
            self.part.unlink(missing_ok=True)
            self.tag.unlink(missing_ok=True)

    def error(self, reason: str, *, another_try: bool = False) -> DownloadError:
        resume = "type the same again to go on from there, or " if another_try and self.come() else ""
        return DownloadError(
            f"cannot download {self.url} ({reason}); {resume}fetch it elsewhere and type --weights PATH"
        )


class _AgainError(Exception):
    """This connection gave nothing more; another may."""


def _say_nothing(done: int, total: int | None, waiting: str) -> None:
    pass


def _name(url: str) -> str:
    try:
        name = urlsplit(url).path.rpartition("/")[2]
    except ValueError:  # brackets that hold no IPv6 address
        name = ""
    if name in ("", ".", "..") or "\0" in name:
        raise DownloadError(f"{url!r} names no file to download; type the URL of a file, or --weights PATH")
    return name


def _sha256(file: Path) -> str:
    """Hex digest; empty where there is no file."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """Turns what the disk refuses into a sentence."""
    try:
        yield
    except OSError as error:
        raise DownloadError(
            f"cannot use {path} ({error.strerror or error}); "
            "set LEVIT_MOBILE_CACHE to a folder that can be written to and has room"
        ) from error


@contextmanager
def _locked(transfer: _Transfer) -> Iterator[None]:
    """One process at a time. The system frees the lock of a process that died."""
    with _disk(transfer.lock):
        opened = transfer.lock.open("ab")
    with opened:
        seen, since = -1, time.monotonic()
        while not _try_lock(transfer.lock, opened.fileno()):
            size = transfer.come()
            if size != seen:
                seen, since = size, time.monotonic()
                transfer.report(size, None, "waiting for another process that downloads it")
            elif time.monotonic() - since > _PATIENCE:
                raise DownloadError(
                    f"another process is downloading {transfer.file}, and nothing came for {_PATIENCE:g} s; "
                    f"stop the process that holds {transfer.lock} and type the same again"
                )
            time.sleep(_POLL)
        yield


def _try_lock(path: Path, descriptor: int) -> bool:
    with _disk(path):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _download(transfer: _Transfer, attempts: int) -> None:
    reason = ""
    with requests.Session() as session:
        # A compressed answer would have other bytes than the digest's, and other offsets.
        session.headers.update({"User-Agent": "levit-mobile", "Accept-Encoding": "identity"})
        for attempt in range(attempts):
            if attempt:
                time.sleep(min(_PAUSE * 2 ** (attempt - 1), _LONGEST_PAUSE))
            again = f", attempt {attempt + 1} of {attempts}" if attempt else ""
            transfer.report(transfer.come(), None, f"connecting to {transfer.host}{again}")
            try:
                conclusive = _stream(session, transfer)
            except _AgainError as error:
                reason = str(error)
                continue
            with _disk(transfer.file):
                digest = _sha256(transfer.part)
                if digest.startswith(transfer.prefix):
                    os.replace(transfer.part, transfer.file)
                    transfer.tag.unlink(missing_ok=True)
                    return
            transfer.discard()
            reason = f"expected a sha256 that starts with {transfer.prefix}, got {digest}; the file was deleted"
            if conclusive:
                break
    raise transfer.error(reason, another_try=True)


def _stream(session: requests.Session, transfer: _Transfer) -> bool:
    """One connection: appends to the part until the server has no more.

    Returns:
        Whether all the bytes came from this one answer, so that another attempt would give the same.

    Raises:
        _AgainError: worth another attempt.
        DownloadError: not worth one.
    """
    have = transfer.come()
    tag = _read_tag(transfer) if have else ""
    with _get(session, transfer, have, tag) as response:
        if have and response.status_code == 416:  # nothing follows: the part is the whole file, or no part of it
            return False
        if response.status_code == 206:
            start, total = _content_range(response)
            if start != have or (tag and _tag(response) not in ("", tag)):
                transfer.discard()
                raise _AgainError("the server sent another part of the file than the one asked for")
        elif response.status_code == 200:
            have, total = 0, _content_length(response)
        else:
            answer = f"the server answered {response.status_code} {response.reason}"
            raise _AgainError(answer) if response.status_code in _TRANSIENT else transfer.error(answer)
        done = _append(transfer, response, have, total)
    if total is not None and done < total:
        raise _AgainError(f"the connection broke at {done:,} of {total:,} bytes")
    return have == 0 and total is not None


def _get(session: requests.Session, transfer: _Transfer, have: int, tag: str) -> requests.Response:
    headers = {"Range": f"bytes={have}-"} if have else {}
    if tag:
        headers["If-Range"] = tag
    limits = (min(transfer.timeout, _CONNECT), transfer.timeout)
    try:
        return session.get(transfer.url, headers=headers, stream=True, timeout=limits)
    except (ValueError, requests.TooManyRedirects) as error:  # a URL or a proxy that makes no sense
        raise transfer.error(str(error)) from error
    except (OSError, HTTPError) as error:
        raise _AgainError(_why(error, transfer)) from error


def _append(transfer: _Transfer, response: requests.Response, have: int, total: int | None) -> int:
    """Writes what comes behind the first ``have`` bytes of the part; returns the part's length."""
    with _disk(transfer.part):
        # Unbuffered: a killed process leaves all that came, and closing has nothing left to write that could fail.
        file = transfer.part.open("ab" if have else "wb", buffering=0)
    with file:
        if not have:
            with _disk(transfer.tag):
                transfer.tag.write_text(_tag(response), "utf-8")
        done = mark = have
        since = time.monotonic()
        transfer.report(done, total, "")
        while data := _receive(transfer, response):
            with _disk(transfer.part):
                rest = memoryview(data)
                while rest:
                    rest = rest[file.write(rest) :]
            done += len(data)
            transfer.report(done, total, "")
            spent = time.monotonic() - since
            if spent >= transfer.timeout:
                if done - mark < _SLOWEST * spent:
                    raise _AgainError(f"slower than {_SLOWEST} bytes a second, at {done:,} bytes")
                mark, since = done, time.monotonic()
    return done


def _receive(transfer: _Transfer, response: requests.Response) -> bytes:
    """Some bytes as soon as there are any (iter_content would wait for a full chunk); none at the end."""
    try:
        data: bytes | None = response.raw.read1(_CHUNK, decode_content=False)
    except (OSError, HTTPError) as error:
        raise _AgainError(_why(error, transfer)) from error
    return data or b""


def _read_tag(transfer: _Transfer) -> str:
    """Empty where there is none, or none that can go into a header."""
    try:
        tag = transfer.tag.read_text("utf-8")
    except (OSError, ValueError):
        return ""
    return tag if tag.isascii() and tag.isprintable() else ""


def _tag(response: requests.Response) -> str:
    """What tells one version of the remote file from another; a weak ETag does not (RFC 9110, section 13.1.5)."""
    tag = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def _content_length(response: requests.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _content_range(response: requests.Response) -> tuple[int, int | None]:
    """First byte (-1 where the header makes no sense) and length of the whole file."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if match is None:
        return -1, None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _why(error: BaseException, transfer: _Transfer) -> str:
    """The cause in a few words: requests and urllib3 wrap it three times and print objects."""
    if isinstance(error, requests.ReadTimeout | ReadTimeoutError):
        return f"nothing came for {transfer.timeout:g} s"
    if isinstance(error, requests.exceptions.ProxyError):
        what = "no network connection to the proxy"
    elif isinstance(error, requests.ConnectionError):
        what = "no network connection"
    else:
        what = f"the connection broke at {transfer.come():,} bytes"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and not isinstance(cause, requests.RequestException):
            return f"{what}: {cause.strerror or cause}"
        cause = cause.__cause__ or cause.__context__
    return what
