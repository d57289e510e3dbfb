"""int8 for ExecuTorch in two methods: what each computes, which one a processor gets, and what it is worth."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from answers import in_pytorch, of_range
from commands import Levit
from exports import Exported

from calib.calibration import Calibration
from exporters import executorch
from levit_mobile.bench.instructions import count
from levit_mobile.bundle import Bundle, open_bundle
from levit_mobile.checkpoints import Checkpoint
from levit_mobile.errors import BundleError, CheckError
from levit_mobile.evaluate import Parity
from levit_mobile.pipeline import export_bundle, write_golden
from levit_mobile.program import Program, build_program
from levit_mobile.qdq import quantize_static
from levit_mobile.quantize import HALF_METHOD
from levit_mobile.runtimes import executorch as runtime
from levit_mobile.runtimes import executorch_program
from levit_mobile.runtimes.base import every_way
from levit_mobile.targets import check_request

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("executorch"),
    pytest.mark.filterwarnings("ignore"),  # converters, inside this process
]
Make = Callable[..., Program]


@pytest.fixture(scope="session")
def program(tiny: Checkpoint, tiny_calibration: Calibration) -> Make:
    """``program(precision, **options)`` of a tiny model."""

    def make(precision: str = "int8", **options: str) -> Program:
        request = check_request("executorch", precision, options=options)
        known = tiny_calibration if precision == "int8" else None
        return build_program(tiny, precision, calibration=known, layout=request.layout, options=request.options)

    return make


@pytest.fixture(scope="session")
def both(program: Make, tiny: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A tiny int8 bundle with both methods."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executorch, "fits_half", lambda *_: True)
        return export_bundle(program(), "executorch", tmp_path_factory.mktemp("both") / "b", golden=write_golden(tiny))


def opened(bundle: Bundle, method: str | None = None) -> runtime.ExecutorchRuntime:
    return runtime.ExecutorchRuntime(bundle.artifact, size=bundle.image_size, spec=bundle.preprocessing, method=method)


@pytest.fixture
def half(both: Bundle) -> runtime.ExecutorchRuntime:
    try:
        return opened(both, HALF_METHOD)
    except BundleError:
        pytest.skip("this processor computes nothing in float16")


def test_both_compute_the_same(
    both: Bundle, half: runtime.ExecutorchRuntime, program: Make, small: npt.NDArray[np.uint8]
) -> None:
    made = program()
    assert made.ranges is not None
    expected = in_pytorch(quantize_static(made.model, made.ranges), small)
    whole = opened(both, "forward")
    assert of_range(whole.logits(small), expected) <= 0.02
    assert 0 < of_range(half.logits(small), whole.logits(small)) <= 0.04
    assert [way.method for way in every_way(whole)] == ["forward", HALF_METHOD]
    assert [way.method for way in every_way(half)] == [HALF_METHOD, "forward"]


@pytest.mark.parametrize("machine", ["aarch64", "arm64", "x86_64", "AMD64"])
def test_only_arm_is_given_half(
    both: Bundle, half: runtime.ExecutorchRuntime, monkeypatch: pytest.MonkeyPatch, machine: str
) -> None:
    """x86 has float16 as a format only, and would convert back and forth."""
    monkeypatch.setattr(runtime, "machine", lambda: machine)
    assert opened(both).method == (half.method if machine in ("aarch64", "arm64") else "forward")
    assert opened(both, "forward").method == "forward"


def test_an_arm_without_it_takes_forward(both: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    from executorch.runtime import Program as Loaded

    load = Loaded.load_method

    def refuse(self: Loaded, name: str) -> object:
        if name == HALF_METHOD:
            raise RuntimeError("unsupported hardware")
        return load(self, name)

    monkeypatch.setattr(Loaded, "load_method", refuse)
    monkeypatch.setattr(runtime, "machine", lambda: "aarch64")
    found = opened(both)
    assert (found.method, found.others()) == ("forward", [])
    with pytest.raises(BundleError, match="unsupported hardware"):
        opened(both, HALF_METHOD)


def test_the_board_chooses_alike(both: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    from levit_mobile.bench.onboard.executorch import Executorch

    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    plain = Executorch(str(both.artifact), 1, {})
    assert (plain.shape, plain.dtype) == ((1, 3, 64, 64), "float32")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    names: list[str] = []
    monkeypatch.setattr(type(plain.program), "load_method", lambda _, name: names.append(name))
    Executorch(str(both.artifact), 1, {})
    assert names == [HALF_METHOD]


@pytest.mark.parametrize(
    ("options", "fits", "between"),
    [
        ({}, True, {"forward": torch.float32, HALF_METHOD: torch.float16}),
        ({}, False, {"forward": torch.float32}),  # numbers that float16 has not got
        ({"activations": "float32"}, True, {"forward": torch.float32}),
        ({"activations": "float16"}, False, {"forward": torch.float16}),  # asked for: parity decides
    ],
)
def test_which_methods_there_are(
    program: Make,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, str],
    fits: bool,
    between: dict[str, torch.dtype],
) -> None:
    """By the type of what lies between the int8 layers: the tables of attention biases."""
    monkeypatch.setattr(executorch, "fits_half", lambda *_: fits)
    entries = executorch._entries(program(**options), "xnnpack")
    tables = {n: {b.dtype for key, b in e.named_buffers() if key.endswith(".bias")} for n, e in entries.items()}
    assert tables == {name: {dtype} for name, dtype in between.items()}


def test_about_tells_of_both(both: Bundle) -> None:
    assert executorch.about(both.artifact) == {"half_precision": True, "methods": ["forward", HALF_METHOD]}


@pytest.mark.usefixtures("half")
def test_a_method_that_is_far_off_is_refused(
    both: Bundle, program: Make, tiny: Checkpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Parity is that of the worse of both."""
    found = iter([Parity(0.1, 1.0, 1.0, 8, True), Parity(0.5, 1.0, 1.0, 8, False)])
    monkeypatch.setattr("levit_mobile.pipeline.compare", lambda *_: next(found))
    monkeypatch.setattr(executorch, "export", lambda _, folder: shutil.copy(both.artifact, folder / "model.pte"))
    with pytest.raises(CheckError, match=r"greatest difference 5\.00e-01"):
        export_bundle(program(), "executorch", tmp_path / "b", golden=write_golden(tiny))
    assert not (tmp_path / "b").exists()


