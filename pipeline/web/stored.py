"""A stored document as an answer: its own headers, validators that tell the truth, 304 where that is right.

What does not depend on the request is put together once, so that a poll costs a comparison of tags and little else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from pipeline.building import utc_seconds_up
from pipeline.web import conditional

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from sqlalchemy import Row
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from pipeline.context import Context
    from pipeline.kit.clock import Clock

RawHeaders = list[tuple[bytes, bytes]]
IDENTITY = ""


@dataclass(frozen=True, slots=True)
class _Form:
    """A document in one content coding: its tag, its bytes, and the headers of a 200 and of a 304."""

    tag: str
    body: bytes
    whole: RawHeaders
    unmodified: RawHeaders


class Stored:
    """A document that stands, in each coding there is of it. An ASGI application: 200 or 304, to GET and HEAD."""

    def __init__(self, row: Any, bodies: Mapping[str, bytes], headers: Mapping[str, str], clock: Clock) -> None:
        """`bodies` are the bytes by content coding, the best one first; under IDENTITY those whose hash the row has."""
        # Rounded down until it is still, then up. Who polls by curl's time condition beside a tag, as newsboat does, takes no document
        # whose date is not later than the one before; so what changed twice within a second must not have had the later date already.
        self._modified, self._clock, self._still = utc_seconds_up(row.changed_at), clock, False
        dates = {False: row.changed_at.replace(microsecond=0), True: self._modified}
        self._codings, self.bodies = tuple(bodies), bodies
        self._forms = {
            (coding, still): _form(row, coding, body, date, headers) for coding, body in bodies.items() for still, date in dates.items()
        }
        self.sha256: str = row.sha256
        self._told = _told(row)

    def is_of(self, row: Any) -> bool:
        """Whether it would be the same made of this row."""
        return self._told == _told(row)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI has it
        """Answer. The server leaves the body of an answer to HEAD away."""
        status, headers, body = self.to(scope["headers"])
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def to(self, headers: Iterable[tuple[bytes, bytes]]) -> tuple[int, RawHeaders, bytes]:
        """(status, headers, body) for a request with these headers."""
        asked: dict[str, str] = {}
        for name, value in headers:
            if (known := _ASKED.get(name)) is not None:
                # A list may come in several lines (RFC 9110 5.3).
                asked[known] = f"{asked[known]}, {value.decode('latin-1')}" if known in asked else value.decode("latin-1")
        self._still = self._still or conditional.is_still(self._modified, self._clock.now())
        form = self._forms[conditional.best(asked.get("accept-encoding", ""), self._codings), self._still]
        if conditional.not_modified(asked, form.tag, self._modified, still=self._still):
            return 304, form.unmodified, b""
        return 200, form.whole, form.body


def _told(row: Any) -> tuple[object, ...]:
    return (row.outlet, row.sha256, row.media_type, row.changed_at, row.twins_sha)


_ASKED = {name.encode(): name for name in ("accept-encoding", "if-none-match", "if-modified-since")}


def _form(row: Any, coding: str, body: bytes, date: datetime, headers: Mapping[str, str]) -> _Form:
    tag = conditional.etag(row.sha256, coding)
    told = {"ETag": tag, "Last-Modified": conditional.http_date(date), **headers}
    of_body = {"Content-Type": row.media_type, "Content-Length": str(len(body)), **({"Content-Encoding": coding} if coding else {})}
    return _Form(tag, body, raw({**told, **of_body}), raw(told))


def raw(headers: Mapping[str, str]) -> RawHeaders:
    """As ASGI wants them: names in lower case, in bytes."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def respond(request: Request, context: Context, row: Row[Any], body: bytes, headers: Mapping[str, str]) -> Response:
    """200 with the bytes of a row, or 304: for what is not worth keeping."""
    status, told, answered = Stored(row, {IDENTITY: body}, headers, context.clock).to(request.headers.raw)
    response = Response(answered, status)
    response.raw_headers = told
    return response
