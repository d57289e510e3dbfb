"""``levit-export --into``: bundles go where an app looks for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Levit

from levit_mobile.cli.into import bundles_of
from levit_mobile.errors import UsageError


@pytest.mark.parametrize("sign", ["settings.gradle.kts", "settings.gradle"])
@pytest.mark.parametrize("target", ["tflite", "executorch"])
def test_android(tmp_path: Path, sign: str, target: str) -> None:
    (tmp_path / sign).touch()
    assert bundles_of(tmp_path, [target]) == tmp_path / "app" / "src" / "main" / "assets" / "bundles"


@pytest.mark.parametrize("target", ["coreml", "executorch"])
def test_ios(tmp_path: Path, target: str) -> None:
    (tmp_path / "Mine.xcodeproj").mkdir()
    assert bundles_of(tmp_path, [target]) == tmp_path / "Bundles"


@pytest.mark.parametrize(
    ("sign", "targets", "said"),
    [
        (
            "settings.gradle",
            ["tflite", "coreml"],
            "an Android project, whose app runs tflite and executorch, not coreml",
        ),
        (
            "a.xcodeproj",
            ["onnx", "tflite"],
            "an Xcode project, whose app runs coreml and executorch, not onnx and tflite",
        ),
        ("Package.swift", ["coreml"], "neither an Android project .* nor an Xcode project .*; name another folder"),
    ],
)
def test_what_an_app_does_not_run(tmp_path: Path, sign: str, targets: list[str], said: str) -> None:
    (tmp_path / sign).touch()
    with pytest.raises(UsageError, match=said):
        bundles_of(tmp_path, targets)


def test_no_such_project(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder; name the folder of an app, such as android_demo or ios_demo"):
        bundles_of(tmp_path / "none", ["tflite"])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_bundle_goes_into_the_project(export: Levit, ready_made: list[str], here: Path) -> None:
    (here / "demo").mkdir()
    (here / "demo" / "settings.gradle.kts").touch()
    done = export("--target", "tflite", "--into", "demo")
    assert done.code == 0, done.err
    bundle = here / "demo" / "app" / "src" / "main" / "assets" / "bundles" / "levit_128s-fp32-tflite"
    assert (bundle / "manifest.json").exists()
    again = export("--target", "tflite", "--into", "demo")
    assert again.code == 2
    assert "--overwrite" in again.err


def test_one_place_is_enough(export: Levit, here: Path) -> None:
    done = export("--target", "tflite", "--into", str(here), "--out", "x")
    assert (done.code, "--out and --into both name the bundle's place" in done.err) == (2, True)
