"""JSON Feed 1.1: https://www.jsonfeed.org/version/1.1/ . feedgen knows nothing of it, so the standard library writes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from pipeline.formats.content import attachments, contents_html, sections, summary_of
from pipeline.formats.contract import Format, instant
from pipeline.formats.jsonbytes import filled, quoted, written
from pipeline.kit.clock import rfc3339
from pipeline.model.entry import Seen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.formats.content import Attachment
    from pipeline.model.article import Article
    from pipeline.model.entry import Entry, FeedHead

MEDIA_TYPE = "application/feed+json"
VERSION = "https://jsonfeed.org/version/1.1"

_ITEMS, _END = b',"items":[\n', b"\n]}\n"


def entry(entry: Entry, head: FeedHead) -> bytes:  # noqa: ARG001 - one signature for every format
    """One item. Raises ValueError for a text XML 1.0 could not carry."""
    article = entry.article
    lead = article.lead_image
    item = {
        "id": entry.identity,
        "url": entry.link,
        "title": article.headline,
        "content_html": contents_html(entry),
        "summary": summary_of(article),
        "image": lead.url if lead else "",
        "date_published": rfc3339(article.published_at),
        "date_modified": rfc3339(entry.modified_at),
        "authors": _authors(article),
        "tags": list(dict.fromkeys((*sections(article), *article.tags))),
        "language": article.language,
        "attachments": list(_attached(attachments(article))),
        "_pressrun": filled({"revision": entry.revision, "signoff": article.sign_off}),
    }
    return written(filled(item))


def frame(head: FeedHead) -> bytes:
    """The feed without items. Raises ValueError for a head XML 1.0 could not carry.

    An archive page names the live feed as its `feed_url`: that is the feed's identity, and what readers subscribe to.
    """
    top = {
        "version": VERSION,
        "title": head.title,
        "home_page_url": head.home_url,
        "feed_url": head.current_url or head.self_url,
        "next_url": _next(head),
        "description": head.description,
        "authors": [{"name": head.publisher}] if head.publisher else [],
        "language": head.language,
        "hubs": [{"type": "WebSub", "url": url} for url in head.hub_urls],
        "_pressrun": filled({"id": head.identity, "updated": rfc3339(head.updated_at), "rights": head.rights}),
    }
    return written(filled(top))[:-1] + _ITEMS + _END


def _next(head: FeedHead) -> str:
    """Where older items are: the archive page before. Never the feed's own address, at which a reader would go round in circles."""
    return "" if head.prev_archive_url in {head.self_url, head.current_url} else head.prev_archive_url


def splice(frame: bytes, entries: Sequence[bytes]) -> bytes:
    """The feed with the items in the order given."""
    return frame.removesuffix(_END) + b",\n".join(entries) + _END


def read(document: bytes) -> tuple[Seen, ...]:
    """Id and both dates of every item. Raises ValueError where one is missing or the JSON is broken."""
    top = json.loads(document)
    items = top.get("items") if isinstance(top, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        message = "items is no array of objects"
        raise ValueError(message)
    return tuple(_seen(item) for item in items)


def _seen(item: Mapping[str, object]) -> Seen:
    stated = tuple(item.get(name) for name in ("id", "date_published", "date_modified"))
    if not all(isinstance(value, str) and value for value in stated):
        message = "an item lacks id, date_published or date_modified"
        raise ValueError(message)
    identity, published, modified = cast("tuple[str, str, str]", stated)
    return Seen(identity, instant(published), instant(modified))


def _authors(article: Article) -> list[dict[str, object]]:
    return [filled({"name": author.name, "url": author.url}) for author in article.authors]


def _attached(fetched: Sequence[Attachment]) -> Iterator[dict[str, object]]:
    """Items of `attachments`. Equal titles mean renditions of one thing, so a title that came before is left out."""
    titles: set[str] = set()
    for one in fetched:
        title = "" if one.title in titles else one.title
        titles.add(title)
        stated = {"url": one.url, "mime_type": one.media_type, "title": title, "size_in_bytes": one.size_bytes}
        yield filled({**stated, "duration_in_seconds": one.duration_seconds})


FORMAT = Format("json", "json", MEDIA_TYPE, entry, quoted, frame, splice, read, title="JSON Feed")
