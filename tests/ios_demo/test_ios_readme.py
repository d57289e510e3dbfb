"""What ios_demo/README.md says can be typed and is there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from ios_sources import APP, DEMO

from levit_mobile.cli.export import command as export
from levit_mobile.cli.report import command as report

ROOT = DEMO.parent
README = (DEMO / "README.md").read_text()
COMMANDS = [line.strip() for line in README.splitlines() if re.match(r" {4,}\S", line)]
PROGRAMS = ("levit", "levit-export", "make", "open", "pip")


def test_there_are_five_steps_and_commands() -> None:
    steps = re.findall(r"^(\d)\. ", README, re.MULTILINE)
    assert steps == ["1", "2", "3", "4", "5"]
    assert {command.split()[0] for command in COMMANDS} == set(PROGRAMS)


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command: str) -> None:
    words = shlex.split(command)
    if words[0] == "levit-export":
        where = words.index("--into")
        assert words[where + 1] == DEMO.name
        # Whether it puts a bundle there is the exporter's to test.
        context = export.make_context("levit-export", words[1:where] + words[where + 2 :])
        assert context.params["targets"][0] in ("coreml", "executorch")
    elif words[0] == "levit":
        assert words[1] == "report"
        assert report.make_context("report", words[2:]).params["results"][0].name == "levit-ios.json"
        assert '"levit-ios.json"' in (APP / "Benchmark/BenchmarkModel.swift").read_text()
    elif words[0] == "open":
        assert (ROOT / words[1]).is_dir()
    elif words[0] == "pip":
        extras = re.findall(r"\w+", words[2])
        assert (
            set(extras)
            <= tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"].keys()
        )
    else:
        assert words == ["make", "ios"]


def test_links_and_paths() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert "screens.svg" in links
    for link in links:
        assert (DEMO / link).exists(), link
    for path in re.findall(r"`((?:LeViT\w+|Bundles|LinuxStubs|tools)/[\w/.]*)`", README):
        assert (DEMO / path).exists(), path


def test_what_was_never_run_is_told() -> None:
    told = README[README.index("**Never run**") :]
    for thing in ("app itself", "ExecuTorch", "Core ML", "latency", "camera", "VoiceOver"):
        assert thing in told


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_test_fetches_no_swift() -> None:
    done = [
        subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for target in ("test", "ios")
    ]
    assert "ios_demo" not in done[0]
    assert "ios_demo/tools/check.sh" in done[1]
    assert "make ios" in (ROOT / ".ci/run").read_text()


@pytest.mark.parametrize("script", sorted((DEMO / "tools").glob("*.sh")), ids=lambda path: path.name)
def test_scripts_can_be_read_by_their_shell(script: Path) -> None:
    shell = script.read_text().splitlines()[0].split("/")[-1].removeprefix("env ")
    assert shell in ("bash", "sh")
    assert subprocess.run([shell, "-n", str(script)], check=False).returncode == 0
    assert script.stat().st_mode & 0o100, "it is to be called"


def test_without_what_it_needs_swift_is_not_to_be_had(tmp_path: Path) -> None:
    """Status 69 and a reason; `make ios` then says what it left out, and does the rest."""
    programs = ("bash", "cut", "dirname", "env", "flock", "id", "mkdir", "rm", "sha256sum", "true", "unshare")
    for name in programs:
        if found := shutil.which(name):
            (tmp_path / name).symlink_to(found)
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path), "LEVIT_MOBILE_CACHE": str(tmp_path / "cache")}
    command = [str(DEMO / "tools/swift_root.sh"), "swift", "--version"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 69
    assert done.stderr.startswith("no Swift here: ")
    assert not list((tmp_path / "cache").glob("swift/trixie-*[0-9a-f]"))
    assert "69" in (DEMO / "tools/check.sh").read_text()
