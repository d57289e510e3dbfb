"""What the app shares is what ``levit bench`` writes, and ``levit report`` shows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benched import HOST, PI, night, run
from click.testing import CliRunner
from ios_sources import DEMO

from levit_mobile.bench.report.entries import gather
from levit_mobile.bench.result import Results, read_results
from levit_mobile.bench.settings import Settings
from levit_mobile.bench.statistics import drift_of, summarise
from levit_mobile.bundle import Bundle, open_bundle
from levit_mobile.cli.main import cli
from levit_mobile.targets import TARGETS

FIXTURES = DEMO / "LeViTCore/Tests/LeViTCoreTests/Fixtures"
FILE = FIXTURES / "results.json"  # Swift's tests make sure that the app writes it


@pytest.fixture(scope="module")
def row() -> dict[str, Any]:
    (row,) = read_results(FILE).runs
    return row


def test_figures_are_those_of_levit_bench(row: dict[str, Any]) -> None:
    assert len(row["samples_ms"]) == 120
    assert row["summary"] == pytest.approx(summarise(row["samples_ms"]).to_dict(), abs=1.5e-6)
    drift = drift_of(row["samples_ms"])
    assert drift is not None
    assert row["drift"] == pytest.approx(drift.to_dict(), abs=1e-4)


def test_keys_are_those_of_levit_bench(row: dict[str, Any]) -> None:
    theirs = run()
    # XNNPACK's and Core ML's threads are their own matter; operators are not profiled.
    assert theirs.keys() - row.keys() == {"threads"}
    assert row.keys() - theirs.keys() == {"wrong"}  # which levit bench has, too, and reports need not
    assert row["artifact"].keys() <= theirs["artifact"].keys()
    assert theirs["artifact"].keys() - row["artifact"].keys() == {"accuracy"}  # the manifest's is null
    settings = read_results(FILE).about["settings"]
    assert settings.keys() <= Settings().to_dict().keys()


def test_the_artifact_is_the_bundles(row: dict[str, Any]) -> None:
    manifest = json.loads((FIXTURES / "coreml-manifest.json").read_text())
    bundle = Bundle(Path("levit_128s-int8-coreml"), manifest)
    assert row["artifact"]["sha256"] == bundle.artifact_digest
    assert row["artifact"]["bytes"] == bundle.artifact_bytes
    assert row["artifact"]["parity"] == manifest["parity"]


@pytest.mark.parametrize("target", ["coreml", "executorch"])
def test_manifests_are_real(target: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text((FIXTURES / f"{target}-manifest.json").read_text())
    manifest = open_bundle(tmp_path).manifest
    assert manifest["artifact"]["target"] == target
    assert target in TARGETS


def test_a_phone_comes_after_boards_and_before_this_host() -> None:
    results = [Results({}, runs=[run(where=HOST)]), read_results(FILE), Results({}, runs=[run(where=PI)])]
    assert [place.kind for place in gather(results).places] == ["board", "ios", "host"]


@pytest.mark.parametrize("name", ["page.html", "page.md"])
def test_levit_report_shows_it(name: str, tmp_path: Path) -> None:
    night().write(tmp_path / "night.json")
    done = CliRunner().invoke(cli, ["report", str(FILE), str(tmp_path / "night.json"), "--out", str(tmp_path / name)])
    assert done.exit_code == 0, done.output
    page = (tmp_path / name).read_text()
    for words in ("iPhone16,1, CPU and Neural Engine", "2.08 ms", "58.8 MB", "41.5 MB before", "iOS 17.5.1"):
        assert words in page
    assert "LeViT demo for iOS" in page


def test_a_hot_phone_is_told(row: dict[str, Any]) -> None:
    hot = {**row, "invalid": ["the phone was throttled: thermal state serious; let it cool, and measure again"]}
    hot["health"] = [{**reading, "throttled": 4} for reading in row["health"]]
    (found,) = gather([Results({}, runs=[hot])]).runs
    assert not found.timed
    assert [reading.throttled for reading in found.health] == [True, True]
