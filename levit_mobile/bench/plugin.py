"""The QEMU that counts, and its plugin (native/count.c), which is compiled here for the version that is here."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from levit_mobile.bench.root import EmulationError
from levit_mobile.download import default_cache
from levit_mobile.errors import RuntimeMissingError, UsageError

__all__ = ["build_plugin", "find_qemu", "fresh", "plugin_api"]

_SOURCE = Path(__file__).parent / "native" / "count.c"
_FLAGS = ("-O2", "-shared", "-fPIC", "-fvisibility=hidden")


@lru_cache(maxsize=8)
def find_qemu(name: str, cpu: str) -> tuple[str, str]:
    """The program and its version, once it is known to take plugins and to have this processor.

    Raises:
        RuntimeMissingError: it is not here, or was built without plugins.
        UsageError: it has no such processor.
    """
    program = shutil.which(name)
    if program is None:
        raise RuntimeMissingError(
            f"counting instructions needs {name}, which is not here; type apt-get install --no-install-recommends qemu-user"
        )
    version = _ask(program, "--version").partition("version ")[2].split(" ")[0].strip()
    if "-plugin" not in _ask(program, "--help"):
        raise RuntimeMissingError(
            f"{program} {version} takes no plugins, as static builds of QEMU do not (Debian 13's qemu-user is one); counting "
            "works with Debian 12's qemu-user (7.2), or with a QEMU that was configured with --enable-plugins"
        )
    if cpu not in _ask(program, "-cpu", "help").split():
        raise UsageError(f"{program} {version} has no CPU {cpu}")
    return program, version


def _ask(program: str, *args: str) -> str:
    done = subprocess.run([program, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def plugin_api(version: str) -> int:
    """The version of the plugin interface that ``native/count.c`` is compiled for, for a version of QEMU ("7.2.22")."""
    found = re.match(r"(\d+)\.(\d+)", version)
    release = (int(found[1]), int(found[2])) if found else (0, 0)
    return 3 if release >= (9, 1) else 2 if release >= (9, 0) else 1


def build_plugin(version: str) -> Path:
    """The plugin for a version of QEMU, compiled if it is not in the cache.

    Raises:
        RuntimeMissingError: there is no C compiler, or it fails.
        EmulationError: the cache cannot be written to.
    """
    api = plugin_api(version)
    digest = hashlib.sha256(_SOURCE.read_bytes() + repr((_FLAGS, api)).encode()).hexdigest()[:12]
    file = default_cache() / "count" / f"{digest}.so"
    if file.exists():
        return file
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise RuntimeMissingError("counting instructions needs a C compiler (cc); type apt-get install gcc libc6-dev")
    with fresh(file) as part:
        done = subprocess.run(
            [compiler, *_FLAGS, f"-DAPI={api}", str(_SOURCE), "-o", str(part)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[-200:])
            raise RuntimeMissingError(
                f"the counting plugin does not compile ({said}); type apt-get install gcc libc6-dev"
            )
    return file


@contextmanager
def fresh(path: Path) -> Iterator[Path]:
    """A file or folder that gets its name when it is whole; whoever is second finds it there, and his goes away.

    Raises:
        EmulationError: the disk refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".part-") as name:
            part = Path(name) / path.name
            yield part
            if not path.exists():
                os.rename(part, path)
    except OSError as error:
        if not path.exists():
            raise EmulationError(
                f"cannot use {path} ({error.strerror or error}); set LEVIT_MOBILE_CACHE to a folder that can be written to "
                "and has room for 0.3 GB"
            ) from error
