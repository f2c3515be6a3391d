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
from pipeline.building import utc_seconds_up
from pipeline.ledger import documents
from pipeline.mirror_documents import MARKER
from pipeline.model.document import DocumentStatus
from pipeline.model.errors import Unavailable
from pipeline.model.settings import Kind, outlet_key
from pipeline.pages import CONTENT_SECURITY_POLICY
from pipeline.web import conditional
from pipeline.web.problems import problem

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import Row
    from starlette.requests import Request

    from pipeline.backends import Backend
    from pipeline.context import Context
    from pipeline.ledger.engine import Tx

# Each page names the hash of its own style in a meta element; a page stored by an older version has another style.
PAGES = re.sub(r"style-src '[^']*'", "style-src 'unsafe-inline'", CONTENT_SECURITY_POLICY)
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
            recovery.torn(context, row)
        return _damaged()
    return _respond(request, context, row, body)


def _under_way(request: Request, context: Context, backend: Backend, row: Row[Any], body: bytes) -> Response:
    """Nobody has settled yet what stands there: the marker says whether it is withdrawn, the hash whether it is what stood before."""
    if not body or row.sha256 == documents.TORN:
        return _damaged()
    headers = {"Content-Type": row.media_type, "Cache-Control": "no-cache", **_safe(row.media_type)}
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
        return Response(body, 410, {"Content-Type": row.media_type, "Cache-Control": "no-cache", **_safe(row.media_type)})
    modified = utc_seconds_up(row.changed_at)
    headers = {
        "ETag": conditional.etag(row.sha256),
        "Last-Modified": conditional.http_date(modified),
        "Cache-Control": "public, max-age=60",
        **_safe(row.media_type),
    }
    if conditional.not_modified(request.headers, headers["ETag"], modified, context.clock.now()):
        return Response(status_code=304, headers=headers)
    return Response(body, headers={**headers, "Content-Type": row.media_type})


def _safe(media_type: str) -> dict[str, str]:
    policy = PAGES if media_type.startswith("text/html") else "default-src 'none'"
    return {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "strict-origin-when-cross-origin"}
