"""ExecuTorch's Core ML delegate: what it is asked for, and the same bytes for the same model."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any

from levit_mobile.errors import RuntimeMissingError
from levit_mobile.folder_bytes import pack_folder, unpack_folder
from levit_mobile.quiet import unlogged

__all__ = ["check_coreml", "coreml_partitioner", "settle"]

_ROOT = "lowered_module"  # the delegate's names, from its ``coreml_preprocess``
_PACKAGE, _ABOUT = "model.mlpackage", "metadata.json"
_DATA = f"{_PACKAGE}/Data/com.apple.CoreML"
_ITEMS = {"model.mlmodel": "CoreML Model Specification", "weights": "CoreML Model Weights"}


def check_coreml() -> None:
    """ExecuTorch's package brings coremltools, whole.

    Raises:
        RuntimeMissingError: not on this machine.
    """
    try:
        with unlogged():
            import coremltools  # noqa: F401
            from coremltools.converters.mil.backend.mil.load import BlobWriter
    except ModuleNotFoundError as error:
        raise _not_here(error.name or "coremltools") from error
    if BlobWriter is None:
        raise _not_here("coremltools' native library")


def _not_here(what: str) -> RuntimeMissingError:
    return RuntimeMissingError(
        f"--delegate coreml needs {what}, which comes with ExecuTorch on macOS and on x86-64 Linux; "
        "export there, or type another --delegate"
    )


def coreml_partitioner(precision: str) -> Any:
    """Float operators are narrowed to float16, which is what the Neural Engine has, unless the precision is fp32.

    int8 activations need iOS 17, the rest iOS 16.

    Raises:
        RuntimeMissingError: as ``check_coreml``.
    """
    check_coreml()
    import coremltools
    from executorch.backends.apple.coreml.compiler import CoreMLBackend
    from executorch.backends.apple.coreml.partition import CoreMLPartitioner

    # Names that coremltools makes up are numbered, and it counts on from one model to the next.
    coremltools.converters.mil.Builder.name_count.clear()
    specs = CoreMLBackend.generate_compile_specs(
        compute_unit=coremltools.ComputeUnit.ALL,
        minimum_deployment_target=coremltools.target.iOS17 if precision == "int8" else coremltools.target.iOS16,
        compute_precision=coremltools.precision.FLOAT32 if precision == "fp32" else coremltools.precision.FLOAT16,
    )
    return CoreMLPartitioner(compile_specs=specs)


def settle(edge: Any) -> None:
    """Rewrite the packages in a lowered program so that they depend on the model alone.

    coremltools and the delegate put random identifiers, the date, maps in any order and the origin of each operator in.
    Phones keep compiled models by the package's identifier: it becomes a digest of what is in it.
    """
    for module in edge.exported_program().graph_module.children():
        if getattr(module, "backend_id", None) == "CoreMLBackend":
            module._processed_bytes = _settled(module.processed_bytes)


def _settled(payload: bytes) -> bytes:
    from coremltools.proto.Model_pb2 import Model

    files = unpack_folder(payload)
    spec = Model()
    spec.ParseFromString(files[f"{_DATA}/model.mlmodel"])
    told = spec.description.metadata.userDefined
    kept = {key: value for key, value in told.items() if key.endswith("coremltools.version")}
    told.clear()
    told.update(kept)
    settled = {
        f"{_DATA}/model.mlmodel": spec.SerializeToString(deterministic=True),
        f"{_DATA}/weights/weight.bin": files[f"{_DATA}/weights/weight.bin"],
    }
    digest = hashlib.sha256(b"".join(hashlib.sha256(settled[path]).digest() for path in sorted(settled)))
    about = {**json.loads(files[_ABOUT]), "identifier": f"executorch_{digest.hexdigest()[:32]}"}
    settled |= {f"{_PACKAGE}/Manifest.json": _manifest(digest.digest()), _ABOUT: json.dumps(about).encode()}
    return pack_folder(_ROOT, settled)


def _manifest(digest: bytes) -> bytes:
    ids = {
        name: str(uuid.UUID(bytes=hashlib.sha256(digest + name.encode()).digest()[:16], version=4)) for name in _ITEMS
    }
    entries = {
        ids[name]: {"author": "com.apple.CoreML", "description": text, "name": name, "path": f"com.apple.CoreML/{name}"}
        for name, text in _ITEMS.items()
    }
    whole = {"fileFormatVersion": "1.0.0", "itemInfoEntries": entries, "rootModelIdentifier": ids["model.mlmodel"]}
    return json.dumps(whole, indent=4).encode()
