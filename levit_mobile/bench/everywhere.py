"""The same bundles on several places at once; one that fails does not stop the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from levit_mobile.bench.address import Address
from levit_mobile.bench.board import BoardPlace
from levit_mobile.bench.measure import measure
from levit_mobile.bench.place import HostPlace
from levit_mobile.bench.result import Results
from levit_mobile.bench.settings import Settings
from levit_mobile.bench.ssh import connect
from levit_mobile.bench.subject import Subject
from levit_mobile.errors import LevitMobileError

__all__ = ["Told", "measure_everywhere"]

# (place, what it does, inferences so far or None, the latest median in milliseconds or None)
Told = Callable[[str, str, "int | None", "float | None"], None]


async def measure_everywhere(
    addresses: Sequence[Address], subjects: Sequence[Subject], settings: Settings, results: Results, tell: Told
) -> dict[str, LevitMobileError]:
    """Measure on this host, if no board is named, or on all boards.

    Returns:
        What went wrong, by place; ``results`` has what was measured all the same.
    """
    failed: dict[str, LevitMobileError] = {}

    async def one(address: Address | None) -> None:
        name = HostPlace.name if address is None else address.name
        try:
            if address is None:
                await measure(HostPlace(), subjects, settings, results, lambda *said: tell(name, *said))
                return
            tell(name, "connecting", None, None)
            async with connect(address) as connection:
                place = BoardPlace(connection, emulated=address.emulated)
                tell(name, "setting up", None, None)
                await measure(place, subjects, settings, results, lambda *said: tell(name, *said))
            tell(name, "done", None, None)
        except LevitMobileError as error:
            tell(name, "failed", None, None)
            failed[name] = error
        except OSError as error:  # of this machine's disk, for one; the other places go on
            tell(name, "failed", None, None)
            failed[name] = LevitMobileError(f"{name}: {error}")

    async with asyncio.TaskGroup() as group:
        if not addresses:
            group.create_task(one(None))
        for address in addresses:
            group.create_task(one(address))
    return failed
