"""What is written around a Core ML program: texts that Xcode shows, and the same bytes for the same model."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Any

from levit_mobile import __version__
from levit_mobile.program import Program

__all__ = ["write_package"]

_MODEL, _WEIGHTS = "model.mlmodel", "weights/weight.bin"
_AUTHOR = "com.apple.CoreML"  # the folder's name below Data, and who Manifest.json says put the items there


def write_package(model: Any, program: Program, path: Path) -> Path:
    """Save an ``MLModel`` as the folder ``path``.

    coremltools itself writes random identifiers, the date, maps in any order, and where in a source each operator came from.
    """
    with tempfile.TemporaryDirectory() as scratch:
        saved = Path(scratch) / "saved.mlpackage"
        model.save(str(saved))
        (weights,) = saved.glob("Data/*/weights")
        spec = model.get_spec()
        _describe(spec, program)
        data = path / "Data" / _AUTHOR
        data.mkdir(parents=True)
        shutil.copytree(weights, data / "weights")
    (data / _MODEL).write_bytes(spec.SerializeToString(deterministic=True))
    (path / "Manifest.json").write_text(_manifest(data), "utf-8")
    return path


def _describe(spec: Any, program: Program) -> None:
    checkpoint, size = program.checkpoint, program.image_size
    about = spec.description
    told = about.metadata
    told.shortDescription = (
        f"Image classifier, {len(program.labels)} classes. {checkpoint.variant.name} (LeViT, Graham et al. 2021), "
        f"{program.precision.name}, weights {checkpoint.name}."
    )
    told.author, told.license = program.author or "not stated", program.license or "not stated"
    told.versionString = __version__
    versions = {key: value for key, value in told.userDefined.items() if key.endswith("coremltools.version")}
    told.userDefined.clear()
    told.userDefined.update(versions)
    told.userDefined["com.apple.coreml.model.preview.type"] = "imageClassifier"
    told.userDefined["model_id"] = program.fingerprint
    told.userDefined["preprocessing"] = json.dumps(program.preprocessing.to_dict())
    texts = {
        "image": (
            f"A picture of {size} x {size} pixels. Resize the shorter side to {program.preprocessing.resize} and cut the "
            "middle; pixels are normalised inside."
        ),
        "classLabel": "The likeliest class.",
        "classLabel_probs": "The probability of each class.",
        "logits": "The score of each class before the softmax, in the order of the labels.",
    }
    for feature in (*about.input, *about.output):
        feature.shortDescription = texts[feature.name]


def _manifest(data: Path) -> str:
    """``Manifest.json``, with identifiers that are made of the content.

    In the layout in which Core ML's own library writes it, for that library writes it anew whenever it opens a package.
    """
    entries, model = {}, ""
    for name, description in ((_MODEL, "CoreML Model Specification"), ("weights", "CoreML Model Weights")):
        item = data / name
        content = (item if item.is_file() else data / _WEIGHTS).read_bytes()
        identifier = str(uuid.UUID(bytes=hashlib.sha256(content).digest()[:16], version=4)).upper()
        entries[identifier] = {"author": _AUTHOR, "description": description, "name": name, "path": f"{_AUTHOR}/{name}"}
        model = model or identifier
    whole = {"fileFormatVersion": "1.0.0", "itemInfoEntries": entries, "rootModelIdentifier": model}
    return json.dumps(whole, indent=4, sort_keys=True) + "\n"
