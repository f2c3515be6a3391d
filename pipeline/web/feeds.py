"""`GET /{site}/feeds/…`, `/{site}/sitemaps/…`, `/{site}/items/…`: what stands at a site's origin, as it is stored.

**The rule of a GET**: the bytes are those whose hash the ledger's row has, and the row is the one that stood when the request
came, or a later one. So a document that is settled is seen by the very next GET, and none older is ever answered after it.

A row is read for every request, unless nothing was committed since it was read (`Ledger.version`, SQLite only): then what was
answered last is answered again, without a thread, a route or a transaction. Where it is read, all who ask meanwhile wait for
one look that began after they asked (`looks`). Bytes once held against their row's hash are kept in memory; a file that changes
before its row does, as in the moment between a run's rename and its settling, or after a crash there, is not even opened.
"""

from __future__ import annotations

import hashlib
import re
import time
from typing import TYPE_CHECKING, Any

from starlette.responses import RedirectResponse, Response

from pipeline import recovery
from pipeline.building import SUBSCRIBED, formats_of, hub_urls
from pipeline.kit import metrics, websub
from pipeline.ledger import archives, deliveries, documents
from pipeline.model.document import DocumentStatus
from pipeline.pages import CONTENT_SECURITY_POLICY
from pipeline.paging import page_of
from pipeline.web import cors, made
from pipeline.web.problems import problem
from pipeline.web.stored import IDENTITY, Stored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Row
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from pipeline.context import Context
    from pipeline.model.settings import Site

CACHE = "public, max-age=60, stale-while-revalidate=600, stale-if-error=86400"
"""Of a feed, its page and an item. Two minutes are usual; one is what a cache in between may show a correction or a withdrawal late while
somebody polls through it, and it costs no more than a 304 a minute for each cache: those who poll us directly send their tag either way."""

ARCHIVE = "public, max-age=3600, must-revalidate"
"""Of a page of an archive. It changes for nothing but a correction or a withdrawal, so nobody may show it unasked for long, nor
while we are away: `immutable` (RFC 8246), or a year, would be a promise that a withdrawal breaks. Asking again costs a 304."""

LISTS = "public, max-age=600, stale-if-error=86400"
"""Of sitemaps and OPML: read by few, and seldom."""

GONE = "no-cache"
"""Of the notice in a closed feed's place: who opens it again must not be told by a cache that it is gone."""

MOVED = "public, max-age=3600"
"""Of a renamed feed's former address: a 301 without it may be kept for ever (RFC 9111 4.2.2), and a name may be used again."""

HEADERS = {
    "Cache-Control": CACHE,
    "Vary": "Accept-Encoding",
    **cors.ANYBODY,
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'",
}
"""Of every feed, at a mirror too."""

# A page names the hash of its own style in a meta element; one stored by an older version has another style.
PAGES = re.sub(r"style-src '[^']*'", "style-src 'unsafe-inline'", CONTENT_SECURITY_POLICY)

LINKED = frozenset({"rss", "atom", "json"})
"""Extensions of what readers subscribe to: the web servers of `deploy/` say the same of these and of no other."""

CODINGS = (("br", ".br"), ("gzip", ".gz"))
LOOKS, PAUSE = 10, 0.01
_ARCHIVE_PAGE = re.compile(r"-\d{4}-\d{2}-\d+\Z")


async def serve(request: Request) -> ASGIApp:
    """One document of a site's origin: 200 or 304, 301 and 410 as its row says, 404 where there is none, 503 for a damaged one."""
    answer: ASGIApp = await request.app.state.looks.at(request.scope["path"])
    return answer


def look(context: Context, address: str, kept: Stored | None) -> ASGIApp:
    """What to answer for an address now, by its row; `kept` is what was answered before, whose bytes need no reading again.

    A run renames first and settles a moment later: where row and bytes disagree, they are looked at again for that moment.
    """
    path = address.removeprefix("/")
    site = next((s for s in context.settings.sites if s.name == path.partition("/")[0]), None)
    if site is None:
        return problem(404, "There is no such site.")
    answer, looks = _answer(context, site, path, kept), 1
    while looks < LOOKS and not callable(answer):
        time.sleep(PAUSE)
        answer, looks = _answer(context, site, path, kept), looks + 1
    if callable(answer):
        return answer
    _damaged(context, answer)
    return problem(503, "This document is being made again.", headers={"Retry-After": "2"})


def _answer(context: Context, site: Site, path: str, kept: Stored | None) -> ASGIApp | Row[Any]:
    """What the row says; the row itself where other bytes stand than it says."""
    with context.ledger.glance() as tx:
        row: Row[Any] | None = documents.at_site(tx, site.name, path)
    if row is None:
        with context.ledger.read() as tx:  # several statements, and one view for them
            return made.document(context, tx, site, path, headers(site, path)) or _ended(site, path) or _nothing(site, path)
    if row.status in {DocumentStatus.MOVED.value, DocumentStatus.GONE.value}:
        return _elsewhere(context, row)
    if kept is not None and kept.is_of(row):
        return kept
    known = kept.bodies if kept is not None and kept.sha256 == row.sha256 else {}
    body = known.get(IDENTITY) or _bytes(context, row)
    return row if body is None else Stored(row, _bodies(context, row, body, known), headers(site, path), context.clock)


