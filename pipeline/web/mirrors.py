"""`GET /mirrors/{site}/{mirror}/…`: local mirrors that have no web server of their own yet.

A run names a path in the ledger, puts it, and settles a moment later: in between the row speaks of other bytes than
those that stand, so what is answered then carries no validator and is kept by nobody.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response

from pipeline import recovery
from pipeline.ledger import documents
from pipeline.mirror_documents import MARKER
from pipeline.model.document import DocumentStatus
from pipeline.model.errors import Unavailable
from pipeline.model.settings import Kind, outlet_key
from pipeline.web import feeds
from pipeline.web.problems import problem
from pipeline.web.stored import respond

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import Row
    from starlette.requests import Request

    from pipeline.backends import Backend
    from pipeline.context import Context
    from pipeline.ledger.engine import Tx

_SHORT = re.compile(r"(?:^|-)([a-z2-7]{10})/(?:index\.html)?$")


def serve(request: Request) -> Response:
    """A document of a local mirror: 200, 301 for an article's former name, 410 for a withdrawn one, 503 for a damaged one."""
    context: Context = request.app.state.context
    site_name, name, path = (request.path_params[part] for part in ("site", "mirror", "path"))
    key = outlet_key(site_name, Kind.MIRROR, name)
    try:
        site, _, _ = context.outlet(key)
    except KeyError:
        return problem(404, f"There is no mirror “{name}” of “{site_name}”.")
    mirror = next(m for m in site.mirrors if m.name == name)
    stored = f"{path}index.html" if not path or path.endswith("/") else path
    with context.ledger.read() as tx:
        row = documents.one(tx, key, stored)
        other = _elsewhere(tx, key, path) if row is None else None
    if other is not None:
        return RedirectResponse(mirror.base_url + other, 301)
    if row is None:
        return problem(404, "There is no such page at this mirror.")
    if row.status == DocumentStatus.MOVED.value:
        return RedirectResponse(row.moved_to, 301)
    return _stored(request, context, context.mirror_backend(key, mirror), row)


def _stored(request: Request, context: Context, backend: Backend, row: Row[Any]) -> Response:
    body = backend.get(row.path)
    if body is None and row.status != DocumentStatus.LIVE.value:
        return problem(404, "This page is not here any more.")
    if body is not None and row.status == DocumentStatus.WRITING.value:
        return _under_way(request, context, backend, row, body)
    if body is None or len(body) != row.size:
        with contextlib.suppress(Unavailable):
            recovery.torn(context, row.outlet, [row])
        return _damaged()
    return _respond(request, context, row, body)


def _under_way(request: Request, context: Context, backend: Backend, row: Row[Any], body: bytes) -> Response:
    """Nobody has settled yet what stands there: the marker says whether it is withdrawn, the hash whether it is what stood before."""
    if not body or row.sha256 == documents.TORN:
        return _damaged()
    headers = {**_headers(context, row), "Content-Type": row.media_type, "Cache-Control": "no-cache"}
    if row.article_id is not None and backend.stat(f"{row.path.rpartition('/')[0]}/{MARKER}") is not None:
        return Response(body, 410, headers)
    if hashlib.sha256(body).hexdigest() != row.sha256:
        return Response(body, headers=headers)
    return RedirectResponse(row.moved_to, 301) if row.moved_to else _respond(request, context, row, body)


def _damaged() -> Response:
    return problem(503, "This document is being made again.", headers={"Retry-After": "2"})


def _elsewhere(tx: Tx, key: str, path: str) -> str | None:
    """The id decides: the right page for a path with the right short id and another name, or without its slash."""
    match = _SHORT.search(path if path.endswith(("/", ".html")) else path + "/")
    row = documents.page_of(tx, key, match[1]) if match else None
    return str(row.path).removesuffix("index.html") if row else None


def _respond(request: Request, context: Context, row: Row[Any], body: bytes) -> Response:
    if row.status == DocumentStatus.GONE.value:
        return Response(body, 410, {**_headers(context, row), "Content-Type": row.media_type, "Cache-Control": "no-cache"})
    return respond(request, context, row, body, _headers(context, row))


def _headers(context: Context, row: Row[Any]) -> dict[str, str]:
    """Of a page, robots.txt and the like; a feed is answered as at the origin."""
    if row.path.startswith("feeds/"):
        site, _, _ = context.outlet(row.outlet)
        told = feeds.headers(site, f"{site.name}/{row.path}")
        return {name: value for name, value in told.items() if name != "Link"}  # no hub tells of a mirror
    return {
        "Cache-Control": "public, max-age=60",
        "Content-Security-Policy": feeds.PAGES if row.media_type.startswith("text/html") else "default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "strict-origin-when-cross-origin",
    }
