"""Which bundles may be measured side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from exports import Exported

from levit_mobile.checkpoints import Checkpoint
from levit_mobile.errors import UsageError
from levit_mobile.weights import resolve_weights


@pytest.fixture(scope="module")
def demo() -> Checkpoint:
    return resolve_weights("demo")


@pytest.mark.slow
def test_names_tell_target_and_precision(exported: Exported, executorch_exported: Exported, demo: Checkpoint) -> None:
    from bundles import open_bundles

    folders = [
        executorch_exported.bundle("levit_128s-int8-executorch"),
        exported.bundle("levit_128s-int8-tflite"),
        exported.bundle("levit_128s-fp32-tflite"),
    ]
    found = open_bundles(folders, demo)
    assert list(found) == ["executorch int8", "tflite int8", "tflite fp32"]
    assert [bundle.folder for bundle in found.values()] == folders


@pytest.mark.slow
def test_two_of_a_kind_are_refused(exported: Exported, demo: Checkpoint, tmp_path: Path) -> None:
    from bundles import open_bundles

    other = exported.copy("levit_128s-int8-tflite", tmp_path)
    with pytest.raises(UsageError, match=r"are both tflite int8; type only one of them"):
        open_bundles([exported.bundle("levit_128s-int8-tflite"), other], demo)


@pytest.mark.slow
def test_other_weights_are_refused(exported: Exported, demo: Checkpoint, tmp_path: Path) -> None:
    from bundles import open_bundles

    folder = exported.copy("levit_128s-int8-tflite", tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["model"]["checkpoint"] |= {"name": "mine.pth", "sha256": "0" * 64}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match=r"made from mine\.pth.*levit-export --target tflite --precision int8"):
        open_bundles([folder], demo)