def headers(site: Site, path: str) -> dict[str, str]:
    """What a document is told with beside its type and validators, by its address."""
    folder, _, file = path.partition("/")[2].partition("/")
    if folder == "sitemaps" or file == "opml.xml":
        return {**HEADERS, "Cache-Control": LISTS}
    if folder == "feeds" and is_archive_page(site, file):
        return {**HEADERS, "Cache-Control": ARCHIVE}
    if file.endswith(".html"):
        return {**HEADERS, "Content-Security-Policy": PAGES, "Referrer-Policy": "strict-origin-when-cross-origin"}
    return {**HEADERS, **_links(site, folder, file)}


def _links(site: Site, folder: str, file: str) -> dict[str, str]:
    """Where changes of this very document are told (W3C WebSub section 4)."""
    name, _, extension = file.partition(".")
    is_topic = folder == SUBSCRIBED and extension in LINKED and any(feed.name == name for feed in site.feeds)
    hubs = hub_urls(site) if is_topic else ()
    return {"Link": websub.links(hubs, site.base(folder) + file)} if hubs else {}


def is_archive_page(site: Site, file: str) -> bool:
    """Whether a file's name is that of a page `<feed>-<yyyy>-<mm>-<n>`, and of no feed."""
    stem = file.partition(".")[0]
    return _ARCHIVE_PAGE.search(stem) is not None and all(feed.name != stem for feed in site.feeds)


def _ended(site: Site, path: str) -> Response | None:
    """What the configuration alone says of a document this ledger never had, as of a feed that was closed or renamed before it began."""
    folder, _, file = path.partition("/")[2].partition("/")
    stem, _, extension = file.partition(".")
    name = _ARCHIVE_PAGE.sub("", stem) if is_archive_page(site, file) else stem
    feed = next((f for f in site.feeds if f.closed and (f.folder, f.name) == (folder, name)), None)
    if feed is None or folder != SUBSCRIBED or all(fmt.extension != extension for fmt in formats_of(feed)):
        return None
    return _moved(f"{site.base(folder)}{feed.moved_to}.{extension}") if feed.moved_to else _closed()


def _nothing(site: Site, path: str) -> Response:
    stem = path.removeprefix(f"{site.name}/feeds/").partition(".")[0]
    if any(feed.name == stem for feed in site.feeds):
        return problem(404, "There is no such document, or not yet: nothing was published in this feed so far.")
    return problem(404, f"There is no such document of “{site.name}”.")


def _elsewhere(context: Context, row: Row[Any]) -> Response:
    if row.status == DocumentStatus.MOVED.value:
        return _moved(row.moved_to)
    notice = _bytes(context, row)
    if notice is None:
        return _closed()
    policy = PAGES if row.media_type.startswith("text/html") else "default-src 'none'"
    return Response(notice, 410, {**HEADERS, "Cache-Control": GONE, "Content-Security-Policy": policy, "Content-Type": row.media_type})


def _moved(address: str) -> Response:
    return RedirectResponse(address, 301, {**HEADERS, "Cache-Control": MOVED})


def _closed() -> Response:
    return problem(410, "This feed is closed.", headers={"Cache-Control": GONE, **cors.ANYBODY})


def _bytes(context: Context, row: Row[Any]) -> bytes | None:
    """The bytes with the row's hash; None where others stand, or none."""
    body: bytes | None = row.body if row.body is not None else context.origin(row.outlet).get(row.path)
    return body if body is not None and len(body) == row.size and hashlib.sha256(body).hexdigest() == row.sha256 else None


def _bodies(context: Context, row: Row[Any], body: bytes, known: Mapping[str, bytes]) -> dict[str, bytes]:
    """The document in each coding, the best first: a twin counts only if it unpacks to the document."""
    made: dict[str, bytes] = {}
    for coding, suffix in CODINGS if row.twins_sha == row.sha256 else ():
        packed = known.get(coding) or recovery.twin(context.origin(row.outlet), row, suffix)
        if packed is not None:
            made[coding] = packed
    return {**made, IDENTITY: body}


def _damaged(context: Context, row: Row[Any]) -> None:
    """What stands there is not what the ledger says, and not for a moment: have it made again."""
    metrics.alerts.labels("feed damaged").inc()
    context.log.error("feed damaged", outlet=row.outlet, path=row.path)
    with context.ledger.write() as tx:
        documents.forget(tx, row.outlet, [row.path])
        if page := page_of(row.path):
            archives.write_again(tx, row.outlet, [page])
        deliveries.again(tx, row.outlet, ())
