"""A farm of boards: places of a labgrid coordinator, which are ours for as long as they are needed.

labgrid shares boards out: exporters tell a coordinator how each is reached, and who wants one acquires its place. A place that
was acquired stays so until it is released, also when whoever has it is gone; so all here is about releasing. Of a place only
its ``NetworkService`` is used, which says where SSH finds the board. Keys are the user's own; a password in it is not used.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

from levit_mobile.bench import emulated
from levit_mobile.bench.address import Address
from levit_mobile.errors import BoardError, RuntimeMissingError, UsageError, cannot_load, install_hint

__all__ = ["Farm", "coordinator_address"]

_DEFAULT, _PORT = "127.0.0.1", 20408  # labgrid's own
_CONNECT_S, _ANSWER_S = 15, 30
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def coordinator_address(chosen: str | None = None) -> str:
    """``HOST:PORT`` of the coordinator: as chosen, or as ``LG_COORDINATOR`` says, or this machine's.

    Raises:
        UsageError: it is no such address.
    """
    text = chosen or os.environ.get("LG_COORDINATOR") or _DEFAULT
    bare = text.startswith("[") and text.endswith("]")  # an IPv6 address, without a port
    host, colon, port = (text, "", "") if bare else text.rpartition(":") if ":" in text else (text, "", "")
    strange = not re.fullmatch(r"\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+", host)
    if strange or (colon and not (port.isdecimal() and 0 < int(port) < 1 << 16)):
        raise UsageError(f"{text!r} is no coordinator; type --coordinator HOST:PORT, or set LG_COORDINATOR to it")
    return f"{host}:{port or _PORT}"


class Farm:
    """Places of a coordinator. ``async with Farm(["rpi5"]) as addresses:`` has them for as long as the block lasts.

    Args:
        selectors: names or aliases of places, and tags of places (``board=rpi5``). A place that is named has to be free; of
            those with a tag all are taken that are free.
        coordinator: ``HOST:PORT``; None: see ``coordinator_address``.
        tell: is called with a sentence about each place that was left out, or could not be released.
    """

    def __init__(
        self,
        selectors: Sequence[str],
        coordinator: str | None = None,
        *,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._selectors, self._coordinator = list(dict.fromkeys(selectors)), coordinator_address(coordinator)
        self._tell = tell
        self._held: list[str] = []

    async def __aenter__(self) -> list[Address]:
        try:
            return await self.acquire()
        except BaseException:
            await self.release()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release()

    async def acquire(self) -> list[Address]:
        """Acquire them, by name. Whatever comes of it, ``release`` has to be called then.

        Raises:
            BoardError: the coordinator is not reached, there is no such place, or it cannot be had or used.
            RuntimeMissingError: labgrid is not installed.
            UsageError: a selector is neither a name nor a tag.
        """
        async with _session(self._coordinator) as session:
            chosen = _choose(session.places, self._selectors)
            addresses, left_out = [], []
            for name in sorted(chosen):
                try:
                    address = _address(session, session.places[name])
                    await self._acquire(session, name)
                except BoardError as error:
                    if chosen[name]:
                        raise
                    left_out.append(error)
                else:
                    addresses.append(address)
        if not addresses:
            raise BoardError("; ".join(map(str, left_out)))
        for reason in left_out:
            self._tell(f"left out: {reason}")
        return addresses

    async def release(self) -> None:
        """Release what was acquired, and nothing that somebody else has by now. Errors are told, not raised."""
        if not self._held:
            return
        try:
            async with _session(self._coordinator) as session:
                for name in list(self._held):
                    try:
                        await _ask(session, "ReleasePlace", placename=name, fromuser=_me(session))
                    except _RefusedError as error:  # which is no reason to keep the others
                        self._tell_kept(name, error)
                    self._held.remove(name)
        except BoardError as error:
            for name in self._held:
                self._tell_kept(name, error)

    def _tell_kept(self, name: str, error: BoardError) -> None:
        self._tell(f"the place {name} was not released ({error}); type: {_client(self._coordinator, name)} release")

    async def _acquire(self, session: Any, name: str) -> None:
        _see_that_it_is_free(session, name)

        async def ask() -> None:
            try:
                await _ask(session, "AcquirePlace", placename=name)
            except (_UnansweredError, asyncio.CancelledError):
                self._held.append(name)  # perhaps; it was free, so nobody else loses it
                raise
            self._held.append(name)

        try:
            await _to_its_end(ask())  # only the answer tells whether there is something to release
        except _RefusedError as error:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(session.sync_with_coordinator(), _ANSWER_S)
            _see_that_it_is_free(session, name)  # another client was faster
            raise BoardError(f"the place {name} cannot be acquired: {error}") from error


class _RefusedError(BoardError):
    """The coordinator said no."""


class _UnansweredError(BoardError):
    """The coordinator said nothing, or is gone."""


def _packages() -> tuple[Any, Any, Any]:
    try:
        import grpc
        from labgrid.remote import client
        from labgrid.remote.generated import labgrid_coordinator_pb2
    except ModuleNotFoundError as error:
        raise RuntimeMissingError(f"a farm of boards needs the package labgrid; {install_hint('labgrid')}") from error
    except ImportError as error:
        raise cannot_load("labgrid", error) from error
    return client, labgrid_coordinator_pb2, grpc


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """labgrid tells the root logger what we tell people. Sessions may overlap, so each takes away what is its own."""
    handler = logging.NullHandler()  # without any, the root logger would make one that prints

    def others(record: logging.LogRecord) -> bool:
        return "labgrid" not in record.pathname

    logging.root.addHandler(handler)
    logging.root.addFilter(others)
    try:
        yield
    finally:
        logging.root.removeFilter(others)
        logging.root.removeHandler(handler)


async def _open(address: str) -> Any:
    client, _, grpc = _packages()
    session = client.ClientSession(address, asyncio.get_running_loop())
    # gRPC gives all that a process opens one connection. The coordinator tells clients apart by theirs, and refuses a second
    # on it, also where it has not noticed yet that the first has gone.
    shared, own = session.channel, grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
    session.channel, session.stub = own, type(session.stub)(own)
    await shared.close()
    return session


@contextlib.asynccontextmanager
async def _session(address: str) -> AsyncIterator[Any]:
    """labgrid's own ``ClientSession``: ``places`` and ``resources`` by name, and ``stub`` to ask for more."""
    client, _, _ = _packages()
    with _unlogged():
        session = await _open(address)
        try:
            try:
                async with asyncio.timeout(_CONNECT_S):
                    await session.start()
            except (TimeoutError, client.ServerError) as error:
                raise BoardError(
                    f"labgrid's coordinator {address} cannot be reached; see that labgrid-coordinator runs there, or type "
                    "--coordinator HOST:PORT"
                ) from error
            yield session
        finally:
            await _to_its_end(session.stop())  # which would swallow a Ctrl-C
            await session.close()


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Await something; a task that is cancelled meanwhile is so when that is done."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise


