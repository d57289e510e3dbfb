from __future__ import annotations

from pathlib import Path

import pytest

from levit_mobile.bench.address import Address, address_of
from levit_mobile.errors import BoardError, UsageError


@pytest.fixture(autouse=True)
def _no_boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVIT_MOBILE_CACHE", str(tmp_path))


@pytest.mark.parametrize(
    ("text", "host", "user", "port"),
    [
        ("pi@raspberrypi.local", "raspberrypi.local", "pi", None),
        ("pi5", "pi5", None, None),
        ("10.0.0.7:2222", "10.0.0.7", None, 2222),
        ("me@[fe80::1%eth0]:22", "fe80::1%eth0", "me", 22),
        ("[::1]", "::1", None, None),
    ],
)
def test_forms(text: str, host: str, user: str | None, port: int | None) -> None:
    assert address_of(text) == Address(text, host, user, port)


@pytest.mark.parametrize(
    "text", ["", "pi@", "@host", "host:", "host:0", "host:65536", "host:x", "a b@c:d", "pi@host/x"]
)
def test_what_is_no_board(text: str) -> None:
    with pytest.raises(UsageError, match=r"is no board; type USER@HOST, USER@HOST:PORT, or emulated"):
        address_of(text)


def test_an_emulated_board_that_is_not_up() -> None:
    with pytest.raises(BoardError, match=r"there is no emulated board; type: levit board up"):
        address_of("emulated")
