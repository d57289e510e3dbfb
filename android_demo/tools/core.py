"""The app's core: plain Kotlin, compiled and tested on the JVM."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from toolchain import FailedError, Toolchain

from levit_mobile.bench.result import read_results
from levit_mobile.errors import LevitMobileError

__all__ = ["Core"]

DEMO = Path(__file__).parents[1]
SOURCES = DEMO / "core" / "src"
VECTORS = DEMO.parent / "tests" / "golden" / "vectors"
RESULTS = DEMO.parent / "tests" / "android_demo" / "results.json"


class Core:
    """Compile into a folder, and test what is there.

    Attributes:
        classes: the compiled core, a jar.
    """

    def __init__(self, tools: Toolchain, folder: Path) -> None:
        self._tools, self._folder = tools, folder
        self.classes, self._tests = folder / "core.jar", folder / "core-tests.jar"

    def compile(self) -> str:
        """The core and its tests."""
        sources = sorted((SOURCES / "main" / "kotlin").rglob("*.kt"))
        self._tools.kotlin(sources, self.classes)
        tests = sorted((SOURCES / "test" / "kotlin").rglob("*.kt"))
        self._tools.kotlin(tests, self._tests, [self.classes, *self._tools.junit], friends=self.classes)
        return f"{len(sources)} files, {len(tests)} of tests"

    def test(self) -> str:
        """On the JVM; the results that a test writes are read by the toolkit."""
        results = self._folder / "results.json"
        told = self._run(self.classes, results)
        if results.read_text("utf-8") != RESULTS.read_text("utf-8"):
            raise FailedError(
                f"the app's results are not those in {RESULTS.name}, with which levit bench --android is tested"
            )
        try:
            read = read_results(results)
        except LevitMobileError as error:
            raise FailedError(f"levit report would not read the app's results: {error}") from error
        if [run["where"]["kind"] for run in read.runs] != ["android"]:
            raise FailedError(f"the app's results are of {read.runs}")
        return told

    def test_dex(self, apk: Path) -> str:
        """The same tests on the classes that the APK has, turned back from dex."""
        dex, jar = self._folder / "classes.dex", self._folder / "from-dex.jar"
        with zipfile.ZipFile(apk) as archive:
            dex.write_bytes(archive.read("classes.dex"))
        self._tools.enjarify(dex, jar)
        with zipfile.ZipFile(jar) as found, zipfile.ZipFile(self.classes) as wanted:
            names = {name for name in wanted.namelist() if name.endswith(".class")}
            missing = names - set(found.namelist())
            if missing:
                raise FailedError(f"the APK lacks {sorted(missing)[:5]}")
        return self._run(jar, self._folder / "results-dex.json")

    def _run(self, classes: Path, results: Path) -> str:
        tests = SOURCES / "test" / "kotlin"
        names = [".".join(path.relative_to(tests).with_suffix("").parts) for path in sorted(tests.rglob("*Test.kt"))]
        path = [classes, self._tests, SOURCES / "test" / "resources", *self._tools.junit, self._tools.stdlib]
        said = self._tools.java(
            path, "org.junit.runner.JUnitCore", *names, levit_vectors=VECTORS, levit_results=results
        )
        count = re.search(r"OK \((\d+) tests\)", said)
        if count is None or int(count[1]) < 50:
            raise FailedError(said[-4000:])
        return f"{count[1]} tests"
