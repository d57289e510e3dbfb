"""A board as a place to measure: what it needs is brought once, and found by its content's digest later."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from levit_mobile.bench.archive import runner_archive
from levit_mobile.bench.cross import build_etrun, etrun_version
from levit_mobile.bench.place import Channel, Prepared
from levit_mobile.bench.ssh import Connection
from levit_mobile.bench.wheels import wheels_for
from levit_mobile.errors import BoardError, NoWheelError

__all__ = ["BoardPlace"]

_HOME = ".cache/levit-mobile"  # on the board, in the home folder of whoever logs in
_MACHINES = {"aarch64": "aarch64", "armv7l": "armv7l", "armv8l": "armv7l", "x86_64": "x86_64"}
_OLDEST = (3, 9)
# What runs a target's artifacts, the best first, with what it imports; numpy comes on top.
_PACKAGES = {
    "tflite": (("ai-edge-litert", "backports.strenum", "flatbuffers", "ml_dtypes"), ("tflite-runtime==2.14.0",)),
    "onnx": (("onnxruntime", "flatbuffers", "packaging", "protobuf"),),
}
_ASK = """
import json, os, platform, struct, sys, time
try:
    import numpy
    numpy = numpy.__version__
except Exception:
    numpy = None
home = os.path.join(os.path.expanduser("~"), sys.argv[1])
os.makedirs(os.path.join(home, "artifacts"), exist_ok=True)
for folder, _, names in os.walk(home):
    for name in names:
        path = os.path.join(folder, name)
        try:
            if name.endswith(".part") and os.stat(path).st_mtime < time.time() - 86400:
                os.unlink(path)  # of an upload that was cut off
        except OSError:
            pass
disk = os.statvfs(home)
machine = platform.machine()
if struct.calcsize("P") == 4 and machine == "aarch64":
    machine = "armv8l"
print(json.dumps({"home": home, "machine": machine, "python": list(sys.version_info[:2]), "numpy": numpy,
                  "system": platform.system(), "free": disk.f_bavail * disk.f_frsize}))
"""
_UNPACK = """
import os, shutil, sys, zipfile
folder, archives = sys.argv[1], sys.argv[2:]
part = "%s.%d.part" % (folder, os.getpid())
try:
    for archive in archives:
        with zipfile.ZipFile(archive) as opened:
            for item in opened.infolist():
                path = opened.extract(item, part)
                if item.external_attr >> 16 & 0o100 and os.path.isfile(path):
                    os.chmod(path, 0o755)
    os.sync()  # the folder counts as whole once it has its name
    if not os.path.isdir(folder):
        os.rename(part, folder)
except OSError as error:
    sys.exit("%s (%s)" % (error.strerror, error.filename))
finally:
    shutil.rmtree(part, ignore_errors=True)
    for archive in archives:
        os.unlink(archive)
