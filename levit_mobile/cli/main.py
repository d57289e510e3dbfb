"""``levit`` and ``levit-export``: the entry points."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from types import FrameType
from typing import Any

import click

from levit_mobile import __version__
from levit_mobile.cli.console import guarded

__all__ = ["cli", "export_main", "main"]

# command -> (module, one line of help); modules are imported when their command is run, so that --help is quick.
COMMANDS: dict[str, tuple[str, str]] = {
    "export": ("levit_mobile.cli.export", "Turn a checkpoint into a verified bundle (the same as levit-export)."),
    "predict": ("levit_mobile.cli.predict", "Say what is in a picture, with a bundle."),
    "validate": ("levit_mobile.cli.validate", "Measure a bundle against PyTorch and labelled pictures."),
    "inspect": ("levit_mobile.cli.inspect", "Show what is inside a bundle: operators, delegate parts, bytes."),
    "verify": ("levit_mobile.cli.verify", "Check that a bundle is whole and computes what it should."),
    "sign": ("levit_mobile.cli.sign", "Sign a bundle with your own key."),
    "bench": ("levit_mobile.cli.bench", "Measure latency on this host or on boards, or count instructions."),
    "board": ("levit_mobile.cli.board", "An emulated ARM board on this host: up, down, status."),
    "report": ("levit_mobile.cli.report", "Make a page of what bench measured."),
    "models": ("levit_mobile.cli.models", "List the five LeViT variants."),
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="levit-mobile")
def cli() -> None:
    """LeViT from PyTorch to phones and ARM boards.

    Start here: levit-export --target tflite --int8
    """


def _terminate(signum: int, frame: FrameType | None) -> None:
    # As an exception, so that half-written files are removed on the way out.
    raise SystemExit(128 + signum)


def _prepare() -> None:
    """Streams and signals as the commands expect them."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by the shell; the next file that is opened would take its number
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  (for as long as the process lives)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # labels and file names that the terminal has no letters for
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup, for one, has a wish of its own
            signal.signal(number, _terminate)


def _run(command: click.Command, name: str, args: Any = None) -> None:
    _prepare()
    with guarded():
        try:
            status = command.main(args=args, prog_name=name, standalone_mode=False)
        except click.exceptions.Abort as error:
            raise KeyboardInterrupt from error
        except click.ClickException as error:
            error.show()
            raise SystemExit(error.exit_code) from error
        sys.exit(status if isinstance(status, int) else 0)


def main() -> None:
    """``levit``."""
    _run(cli, "levit")


def export_main() -> None:
    """``levit-export``."""
    _run(import_module("levit_mobile.cli.export").command, "levit-export")
