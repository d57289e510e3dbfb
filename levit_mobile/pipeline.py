"""Program -> verified bundle: translate, run, compare, and only then write."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from levit_mobile import __version__
from levit_mobile.bundle import Bundle, Golden, bundle_writer, open_bundle, write_manifest
from levit_mobile.checkpoints import Checkpoint
from levit_mobile.errors import CheckError, RuntimeMissingError, install_hint
from levit_mobile.evaluate import Parity, compare, worst
from levit_mobile.golden import golden_pictures
from levit_mobile.preprocess import normalise
from levit_mobile.program import Program
from levit_mobile.quantize import tolerance_for
from levit_mobile.runtimes import RUNTIMES
from levit_mobile.runtimes.base import Runtime, every_way, stand_in
from levit_mobile.runtimes.trial import note_success
from levit_mobile.sbom import SBOM, bill_of_materials
from levit_mobile.targets import TARGETS, Request, check_request

__all__ = ["check_packages", "export_bundle", "reference_model", "write_golden"]

_PACKAGES = ("torch", "numpy", "pillow")


def check_packages(request: Request) -> None:
    """Whether what makes it is installed, before anything is downloaded or measured for it.

    Raises:
        RuntimeMissingError: it is not, or not made for this machine; with what to do.
    """
    exporter = _exporter(request.target)
    if hasattr(exporter, "check"):
        _of_target(request.target, exporter.check, request.precision, request.options)
    for package in (*TARGETS[request.target].with_options(request.options).packages, "cyclonedx-python-lib"):
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError as error:
            raise _missing(request.target, package) from error


def reference_model(checkpoint: Checkpoint) -> Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]:
    """PyTorch's answer: the trained module, not the deploy form; uint8 (B, S, S, 3) -> float32 (B, classes).

    In float64, rounded once at the end, so that neither threads nor the order of a sum can be seen in it.
    """
    import torch

    model, spec = checkpoint.model().double(), checkpoint.preprocessing

    def run(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            logits = model(torch.from_numpy(normalise(pixels, spec)).double())
        result: npt.NDArray[np.float32] = logits.float().numpy()
        return result

    return run


def write_golden(checkpoint: Checkpoint) -> Golden:
    """The golden inputs, and the reference's logits for them."""
    pixels = golden_pictures(checkpoint.image_size)
    run = reference_model(checkpoint)
    return Golden(pixels, np.concatenate([run(pixels[i : i + 2]) for i in range(0, len(pixels), 2)]))


def export_bundle(
    program: Program,
    target: str,
    folder: Path,
    *,
    golden: Golden,
    overwrite: bool = False,
    allow_drift: bool = False,
    accuracy: Callable[[Runtime], dict[str, Any]] | None = None,
    command: str | None = None,
    step: Callable[[str], AbstractContextManager[object]] = lambda _: nullcontext(),
) -> Bundle:
    """Translate a program, compare the artifact with PyTorch, and write the bundle.

    Args:
        program: what to translate.
        target: a name in ``TARGETS``.
        folder: the bundle to be; its parent is made if need be.
        golden: from ``write_golden`` of the same checkpoint.
        overwrite: replace a bundle that is there.
        allow_drift: write it also if the comparison fails; the manifest then says so.
        accuracy: measures the running artifact; its result goes into the manifest.
        command: that this is done for; it goes into the manifest.
        step: called with what is about to happen; the work is done inside the context it returns.

    Raises:
        CheckError: the artifact is too far from PyTorch.
        ExportError: a converter failed, or the folder cannot be written.
        RuntimeMissingError: the target's packages are not installed.
    """
    request = check_request(target, program.precision.name, program.io_dtype, program.layout, program.options)
    program = replace(program, options=request.options)
    with bundle_writer(folder, overwrite=overwrite) as scratch:
        exporter = _exporter(target)
        for what, work in exporter.preparations(program) if hasattr(exporter, "preparations") else ():
            with step(what):
                work()
        with step(f"translating to {target}, {program.precision.name}"):
            artifact: Path = _of_target(target, exporter.export, program, scratch)
        with step("comparing with PyTorch"):
            runtime: Runtime = import_module(RUNTIMES[target]).open_artifact(
                artifact, size=program.image_size, spec=program.preprocessing
            )
            limit = tolerance_for(program.precision.name, program.io_dtype)
            parity = worst(compare(golden.logits, way.logits(golden.pixels), limit) for way in every_way(runtime))
        if not parity.passed and not allow_drift:
            raise CheckError(
                f"{program.precision.name} for {target} is too far from PyTorch: {parity}; allowed: {limit.max_abs:.2e} "
                f"of the range, cosine {limit.cosine}, same first class {limit.agreement:.0%} but for toss-ups. "
                "No bundle was written. Try another --precision or other --calib-data, or type --allow-drift to keep it "
                "all the same"
            )
        measured = None
        if accuracy is not None:
            measured = accuracy(runtime)
        (scratch / "golden.npz").write_bytes(golden.to_bytes())
        if program.calibration is not None:
            (scratch / "calibration.json").write_text(program.calibration.to_json(), "utf-8")
        (scratch / SBOM).write_text(_bill(program, target), "utf-8")
        about = _manifest(program, target, artifact, runtime, parity, measured)
        write_manifest(scratch, {**about, "command": command})
    bundle = open_bundle(folder)
    note_success(target, bundle.artifact_digest)
    return bundle


