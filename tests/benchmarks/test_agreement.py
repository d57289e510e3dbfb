"""What ``agreement.py`` counts, on logits that are made up, and which bundles it takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from exports import Exported, labelled_pictures

from calib.calibration import load_calibration
from levit_mobile.bundle import open_bundle
from levit_mobile.errors import UsageError
from levit_mobile.weights import resolve_weights


def test_counts() -> None:
    from agreement import LIMIT, beside

    assert LIMIT == 0.02
    reference = np.array([[0.0, 100.0, 50.0], [40.0, 44.0, 48.0], [10.0, 20.0, 30.0], [5.0, 4.0, 3.0]], np.float32)
    got = reference.copy()
    got[0, 2] += 2.0  # just within 2 % of 100, which is the range of all and its own
    got[1, 0] -= 1.0  # within that of all, not within that of its own, 8
    got[2] = [33.0, 20.0, 30.0]  # 23 %, and another first class
    row = beside(reference, got)
    assert row["within"]["share"] == 0.75
    assert row["within_own_range"]["share"] == 0.5
    assert (row["greatest"], row["mean"]) == (0.23, 0.065)
    assert 0.22 < row["p99"] < 0.23
    assert row["same_first"]["share"] == 0.75
    low, high = row["same_first"]["interval95"]
    assert 0.3 < low < 0.75 < high < 0.96


def test_the_same_logits() -> None:
    from agreement import beside

    logits = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    row = beside(logits, logits)
    assert [row[name]["share"] for name in ("within", "within_own_range", "same_first")] == [1, 1, 1]
    assert [row[name] for name in ("mean", "p99", "greatest")] == [0, 0, 0]


def test_pictures_are_drawn_by_a_seed(tmp_path: Path) -> None:
    from agreement import draw

    labelled_pictures(tmp_path)
    demo = resolve_weights("demo")
    first, again, other = (draw(tmp_path, 4, seed, demo) for seed in (0, 0, 3))
    assert (first.shape, first.dtype) == ((4, 224, 224, 3), np.uint8)
    assert first.tobytes() == again.tobytes() != other.tobytes()
    assert len(draw(tmp_path, 500, 0, demo)) == 6  # all that there are
    with pytest.raises(UsageError, match=r"nothing: no pictures in it; --data wants one folder a class"):
        draw(tmp_path / "nothing", 4, 0, demo)


@pytest.mark.slow
def test_which_bundles(exported: Exported, tmp_path: Path) -> None:
    from agreement import common_calibration

    int8, dynamic = (open_bundle(exported.bundle(f"levit_128s-{name}-tflite")) for name in ("int8", "int8-dynamic"))
    found = load_calibration(int8.folder / "calibration.json")
    assert common_calibration({"tflite int8": int8}).to_json() == found.to_json()
    with pytest.raises(UsageError, match=r"is tflite int8-dynamic; only int8 with static ranges has a program"):
        common_calibration({"tflite int8": int8, "tflite int8-dynamic": dynamic})
    other = exported.copy("levit_128s-int8-tflite", tmp_path)
    (other / "calibration.json").write_text(replace(found, rounded={}).to_json())
    with pytest.raises(UsageError, match=r"^tflite int8 and onnx int8 have other activation ranges"):
        common_calibration({"tflite int8": int8, "onnx int8": open_bundle(other)})
