"""A folder with Debian for ARM in it, for an emulated board: fetched and unpacked by mmdebstrap, finished by us.

Packages are unpacked only (``--variant=extract``): no script of theirs runs, which takes 10 seconds where a configured system
takes minutes, and works without root. What their scripts would have written, ``_finish`` writes.

Roots are templates in the cache, ``roots/RELEASE-ARCHITECTURE-DIGEST``, for boards to copy. A template is built as
``NAME.part`` and renamed when it is whole, so that a half-made one is never used. Beside it lies ``NAME.lock`` (one process
builds, the others wait), empty; removing it would let two processes build at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from levit_mobile.bench.binfmt import find_program, require_programs
from levit_mobile.download import default_cache
from levit_mobile.errors import LevitMobileError, UsageError

__all__ = ["EmulationError", "Step", "make_root", "remove_templates", "template"]

# Called with what is about to happen; the work is done inside the context it returns.
Step = Callable[[str], AbstractContextManager[object]]

_RELEASES = {"bookworm": "3.11", "trixie": "3.13"}  # -> its Python
_LIBRARIES = {"arm64": "aarch64-linux-gnu", "armhf": "arm-linux-gnueabihf"}  # -> folder in usr/lib
_PACKAGES = (
    "base-files",
    "bash",
    "coreutils",
    "dash",
    "findutils",
    "grep",
    "gzip",
    "hostname",
    "libc-bin",
    "libc6",
    "libgomp1",
    "libpython3-stdlib",
    "libstdc++6",
    "openssh-sftp-server",
    "procps",
    "python3-minimal",
    "sed",
    "tar",
    "util-linux",
)
_MORE = {"arm64": (), "armhf": ("python3-numpy",)}  # there are no 32-bit wheels of numpy
# Removed after unpacking: mmdebstrap's own filter takes 20 seconds. No apt is in there, and the mirrors' names are nobody's
# business.
_LEFT_OUT = (
    *("etc/apt", "var/cache/apt", "var/lib/apt"),
    *(f"usr/share/{name}" for name in ("bug", "doc", "doc-base", "info", "lintian", "locale", "man", "perl")),
)
# /bin, /lib and /sbin are links in a Raspberry Pi's system; bookworm's packages do not bring them.
_MERGE = 'for d in bin lib sbin; do mkdir -p "$1/usr/$d" && ln -sf "usr/$d" "$1/$d"; done'
_ROOM = 0.3  # GB
_FILES = {
    "etc/group": "root:x:0:\ntty:x:5:\nusers:x:100:\nsshd:x:65533:\nnogroup:x:65534:\n",
    "etc/passwd": (
        "root:x:0:0:root:/root:/bin/bash\n"
        "sshd:x:65533:65533::/run/sshd:/usr/sbin/nologin\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    ),
    "etc/shadow": "root:*:19000:0:99999:7:::\nsshd:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n",
    "etc/hosts": "127.0.0.1 localhost\n",
}
# How apt says that it reached nobody.
_NO_MIRROR = re.compile(
    "Could not resolve|Temporary failure|Could not connect|Unable to connect|Connection (?:refused|timed out|failed)"
    "|Network is unreachable|Could not handshake"
)


class EmulationError(LevitMobileError):
    """An emulated board, or the root that it needs, could not be made, started or ended."""


def template(
    architecture: str = "arm64",
    release: str = "bookworm",
    *,
    step: Step = lambda _: nullcontext(),
    cache: Path | None = None,
) -> Path:
    """The template for boards of a kind, which is made if it is not there. Nobody may change it.

    Args:
        architecture: ``arm64`` or ``armhf``.
        release: ``bookworm`` or ``trixie``; Raspberry Pi OS is either.
        step: see ``Step``.
        cache: instead of ``default_cache()``.

    Raises:
        UsageError: another architecture or release.
        RuntimeMissingError: mmdebstrap is not here.
        EmulationError: it failed, or the folder cannot be written to.
    """
    _check(architecture, release)
    content = repr((_PACKAGES, _MORE[architecture], _LEFT_OUT, _MERGE, _FILES, architecture, release))
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    folder = (cache or default_cache()) / "roots" / f"{release}-{architecture}-{digest}"
    if folder.exists():
        return folder
    require_programs(["mmdebstrap"], "an emulated board")
    with _disk(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = folder.with_name(f"{folder.name}.lock").open("ab")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():  # another process may have made it meanwhile
            with step(f"fetching Debian {release} for {architecture} (once, {_ROOM:g} GB)"):
                make_root(folder, architecture, release)
    return folder


def make_root(folder: Path, architecture: str = "arm64", release: str = "bookworm") -> None:
    """Make a root; packages come from the mirrors in this machine's own apt sources, through apt's proxy.

    It has Python, libstdc++, a shell, the usual small programs and an sftp server. ``proc``, ``dev`` and ``sys`` are empty.

    Args:
        folder: must not exist; it does not until the root is whole.
        architecture: ``arm64`` or ``armhf`` (with numpy, of which there are no 32-bit wheels).
        release: ``bookworm`` (Python 3.11) or ``trixie`` (Python 3.13).

    Raises:
        UsageError: another architecture or release, or the folder exists.
        RuntimeMissingError: mmdebstrap is not here.
        EmulationError: it failed, or the folder cannot be written to.
    """
    _check(architecture, release)
    require_programs(["mmdebstrap"], "an emulated board")
    if folder.exists():
        raise UsageError(f"{folder} exists; remove it, or choose another folder")
    part = folder.with_name(f"{folder.name}.part")
    command = [
        find_program("mmdebstrap") or "mmdebstrap",
        "--variant=extract",
        # Without root it needs neither user namespaces nor sub-ids, for there is nothing to configure.
        f"--mode={'root' if os.geteuid() == 0 else 'chrootless'}",
        f"--architectures={architecture}",
        f"--include={','.join((*_PACKAGES, *_MORE[architecture]))}",
        f"--setup-hook={_MERGE}",
        *(f"--aptopt={setting}" for setting in _apt_settings()),
        release,
        str(part),
        *_mirrors(release),
    ]
    with _disk(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        if part.exists():  # of a process that died
            shutil.rmtree(part)
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise EmulationError(f"Debian {release} for {architecture} could not be fetched: {_reason(done.stdout)}")
        with _disk(folder):
            _finish(part, architecture, release)
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def remove_templates(cache: Path | None = None) -> list[Path]:
    """Remove all templates, and what interrupted builds left; gives those that were whole. Waits for builds that go on."""
    removed = []
    for path in sorted(((cache or default_cache()) / "roots").glob("*.lock")):
        folder = path.with_suffix("")
        part = folder.with_name(f"{folder.name}.part")
        with path.open("ab") as lock, _disk(folder):
            fcntl.flock(lock, fcntl.LOCK_EX)
            shutil.rmtree(part, ignore_errors=True)
            if folder.exists():
                folder.rename(part)  # so that half of it is never used
                shutil.rmtree(part)
                removed.append(folder)
    return removed


def _reason(printed: str) -> str:
    """What went wrong, of what mmdebstrap printed, and what to do."""
    if "No space left on device" in printed:
        return f"the disk is full; set LEVIT_MOBILE_CACHE to a folder with room for {_ROOM:g} GB"
    if _NO_MIRROR.search(printed):
        return (
            "no mirror of Debian's packages was reached; see that apt-get update works, or connect to the network, or tell "
            "apt of a proxy (http_proxy)"
        )
    if "Mirror sync in progress" in printed or "Hash Sum mismatch" in printed:
        return "the mirror is being renewed; try again in a while"
    if "NO_PUBKEY" in printed or "is not signed" in printed:
        return "this machine has not its keys; type apt-get install debian-archive-keyring"
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("E: ")]
    return (errors or lines or ["mmdebstrap printed nothing"])[0].removeprefix("E: ")


def _check(architecture: str, release: str) -> None:
    for what, value, known in (("architecture", architecture, _LIBRARIES), ("release", release, _RELEASES)):
        if value not in known:
            raise UsageError(f"there is no {what} {value!r}; type one of {', '.join(known)}")


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """Turns what the disk refuses into a sentence."""
    try:
        yield
    except OSError as error:
        raise EmulationError(
            f"cannot use {folder} ({error.strerror or error}); set LEVIT_MOBILE_CACHE to a folder that can be written to "
            f"and has room for {_ROOM:g} GB"
        ) from error


def _ask_apt(program: str, *args: str) -> list[str]:
    found = find_program(program)
    if found is None:
        return []
    done = subprocess.run([found, *args], capture_output=True, text=True, errors="replace", check=False)
    return done.stdout.splitlines()


def _apt_settings() -> Iterable[str]:
    """How this machine's apt reaches its mirrors: mmdebstrap's own does not read that."""
    ours = ("Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Force", "Acquire::Retries")
    return [line for line in _ask_apt("apt-config", "dump") if line.startswith(ours)]


def _mirrors(release: str) -> list[str]:
    """Where this machine has Debian's packages from, as a line for mmdebstrap; none: mmdebstrap's own choice.

    Updates and security fixes are left out: a board is reached from this machine only, and stays the same for longer.
    """
    listed = _ask_apt(
        "apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"
    )
    known = "|".join(("bullseye", *_RELEASES, "forky", "sid", "testing", "stable", "oldstable", "unstable"))
    for line in listed:
        # A mirror has all releases. Other vendors' sources name Debian's releases as well.
        if match := re.fullmatch(rf"Debian (\S+) (?:{known}) main", line):
            return [f"deb {match[1]} {release} main"]
    return []


def _finish(root: Path, architecture: str, release: str) -> None:
    """What the packages' own scripts would have written, as far as a board needs it."""
    for name, content in _FILES.items():
        (root / name).write_text(content, "utf-8")
    (root / "etc/shadow").chmod(0o600)
    (root / "etc/hostname").write_text("emulated\n", "utf-8")
    links = {"usr/bin/sh": "dash", "usr/bin/python3": f"python{_RELEASES[release]}", "usr/bin/awk": "mawk"}
    libraries = root / "usr/lib" / _LIBRARIES[architecture]
    for kind in ("blas", "lapack"):  # numpy's, of which Debian has several kinds
        if (libraries / kind / f"lib{kind}.so.3").exists():
            links[f"usr/lib/{_LIBRARIES[architecture]}/lib{kind}.so.3"] = f"{kind}/lib{kind}.so.3"
    for name, to in links.items():
        if not os.path.lexists(root / name) and ((root / name).parent / to).exists():
            (root / name).symlink_to(to)
    for name in (*_LEFT_OUT, "dev"):  # devices are the host's, shown to a board when it starts
        shutil.rmtree(root / name, ignore_errors=True)
    for name in ("proc", "sys", "dev", "tmp", "run", "root"):
        (root / name).mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    resolver = root / "etc/resolv.conf"
    resolver.unlink(missing_ok=True)
    resolver.touch()
