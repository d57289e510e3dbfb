"""An APK of the app, without Gradle: its own code and resources, and bundles; neither runtime is in it."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

from toolchain import FailedError, Toolchain, variables

__all__ = ["Apk", "manifest", "versions"]

DEMO = Path(__file__).parents[1]
MAIN = DEMO / "app" / "src" / "main"
PACKAGE = "org.levitmobile.demo"
_STORED = (".pte", ".tflite", ".png")  # not compressed: runtimes map them, and PNG is compressed already
_PASSWORD = "android"


def versions() -> dict[str, str]:
    """Of the catalog, and the app's own."""
    build = (DEMO / "app" / "build.gradle.kts").read_text("utf-8")
    found = dict(variables(DEMO / "gradle" / "libs.versions.toml"))
    for key in ("versionName", "versionCode"):
        match = re.search(rf'{key} = "?([\w.]+)"?', build)
        if match is None:
            raise FailedError(f"app/build.gradle.kts has no {key}")
        found[key] = match[1]
    return found


def manifest() -> str:
    """With what Gradle's plugin fills in."""
    text = (MAIN / "AndroidManifest.xml").read_text("utf-8")
    return text.replace("<manifest ", f'<manifest package="{PACKAGE}" ', 1).replace("${applicationId}", PACKAGE)


class Apk:
    """Build it, step by step, in a folder.

    Attributes:
        file: the APK.
    """

    def __init__(self, tools: Toolchain, folder: Path) -> None:
        self._tools, self._folder = tools, folder / "apk"
        self._folder.mkdir(parents=True)
        self._versions = versions()
        self._linked = self._folder / "resources.apk"
        self._java, self._classes = self._folder / "java", self._folder / "app.jar"
        self.file = self._folder / "android_demo.apk"

    def style(self) -> str:
        """Of all Kotlin."""
        self._tools.ktlint(DEMO)
        files = [path for pattern in ("*.kt", "*.kts") for path in DEMO.rglob(pattern) if "build" not in path.parts]
        return f"{len(files)} files"

    def resources(self) -> str:
        """Compile and link them; a manifest that is not right is an error."""
        compiled, text = self._folder / "resources.zip", self._folder / "AndroidManifest.xml"
        text.write_text(manifest(), "utf-8")
        self._tools.aapt2("compile", "--dir", MAIN / "res", "-o", compiled)
        v = self._versions
        self._tools.aapt2(
            *("link", "-o", self._linked, "--manifest", text, "-I", self._tools.packages.android_jar),
            *("--java", self._java, "--strict-visibility", "--no-auto-version"),
            *("--min-sdk-version", v["minSdk"], "--target-sdk-version", v["targetSdk"]),
            *("--version-code", v["versionCode"], "--version-name", v["versionName"], compiled),
        )
        return f"{sum(path.is_file() for path in (MAIN / 'res').rglob('*'))} files"

    def compile(self, core: Path) -> str:
        """The app against android.jar, the core, and stubs of the two runtimes."""
        generated = self._java / Path(*PACKAGE.split("."))
        (generated / "BuildConfig.java").write_text(self._build_config())
        android, stubs = self._tools.packages.android_jar, self._folder / "stubs"
        given = self._folder / "generated"
        self._tools.javac(sorted(self._java.rglob("*.java")), given, [android])
        self._tools.javac(sorted((DEMO / "stubs").rglob("*.java")), stubs)
        self._tools.kotlin(sorted((DEMO / "stubs").rglob("*.kt")), stubs)
        sources = sorted((MAIN / "kotlin").rglob("*.kt"))
        self._tools.kotlin(sources, self._classes, [android, core, stubs, given], android=True)
        return f"{len(sources)} files"

    def _build_config(self) -> str:
        v = self._versions
        fields = {
            "VERSION_NAME": v["versionName"],
            "LITERT_VERSION": v["litert"],
            "EXECUTORCH_VERSION": v["executorch"],
        }
        lines = "".join(f'    public static final String {name} = "{value}";\n' for name, value in fields.items())
        return f"package {PACKAGE};\n\npublic final class BuildConfig {{\n{lines}}}\n"

    def dex(self, core: Path) -> str:
        """The app and its core in ``classes.dex``, Kotlin's library in ``classes2.dex``; no stub in either."""
        level = int(self._versions["minSdk"])
        generated, stubs, library = self._folder / "generated", self._folder / "stubs", self._tools.stdlib
        own = [self._classes, core, *sorted(generated.rglob("*.class"))]
        self._tools.dex(own, self._folder / "own", level, [stubs, library])
        self._tools.dex([library], self._folder / "library", level, [])
        size = (self._folder / "own" / "classes.dex").stat().st_size
        return f"{size / 1000:.0f} kB of our own"

    def pack(self, bundles: Sequence[Path]) -> str:
        """Put all together, align it, sign it with a key that is made for it, and have it verified."""
        raw, aligned = self._folder / "raw.apk", self._folder / "aligned.apk"
        raw.write_bytes(self._linked.read_bytes())
        with zipfile.ZipFile(raw, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.write(self._folder / "own" / "classes.dex", "classes.dex")
            archive.write(self._folder / "library" / "classes.dex", "classes2.dex")
            for folder, at in [(MAIN / "assets" / "samples", "samples"), *((b, f"bundles/{b.name}") for b in bundles)]:
                for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                    name = f"assets/{at}/{path.relative_to(folder).as_posix()}"
                    archive.write(path, name, zipfile.ZIP_STORED if path.suffix in _STORED else zipfile.ZIP_DEFLATED)
        self._tools.zipalign("-p", "4", raw, aligned)
        key = self._folder / "debug.p12"
        self._tools.keytool(
            *("-genkeypair", "-keystore", key, "-storepass", _PASSWORD, "-alias", "debug", "-dname", "CN=debug"),
            *("-keyalg", "EC", "-groupname", "secp256r1", "-validity", "1", "-storetype", "PKCS12"),
        )
        level = self._versions["minSdk"]
        self._tools.apksigner(
            *("sign", "--ks", key, "--ks-pass", f"pass:{_PASSWORD}", "--min-sdk-version", level),
            *("--out", self.file, aligned),
        )
        said = self._tools.apksigner("verify", "--verbose", "--min-sdk-version", level, self.file)
        schemes = re.findall(r"Verified using (v[23]) scheme .*: true", said)
        if schemes != ["v2", "v3"] or "WARNING" in said:
            raise FailedError(said)
        self._tools.zipalign("-c", "-p", "4", self.file)
        return f"{self.file.stat().st_size / 1e6:.1f} MB, v2 and v3, {len(bundles)} bundles"
