"""What the policy's ablations start from is what ships."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from exports import Exported

from calib.calibration import bundled_calibration
from levit_mobile.bundle import open_bundle
from levit_mobile.runtimes.tflite import TfliteRuntime, open_artifact
from levit_mobile.weights import resolve_weights

pytestmark = pytest.mark.slow


@pytest.fixture
def shipped(exported: Exported) -> TfliteRuntime:
    bundle = open_bundle(exported.bundle("levit_128s-int8-tflite"))
    return open_artifact(bundle.artifact, size=224, spec=bundle.preprocessing)


@pytest.fixture(scope="module")
def ablations() -> object:
    from ablations import Ablations, float_artifact

    calibration = bundled_calibration()
    return Ablations(float_artifact(resolve_weights("demo"), calibration), calibration.ranges, [])


@pytest.fixture
def run(tmp_path: Path) -> Callable[[bytes], TfliteRuntime]:
    def opened(model: bytes) -> TfliteRuntime:
        (tmp_path / "model.tflite").write_bytes(model)
        return open_artifact(tmp_path / "model.tflite", size=224, spec=resolve_weights("demo").preprocessing)

    return opened


@pytest.mark.filterwarnings("ignore")  # of the converter, in this process
def test_nothing_changed_is_the_exporters(
    exported: Exported, shipped: TfliteRuntime, ablations: object, run: Callable[[bytes], TfliteRuntime]
) -> None:
    runtime = run(ablations.shipped())  # type: ignore[attr-defined]
    assert runtime.anatomy() == shipped.anatomy()
    pixels = open_bundle(exported.bundle("levit_128s-int8-tflite")).golden().pixels[:2]
    assert np.array_equal(runtime.logits(pixels), shipped.logits(pixels))


@pytest.mark.filterwarnings("ignore")
def test_each_ablation_changes_the_artifact(
    shipped: TfliteRuntime, ablations: object, run: Callable[[bytes], TfliteRuntime]
) -> None:
    """Without the two that have to be calibrated: test_runs.py makes those."""
    made = ablations.all()  # type: ignore[attr-defined]
    assert (
        run(made["reshape, transpose, pad in float"]()).anatomy().operators["QUANTIZE"]
        != (shipped.anatomy().operators["QUANTIZE"])
    )
    assert (
        run(made["bias tables and zero points not packed"]()).anatomy().operators["DEQUANTIZE"]
        < (shipped.anatomy().operators["DEQUANTIZE"])
    )