def _exporter(target: str) -> Any:
    return _of_target(target, import_module, TARGETS[target].module)


def _of_target(target: str, work: Callable[..., Any], *given: object) -> Any:
    """``work(*given)``, and where a package is missing, how to install it."""
    try:
        return work(*given)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("levit_mobile", "exporters", "calib"):
            raise
        raise _missing(target, error.name or "") from error


def _missing(target: str, package: str) -> RuntimeMissingError:
    hint = install_hint(TARGETS[target].extra)
    return RuntimeMissingError(f"--target {target} needs the package {package}; {hint}")


def _bill(program: Program, target: str) -> str:
    row, exporter = TARGETS[target], _exporter(target)
    others = exporter.foreign_packages(program) if hasattr(exporter, "foreign_packages") else {}
    return bill_of_materials(row.extra, [*_PACKAGES, *row.with_options(program.options).packages], others)


def _manifest(
    program: Program, target: str, file: Path, runtime: Runtime, parity: Parity, accuracy: dict[str, Any] | None
) -> dict[str, Any]:
    checkpoint, anatomy = program.checkpoint, runtime.anatomy()
    packages = TARGETS[target].with_options(program.options).packages
    exporter = _exporter(target)
    foreign = exporter.foreign_tools(program) if hasattr(exporter, "foreign_tools") else {}
    raw = runtime.input.dtype in ("uint8", "int8")
    instead = stand_in(runtime)
    ran = {} if instead is None else {"ran": instead}
    return {
        "model": {
            "variant": checkpoint.variant.name,
            "num_classes": checkpoint.num_classes,
            "checkpoint": {
                "name": checkpoint.name,
                "sha256": checkpoint.sha256,
                "scheme": checkpoint.scheme,
                "weights": program.fingerprint,
            },
        },
        "artifact": {
            "file": file.name,
            "target": target,
            "options": dict(program.options),
            "precision": program.precision.name,
            "scheme": program.precision.scheme,
            **(exporter.about(file) if hasattr(exporter, "about") else {}),
        },
        "input": {**_port(runtime.input), "layout": program.layout, "takes": "pixels" if raw else "normalised pixels"},
        "output": _port(runtime.output),
        "preprocessing": program.preprocessing.to_dict(),
        "labels": list(program.labels),
        "operators": anatomy.operators,
        "delegate": {"name": anatomy.delegate, "parts": anatomy.parts, "outside": anatomy.outside},
        "parity": {**parity.to_dict(), **ran},
        "accuracy": None if accuracy is None else {**accuracy, **ran},
        "calibration": None
        if program.ranges is None
        else {
            "method": program.ranges.method,
            "samples": program.ranges.samples,
            "digest": program.ranges.digest,
            "kept": list(program.calibration.kept) if program.calibration is not None else [],
        },
        "tools": {
            "levit-mobile": __version__,
            **{name: metadata.version(name) for name in sorted({*_PACKAGES, *packages})},
            **foreign,
        },
    }


def _port(port: Any) -> dict[str, Any]:
    about: dict[str, Any] = {"name": port.name, "shape": list(port.shape), "dtype": port.dtype}
    if port.scale:
        about |= {"scale": port.scale, "zero_point": port.zero_point}
    return about
