"""Compiles the ExecuTorch runner (native/etrun.cpp) for a board or for this machine.

The headers and libraries are those in the ``executorch`` wheel of that machine, at the version that is installed here, so
that what is measured is what an artifact was made for. The program and its libraries lie in one folder of the cache,
``etrun/VERSION-MACHINE-DIGEST``, and find each other there: copy the whole folder. It is built as ``NAME.part`` and renamed when
it is whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from levit_mobile.bench.wheels import unpack, wheels_for
from levit_mobile.download import default_cache
from levit_mobile.errors import LevitMobileError, RuntimeMissingError, UsageError, install_hint

__all__ = ["build_etrun", "etrun_version"]

_SOURCE = Path(__file__).parent / "native" / "etrun.cpp"
_COMPILERS = {  # machine -> compiler, Debian's package, what the package is called where the machine is this one
    "aarch64": ("aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu"),
    "x86_64": ("x86_64-linux-gnu-g++", "g++-x86-64-linux-gnu"),
}
_LIBRARIES = (
    *("executorch", "executorch_backend_xnnpack", "executorch_kernels_optimized", "executorch_kernels_quantized"),
    *("executorch_threadpool", "executorch_etdump"),
)
# The delegate and the kernels announce themselves when they are loaded; nothing calls them by name.
_LINK = ("-Wl,--no-as-needed", "-Wl,-rpath,$ORIGIN", "-Wl,--allow-shlib-undefined")
_COMPILE = ("-std=c++17", "-O2", "-DC10_USING_CUSTOM_GENERATED_MACROS", "-DET_EVENT_TRACER_ENABLED")


def build_etrun(machine: str = "aarch64", *, cache: Path | None = None) -> Path:
    """The runner for a machine under Linux, compiled if it is not there; its libraries are beside it.

    Args:
        machine: ``aarch64`` or ``x86_64``.
        cache: instead of ``default_cache()``.

    Raises:
        DownloadError: the wheel of that machine could not be fetched.
        LevitMobileError: it does not compile, or the folder cannot be written to.
        RuntimeMissingError: no compiler for that machine, or executorch is not installed here.
        UsageError: another machine.
    """
    if machine not in _COMPILERS:
        raise UsageError(f"there is no ExecuTorch runner for {machine!r}; type one of {', '.join(_COMPILERS)}")
    version = etrun_version()
    content = _SOURCE.read_text("utf-8") + repr((version, machine, _LIBRARIES, _LINK, _COMPILE))
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    folder = (cache or default_cache()) / "etrun" / f"{version}-{machine}-{digest}"
    if not folder.exists():
        compiler = _compiler(machine)
        with _disk(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            lock = folder.with_name(f"{folder.name}.lock").open("ab")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():  # another process may have built it meanwhile
                _build(compiler, version, machine, folder, cache)
    return folder / "etrun"


def etrun_version() -> str:
    """The version of ExecuTorch that the runner is of: the one that is installed here.

    Raises:
        RuntimeMissingError: none is.
    """
    try:
        return metadata.version("executorch")
    except metadata.PackageNotFoundError as error:
        raise RuntimeMissingError(f"running a .pte needs ExecuTorch; {install_hint('executorch')}") from error


def _compiler(machine: str) -> str:
    cross, package = _COMPILERS[machine]
    if machine == platform.machine() and shutil.which("g++"):
        return "g++"
    if shutil.which(cross):
        return cross
    raise RuntimeMissingError(
        f"running a .pte on {machine} without torch needs a C++ compiler for it ({cross}); "
        f"type apt-get install {'g++' if machine == platform.machine() else package}"
    )


def _build(compiler: str, version: str, machine: str, folder: Path, cache: Path | None) -> None:
    part = folder.with_name(f"{folder.name}.part")
    with tempfile.TemporaryDirectory() as name:
        package = _package(version, machine, Path(name), cache)
        include = package / "include"
        with _disk(folder):
            shutil.rmtree(part, ignore_errors=True)  # of a process that died
            part.mkdir()
        try:
            command = [
                *(compiler, *_COMPILE, "-isystem", str(include)),
                *("-isystem", str(include / "executorch/runtime/core/portable_type/c10")),
                *(str(_SOURCE), "-o", str(part / "etrun"), f"-L{package / 'lib'}"),
                *(*_LINK, *(f"-l{library}" for library in _LIBRARIES)),
            ]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            if done.returncode:
                said = next((line for line in done.stderr.splitlines() if "error" in line or "undefined" in line), "")
                raise LevitMobileError(
                    f"the ExecuTorch runner does not compile against executorch {version} ({said or done.returncode}); "
                    "pip install another version of executorch"
                )
            with _disk(folder):
                for library in _LIBRARIES:
                    shutil.copy(package / "lib" / f"lib{library}.so", part)
                part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _package(version: str, machine: str, folder: Path, cache: Path | None) -> Path:
    """The folder with ``include`` and ``lib``: the installed package's where it is of that machine, else its wheel's."""
    if machine == platform.machine():
        found = find_spec("executorch")
        for place in found.submodule_search_locations or [] if found else []:
            if (Path(place) / "lib" / "libexecutorch.so").exists():
                return Path(place)
    unpack(wheels_for([f"executorch=={version}"], machine=machine, cache=cache), folder)
    return folder / "executorch"


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """Turns what the disk refuses into a sentence."""
    try:
        yield
    except OSError as error:
        raise LevitMobileError(
            f"cannot use {folder} ({error.strerror or error}); set LEVIT_MOBILE_CACHE to a folder that can be written to "
            "and has room for 0.1 GB"
        ) from error
