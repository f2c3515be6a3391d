"""`POST /webhooks/{source}`: read no more than allowed, check the signature, store, answer.

Always JSON, never a redirect, never 410, inside 2 s: some senders drop a webhook for ever on any of these.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from pipeline.accept import Accepted, Busy, Conflict, admit
from pipeline.kit import metrics, strictjson
from pipeline.kit.signatures import BadSignature
from pipeline.model.errors import Unavailable
from pipeline.model.event import Problem
from pipeline.web.problems import problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from pipeline.accept import Acceptor
    from pipeline.context import Context
    from pipeline.model.event import Event
    from pipeline.model.settings import Source

BODY_SECONDS = 9.0  # less than `deadlines.SECONDS`, after which nobody is told why
RETRY = {"Retry-After": "2"}
UNSIGNED = "This webhook is not signed as this address expects (Standard Webhooks: webhook-id, webhook-timestamp, webhook-signature)."
UPGRADE = "Send it without Upgrade, as plain HTTP/1.1; in Java that is HttpClient.Version.HTTP_1_1."
_JSON = re.compile(r"application/(?:[a-z0-9!#$&^_.-]+\+)?json", re.IGNORECASE)  # one media type (RFC 6838 4.2, 4.2.8), not two


class TooLarge(Exception):
    """The body is longer than allowed."""


async def receive(request: Request) -> Response:
    """Answer one webhook: 202, or a problem document."""
    context: Context = request.app.state.context
    began = context.clock.monotonic()
    name = request.path_params["source"]
    source = context.settings.source(name)
    answer = await _answer(request, context, source)
    metrics.webhooks.labels(name if source else "unknown", str(answer.status_code)).inc()
    metrics.accept_seconds.observe(context.clock.monotonic() - began)
    return answer


async def _answer(request: Request, context: Context, source: Source | None) -> Response:
    """Read, then check, then store: each may have the last word."""
    body = await _body(request, context.settings.limits.body_bytes)
    if isinstance(body, Response):
        return body
    event = _event(request, context, source, body)
    return event if isinstance(event, Response) else await _store(request, context, event)


def _unfit(headers: Mapping[str, str]) -> Response | None:
    """The refusal of what cannot be read, whatever it says."""
    if headers.get("content-encoding", "identity").lower() != "identity":
        return problem(415, "Send the body as it is, without Content-Encoding.")
    if not _is_json(headers.get("content-type", "")):
        return problem(415, "Send application/json.")
    if _upgrades(headers.get("connection", "")):
        return problem(400, UPGRADE)
    return None


async def _body(request: Request, most: int) -> bytes | Response:
    if (refused := _unfit(_headers(request))) is not None:
        return refused
    try:
        return await read_body(request, most)
    except TooLarge:
        return problem(413, f"A webhook may have {most} bytes at most.", headers={"Connection": "close"})
    except TimeoutError:
        return problem(400, f"The body did not arrive within {BODY_SECONDS:.0f} s.", headers={"Connection": "close"})
    except ClientDisconnect:
        return problem(400, "The body ended before its time.", headers={"Connection": "close"})  # for the count: nobody hears it


def _event(request: Request, context: Context, source: Source | None, body: bytes) -> Event | Response:
    if source is None:
        context.log.info("webhook refused", source="unknown", outcome="there is no such source")
        return problem(401, UNSIGNED)
    try:
        event = admit(source, _headers(request), body, context)
    except BadSignature as error:
        context.log.info("webhook refused", source=source.name if source else "unknown", outcome=error.reason)
        return problem(401, UNSIGNED)
    if not source.enabled:
        return problem(403, "This source is switched off.")
    try:
        strictjson.loads(body, max_depth=context.settings.limits.json_depth)
    except strictjson.BadJson as error:
        return problem(400, error.detail, errors=[Problem(error.pointer, error.detail)])
    return event


async def _store(request: Request, context: Context, event: Event) -> Response:
    acceptor: Acceptor = request.app.state.acceptor
    try:
        async with asyncio.timeout(context.settings.limits.accept_seconds):
            accepted = await asyncio.wrap_future(acceptor.submit(event))
    except Conflict:
        return problem(409, "This webhook-id was used before for another body. A new event needs a new id.")
    except (Busy, Unavailable, TimeoutError):
        return problem(503, "The event could not be stored just now. Send it again, with the same webhook-id.", headers=RETRY)
    return _accepted(context, accepted)


def _accepted(context: Context, accepted: Accepted) -> Response:
    url = f"{context.settings.server.public_url}events/{accepted.event_id}"
    content: dict[str, object] = {"event_id": accepted.event_id, "status": "accepted", "status_url": url}
    return JSONResponse(content, 202, {"Location": url, "Cache-Control": "no-store"})


def _is_json(content_type: str) -> bool:
    return _JSON.fullmatch(content_type.partition(";")[0].strip()) is not None


def _upgrades(connection: str) -> bool:
    """Whether the sender wants to go on in another protocol: uvicorn with httptools takes such a request for one without a body."""
    return "upgrade" in (token.strip().lower() for token in connection.split(","))


def _headers(request: Request) -> dict[str, str]:
    """Names in lower case; a header given twice is joined, so that nobody reads only the half that suits."""
    joined: dict[str, str] = {}
    for name, value in request.headers.items():
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


async def read_body(request: Request, most: int) -> bytes:
    """The body, at most `most` bytes of it. Raises TooLarge while reading, TimeoutError when it drips."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        raise TooLarge
    body = bytearray()
    async with asyncio.timeout(BODY_SECONDS):
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                raise TooLarge
    return bytes(body)
