"""The bill of materials: valid CycloneDX, the same bytes in every process, and no more than what an export needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from email.message import Message
from importlib import metadata
from pathlib import Path

import pytest
from exports import Exported

from levit_mobile.sbom import SBOM, bill_of_materials, licence_of, needed

REPOSITORY = Path(__file__).parents[2]


def test_what_is_needed_is_followed() -> None:
    graph = needed(["requests", "ai-edge-litert[model-utils]"])
    assert graph["requests"] == ["certifi", "charset-normalizer", "idna", "urllib3"]
    assert "xdsl" in graph["ai-edge-litert"]  # for the extra
    assert "xdsl" not in needed(["ai-edge-litert"]).get("ai-edge-litert", [])
    assert needed(["no-such-package-of-anybody"]) == {}
    assert list(graph) == sorted(graph)


@pytest.mark.parametrize(
    ("entries", "licence"),
    [
        ([("License-Expression", "MIT OR Apache-2.0"), ("License", "x")], "MIT OR Apache-2.0"),
        ([("License", "BSD"), ("Classifier", "License :: OSI Approved :: MIT License")], "BSD"),
        (
            [("License", "Permission is granted " * 9), ("Classifier", "License :: OSI Approved :: MIT License")],
            "MIT License",
        ),
        ([("License", "MIT License\n\n" + "Permission is granted " * 9)], "MIT License"),
        ([("License", "UNKNOWN"), ("Classifier", "Topic :: x")], ""),
        ([], ""),
    ],
)
def test_licences(entries: list[tuple[str, str]], licence: str) -> None:
    about = Message()
    for key, value in entries:
        about[key] = value
    assert licence_of(about) == licence


def test_it_is_valid_cyclonedx() -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = bill_of_materials("onnx", ["torch", "onnx"], {"onnx2tf": "1.2"})
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    told = json.loads(text)
    assert not {"serialNumber", "timestamp"} & {*told, *told["metadata"]}
    versions = {row["name"]: row.get("version") for row in told["components"]}
    assert versions["torch"] == metadata.version("torch")
    assert versions["onnx2tf"] == "1.2"
    assert "CPython" in versions
    assert "pytest" not in versions  # installed here, and nothing of an export's


def test_the_same_bytes_in_every_process() -> None:
    code = "from levit_mobile.sbom import bill_of_materials as b; print(b('tflite', ['torch', 'numpy'], {'a': '1', 'b': '2'}))"
    made = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            check=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"), ("77", "Pacific/Kiritimati"))
    }
    assert len(made) == 1


@pytest.mark.slow
def test_it_is_in_every_bundle(exported: Exported) -> None:
    told = json.loads((exported.bundle("levit_128s-int8-tflite") / SBOM).read_text())
    tools = json.loads((exported.bundle("levit_128s-int8-tflite") / "manifest.json").read_text())["tools"]
    versions = {row["name"]: row["version"] for row in told["components"]}
    assert {name: versions[name] for name in tools if name != "levit-mobile"} == {
        name: version for name, version in tools.items() if name != "levit-mobile"
    }
    assert told["metadata"]["component"]["version"] == tools["levit-mobile"]
