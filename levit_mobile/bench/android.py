"""Latency of bundles on a phone: the app of ``android_demo`` measures, adb brings bundles there and results back.

The app needs no permission for that: bundles lie in ``/data/local/tmp``, which apps may read, and results where apps and adb's
shell may both write. Each run is a process of its own.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from levit_mobile.bench.adb import AdbPhone, find_phone
from levit_mobile.bench.cores import with_core
from levit_mobile.bench.everywhere import Told
from levit_mobile.bench.result import Results, read_results
from levit_mobile.bench.settings import Settings
from levit_mobile.bench.statistics import drift_of, summarise
from levit_mobile.bench.subject import Subject
from levit_mobile.bundle import MANIFEST
from levit_mobile.errors import BoardError, BundleError, LevitMobileError, UsageError

__all__ = ["BUILT_APK", "PACKAGE", "Clock", "measure_on_phone"]

PACKAGE = "org.levitmobile.demo"
BUILT_APK = Path("android_demo/app/build/outputs/apk/debug/app-debug.apk")
_ACTIVITY = f"{PACKAGE}/.BenchmarkActivity"
_PROCESS = f"{PACKAGE}:benchmark"
_HOME = "/data/local/tmp/levit-mobile"
_TARGETS = ("executorch", "tflite")  # that the app runs
_SPARE_S = 60.0  # seconds for loading and warm-up, apart from the time that was asked for
_GONE = 3  # looks without a process before it counts as dead: it may just be starting


class Clock:
    """Time on this host; tests have one that hurries."""

    def now(self) -> float:
        """Seconds."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def measure_on_phone(
    serial: str | None,
    apk: Path | None,
    subjects: Sequence[Subject],
    settings: Settings,
    results: Results,
    tell: Told,
    clock: Clock | None = None,
) -> dict[str, LevitMobileError]:
    """Measure each bundle with each number of threads; ``results`` gets each run as it comes.

    Args:
        serial: of the phone; None: the only one.
        apk: is installed first; None: the app is there, or lies where Gradle builds it.
        subjects: what to measure.
        settings: as for other places, but for the governor.
        results: for the runs.
        tell: what happens.
        clock: of this host.

    Returns:
        What went wrong, by the phone's name.

    Raises:
        UsageError: a bundle is of a kind that the app does not run.
    """
    for subject in subjects:
        if subject.target not in _TARGETS:
            raise UsageError(f"{subject.name}: made for {subject.target}; the app runs {' and '.join(_TARGETS)}")
    name = serial or "the phone"
    try:
        tell(name, "connecting", None, None)
        phone = find_phone(serial)
        name = phone.serial
        app = _App(phone, clock or Clock())
        tell(name, "setting up", None, None)
        app.prepare(apk)
        first = True
        for threads in settings.threads:
            for subject in subjects:
                if not first:
                    app.clock.sleep(settings.cooldown_s)
                first = False
                text = f"{subject.name}, {threads} thread{'s' if threads > 1 else ''}"
                tell(name, f"bringing {subject.name}", None, None)
                there = app.bring(subject)
                tell(name, text, None, None)
                run = _kept(app.measure(subject, there, settings, threads), subject, phone.serial)
                tell(name, text, len(run["samples_ms"]), run["summary"]["p50"] if run["summary"] else None)
                results.runs.append(run)
        tell(name, "done", None, None)
    except LevitMobileError as error:
        tell(name, "failed", None, None)
        return {name: error}
    return {}


