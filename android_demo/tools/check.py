"""Build and check the app without Android Studio, as far as that goes.

python android_demo/tools/check.py [BUNDLE...]

Compiles and tests the core on the JVM; compiles the app against Android 6's own android.jar and stubs of the two runtimes;
packs it with the bundles into a signed APK; tests the core once more as the APK has it; runs the bundles' artifacts from the
JVM and compares their logits with Python's. What cannot be had is left out, and the end says what was not checked. Exits 1 if
a check failed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from alignment import check_alignment
from apk import Apk
from core import Core
from hosted import Hosted
from packages import MissingError, fetch
from toolchain import FailedError, Toolchain, find_jdk

from levit_mobile.download import default_cache

__all__ = ["Report", "main"]

DEMO = Path(__file__).parents[1]
NEVER = (
    "Gradle's own build, and the AARs of LiteRT and ExecuTorch",
    "anything on a phone or an emulator: camera, gallery, rotation, TalkBack, thermal status, both runtimes' Android libraries",
    "the GPU and the NPU",
    "levit bench --android with a phone",
)


class Report:
    """What passed, what failed, what was left out."""

    def __init__(self) -> None:
        self.passed, self.failed, self.skipped = 0, 0, []

    def step(self, name: str, check: Callable[[], str]) -> bool:
        """Run one check; it returns what it found, in a few words."""
        start = time.monotonic()
        try:
            found = check()
        except MissingError as missing:
            self.skipped.append(f"{name}: {missing}")
            print(f"skipped  {name}: {missing}", flush=True)
            return False
        except FailedError as failed:
            self.failed += 1
            print(f"FAILED   {name}\n{failed}", flush=True)
            return False
        self.passed += 1
        print(f"passed   {name}: {found} ({time.monotonic() - start:.0f} s)", flush=True)
        return True

    def end(self) -> int:
        """Say what was not checked; the exit status."""
        print("\nNot checked here:")
        for line in (*self.skipped, *NEVER):
            print(f"  - {line}")
        print(f"\n{self.passed} passed, {self.failed} failed, {len(self.skipped)} skipped", flush=True)
        return 1 if self.failed else 0


def check(bundles: Sequence[Path], folder: Path, report: Report, out: Path | None = None) -> None:
    """All checks, in an empty folder; ``out`` is where the APK goes."""
    try:
        jdk = find_jdk()
        tools = Toolchain(fetch(default_cache() / "android"), jdk)
    except MissingError as error:
        told = str(error)
        report.step("everything", lambda: _missing(told))
        return
    core, apk = Core(tools, folder), Apk(tools, folder)
    report.step("style of the Kotlin (ktlint)", lambda: apk.style())
    if not report.step("core compiles, without a warning", core.compile):
        return
    report.step("core's tests on the JVM", core.test)
    if (
        report.step("resources and manifest (aapt2)", apk.resources)
        and report.step(
            "app compiles against Android 6 and stubs, without a warning", lambda: apk.compile(core.classes)
        )
        and report.step("dex (D8)", lambda: apk.dex(core.classes))
        and report.step("APK, signed, aligned and verified", lambda: apk.pack(bundles))
    ):
        report.step("native libraries aligned to 16 KB", lambda: check_alignment(apk.file))
        report.step("core's tests on the APK's own dex", lambda: core.test_dex(apk.file))
        if out is not None:
            out.write_bytes(apk.file.read_bytes())
    if not bundles:
        report.step("artifacts from the JVM", lambda: _missing("no bundle was named"))
    hosted = Hosted(tools, folder, core.classes)
    for bundle in bundles:
        report.step(f"{bundle.name} from the JVM gives Python's logits", lambda bundle=bundle: hosted.run(bundle))


def _missing(what: str) -> str:
    raise MissingError(what)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="*", type=Path, help="go into the APK, and are run")
    parser.add_argument("--out", type=Path, help="keep the APK there; it has no runtime in it")
    args = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory() as name:
        check([bundle.resolve() for bundle in args.bundles], Path(name), report, args.out)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
