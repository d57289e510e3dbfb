from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any, cast

import asyncssh
import pytest
from loopback import Loopback

from levit_mobile.bench.address import Address
from levit_mobile.bench.ssh import Connection, connect
from levit_mobile.errors import BoardError


def there(address: Address, do: Any) -> Any:
    """What ``do`` gives with a connection."""

    async def go() -> Any:
        async with connect(address) as connection:
            return await do(connection)

    return asyncio.run(go())


def refused(address: Address) -> str:
    async def nothing(connection: Connection) -> None:
        raise AssertionError("it was let in")

    with pytest.raises(BoardError) as raised:
        there(address, nothing)
    return str(raised.value)


def test_a_program(loopback: Loopback) -> None:
    found = there(loopback.address(), lambda c: c.run(["sh", "-c", "echo $HOME; echo 'to \"err' >&2; exit 3"]))
    assert found == (3, f"{loopback.home}\n", 'to "err\n')


def test_a_file_there_and_away(loopback: Loopback, tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(b"x" * 100_000)
    path = str(loopback.home / "there")

    async def do(c: Connection) -> list[bool]:
        found = [await c.has(path, 100_000)]
        await c.put(tmp_path / "here", path)
        found += [await c.has(path, 100_000), await c.has(path, 99_999)]
        await c.remove(path)
        await c.remove(path)
        return [*found, await c.has(path, 100_000)]

    assert there(loopback.address(), do) == [False, True, False, False]


def test_a_file_replaces_another(loopback: Loopback, tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(b"new")
    (loopback.home / "there").write_bytes(b"old")
    there(loopback.address(), lambda c: c.put(tmp_path / "here", str(loopback.home / "there")))
    assert (loopback.home / "there").read_bytes() == b"new"


def test_a_full_disk(loopback: Loopback, tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(b"x" * 100_000)
    loopback.room = 50_000
    with pytest.raises(BoardError, match=r"cannot store .*/there \(0.1 MB\) there; its disk is full"):
        there(loopback.address(), lambda c: c.put(tmp_path / "here", str(loopback.home / "there")))
    assert list(loopback.home.iterdir()) == [], "half a file is no use to anybody"


def test_lines_both_ways(loopback: Loopback) -> None:
    async def do(c: Connection) -> tuple[list[bytes], Any]:
        program = await c.start(["cat"])
        await program.send(b"one\n")
        await program.send(b"two\n")
        lines = program.lines()
        found = [await anext(lines), await anext(lines)]
        return found, await program.close()

    assert there(loopback.address(), do) == ([b"one\n", b"two\n"], (0, ""))


def test_the_status_and_the_last_words(loopback: Loopback) -> None:
    async def do(c: Connection) -> Any:
        program = await c.start(["sh", "-c", "echo why >&2; exit 9"])
        assert [line async for line in program.lines()] == []
        return await program.close()

    assert there(loopback.address(), do) == (9, "why")


def test_a_program_that_was_killed(loopback: Loopback) -> None:
    async def do(c: Connection) -> Any:
        program = await c.start(["exec", "sh", "-c", "kill -SEGV $$"])
        assert [line async for line in program.lines()] == []
        return (await program.close())[0]

    assert there(loopback.address(), do) == -11


def test_a_connection_that_is_cut(loopback: Loopback) -> None:
    async def do(c: Connection) -> Any:
        program = await c.start(["cat"])
        await program.send(b"one\n")
        lines = program.lines()
        await anext(lines)
        loopback.cut()
        with pytest.raises((StopAsyncIteration, ConnectionError)):
            await anext(lines)
        status, _ = await program.close()
        return status

    assert there(loopback.address(), do) is None


@pytest.mark.parametrize(
    "error",
    [
        BrokenPipeError(32, "Broken pipe"),  # to write to a channel that was closed a moment ago
        ConnectionResetError(104, "Connection reset by peer"),
        asyncssh.ConnectionLost("Connection lost"),
        asyncssh.ProtocolError("Bad packet"),
        asyncssh.ChannelOpenError(1, "Channel closed"),
        asyncssh.SFTPConnectionLost("Connection closed"),
        asyncssh.SFTPNoConnection("Connection not open"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_file_when_the_connection_is_cut(error: Exception, tmp_path: Path) -> None:
    class Cut:
        def __getattr__(self, name: str) -> Any:
            async def lost(*_: object) -> None:
                raise error

            return lost

    class Login:
        async def start_sftp_client(self) -> Cut:
            return Cut()

    (tmp_path / "here").write_bytes(b"x")
    connection = Connection("pi5", cast("asyncssh.SSHClientConnection", Login()))
    for doing in (connection.put(tmp_path / "here", "there"), connection.has("there", 1)):
        with pytest.raises(BoardError, match=r"^pi5: the connection was lost \("):
            asyncio.run(doing)


def test_a_path_that_cannot_be_is_no_lost_connection(loopback: Loopback, tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(b"x")
    (loopback.home / "file").write_bytes(b"")
    with pytest.raises(BoardError, match=r"^loopback: cannot (use|store) "):
        there(loopback.address(), lambda c: c.put(tmp_path / "here", str(loopback.home / "file/there")))


# Who is not let in


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = refused(Address("pi", "127.0.0.1", "pi", port))
    assert said.startswith("pi: refuses connections; switch its SSH server on (sudo systemctl enable --now ssh)")


def test_there_is_no_such_host() -> None:
    said = refused(Address("pi@nowhere.invalid", "nowhere.invalid", "pi", 22))
    assert said.startswith("pi@nowhere.invalid: there is no host of this name")


def test_a_host_that_does_not_speak_ssh() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]

        async def go() -> None:
            async def hang_up() -> None:
                sock, _ = await asyncio.get_running_loop().sock_accept(server)
                sock.close()

            server.setblocking(False)
            task = asyncio.create_task(hang_up())
            async with connect(Address("pi", "127.0.0.1", "pi", port)):
                pass
            await task

        with pytest.raises(BoardError, match=r"^pi: cannot be reached \("):
            asyncio.run(go())


def test_another_host_key(loopback: Loopback, tmp_path: Path) -> None:
    known = tmp_path / "known"
    stranger = (loopback.folder / "authorized").read_text()
    known.write_text(f"[127.0.0.1]:{loopback.port} {stranger}")
    said = refused(loopback.address(known_hosts=known))
    assert f"ssh-keygen -R '[127.0.0.1]:{loopback.port}', then ssh -p {loopback.port} pi@127.0.0.1" in said


def test_a_host_that_nobody_knows(loopback: Loopback, tmp_path: Path) -> None:
    (tmp_path / "known").touch()
    assert "its host key is not the one that is known, or none is" in refused(
        loopback.address(known_hosts=tmp_path / "known")
    )


def test_a_key_that_is_not_let_in(loopback: Loopback) -> None:
    said = refused(loopback.address(keys=(loopback.folder / "stranger",)))
    assert said.startswith("loopback: does not let us in (")
    assert "ssh-copy-id" in said


def test_a_damaged_key(loopback: Loopback, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nxx\n")
    assert "SSH cannot be set up" in refused(loopback.address(keys=(tmp_path / "key",)))
