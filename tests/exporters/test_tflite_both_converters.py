"""``--target tflite --via onnx2tf``: what it wrote, beside what litert-torch did. The two converters check each other.

The first run on a machine builds onnx2tf's environment, in the user's cache.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from exports import Exported

from exporters.tflite_onnx2tf import ENVIRONMENT
from levit_mobile.bundle import Bundle, open_bundle
from levit_mobile.runtimes import open_runtime

PYTHONS = [f"python{version}" for version in ENVIRONMENT.pythons]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("onnx2tf"),  # the exports, once for all
    pytest.mark.skipif(
        f"python{sys.version_info.major}.{sys.version_info.minor}" not in PYTHONS
        and not any(map(shutil.which, PYTHONS)),
        reason=f"needs one of {', '.join(PYTHONS)}",
    ),
    pytest.mark.long,
]


def bundle(exported: Exported, precision: str) -> Bundle:
    return open_bundle(exported.bundle(f"levit_128s-{precision}-tflite-onnx2tf"))


def of_range(got: npt.NDArray[np.float32], want: npt.NDArray[np.float32]) -> float:
    return float(np.abs(got - want).max() / np.ptp(want))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_delegate_takes_all_of_it(onnx2tf_exported: Exported, precision: str) -> None:
    opened = bundle(onnx2tf_exported, precision)
    anatomy = open_runtime(opened).anatomy()
    assert (anatomy.delegate, anatomy.parts, anatomy.outside) == ("XNNPACK", 1, {})
    assert opened.manifest["artifact"]["options"]["via"] == "onnx2tf"


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_same_work_as_with_the_other_converter(
    onnx2tf_exported: Exported, exported: Exported, precision: str
) -> None:
    """Only reshapes may differ, and changes of number format between them.

    In float litert-torch gets the attentions between stages in another form, with two Linears as grouped convolutions.
    """
    mine = bundle(onnx2tf_exported, precision).manifest["operators"]
    theirs = dict(open_bundle(exported.bundle(f"levit_128s-{precision}-tflite")).manifest["operators"])
    if precision == "fp32":
        for kind, more in {"CONV_2D": -2, "FULLY_CONNECTED": 2, "TRANSPOSE": 2}.items():
            theirs[kind] += more
    free = ("RESHAPE", "QUANTIZE", "DEQUANTIZE")
    assert {k: v for k, v in mine.items() if k not in free} == {k: v for k, v in theirs.items() if k not in free}
    for kind in free:
        assert mine.get(kind, 0) <= 1.25 * theirs.get(kind, 0)


@pytest.mark.parametrize(("precision", "most"), [("fp32", 1e-6), ("int8", 0.08)])
def test_parity(onnx2tf_exported: Exported, precision: str, most: float) -> None:
    opened = bundle(onnx2tf_exported, precision)
    golden = opened.golden()
    difference = of_range(open_runtime(opened).logits(golden.pixels), golden.logits)
    assert difference <= most
    assert opened.manifest["parity"]["max_abs"] == pytest.approx(difference, rel=0.01)
    assert opened.manifest["parity"]["passed"] is True


@pytest.mark.parametrize(("precision", "most"), [("fp32", 1e-6), ("int8", 0.02)])
def test_both_converters_give_the_same(
    onnx2tf_exported: Exported,
    exported: Exported,
    pixels: npt.NDArray[np.uint8],
    precision: str,
    most: float,
) -> None:
    """On twelve pictures that neither has seen. To the last bit, where both were made; a rounding may differ elsewhere."""
    theirs = open_bundle(exported.bundle(f"levit_128s-{precision}-tflite"))
    mine = open_runtime(bundle(onnx2tf_exported, precision)).logits(pixels)
    assert of_range(mine, open_runtime(theirs).logits(pixels)) <= most


def test_another_process_writes_the_same(onnx2tf_exported: Exported, tmp_path: Path) -> None:
    """Another time, another hash seed."""
    fp32 = bundle(onnx2tf_exported, "fp32")
    code = (
        "import sys; from pathlib import Path; from exporters import tflite; "
        "from levit_mobile.program import build_program; from levit_mobile.weights import resolve_weights; "
        "program = build_program(resolve_weights('demo'), 'fp32', options={'via': 'onnx2tf'}, license='Apache-2.0'); "
        "tflite.export(program, Path(sys.argv[1]))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "2"}
    subprocess.run([sys.executable, "-c", code, tmp_path], env=environment, capture_output=True, check=True)
    assert (tmp_path / "model.tflite").read_bytes() == fp32.artifact.read_bytes()
