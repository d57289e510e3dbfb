"""The command line inside this process, and what it is fed with."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from exports import Exported
from pictures import draw

from levit_mobile.cli.main import _run, cli

if TYPE_CHECKING:
    from torch import nn

    from levit_mobile.program import Program


@dataclass(frozen=True)
class Answer:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Standard output as the one JSON object that it must be."""
        return json.loads(self.out)


Levit = Callable[..., Answer]


@pytest.fixture
def levit(capsys: pytest.CaptureFixture[str]) -> Levit:
    """``levit("verify", folder)``: all of the command line but the process: parsing, errors, exit code, output."""

    def call(*args: object) -> Answer:
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
        capsys.readouterr()
        try:
            with pytest.raises(SystemExit) as ended:
                _run(cli, "levit", [str(arg) for arg in args])
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Answer(ended.value.code, out, err)

    return call


@pytest.fixture
def export(levit: Levit) -> Levit:
    """``export("--int8")``: ``levit export --target tflite`` and more."""
    return lambda *args: levit("export", "--target", "tflite", *args)


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Three drawn pictures, in other formats."""
    paths = [tmp_path / name for name in ("a.png", "b.jpg", "c.webp")]
    for number, path in enumerate(paths):
        draw(f"{300 + number}x280").save(path)
    return paths


@pytest.fixture(scope="session")
def strange(tmp_path_factory: pytest.TempPathFactory, random_fill: Callable[..., nn.Module]) -> Path:
    """A whole checkpoint of levit_128s with 10 classes that is not the demo checkpoint: random weights, no labels."""
    from levit_mobile.checkpoints import save_checkpoint
    from levit_mobile.model import LeViT
    from levit_mobile.variants import VARIANTS

    path = tmp_path_factory.mktemp("strange") / "strange.safetensors"
    save_checkpoint(path, random_fill(LeViT(VARIANTS["levit_128s"], num_classes=10)))
    return path


@pytest.fixture
def not_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The request must be refused before the long part."""

    def refuse(program: object, folder: object) -> Path:
        raise AssertionError("the converter was called")

    monkeypatch.setattr("exporters.tflite.export", refuse)


@pytest.fixture
def ready_made(monkeypatch: pytest.MonkeyPatch, exported: Exported) -> list[str]:
    """The exporter takes the artifact of the session's export, whatever the program's weights; a list of the precisions."""
    made: list[str] = []

    def copy(program: Program, folder: Path) -> Path:
        made.append(program.precision.name)
        source = exported.bundle(f"levit_128s-{program.precision.name}-tflite") / "model.tflite"
        return Path(shutil.copy(source, folder / "model.tflite"))

    monkeypatch.setattr("exporters.tflite.export", copy)
    return made
