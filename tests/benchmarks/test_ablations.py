"""What the policy's ablations start from is what ships."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from exports import Exported

from calib.ranges import bundled_ranges
from levit_mobile.bundle import open_bundle
from levit_mobile.runtimes.tflite import TfliteRuntime, open_artifact

pytestmark = pytest.mark.slow


@pytest.fixture
def shipped(exported: Exported) -> TfliteRuntime:
    bundle = open_bundle(exported.bundle("levit_128s-int8-tflite"))
    return open_artifact(bundle.artifact, size=224, spec=bundle.preprocessing)


def test_nothing_changed_is_the_exporters(exported: Exported, shipped: TfliteRuntime, tmp_path: Path) -> None:
    from ablations import Ablations

    fp32 = open_bundle(exported.bundle("levit_128s-fp32-tflite"))
    made = tmp_path / "model.tflite"
    made.write_bytes(Ablations(fp32.artifact.read_bytes(), bundled_ranges(), bundled_ranges(), []).shipped())
    runtime = open_artifact(made, size=224, spec=fp32.preprocessing)
    assert runtime.anatomy() == shipped.anatomy()
    pixels = fp32.golden().pixels[:2]
    assert np.array_equal(runtime.logits(pixels), shipped.logits(pixels))


def test_each_ablation_changes_the_artifact(exported: Exported, shipped: TfliteRuntime, tmp_path: Path) -> None:
    """Without the two that have to be calibrated: test_runs.py makes those."""
    from ablations import Ablations

    fp32 = open_bundle(exported.bundle("levit_128s-fp32-tflite"))
    pixels = fp32.golden().pixels[:2]
    ranges = bundled_ranges()
    wider = replace(ranges, values={name: (2 * low, 2 * high) for name, (low, high) in ranges.values.items()})
    made = Ablations(fp32.artifact.read_bytes(), ranges, wider, []).all()
    for name in ("stem not clipped", "smallest and greatest values as ranges", "reshape, transpose, pad in float"):
        path = tmp_path / f"{len(name)}.tflite"
        path.write_bytes(made[name]())
        runtime = open_artifact(path, size=224, spec=fp32.preprocessing)
        if "float" not in name:
            assert runtime.anatomy().operators == shipped.anatomy().operators
            assert not np.array_equal(runtime.logits(pixels), shipped.logits(pixels))
        else:
            assert runtime.anatomy().operators["QUANTIZE"] != shipped.anatomy().operators["QUANTIZE"]
