"""RSS 2.0 with content, Dublin Core and Media RSS: https://www.rssboard.org/rss-specification, rss-profile."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from pipeline.formats.content import enclosure
from pipeline.formats.contract import Format, aware, instant
from pipeline.formats.feedgen_cures import DCTERMS, RENDERING, RSS_NAMESPACES, generator, news_entry
from pipeline.formats.xmlbytes import parsed, quoted, spliced, standing, text_of
from pipeline.model.entry import Seen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from lxml import etree

    from pipeline.model.entry import Entry, FeedHead

MEDIA_TYPE = "application/rss+xml; charset=utf-8"

# What is text and no HTML to a reader: the profile's character data, and `nonhtml` in the W3C validator (channel, item, extension, media).
_PLAIN = re.compile(rb"<(title|category|copyright|dc:rights|media:title|media:description|media:category)( [^>]*)?>[^<]*</\1>")
_ABOUT = re.compile(rb"<description>[^<]*</description>")
_HEX = {b"&amp;": b"&#x26;", b"&lt;": b"&#x3C;", b"&gt;": b"&#x3E;"}


def entry(entry: Entry, head: FeedHead) -> bytes:
    """One `item`. Raises ValueError for a text XML 1.0 cannot carry."""
    enclosed = enclosure(entry.article)
    with RENDERING:
        element = news_entry(entry, head, (enclosed,) if enclosed else ()).rss_entry()
        return plainly(standing(element, RSS_NAMESPACES))


def frame(head: FeedHead) -> bytes:
    """The channel without items. Raises ValueError for a head XML 1.0 cannot carry."""
    with RENDERING:
        made: bytes = generator(head, MEDIA_TYPE.partition(";")[0], rss=True).rss_str()
    return plainly_framed(made)


def splice(frame: bytes, entries: Sequence[bytes]) -> bytes:
    """The channel with the items in the order given."""
    return spliced(frame, entries, b"</channel>")


def read(document: bytes) -> tuple[Seen, ...]:
    """guid, pubDate and dcterms:modified of every item. Raises ValueError where one is missing or the XML is broken."""
    return tuple(_seen(item) for item in parsed(document).iterfind("channel/item"))


def _seen(item: etree._Element) -> Seen:
    published = rfc822(text_of(item, "pubDate"))
    return Seen(text_of(item, "guid"), published, instant(text_of(item, f"{{{DCTERMS}}}modified")))


@lru_cache(maxsize=4096)  # the same dates come back with every build
def rfc822(text: str) -> datetime:
    """An RFC 822 date as a reader reads it. Raises ValueError for anything else, also for one without an offset."""
    try:
        return aware(parsedate_to_datetime(text))
    except OverflowError as error:  # a year or hour of twenty digits
        message = f"{text} is no date"
        raise ValueError(message) from error


def plainly(xml: bytes) -> bytes:
    """Plain texts with `&`, `<` and `>` as hex references, which survive readers that unescape twice (RSS profile, character data)."""
    return _PLAIN.sub(_hex, xml)


def plainly_framed(xml: bytes) -> bytes:
    """As `plainly`, of a channel without items: its description is plain text, where an item's is HTML."""
    return _ABOUT.sub(_hex, plainly(xml))


def _hex(found: re.Match[bytes]) -> bytes:
    opening, end, text = found[0].partition(b">")
    for named, hexed in _HEX.items():
        text = text.replace(named, hexed)
    return opening + end + text


FORMAT = Format("rss", "rss", MEDIA_TYPE, entry, quoted, frame, splice, read, title="RSS")
