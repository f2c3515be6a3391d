"""How long a client may take to say what it wants: whoever drips a request, byte by byte, is closed.

The server itself waits for ever for the first request's head and for any body nobody reads; hundreds of sockets that
drip would cost it nothing but patience, and us memory. Idle connections between requests are the server's own business.
"""

from __future__ import annotations

import asyncio
from typing import Any

from pipeline.web.problems import in_bytes

SECONDS = 9.5
"""For the head of a request, and as long again for its body: so that whoever drips is gone within ten."""


class Within(asyncio.Protocol):
    """Before one of uvicorn's protocols: each part of a request must be complete in time, however often some of it arrives.

    cycle  the request that was last begun and its answer, as uvicorn keeps it; None before the first one's head is complete
    """

    transport: asyncio.Transport
    cycle: Any

    _part: tuple[object, str] | None = None
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """The first head is awaited from now on."""
        super().connection_made(transport)
        self._await(self._missing())

    def data_received(self, data: bytes) -> None:
        """Take the data; time counts from the first byte of a part, and no later one gives more of it."""
        super().data_received(data)
        self._await(self._missing())

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        self._await(None)
        super().connection_lost(exc)

    def _missing(self) -> tuple[object, str] | None:
        """What is awaited: the body of this request, or the head after it; None while only the answer is."""
        if self.cycle is None or self.cycle.response_complete:
            return self.cycle, "head"
        return (self.cycle, "body") if self.cycle.more_body else None

    def _await(self, part: tuple[object, str] | None) -> None:
        if part == self._part:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._part = part
        self._timer = None if part is None else asyncio.get_running_loop().call_later(SECONDS, self._too_slow)

    def _too_slow(self) -> None:
        # Answered meanwhile, and silent since: the server's own time between two requests runs, and ends it.
        if self.transport.is_closing() or self._missing() != self._part:
            return
        if self._part is not None and self._part[1] == "head":
            self.transport.write(_TOO_SLOW)
        self.transport.close()


def bounded(base: type[asyncio.Protocol]) -> type[asyncio.Protocol]:
    """One of uvicorn's protocols within these limits."""
    return type("Bounded", (Within, base), {})


_TOO_SLOW = in_bytes(408, "This request took too long to arrive.")  # RFC 9110 section 15.5.9
