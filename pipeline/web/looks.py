"""One look at the ledger answers everybody who asked before it began, and, while nothing is committed, everybody after it.

A poll is answered by what stood when it came or later, never by what stood before: so those who come while a look is under
way wait for the next one, together. That is the group commit of `accept`, the other way round.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool

from pipeline.kit.cache import MOST_BYTES
from pipeline.web import feeds
from pipeline.web.stored import Stored

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from pipeline.context import Context


class Looks:
    """What was answered last at each address, bounded by its bytes, and the looks that are under way. For one event loop."""

    def __init__(self, context: Context, most_bytes: int = MOST_BYTES) -> None:
        """Nothing is kept yet."""
        self._context = context
        self._kept: OrderedDict[str, tuple[Stored, int | None]] = OrderedDict()
        self._bytes, self._most = 0, most_bytes
        self._asked: dict[str, asyncio.Future[ASGIApp]] = {}
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def still(self, address: str) -> Stored | None:
        """What was answered at this address, if nothing at all was committed since; asks no thread and reads no row."""
        kept = self._kept.get(address)
        if kept is None:
            return None
        stored, version = kept
        return stored if version is not None and version == self._context.ledger.version() else None

    async def at(self, address: str) -> ASGIApp:
        """What to answer, by a look that begins after this call. Raises what the look raises."""
        if (stored := self.still(address)) is not None:
            return stored
        asked = self._asked.get(address)
        if asked is None:
            asked = self._asked[address] = asyncio.get_running_loop().create_future()
            if address not in self._under_way:
                self._under_way[address] = asyncio.create_task(self._look(address))
        return await asyncio.shield(asked)

    async def _look(self, address: str) -> None:
        """Look, and again for those who asked meanwhile."""
        try:
            while (asked := self._asked.pop(address, None)) is not None:
                try:
                    asked.set_result(await self._once(address))
                except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are told
                    asked.set_exception(error)
                    asked.exception()  # heard, even if all who waited have hung up
        finally:
            del self._under_way[address]

    async def _once(self, address: str) -> ASGIApp:
        version = self._context.ledger.version()  # before the row: what is committed between the two is looked at once more
        kept, _ = self._kept.get(address, (None, None))
        found = await run_in_threadpool(feeds.look, self._context, address, kept)
        self.forget(address)
        if isinstance(found, Stored):
            self._keep(address, found, version)
        return found

    def _keep(self, address: str, stored: Stored, version: int | None) -> None:
        self._kept[address] = (stored, version)
        self._bytes += _size(stored)
        while self._bytes > self._most:
            self.forget(next(iter(self._kept)))

    def forget(self, address: str) -> None:
        """Keep nothing of this address."""
        kept = self._kept.pop(address, None)
        if kept is not None:
            self._bytes -= _size(kept[0])


def _size(stored: Stored) -> int:
    return sum(map(len, stored.bodies.values()))
