"""The tools that build the app, each as one function: what is wrong is an exception with what the tool said."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from packages import MissingError, Packages

__all__ = ["FailedError", "Toolchain", "find_jdk", "run"]

_OLDEST_JDK = 17
_TARGET = "11"  # Gradle's is 17; this D8 does not know sealed classes, which the JVM has since then
_NOISE = re.compile(
    r".* is compressed\.$|warning: \[options\].*|\d+ warnings?$"
)  # of aapt2 and javac; it tells nothing of us


class FailedError(Exception):
    """A check that did not pass; the message is what the tool said."""


def run(command: Sequence[str | Path], *, folder: Path | None = None, **variables: str) -> str:
    """What a tool prints.

    Raises:
        FailedError: it ended with an error.
    """
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    said = (done.stdout + done.stderr).strip()
    if done.returncode:
        raise FailedError(f"{Path(words[0]).name} ended with status {done.returncode}\n{_short(said)}")
    return said


def find_jdk() -> Path:
    """The folder of a JDK's programs.

    Raises:
        MissingError: there is none, or it is too old.
    """
    hint = f"install JDK {_OLDEST_JDK} or newer; on Debian and Ubuntu: apt-get install default-jdk-headless"
    home = os.environ.get("JAVA_HOME")
    found = Path(home) / "bin" / "javac" if home else Path(shutil.which("javac") or "")
    if not found.is_file():
        raise MissingError(f"there is no Java compiler here; {hint}")
    version = re.search(r"javac (\d+)", run([found, "-version"]))
    if version is None or int(version[1]) < _OLDEST_JDK:
        raise MissingError(f"the Java compiler here is too old; {hint}")
    return found.resolve().parent


class Toolchain:
    """Compilers and packers.

    Args:
        packages: fetched ones.
        jdk: the folder of its programs.
    """

    def __init__(self, packages: Packages, jdk: Path) -> None:
        self.packages, self.jdk = packages, jdk

    @property
    def stdlib(self) -> Path:
        """Kotlin's."""
        return self.packages.kotlin / "lib" / "kotlin-stdlib.jar"

    @property
    def junit(self) -> list[Path]:
        """JUnit 4 and what it needs."""
        return [self.packages.jar("junit4.jar"), self.packages.jar("hamcrest.jar")]

    def java(self, classpath: Iterable[Path], *args: str | Path, **properties: str | Path) -> str:
        """Run a class on the JVM."""
        given = [f"-D{key.replace('_', '.')}={value}" for key, value in properties.items()]
        return run([self.jdk / "java", "-Xmx1500m", *given, "-cp", _joined(classpath), *args])

    def kotlin(
        self,
        sources: Iterable[Path],
        out: Path,
        classpath: Iterable[Path] = (),
        *,
        friends: Path | None = None,
        android: bool = False,
    ) -> None:
        """Compile; a warning is an error. ``friends``: classes whose internals are seen, as tests see them."""
        library = self.packages.kotlin / "lib"
        names = ("compiler", "stdlib", "script-runtime", "reflect")
        jars = [*(library / f"kotlin-{n}.jar" for n in names), library / "kotlinx-coroutines-core-jvm.jar"]
        jars.append(library / "annotations-13.0.jar")
        args: list[str | Path] = ["-kotlin-home", self.packages.kotlin, "-Werror", "-jvm-target", _TARGET, "-d", out]
        args += [] if friends is None else [f"-Xfriend-paths={friends}"]
        args += ["-no-jdk"] if android else []
        args += ["-cp", _joined(classpath)] if classpath else []
        self.java(jars, "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", *args, *sources)

    def javac(self, sources: Iterable[Path], out: Path, classpath: Iterable[Path] = ()) -> None:
        """Compile, for Android's oldest Java."""
        out.mkdir(parents=True, exist_ok=True)
        args = ["-nowarn", "-Xlint:-options", "-source", "8", "-target", "8", "-d", out]
        given = ["-cp", _joined(classpath)] if classpath else []
        run([self.jdk / "javac", *args, *given, *sources])

    def dex(self, classes: Sequence[Path], out: Path, min_api: int, seen: Iterable[Path]) -> None:
        """Make ``classes.dex`` in a folder; ``seen`` are classes that stay outside."""
        out.mkdir(parents=True)
        outside = [word for path in seen for word in ("--classpath", path)]
        common = ["--release", "--min-api", str(min_api), "--lib", self.packages.android_jar, "--output", out]
        said = self.java([self.packages.d8], "com.android.tools.r8.D8", *common, *outside, *classes)
        if said:
            raise FailedError(f"D8 warns:\n{said}")

    def aapt2(self, *args: str | Path) -> None:
        """Compile or link resources; a warning is an error."""
        said = run([self.packages.debian / "usr" / "bin" / "aapt2", *args], LD_LIBRARY_PATH=self.packages.libraries)
        words = [line for line in said.splitlines() if not _NOISE.match(line)]
        if words:
            raise FailedError("aapt2 warns:\n" + "\n".join(words))

    def zipalign(self, *args: str | Path) -> str:
        """Align, or check that something is aligned."""
        return run([self.packages.debian / "usr" / "bin" / "zipalign", *args], LD_LIBRARY_PATH=self.packages.libraries)

    def apksigner(self, *args: str | Path) -> str:
        """Sign or verify."""
        return self.java([self.packages.jar("apksigner.jar"), self.packages.jar("apksig.jar")], _SIGNER, *args)

    def keytool(self, *args: str | Path) -> None:
        """Make a key."""
        run([self.jdk / "keytool", *args])

    def enjarify(self, dex: Path, jar: Path) -> str:
        """Turn dex back into classes."""
        python = self.packages.debian / "usr" / "lib" / "python3" / "dist-packages"
        return run(["python3", "-O", "-m", "enjarify.main", "--force", "--output", jar, dex], PYTHONPATH=str(python))

    def ktlint(self, folder: Path) -> None:
        """Style of all Kotlin in a folder."""
        args = ("--relative", "--log-level=error", "**/*.kt", "**/*.kts", "!**/build/**")
        run([self.jdk / "java", "-Xmx1g", "-jar", self.packages.ktlint, *args], folder=folder)


_SIGNER = "com.android.apksigner.ApkSignerTool"


def variables(file: Path) -> Mapping[str, str]:
    """The versions of a Gradle version catalog."""
    import tomllib

    found: Mapping[str, str] = tomllib.loads(file.read_text("utf-8"))["versions"]
    return found


def _short(said: str) -> str:
    """Both ends: tests tell what failed at the beginning, compilers at the end."""
    return said if len(said) <= 8000 else f"{said[:4000]}\n[...]\n{said[-4000:]}"


def _joined(paths: Iterable[Path]) -> str:
    return os.pathsep.join(map(str, paths))
