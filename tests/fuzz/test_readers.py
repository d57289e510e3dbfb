"""Two hundred damaged copies of an artifact for each reader: refused by name or run, never a traceback or a dead process."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from commands import Levit
from exports import Exported
from open_mutated import KINDS, damage, mutated
from pictures import draw

from levit_mobile.bundle import open_bundle
from levit_mobile.errors import BundleError
from levit_mobile.runtimes import RUNTIMES
from levit_mobile.runtimes.trial import survives

COUNT = 200
# Over some inconsistencies ExecuTorch ends the process (6 of these, by SIGABRT), and LiteRT reads where it must not (1, by
# SIGSEGV); the others did over none. Which bytes the copies differ in changes with the artifact.
DEADLY = {"tflite": 3, "executorch": 12, "onnx": 0, "coreml": 0}
SCRIPT = Path(__file__).with_name("open_mutated.py")
SOURCES = {
    "tflite": ("exported", "levit_128s-int8-tflite"),
    "executorch": ("executorch_exported", "levit_128s-int8-executorch"),
    "onnx": ("onnx_exported", "levit_128s-int8-onnx"),
    "coreml": ("coreml_exported", "levit_128s-int8-weights-coreml"),
}


def test_damage_is_damage() -> None:
    whole = bytes(range(256)) * 1024
    for seed in range(50):
        assert mutated(whole, seed) == mutated(whole, seed) != whole, KINDS[seed % len(KINDS)]


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("target", SOURCES)
def test_damaged_artifacts(
    target: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEVIT_MOBILE_CACHE", str(tmp_path / "cache"))
    fixture, name = SOURCES[target]
    exported: Exported = request.getfixturevalue(fixture)
    artifact = open_bundle(exported.bundle(name)).artifact
    outcomes: Counter[str] = Counter()
    first, deadly = 0, []
    while first < COUNT:
        command = [sys.executable, str(SCRIPT), target, str(artifact), str(first), str(COUNT)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
        opened = re.findall(r"^@(\d+)$", done.stdout, re.MULTILINE)
        assert opened, done.stderr
        found = re.findall(r"^@\d+: (.*)$", done.stdout, re.MULTILINE)
        outcomes.update("ran" if text.startswith("ran") else text for text in found)
        last = int(opened[-1])
        if done.returncode != 0:
            deadly.append(last)
        first = last + 1
    assert set(outcomes) <= {"ran", "refused"}, outcomes
    assert outcomes["refused"] >= COUNT // 4, outcomes
    assert sum(outcomes.values()) + len(deadly) == COUNT
    assert len(deadly) <= DEADLY[target], deadly
    for seed in deadly:  # what ends a reader's process must not end the user's
        copy = damage(artifact, tmp_path / str(seed) / artifact.name, seed)
        with pytest.raises(BundleError, match=r"the runtime dies of it \(SIG[A-Z]+\)"):
            survives(target, RUNTIMES[target], copy, size=224, digest=f"{target} {seed}")


@pytest.mark.slow
@pytest.mark.parametrize("target", SOURCES)
@pytest.mark.parametrize("command", ["predict", "validate", "inspect", "verify"])
def test_a_damaged_bundle_is_not_opened(
    target: str, command: str, request: pytest.FixtureRequest, tmp_path: Path, levit: Levit
) -> None:
    fixture, name = SOURCES[target]
    exported: Exported = request.getfixturevalue(fixture)
    bundle = exported.copy(name, tmp_path)
    artifact = open_bundle(bundle).artifact
    victim = max((p for p in artifact.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size, default=artifact)
    victim.write_bytes(mutated(victim.read_bytes(), KINDS.index("bits")))
    (tmp_path / "church").mkdir()
    draw("224x224").save(tmp_path / "church" / "a.png")
    words = {"predict": [tmp_path / "church" / "a.png"], "validate": ["--weights", "demo", "--data", tmp_path]}.get(
        command, []
    )
    answer = levit(command, bundle, *words)
    part = victim.relative_to(bundle)
    assert (answer.code, answer.err) == (
        1,
        f"error: {bundle}: {part} was changed: its sha256 is not the manifest's\n",
    )