@pytest.mark.long
@pytest.mark.parametrize(("precision", "options"), [("int8", {"activations": "float32"}), ("fp16", {})])
def test_quick_lowering_changes_nothing(
    program: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, precision: str, options: dict[str, str]
) -> None:
    quick, slow = tmp_path / "quick", tmp_path / "slow"
    quick.mkdir(), slow.mkdir()
    executorch.export(program(precision, **options), quick)
    monkeypatch.setattr(executorch, "quick_lowering", nullcontext)
    executorch.export(program(precision, **options), slow)
    assert (quick / "model.pte").read_bytes() == (slow / "model.pte").read_bytes()


def test_float16_is_for_xnnpack(levit: Levit) -> None:
    done = levit("export", "--target", "executorch", "--int8", "--activations", "float16", "--delegate", "vulkan")
    assert done.code == 2
    assert "--activations float16 with int8 is for XNNPACK; leave it out with --delegate vulkan" in done.err


# The bundled checkpoint


def test_xnnpack_takes_all_of_both(executorch_exported: Exported) -> None:
    bundle = open_bundle(executorch_exported.bundle("levit_128s-int8-executorch"))
    artifact = bundle.manifest["artifact"]
    assert artifact["options"] == {"delegate": "xnnpack", "activations": "auto"}
    assert (artifact["half_precision"], artifact["methods"]) == (True, ["forward", HALF_METHOD])
    data = bundle.artifact.read_bytes()
    plans = [executorch_program.read_method(data, name) for name in artifact["methods"]]
    assert [(len(plan.calls), dict(plan.outside)) for plan in plans] == [(1, {})] * 2
    whole, half = (plan.calls[0].operators for plan in plans)
    layers = {"Conv2d", "FullyConnected", "BatchMatrixMultiply", "Softmax", "Hardswish", "Add"}
    assert {kind: half[kind] for kind in layers} == {kind: whole[kind] for kind in layers}
    assert len(data) < 10.5e6  # the int8 weights are there once


@pytest.mark.parametrize(("cpu", "least", "most"), [("cortex-a76", 34, 38), ("cortex-a72", 95, 102)])
@pytest.mark.usefixtures("counts")
def test_what_it_is_worth(executorch_exported: Exported, cpu: str, least: int, most: int) -> None:
    """In millions of instructions. A Cortex-A72 has no half-precision arithmetic, and gets ``forward``."""
    file = executorch_exported.bundle("levit_128s-int8-executorch") / "model.pte"
    assert least < count(file, "executorch", cpu, runs=1).total / 1e6 < most
