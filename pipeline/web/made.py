"""Documents that no run stores, made when they are asked for: the list of a site's feeds (OPML), and each article as ninjs.

What they say changes with the configuration, or with one article: stored, each would cost every publish a file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING

from starlette.responses import Response

from pipeline import building
from pipeline.formats import FORMATS, ninjs, opml
from pipeline.kit.clock import EPOCH
from pipeline.ledger import articles, outlets
from pipeline.model.settings import Feed, Kind
from pipeline.web.stored import IDENTITY, Stored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp

    from pipeline.context import Context
    from pipeline.ledger.engine import Tx
    from pipeline.model.settings import Site

OPML, ITEM = "opml.xml", ".ninjs.json"
LISTED = ("rss", "atom", "json")
_ANY = Feed("any", "any", "any")


@dataclass(frozen=True, slots=True)
class Made:
    """What a row of documents says, of a document without one."""

    outlet: str
    sha256: str
    media_type: str
    changed_at: datetime
    twins_sha: str = ""


def document(context: Context, tx: Tx, site: Site, path: str, headers: Mapping[str, str]) -> ASGIApp | None:
    """The answer for a path of a site's origin, None where nothing is made there."""
    folder, _, file = path.partition("/")[2].partition("/")
    if folder == "feeds" and file == OPML:
        body, changed = _opml(tx, site)
        return _answer(context, path, body, opml.MEDIA_TYPE, changed, headers)
    if folder == "items" and file.endswith(ITEM):
        return _item(context, tx, site, file.removesuffix(ITEM), headers)
    return None


def _answer(context: Context, path: str, body: bytes, media_type: str, changed: datetime, headers: Mapping[str, str]) -> Stored:
    made = Made(path, hashlib.sha256(body).hexdigest(), media_type, changed)
    return Stored(made, {IDENTITY: body}, headers, context.clock)


def _opml(tx: Tx, site: Site) -> tuple[bytes, datetime]:
    """Every open feed in what readers take, the first of these formats it has, and when one of them last changed.

    A list is taken in by readers of feeds: a page, ninjs or a list of films under `type="rss"` would be a broken subscription there.
    """
    created = datetime.combine(date.fromisoformat(site.tag_date + "-01-01"[len(site.tag_date) - 4 :]), time(), UTC)
    changes = outlets.changes(tx, site.name, Kind.FEED)
    listed = []
    for feed in (f for f in site.feeds if not f.closed and f.folder == "feeds"):
        fmt = next((FORMATS[name] for name in LISTED if name in feed.formats), None)
        if fmt is None:
            continue
        url = f"{site.base(feed.folder)}{feed.name}.{fmt.extension}"
        version = "RSS2" if fmt.name == "rss" else ""
        listed.append(opml.Listed(feed.title, url, site.home_url, site.language, feed.description, version))
    changed = max([created, *(when for name, when in changes if any(f.name == name for f in site.feeds))])
    return opml.opml(site.title, site.publisher, site.home_url, created, changed, listed), changed


def _item(context: Context, tx: Tx, site: Site, short_id: str, headers: Mapping[str, str]) -> ASGIApp | None:
    """An article as it is live now; 410 with its cancellation once it is withdrawn."""
    live = articles.live(tx, site.name, short_id)
    revision = building.read(context, tx, [live]).get(live) if live is not None else None
    if revision is None:
        return None
    path = f"{site.name}/items/{short_id}{ITEM}"
    if revision.article is None:
        first = articles.first_published(tx, revision.article_id) or revision.live_at
        body = ninjs.canceled(revision.identity, revision.number, first, revision.live_at)
        return Response(body, 410, {**headers, "Cache-Control": "no-cache"}, media_type="application/json")
    fmt = FORMATS["ninjs"]
    head = building.head(site, building.origin_base(site), _ANY, fmt, building.Edition("any", ()), EPOCH)
    body = ninjs.alone(fmt.entry(building.entry_of(revision, revision.article.url), head))
    return _answer(context, path, body, fmt.media_type, max(revision.live_at, revision.modified_at), headers)