"""
_SPARE = 20 << 20  # bytes that are left free


class BoardPlace:
    """A board that we are logged in to."""

    def __init__(self, connection: Connection, *, emulated: bool = False) -> None:
        self._connection = connection
        self.name, self.kind = connection.name, "emulated" if emulated else "board"
        self._home = ""

    async def prepare(self, targets: Sequence[str]) -> Prepared:
        """Bring the runner, the runtimes and what they need.

        Raises:
            BoardError: the board has no Python that is new enough, no room, or is of a kind that no runtime is made for.
            DownloadError: a package could not be fetched, to be brought there.
            RuntimeMissingError: the ExecuTorch runner cannot be built here.
        """
        about = await self._ask()
        self._home = str(about["home"])
        variables = ["PYTHONDONTWRITEBYTECODE=1"]
        # In a thread: pip takes its time, and boards that measure want to hear from us.
        wheels = await asyncio.to_thread(self._wheels, about, [t for t in targets if t in _PACKAGES])
        if wheels:
            variables.append(f"PYTHONPATH={await self._bring('packages', wheels, about)}")
        etrun = None
        if "executorch" in targets:
            etrun = await self._etrun(about)
        source = runner_archive()
        file = f"{self._home}/{source.name}"
        if not await self._connection.has(file, source.stat().st_size):
            await self._connection.put(source, file)
        return Prepared(["env", *variables, "python3", "-u", file], self._home, etrun)

    async def put(self, local: Path, name: str) -> str:
        path = f"{self._home}/artifacts/{name}"
        if not await self._connection.has(path, local.stat().st_size):
            await self._connection.put(local, path)
        return path

    async def forget(self, path: str) -> None:
        await self._connection.remove(path)

    async def start(self, command: Sequence[str]) -> Channel:
        return await self._connection.start(command)

    async def _ask(self) -> dict[str, Any]:
        status, printed, words = await self._connection.run(["python3", "-c", _ASK, _HOME])
        if status == 127:
            raise BoardError(f"{self.name}: there is no Python on it; type there: sudo apt install python3")
        try:
            about = json.loads(printed.strip().splitlines()[-1])
        except (ValueError, IndexError) as error:
            last = (words.strip() or printed.strip() or "without a word").splitlines()[-1]
            raise BoardError(f"{self.name}: its Python does not work (status {status}: {last})") from error
        if tuple(about["python"]) < _OLDEST:
            raise BoardError(f"{self.name}: has Python {_dotted(about['python'])}; the runner needs 3.9 or newer")
        if about["system"] != "Linux" or about["machine"] not in _MACHINES:
            raise BoardError(
                f"{self.name}: is {about['system']} on {about['machine']}, for which there are no runtimes"
            )
        return dict(about)

    def _wheels(self, about: dict[str, Any], targets: Sequence[str]) -> list[Path]:
        """What the board's Python needs for these targets; numpy is brought unless the board is a 32-bit one."""
        machine, python = _MACHINES[about["machine"]], _dotted(about["python"])
        if machine == "armv7l" and about["numpy"] is None:
            # There are no wheels of numpy for it, but Debian has it.
            raise BoardError(
                f"{self.name}: is a 32-bit system without numpy; type there: sudo apt install python3-numpy"
            )
        found: list[Path] = []
        for target in targets:
            found += self._first(_PACKAGES[target], python, machine)
        if machine != "armv7l":
            found += wheels_for(["numpy<2" if _old(found) else "numpy"], python=python, machine=machine)
        return sorted(set(found), key=lambda path: path.name)

    def _first(self, choices: Iterable[Sequence[str]], python: str, machine: str) -> list[Path]:
        errors = []
        for names in choices:
            try:
                return wheels_for(names, python=python, machine=machine)
            except NoWheelError as error:
                errors.append(str(error))
        raise BoardError(
            f"{self.name}: there is no runtime for Python {python} on {machine} ({'; '.join(errors)}); "
            "install another Raspberry Pi OS on it"
        )

    async def _etrun(self, about: dict[str, Any]) -> tuple[str, str]:
        machine = _MACHINES[about["machine"]]
        if machine == "armv7l":
            raise BoardError(f"{self.name}: is a 32-bit system, for which ExecuTorch is not built; export for tflite")
        program = await asyncio.to_thread(build_etrun, machine)
        with tempfile.TemporaryDirectory() as name:
            files = sorted(path for path in program.parent.rglob("*") if path.is_file())
            archive = Path(name) / f"{_digest(files)}.zip"
            with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
                for path in files:
                    opened.write(path, path.relative_to(program.parent))
            folder = await self._bring("etrun", [archive], about, _digest(files))
        return f"{folder}/{program.name}", etrun_version()

    async def _bring(self, kind: str, archives: Sequence[Path], about: dict[str, Any], digest: str = "") -> str:
        """Unpack archives there, into a folder that is named by what is in them."""
        folder = f"{self._home}/{kind}-{digest or _digest(archives)}"
        status, _, _ = await self._connection.run(["test", "-d", folder])
        if status == 0:
            return folder
        needed = sum(path.stat().st_size for path in archives) + sum(map(_unpacked, archives)) + _SPARE
        if about["free"] < needed:
            raise BoardError(
                f"{self.name}: has {about['free'] / 1e6:.0f} MB free in {self._home}, and {needed / 1e6:.0f} MB are needed "
                f"for its {'runtimes' if kind == 'packages' else 'ExecuTorch runner'}; make room on it"
            )
        there = []
        for path in archives:
            # Another bench may be bringing the same, and removes its own when they are unpacked.
            there.append(f"{self._home}/{secrets.token_hex(4)}-{path.name}")
            await self._connection.put(path, there[-1])
        status, printed, words = await self._connection.run(["python3", "-c", _UNPACK, folder, *there])
        if status != 0:
            last = (words.strip() or printed.strip() or f"status {status}").splitlines()[-1]
            raise BoardError(f"{self.name}: what was brought could not be unpacked there: {last}")
        return folder


def _digest(files: Sequence[Path]) -> str:
    total = hashlib.sha256()
    for path in files:
        total.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]


def _unpacked(archive: Path) -> int:
    with zipfile.ZipFile(archive) as opened:
        return sum(item.file_size for item in opened.infolist())


def _old(wheels: Iterable[Path]) -> bool:
    return any(path.name.startswith("tflite_runtime-") for path in wheels)


def _dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version))
