"""The Xcode project names what is there, and everything that is there is in it."""

from __future__ import annotations

import re
import subprocess
import tomllib
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from ios_sources import APP, DEMO

with warnings.catch_warnings(action="ignore"):  # of docopt, which only its command line needs
    from pbxproj import XcodeProject

ROOT = DEMO.parent
FILE = DEMO / "LeViTDemo.xcodeproj" / "project.pbxproj"
PRODUCTS = ("BUILT_PRODUCTS_DIR", "SDKROOT")  # what is made, and what Xcode brings


@pytest.fixture(scope="module")
def project() -> Any:
    return XcodeProject.load(str(FILE))


def of(project: Any, kind: str) -> list[Any]:
    return list(project.objects.get_objects_in_section(kind))


def settings(project: Any) -> dict[str, set[str]]:
    """{build setting: its values in all configurations}; lists are joined."""
    found: dict[str, set[str]] = {}
    for configuration in of(project, "XCBuildConfiguration"):
        for name in configuration.buildSettings.get_keys():
            value = configuration.buildSettings[name]
            found.setdefault(str(name), set()).add(" ".join(value) if isinstance(value, list) else str(value))
    return found


def tracked(pattern: str) -> set[Path]:
    """What git has of ios_demo, and what it would take."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git repository here: nothing to ask which files belong to it")
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run([*command, f"ios_demo/{pattern}"], cwd=ROOT, capture_output=True, check=True)
    return {ROOT / name.decode() for name in done.stdout.split(b"\0") if name}


def test_it_is_xcode_16s(project: Any) -> None:
    assert project.objectVersion == "77"  # the first with folders that Xcode follows by itself
    assert of(project, "PBXProject")[0].preferredProjectObjectVersion == "77"


def test_every_name_is_of_something(project: Any) -> None:
    known = {str(o.get_id()) for section in project.objects.get_sections() for o in of(project, section)}
    named = set(re.findall(r"\b1E[0-9A-F]{22}\b", FILE.read_text()))
    assert len(known) > 20
    assert named == known
    assert project.rootObject in known


def test_every_file_is_there(project: Any) -> None:
    files = [f for f in of(project, "PBXFileReference") if f.sourceTree not in PRODUCTS]
    assert len(files) == 2
    for file in files:
        assert (DEMO / file.path).exists(), file.path
    for group in of(project, "PBXFileSystemSynchronizedRootGroup"):
        assert (DEMO / group.path).is_dir()


def test_every_swift_file_is_in_it(project: Any) -> None:
    """The app's folder is followed by Xcode; the core is a package; the stubs are for Linux, and for nobody else."""
    (target,) = of(project, "PBXNativeTarget")
    followed = {g.get_id(): DEMO / g.path for g in of(project, "PBXFileSystemSynchronizedRootGroup")}
    assert list(target.fileSystemSynchronizedGroups) == list(followed)
    assert not of(project, "PBXFileSystemSynchronizedBuildFileExceptionSet"), "nothing is left out"
    folders = [*followed.values(), DEMO / "LeViTCore", DEMO / "LinuxStubs"]
    swift = tracked("*.swift")
    assert len(swift) > 40
    assert {path for path in swift if not any(path.is_relative_to(folder) for folder in folders)} == set()
    assert [path for path in swift if path.is_relative_to(APP)]
    assert "LinuxStubs" not in FILE.read_text()
    assert "LinuxStubs" not in (DEMO / "LeViTCore/Package.swift").read_text()


def test_names_of_files_are_distinct() -> None:
    """Swift compiles no two files of one name into one module."""
    for folder in (APP, DEMO / "LeViTCore/Sources"):
        names = [path.name for path in folder.rglob("*.swift")]
        assert len(names) == len(set(names))


def test_bundles_are_copied_as_a_folder(project: Any) -> None:
    (bundles,) = [f for f in of(project, "PBXFileReference") if f.path == "Bundles"]
    assert bundles.lastKnownFileType == "folder"
    (resources,) = of(project, "PBXResourcesBuildPhase")
    copied = [project.objects[name].fileRef for name in resources.files]
    assert copied == [bundles.get_id()]
    ignored = ["git", "-c", "safe.directory=*", "check-ignore", "ios_demo/Bundles/levit_128s-int8-coreml/manifest.json"]
    if (ROOT / ".git").exists():
        assert subprocess.run(ignored, cwd=ROOT, capture_output=True, check=False).returncode == 0
    assert 'appendingPathComponent("Bundles")' in (APP / "App/BundleStore.swift").read_text()


def test_packages(project: Any) -> None:
    (core,) = of(project, "XCLocalSwiftPackageReference")
    assert (DEMO / core.relativePath / "Package.swift").is_file()
    (executorch,) = of(project, "XCRemoteSwiftPackageReference")
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    version = pins["executorch"]
    assert executorch.requirement.branch == f"swiftpm-{version}", "the runtime is as new as the exporter"
    assert f'version = "{version}"' in (APP / "Runtimes/ExecuTorchClassifier.swift").read_text()
    products = {p.productName for p in of(project, "XCSwiftPackageProductDependency")}
    assert products == {
        *("LeViTCore", "executorch", "backend_coreml", "backend_xnnpack", "kernels_optimized", "kernels_quantized")
    }
    (target,) = of(project, "PBXNativeTarget")
    (frameworks,) = of(project, "PBXFrameworksBuildPhase")
    linked = [project.objects[name].productRef for name in frameworks.files]
    assert linked == list(target.packageProductDependencies)
    assert len(linked) == len(products)


def test_settings(project: Any) -> None:
    found = settings(project)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert found["MARKETING_VERSION"] == {version}
    assert found["IPHONEOS_DEPLOYMENT_TARGET"] == {"17.0"}
    assert ".iOS(.v17)" in (DEMO / "LeViTCore/Package.swift").read_text()
    assert found["OTHER_LDFLAGS"] == {"$(inherited) -all_load"}  # or ExecuTorch's backends are dropped
    assert "camera" in found["INFOPLIST_KEY_NSCameraUsageDescription"].pop()  # or the app ends when it asks
    for device in ("iPhone", "iPad"):
        (turns,) = found[f"INFOPLIST_KEY_UISupportedInterfaceOrientations_{device}"]
        assert "Portrait" in turns
        assert "Landscape" in turns
    assert found["INFOPLIST_KEY_UIFileSharingEnabled"] == {"YES"}  # bundles may come by Finder
    assert found["SWIFT_OPTIMIZATION_LEVEL"] == {"-Onone", "-O"}


def test_run_builds_for_release(project: Any) -> None:
    """What a debug build takes is no latency."""
    (scheme,) = FILE.parent.glob("xcshareddata/xcschemes/*.xcscheme")
    tree = ElementTree.parse(scheme)
    launch = tree.find("LaunchAction")
    assert launch is not None
    assert launch.get("buildConfiguration") == "Release"
    (target,) = of(project, "PBXNativeTarget")
    for reference in tree.iter("BuildableReference"):
        assert reference.get("BlueprintIdentifier") == target.get_id()
        assert reference.get("BlueprintName") == target.name
        assert reference.get("ReferencedContainer") == f"container:{FILE.parent.name}"
