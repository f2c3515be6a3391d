"""ninjs 3.1, the news agencies' JSON: https://iptc.org/std/ninjs/ninjs-schema_3.1.json , https://iptc.org/standards/ninjs/ .

A document is an array of items, newest first; each item can also stand alone (`alone`), and a withdrawn article is told of by
an item of its own (`canceled`). Photographs and films are associations, so the body holds the newsroom's text and nothing else.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from pipeline.formats.content import IMAGE_TYPE, VIDEO_TYPE, body_text, films, media_type_of, pictures, sections, summary_of
from pipeline.formats.contract import Format, instant
from pipeline.formats.jsonbytes import filled, quoted, written
from pipeline.kit.clock import rfc3339
from pipeline.model.entry import Seen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from pipeline.model.article import Article, Image, Video
    from pipeline.model.entry import Entry, FeedHead

MEDIA_TYPE = "application/json"
STANDARD = {"name": "ninjs", "version": "3.1", "schema": "http://www.iptc.org/std/ninjs/ninjs-schema_3.1.json"}

_OPENING, _END = b"[\n", b"\n]\n"


def entry(entry: Entry, head: FeedHead) -> bytes:
    """One item. Raises ValueError for a text XML 1.0 could not carry."""
    article = entry.article
    words = body_text(article)
    item = {
        "uri": entry.identity,
        "type": "text",
        "representationType": "full",
        "version": str(entry.revision),
        "firstCreated": rfc3339(article.published_at),
        "versionCreated": rfc3339(entry.modified_at),
        "pubStatus": "usable",
        "urgency": article.priority,
        "copyrightHolder": head.publisher,
        "copyrightNotice": article.rights,
        "language": article.language,
        "headlines": [{"role": "main", "contentType": "text/plain", "value": article.headline}],
        "descriptions": list(_descriptions(article)),
        "bodies": [
            {
                "role": "main",
                "contentType": "text/html",
                "charCount": len(words),
                "wordCount": len(words.split()),
                "value": article.body_html,
            }
        ],
        "by": ", ".join(author.name for author in article.authors),
        "people": [filled({"rel": "author", "name": author.name, "uri": author.url}) for author in article.authors],
        "located": article.dateline,
        "places": [filled({"name": article.geo.name, "literal": article.geo.country})] if article.geo else [],
        "subjects": list(_subjects(article, head.sections_url)),
        "infoSources": [{"role": "editor", "name": article.sign_off}] if article.sign_off else [],
        "renditions": [{"name": "web", "href": entry.link, "contentType": "text/html"}],
        "associations": list(_associations(article)),
        "altIds": [{"role": "cms", "value": article.id}],
        "standard": STANDARD,
    }
    return written(filled(item))


def alone(item: bytes) -> bytes:
    """An item's bytes, as `entry` made them, as a document of their own."""
    return item + b"\n"


def canceled(identity: str, revision: int, published_at: datetime, withdrawn_at: datetime) -> bytes:
    """The document of a withdrawn article: `pubStatus` canceled, and nothing of what it said."""
    item = {
        "uri": identity,
        "type": "text",
        "version": str(revision),
        "firstCreated": rfc3339(published_at),
        "versionCreated": rfc3339(withdrawn_at),
        "pubStatus": "canceled",
        "standard": STANDARD,
    }
    return alone(written(item))


def frame(head: FeedHead) -> bytes:  # noqa: ARG001 - one signature for every format
    """An array without items: ninjs has no place for what a feed says of itself."""
    return _OPENING + _END


def splice(frame: bytes, entries: Sequence[bytes]) -> bytes:
    """The array with the items in the order given."""
    return frame.removesuffix(_END) + b",\n".join(entries) + _END


def read(document: bytes) -> tuple[Seen, ...]:
    """`uri` and both dates of every item. Raises ValueError where one is missing or the JSON is broken."""
    items = json.loads(document)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        message = "it is no array of objects"
        raise ValueError(message)
    return tuple(_seen(item) for item in items)


def _seen(item: Mapping[str, object]) -> Seen:
    stated = tuple(item.get(name) for name in ("uri", "firstCreated", "versionCreated"))
    if not all(isinstance(value, str) and value for value in stated):
        message = "an item lacks uri, firstCreated or versionCreated"
        raise ValueError(message)
    identity, first, version = cast("tuple[str, str, str]", stated)
    return Seen(identity, instant(first), instant(version))


def _descriptions(article: Article) -> Iterator[dict[str, object]]:
    yield {"role": "summary", "contentType": "text/plain", "value": summary_of(article)}
    if article.correction:
        yield {"role": "correction", "contentType": "text/plain", "value": article.correction.note}


def _subjects(article: Article, sections_url: str) -> Iterator[dict[str, object]]:
    """The breadcrumb, outermost first, each section with its path below `sections_url`; then the tags."""
    base = sections_url.rstrip("/")
    for name in sections(article):
        path = article.section[: article.section.index(name) + 1]
        yield {"rel": "section", "name": name, "uri": "/".join((base, *(quote(part, safe="") for part in path)))}
    for tag in article.tags:
        yield {"rel": "tag", "name": tag}


def _associations(article: Article) -> Iterator[dict[str, object]]:
    for place, image in enumerate(pictures(article)):
        yield _picture(image, place)
    for place, video in enumerate(films(article)):
        yield _film(video, place)


def _picture(image: Image, place: int) -> dict[str, object]:
    rendition = {
        "name": "original",
        "href": image.url,
        "contentType": media_type_of(image.media_type, image.url, IMAGE_TYPE),
        "width": image.width,
        "height": image.height,
        "sizeInBytes": image.size_bytes,
    }
    texts = [("caption", image.caption), ("alt", image.alt)]
    return _associated(f"picture-{place + 1}", "picture", image.url, image.credit, texts, [filled(rendition)])


def _film(video: Video, place: int) -> dict[str, object]:
    rendition = {
        "name": "original",
        "href": video.url,
        "contentType": media_type_of(video.media_type, video.url, VIDEO_TYPE),
        "width": video.width,
        "height": video.height,
        "duration": video.duration_seconds,
    }
    still = [filled({"name": "thumbnail", "href": video.thumbnail_url})] if video.thumbnail_url else []
    return _associated(f"video-{place + 1}", "video", video.url, video.credit, [("caption", video.caption)], [filled(rendition), *still])


def _associated(
    name: str, kind: str, url: str, credit: str, texts: Sequence[tuple[str, str]], renditions: Sequence[Mapping[str, object]]
) -> dict[str, object]:
    told = [{"role": role, "contentType": "text/plain", "value": text} for role, text in texts if text]
    return filled({"name": name, "uri": url, "type": kind, "by": credit, "descriptions": told, "renditions": list(renditions)})


FORMAT = Format("ninjs", "ninjs.json", MEDIA_TYPE, entry, quoted, frame, splice, read, title="ninjs")
