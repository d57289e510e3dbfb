"""What a newcomer sees: help, versions, completion, and how mistyped commands end."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click
import pytest
from commands import Levit
from exports import run_script

from levit_mobile import __version__
from levit_mobile.cli.main import COMMANDS, cli

EXAMPLES = {
    "export": "levit-export --target tflite --int8 --weights imagenet --model levit_256 --calib-data photos/",
    "predict": "levit predict levit_128s-int8-tflite photo.jpg",
    "validate": "levit validate levit_128s-int8-tflite --data imagenette/val --weights demo",
    "inspect": "levit inspect levit_128s-int8-tflite",
    "verify": "levit verify levit_128s-int8-tflite",
    "sign": "levit sign levit_128s-int8-tflite --key key.pem",
    "bench": "levit bench levit_128s-int8-tflite --emulate cortex-a76 --budget 60M",
    "board": "levit board up",
    "report": "levit report results.json --baseline main.json --fail-if-worse",
    "models": "levit-export --target tflite --weights imagenet --model NAME",
}


def command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def test_every_command_has_an_example() -> None:
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help(levit: Levit, name: str, flag: str) -> None:
    answer = levit(name, flag)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(f"Usage: levit {name} ")
    assert EXAMPLES[name] in answer.out
    assert max(map(len, answer.out.splitlines())) <= 100


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name: str) -> None:
    options = [p for p in command(name).params if isinstance(p, click.Option)]
    assert [o.name for o in options if not o.help or not o.help.endswith((".", "]"))] == []


def test_every_option_of_the_export_is_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text("utf-8")
    options = [p.opts[-1] for p in command("export").params if isinstance(p, click.Option)]
    assert len(options) > 15
    assert [option for option in options if not re.search(rf"`{option}[` ]", page)] == []


def test_what_mediapipe_takes(levit: Levit) -> None:
    text = " ".join(levit("export", "--help").out.split())
    assert "normalises them itself. For MediaPipe: uint8. [default: float32]" in text


def test_the_first_page(levit: Levit) -> None:
    answer = levit("--help")
    assert (answer.code, answer.err) == (0, "")
    assert "Start here: levit-export --target tflite --int8" in answer.out
    for name in COMMANDS:
        assert f"\n  {name} " in answer.out
    bare = levit()
    assert (bare.code, bare.out) == (2, "")
    assert bare.err == answer.out


def test_version(levit: Levit) -> None:
    assert levit("--version").out == f"levit-mobile, version {__version__}\n"


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        (["nosuch"], "No such command 'nosuch'"),
        (["--nosuch"], "No such option"),
        (["predict"], "Missing argument 'BUNDLE'"),
        (["predict", "bundle"], "Missing argument 'IMAGES...'"),
        (["predict", "bundle", "a.png", "--top-k", "0"], "0 is not in the range x>=1"),
        (["export"], "Missing option '--target'"),
        (["export", "--target", "coffee"], "'coffee' is not one of 'tflite', 'executorch', 'coreml', 'onnx', 'all'"),
        (["export", "--target", "tflite", "--precision", "int3"], "'int3' is not one of 'fp32', 'fp16', 'int8'"),
        (["export", "--target", "tflite", "--io-dtype", "int16"], "'int16' is not one of 'float32', 'int8', 'uint8'"),
        (["export", "--target", "tflite", "--calib-samples", "0"], "0 is not in the range x>=1"),
        (["export", "--target", "tflite", "--max-drop", "101"], "101.0 is not in the range 0<=x<=100"),
        (["export", "--target", "tflite", "--calib-method", "kl"], "'kl' is not one of 'min-max', 'percentile', 'mse'"),
        (["export", "--target", "tflite", "stray"], "Got unexpected extra argument (stray)"),
    ],
)
def test_mistyped(levit: Levit, typed: list[str], text: str) -> None:
    answer = levit(*typed)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("Usage: levit ")
    assert text in answer.err


def test_levit_export_is_levit_export(levit: Levit, tmp_path: Path) -> None:
    done = run_script("levit-export", ["--help"], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: levit-export [OPTIONS]\n")
    assert done.stdout.replace("levit-export [", "levit export [") == levit("export", "--help").out


@pytest.mark.parametrize(
    ("script", "typed", "found"),
    [
        ("levit", "levit va", ["plain,validate"]),
        ("levit-export", "levit-export --target t", ["plain,tflite"]),
        ("levit-export", "levit-export --model levit_12", ["plain,levit_128s", "plain,levit_128"]),
        ("levit-export", "levit-export --weights im", ["file,im", "plain,imagenet"]),
        ("levit-export", "levit-export --weights m", ["file,m"]),
    ],
)
def test_completion(tmp_path: Path, script: str, typed: str, found: list[str]) -> None:
    variable = f"_{script.replace('-', '_').upper()}_COMPLETE"
    source = run_script(script, [], cwd=tmp_path, environment={variable: "bash_source"})
    assert source.returncode == 0
    assert f"{variable}=bash_complete" in source.stdout
    asked = {variable: "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    assert run_script(script, [], cwd=tmp_path, environment=asked).stdout.splitlines() == found


def test_as_a_module(tmp_path: Path) -> None:
    done = run_script(Path(sys.executable).name, ["-m", "levit_mobile", "models"], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 6
