"""``levit board``."""

from __future__ import annotations

import shlex

import click

from levit_mobile.bench.emulated import Board, down, down_all, purge, status, up
from levit_mobile.cli.console import Output, Steps, json_option
from levit_mobile.errors import UsageError

__all__ = ["command"]

_SETTINGS = {"help_option_names": ["-h", "--help"]}
_NAME = "emulated"


@click.group(context_settings=_SETTINGS)
def command() -> None:
    """Emulated boards: an ARM system behind an SSH server on this machine, for those who have no Raspberry Pi.

    What runs there computes what it would on a board. Its milliseconds mean nothing.

    \b
    levit board up
    levit bench BUNDLE --board emulated
    levit board down
    """


@command.command("up", context_settings=_SETTINGS)
@click.option(
    "--cpu",
    type=click.Choice(["cortex-a72", "cortex-a76", "cortex-a7"]),
    help="The core: of a Raspberry Pi 4, 5, or 2 (armhf).  [default: cortex-a76]",
)
@click.option("--arch", type=click.Choice(["arm64", "armhf"]), help="64 or 32 bits.  [default: as the core is]")
@click.option("--release", type=click.Choice(["bookworm", "trixie"]), help="Of Debian.  [default: bookworm]")
@click.option("--name", default=_NAME, show_default=True, help="There can be several boards.")
@json_option
def _up(cpu: str | None, arch: str | None, release: str | None, name: str, as_json: bool) -> None:
    """Make and start a board, or start one again. Needs 0.2 GB in the cache, and the first time the network."""
    output = Output(as_json)
    with Steps() as steps:
        board = up(
            cpu,
            name=name,
            architecture=arch,
            release=release,
            step=steps.step,
            tell=lambda text: click.echo(f"note: {text}", err=True),
        )
    output.say(click.style(f"the board {name!r} is up: {_kind(board)}", fg="green", bold=True))
    output.say(f"log in      {shlex.join(board.ssh())}")
    output.say(f"measure     levit bench BUNDLE --board {name}")
    output.say(f"end it      levit board down{_named(name)}")
    output.say("It is emulated: its results are an ARM processor's, its milliseconds mean nothing.")
    output.data(board.to_dict())


@command.command("down", context_settings=_SETTINGS)
@click.option("--name", help=f"Which board.  [default: {_NAME}]")
@click.option("--all", "everything", is_flag=True, help="All boards.")
@click.option(
    "--purge", "templates", is_flag=True, help="And what new boards are copied from, so that it is fetched anew."
)
@json_option
def _down(name: str | None, everything: bool, templates: bool, as_json: bool) -> None:
    """End a board with all that runs on it, and remove it."""
    output = Output(as_json)
    if name is not None and everything:
        raise UsageError("--all is every board; leave --name away")
    ended = []
    with Steps() as steps, steps.step("ending boards"):
        if everything:
            ended = down_all()
        elif name is not None or not templates or any(board.name == _NAME for board in status()):
            down(name or _NAME)
            ended = [name or _NAME]
        removed = purge() if templates else []
    for one in ended:
        output.say(f"the board {one!r} is gone")
    for folder in removed:
        output.say(f"removed {folder}")
    if not ended and not removed:
        output.say("there was nothing to end")
    output.data({"ended": ended, "removed": [str(folder) for folder in removed]})


@command.command("status", context_settings=_SETTINGS)
@json_option
def _status(as_json: bool) -> None:
    """List the boards, and whether they run."""
    output, boards = Output(as_json), status()
    if not boards:
        output.say("there is no board; type levit board up")
    else:
        rows = [["name", "state", "core", "system", "port", "server"]]
        for board in boards:
            pid = board.pid
            state = "running" if pid is not None else "stopped"
            rows.append([board.name, state, board.cpu, _system(board), str(board.port), str(pid or "-")])
        output.table(rows, "<<<<>>")
    for board in boards:
        if not board.running:
            output.say(f"{board.name} has stopped; type levit board up{_named(board.name)}")
    output.data({"boards": [board.to_dict() for board in boards]})


def _named(name: str) -> str:
    return "" if name == _NAME else f" --name {name}"


def _system(board: Board) -> str:
    return f"{board.release} {board.architecture}"


def _kind(board: Board) -> str:
    return f"{board.cpu}, Debian {_system(board)}"
