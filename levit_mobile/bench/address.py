"""How a board is named on the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from levit_mobile.bench import emulated
from levit_mobile.errors import BoardError, UsageError

__all__ = ["Address", "address_of"]

_FORM = re.compile(r"(?:(?P<user>[^@\s:]+)@)?(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^@\s:/\[\]]+)(?::(?P<port>\d{1,5}))?")


@dataclass(frozen=True)
class Address:
    """Where SSH finds a board.

    Attributes:
        name: as it was typed.
        host: a name, an address, or an alias of the user's SSH configuration.
        user: None: what the configuration says, or the user here.
        port: None: what the configuration says, or 22.
        keys: private keys; none: the user's own, and those of the agent.
        known_hosts: a file; None: the user's own.
        emulated: times of it mean nothing.
    """

    name: str
    host: str
    user: str | None = None
    port: int | None = None
    keys: Sequence[Path] = ()
    known_hosts: Path | None = None
    emulated: bool = False


def address_of(text: str) -> Address:
    """``pi@raspberrypi.local``, ``pi@10.0.0.7:2222``, an alias of the SSH configuration, or the name of an emulated board.

    Raises:
        BoardError: the emulated board is not up.
        UsageError: the text is none of these.
    """
    board = emulated.find(text) if re.fullmatch(r"[a-z0-9-]+", text) else None
    if board is not None:
        if not board.running:
            raise BoardError(f"the emulated board {text!r} does not run; type: levit board up --name {text}")
        return Address(text, board.host, board.user, board.port, [board.key], board.known_hosts, emulated=True)
    if text == "emulated":
        raise BoardError("there is no emulated board; type: levit board up")
    form = _FORM.fullmatch(text)
    port = int(form["port"]) if form and form["port"] else None
    if form is None or (port is not None and not 0 < port < 1 << 16):
        raise UsageError(f"--board {text!r} is no board; type USER@HOST, USER@HOST:PORT, or emulated")
    return Address(text, form["host"].strip("[]"), form["user"], port)