async def _ask(session: Any, what: str, **about: str) -> None:
    _, messages, grpc = _packages()
    try:
        await getattr(session.stub, what)(getattr(messages, f"{what}Request")(**about), timeout=_ANSWER_S)
    except grpc.aio.AioRpcError as error:
        if error.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE):
            raise _UnansweredError("labgrid's coordinator does not answer any more") from error
        raise _RefusedError(error.details() or error.code().name) from error


def _client(coordinator: str, place: str) -> str:
    """What to type to do something with a place."""
    return f"labgrid-client -x {coordinator} -p {place}"


def _me(session: Any) -> str:
    return f"{session.gethostname()}/{session.getuser()}"


def _choose(places: Mapping[str, Any], selectors: Iterable[str]) -> dict[str, bool]:
    """Names of places, and whether each was asked for by name."""
    chosen: dict[str, bool] = {}
    for selector in selectors:
        key, equals, value = selector.partition("=")
        if not key or (equals and not value):
            raise UsageError(f"--labgrid {selector!r} is neither a place nor a tag; type PLACE or TAG=VALUE")
        if equals:
            found = [place.name for place in places.values() if place.tags.get(key) == value]
            known = sorted({f"{k}={v}" for place in places.values() for k, v in place.tags.items()})
            what, others = (
                f"place with the tag {selector}",
                f"tags are: {', '.join(known)}" if known else "it has no tags",
            )
        else:
            found = [place.name for place in places.values() if selector == place.name or selector in place.aliases]
            what, others = f"place {selector}", f"places are: {', '.join(sorted(places))}" if places else "it has none"
        if not found:
            raise BoardError(f"labgrid's coordinator has no {what}; {others}")
        for name in found:
            chosen[name] = chosen.get(name, False) or not equals
    return chosen


def _see_that_it_is_free(session: Any, name: str) -> None:
    who = session.places[name].acquired
    if not who:
        return
    if who == _me(session):
        raise BoardError(
            f"the place {name} is acquired already, by you ({who}); wait until that is done, or if nothing uses it, type: "
            f"{_client(session.address, name)} release"
        )
    raise BoardError(f"the place {name} is acquired by {who}; wait until it is released, or choose another")


def _address(session: Any, place: Any) -> Address:
    """Where the board of a place is."""
    found = {}
    for exporter, groups in session.resources.items():
        for group, members in groups.items():
            for name, resource in members.items():
                kind = resource.data.get("cls")  # none: of a resource that is gone
                if kind == "NetworkService" and resource.avail and place.hasmatch((exporter, group, kind, name)):
                    found[f"{exporter}/{group}/{kind}/{name}"] = resource.params
    if len(found) > 1:
        raise BoardError(
            f"the place {place.name} has several SSH resources ({', '.join(sorted(found))}); leave it a match for one: "
            f"{_client(session.address, place.name)} del-match ..."
        )
    if not found:
        raise BoardError(
            f"the place {place.name} has no SSH resource (NetworkService); see that its exporter runs, and its matches: "
            f"{_client(session.address, place.name)} show"
        )
    (about,) = found.values()
    host, user, port = str(about["address"]), str(about["username"]), int(about.get("port") or 0) or None
    if host in _LOOPBACK:
        for board in emulated.status():
            if board.running and board.port == port:
                return Address(place.name, board.host, user, port, [board.key], board.known_hosts, emulated=True)
    return Address(place.name, host, user, port)
