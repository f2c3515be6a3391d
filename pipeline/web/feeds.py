"""`GET /{site}/feeds/{feed}.{rss,atom,json}`: the document as stored, with validators that tell the truth."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from pipeline.kit import metrics
from pipeline.ledger import deliveries, documents
from pipeline.model.settings import Kind, outlet_key
from pipeline.web import conditional
from pipeline.web.problems import problem
from pipeline.web.stored import respond

if TYPE_CHECKING:
    from sqlalchemy import Row
    from starlette.requests import Request

    from pipeline.context import Context
    from pipeline.kit.cache import Weighed

CACHE = "public, max-age=60, stale-while-revalidate=600, stale-if-error=86400"
HEADERS = {
    "Cache-Control": CACHE,
    "Vary": "Accept-Encoding",
    "Access-Control-Allow-Origin": "*",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'",
}
"""Of every feed, at a mirror too."""

CODINGS = (("br", ".br"), ("gzip", ".gz"))
LOOKS, PAUSE = 10, 0.01


def serve(request: Request) -> Response:
    """One feed document; 404 where there is no such feed, 503 while its bytes and its row disagree."""
    context: Context = request.app.state.context
    site, file = request.path_params["site"], request.path_params["file"]
    feed = file.rpartition(".")[0]
    path = f"{site}/feeds/{file}"
    key = outlet_key(site, Kind.FEED, feed)
    try:
        context.outlet(key)
    except KeyError:
        return problem(404, f"There is no feed “{feed}” of “{site}”.")
    found = _consistent(context, request.app.state.bodies, key, path)
    if isinstance(found, Response):
        return found
    row, body = found
    return _respond(request, context, key, path, row, body)


def _consistent(context: Context, bodies: Weighed[tuple[str, str], bytes], key: str, path: str) -> Response | tuple[Row[Any], bytes]:
    """The row and bytes that belong together. A run renames first and settles a moment later: look again for that moment.

    Bytes once held against their row's hash are kept in memory under it, so a poll reads a row and nothing else.
    """
    for _ in range(LOOKS):
        with context.ledger.read() as tx:
            row = documents.one(tx, key, path)
        if row is None:
            return problem(404, "This feed has not been built yet: nothing was published in it so far.")
        body = bodies.get((path, row.sha256))
        if body is not None:
            return row, body
        body = context.origin(key).get(path)
        if body is not None and len(body) == row.size and hashlib.sha256(body).hexdigest() == row.sha256:
            bodies.put((path, row.sha256), body, len(body))
            return row, body
        time.sleep(PAUSE)
    _damaged(context, key, path)
    return problem(503, "This document is being made again.", headers={"Retry-After": "2"})


def _damaged(context: Context, key: str, path: str) -> None:
    """What stands there is not what the ledger says, and not for a moment: have it made again."""
    metrics.alerts.labels("feed damaged").inc()
    context.log.error("feed damaged", outlet=key, path=path)
    with context.ledger.write() as tx:
        documents.forget(tx, key, [path])
        deliveries.again(tx, key, ())


def _respond(request: Request, context: Context, key: str, path: str, row: Row[Any], body: bytes) -> Response:
    coding = ""
    if row.twins_sha == row.sha256:
        for name, suffix in CODINGS:
            packed = (
                context.origin(key).get(path + suffix) if conditional.accepts(request.headers.get("accept-encoding", ""), name) else None
            )
            if packed is not None:
                coding, body = name, packed
                break
    return respond(request, context, row, body, HEADERS, coding)
