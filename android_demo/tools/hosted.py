"""Artifacts run on this host, from the JVM: the app's core in Kotlin, and the libraries of the runtimes' Python packages."""

from __future__ import annotations

import json
import platform
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from packages import MissingError
from toolchain import FailedError, Toolchain, run

from levit_mobile.bundle import Bundle, open_bundle
from levit_mobile.evaluate import top_k
from levit_mobile.runtimes import open_runtime

__all__ = ["Hosted"]

HOST = Path(__file__).parents[1] / "host"
VECTORS = Path(__file__).parents[2] / "tests" / "golden" / "vectors"
PICTURE = (97, 331)  # of the golden vectors
_EXECUTORCH = (
    *("executorch", "executorch_threadpool", "executorch_backend_xnnpack", "executorch_kernels_optimized"),
    "executorch_kernels_quantized",
)


class Hosted:
    """Runs bundles; what it needs is compiled once."""

    def __init__(self, tools: Toolchain, folder: Path, core: Path) -> None:
        self._tools, self._folder, self._core = tools, folder, core

    def run(self, folder: Path) -> str:
        """The logits of the golden pictures, and the likeliest classes of another picture, are Python's.

        Raises:
            FailedError: they are not.
            MissingError: there is no compiler, or no such runtime.
        """
        bundle = open_bundle(folder)
        library = self._library(str(bundle.manifest["artifact"]["target"]))
        classes = self._classes()
        width, height = PICTURE
        raw = VECTORS / f"{width}x{height}.rgb"
        said = self._tools.java(
            [classes, self._core, self._tools.stdlib],
            *("org.levitmobile.host.HostKt", library, self._folder / "artifacts", folder, str(width), str(height), raw),
        )
        told = json.loads(next(line for line in said.splitlines() if line.startswith('{"logits"')))
        return _compared(bundle, told)

    def _classes(self) -> Path:
        jar = self._folder / "host.jar"
        if not jar.exists():
            self._tools.kotlin([HOST / "Host.kt"], jar, [self._core])
        return jar

    def _library(self, target: str) -> Path:
        source = {"tflite": "litert", "executorch": "executorch"}.get(target)
        if source is None:
            raise MissingError(f"the app does not run {target}")
        library = self._folder / f"lib{source}_host.so"
        if library.exists():
            return library
        if shutil.which("g++") is None:
            raise MissingError("there is no C++ compiler here; on Debian and Ubuntu: apt-get install g++")
        if platform.system() != "Linux":
            raise MissingError("the libraries of the Python packages are for Linux")
        package = _package("ai_edge_litert" if target == "tflite" else "executorch")
        jdk = self._tools.jdk.parent / "include"
        if target == "tflite":
            given = [f"-L{package}", "-l:libLiteRt.so", f"-Wl,-rpath,{package}"]
        else:
            include = package / "include"
            c10 = include / "executorch" / "runtime" / "core" / "portable_type" / "c10"
            # The delegate and the kernels announce themselves when they are loaded; nothing calls them by name.
            given = ["-DC10_USING_CUSTOM_GENERATED_MACROS", "-isystem", str(include), "-isystem", str(c10)]
            given += [f"-L{package / 'lib'}", "-Wl,--no-as-needed", *(f"-l{name}" for name in _EXECUTORCH)]
            given += [f"-Wl,-rpath,{package / 'lib'}", "-Wl,--allow-shlib-undefined"]
        flags = ["-std=c++17", "-O1", "-shared", "-fPIC", f"-I{jdk}", f"-I{jdk / 'linux'}"]
        run(["g++", *flags, HOST / f"{source}.cc", "-o", library, *given])
        return library


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise MissingError(f"the Python package {name} is not installed here")
    return Path(next(iter(spec.submodule_search_locations)))


def _compared(bundle: Bundle, told: dict[str, object]) -> str:
    from PIL import Image

    from levit_mobile.preprocess import resize_and_crop

    got = np.array(told["logits"], np.float32)
    runtime = open_runtime(bundle)
    wanted = np.concatenate([runtime.logits(pixels[None]) for pixels in bundle.golden().pixels])
    width, height = PICTURE
    picture = Image.frombytes("RGB", PICTURE, (VECTORS / f"{width}x{height}.rgb").read_bytes())
    top = top_k(runtime.logits(resize_and_crop(picture, bundle.preprocessing)[None])[0], 3)
    difference = float(np.abs(got - wanted).max())
    if got.shape != wanted.shape or not difference <= 1e-5:
        raise FailedError(f"the logits of {got.shape} differ from Python's of {wanted.shape} by {difference}")
    named = [(row["label"], row["probability"]) for row in told["top"]]  # type: ignore[attr-defined]
    expected = [(bundle.labels[index], share) for index, share in top]
    if [n for n, _ in named] != [n for n, _ in expected] or not np.allclose(
        [p for _, p in named], [p for _, p in expected], atol=1e-5
    ):
        raise FailedError(f"the likeliest classes are {named}, and Python says {expected}")
    if told["wrong"] or told["runs"] != 20:
        raise FailedError(f"the benchmark says {told}")
    return f"{len(got)} golden pictures, largest difference {difference:.1e}; and the classes of another picture"
