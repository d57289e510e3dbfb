"""What a reader of the documents has at hand: a folder with a photo, a checkpoint, keys and bundles."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from benched import night
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from documents import ROOT
from exports import Exported

PEM = serialization.Encoding.PEM
_BUNDLE = r"levit_128s-[\w-]+-(executorch|coreml|onnx)\b"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, exported: Exported) -> Path:
    """A user's folder: a photo, photos of every class, a checkpoint, and bundles under their default names."""
    from levit_mobile.weights import resolve_weights

    folder = tmp_path_factory.mktemp("desk")
    sample = subprocess.run(
        [sys.executable, ROOT / "tools" / "sample_picture.py"], capture_output=True, text=True, check=True
    )
    shutil.copy(sample.stdout.strip(), folder / "photo.jpg")
    for label in resolve_weights("demo").labels or ():
        for place in (folder / "photos" / label, folder / "fruit" / "val" / label):
            place.mkdir(parents=True)
            shutil.copy(folder / "photo.jpg", place)
    shutil.copy(ROOT / "levit_mobile" / "data" / "levit_128s-imagenette.safetensors", folder / "mine.safetensors")
    key = ec.generate_private_key(ec.SECP256R1())
    kind, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(PEM, kind, plain))
    public = key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "key.pub").write_bytes(public)
    for bundle in exported.folder.glob("levit_128s-*-tflite"):
        shutil.copytree(bundle, folder / bundle.name)
    for name in ("results.json", "levit-ios.json"):
        night().write(folder / name)
    return folder


def grouped(text: str, value: str) -> Any:
    """``value`` as a parameter whose test meets its bundle's fixture in the worker that makes it anyway."""
    found = re.search(_BUNDLE, text)
    return pytest.param(value, marks=[pytest.mark.xdist_group(found[1])] if found else [])


def put_bundles(text: str, desk: Path, request: pytest.FixtureRequest) -> None:
    """Those that a text names and that are not made for every test of this file."""
    for found in re.finditer(_BUNDLE, text):
        if not (desk / found[0]).exists():
            request.getfixturevalue(f"{found[1]}_exported").copy(found[0], desk)