class _App:
    """The demo app on a phone."""

    def __init__(self, phone: AdbPhone, clock: Clock) -> None:
        self.phone, self.clock = phone, clock

    def prepare(self, apk: Path | None) -> None:
        """Install the app where that was asked for, or where it is missing and was built."""
        there = self.phone.shell("pm", "path", PACKAGE).startswith("package:")
        if apk is None and not there and BUILT_APK.is_file():
            apk = BUILT_APK
        if apk is not None:
            self._install(apk)
        elif not there:
            raise BoardError(
                f"{self.phone.serial}: the app is not installed; build it (see android_demo/README.md), "
                f"and type --apk {BUILT_APK}"
            )

    def _install(self, apk: Path) -> None:
        remote = f"{_HOME}/app.apk"
        self.phone.shell("mkdir", "-p", _HOME)
        self.phone.push(apk, remote)
        said = self.phone.shell("pm", "install", "-r", "-t", remote)
        self.phone.remove(remote)
        if "Success" not in said:
            last = (said.strip().splitlines() or ["without a word"])[-1]
            raise BoardError(f"{self.phone.serial}: {apk} cannot be installed ({last})")

    def bring(self, subject: Subject) -> str:
        """The bundle's folder there; files that are there already are not sent again. The app checks every digest."""
        manifest = subject.bundle.manifest
        folder = f"{_HOME}/{str(manifest['digest'])[:16]}/{subject.name}"
        made = {MANIFEST: (subject.bundle.folder / MANIFEST).stat().st_size}
        made |= {name: about["bytes"] for name, about in manifest["files"].items()}
        parents = sorted({f"{folder}/{name}".rpartition("/")[0] for name in made})
        self.phone.shell("mkdir", "-p", *parents)
        self.phone.shell("chmod", "-R", "a+rX", _HOME)
        for name, size in made.items():
            if self.phone.size(f"{folder}/{name}") != size:
                self.phone.push(subject.bundle.folder / name, f"{folder}/{name}")
        return folder

    def measure(self, subject: Subject, folder: str, settings: Settings, threads: int) -> Results:
        """Start the app, wait, and fetch what it found."""
        name = f"levit-{secrets.token_hex(8)}"
        file = f"{self._shared()}/{name}.json"
        self.phone.shell("am", "force-stop", PACKAGE)
        self.phone.shell("logcat", "-c")
        try:
            self._start(folder, name, settings, threads)
            self._wait(file, settings)
            text = self.phone.read(file)
        finally:
            with contextlib.suppress(BoardError):  # a phone that is gone; what came before is told
                self.phone.shell("am", "force-stop", PACKAGE)
                self.phone.remove(file)
        return self._parsed(text, subject, folder)

    def _shared(self) -> str:
        """Where app and shell may both write; the app has the same rule (``ResultFiles.kt``)."""
        level = self.phone.shell("getprop", "ro.build.version.sdk").strip()
        if not level.isdecimal():
            raise BoardError(f"{self.phone.serial}: it does not tell its version of Android ({level[:80]!r})")
        if int(level) >= 29:
            return f"/sdcard/Android/media/{PACKAGE}"
        return f"/sdcard/Android/data/{PACKAGE}/cache"

    def _start(self, folder: str, name: str, settings: Settings, threads: int) -> None:
        said = self.phone.shell(
            *("am", "start", "-W", "-n", _ACTIVITY, "--es", "bundle", folder, "--es", "id", name),
            *("--ei", "threads", str(threads), "--ei", "warmup_runs", str(settings.warmup_runs)),
            *("--ei", "min_runs", str(settings.min_runs), "--ef", "min_s", str(settings.min_s)),
            *("--ef", "max_s", str(settings.max_s)),
        )
        if "Error" in said or "Exception" in said:
            line = next(line for line in said.splitlines() if "Error" in line or "Exception" in line)
            raise BoardError(
                f"{self.phone.serial}: the app does not start ({line.strip()[:300]}); install it again with --apk"
            )

    def _wait(self, file: str, settings: Settings) -> None:
        deadline = self.clock.now() + settings.max_s + _SPARE_S
        missing = 0
        while self.phone.size(file) is None:
            if self.clock.now() > deadline:
                raise BoardError(
                    f"{self.phone.serial}: no results after {settings.max_s + _SPARE_S:.0f} s; look at its screen, unlock it, "
                    "and try again"
                )
            missing = 0 if self.phone.shell("pidof", _PROCESS).strip() else missing + 1
            if missing >= _GONE and self.phone.size(file) is None:
                raise BundleError(f"{self.phone.serial}: the app died while it measured ({self._last_words()})")
            self.clock.sleep(1.0)

    def _last_words(self) -> str:
        """What the log says of it."""
        said = self.phone.shell("logcat", "-d", "-v", "raw", "AndroidRuntime:E", "libc:F", "DEBUG:F", "*:S")
        lines = [
            line.strip() for line in said.splitlines() if line.strip() and not line.startswith(("-----", "FATAL EX"))
        ]
        telling = [line for line in lines if "signal" in line or "Exception" in line or "Error" in line]
        return (telling or lines or ["without a word; perhaps there was not enough memory"])[0][:300]

    def _parsed(self, text: bytes, subject: Subject, folder: str) -> Results:
        serial = self.phone.serial
        try:
            data = json.loads(text)
        except ValueError as error:
            raise BoardError(
                f"{serial}: the app's results are no JSON ({error}); install it again with --apk"
            ) from error
        if isinstance(data, dict) and data.get("kind") == "levit-bench-failure":
            self.phone.remove(folder)  # should it be the copy there that is damaged
            raise BundleError(f"{serial}: {subject.name}: {str(data.get('message'))[:500]}")
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "results.json"
            path.write_bytes(text)
            try:
                found = read_results(path)
            except BundleError as error:
                reason = str(error).removeprefix(f"{path}: ")
                raise BoardError(f"{serial}: the app's results cannot be used ({reason}); install it again") from error
        if [run["artifact"].get("sha256") for run in found.runs] != [subject.sha256]:
            raise BoardError(
                f"{serial}: the app measured something else than {subject.name}; install it again with --apk"
            )
        return found


def _kept(found: Results, subject: Subject, serial: str) -> dict[str, Any]:
    """The run as results have it; figures are computed here once more, from the samples."""
    run = dict(found.runs[0])
    facts = run["where"].get("facts")
    run["artifact"] = subject.about()
    run["where"] = {"kind": "android", "name": serial, "facts": with_core(facts if isinstance(facts, dict) else {})}
    samples = run["samples_ms"]
    drift = drift_of(samples) if samples else None
    run["summary"] = summarise(samples).to_dict() if samples else None
    run["drift"] = None if drift is None else drift.to_dict()
    for key, usual in (("complete", False), ("wrong", True)):
        run[key] = run.get(key) if isinstance(run.get(key), bool) else usual
    invalid = run.get("invalid")
    run["invalid"] = [str(reason) for reason in invalid] if isinstance(invalid, list) else []
    threads = run.get("threads")
    run["threads"] = threads if isinstance(threads, int) else 1
    run.setdefault("notes", [])
    return run
