"""Sitemaps with photographs, and the index of several: https://www.sitemaps.org/protocol.html .

A sitemap tells search engines where pages are and when they last changed; it knows neither identities nor dates of publication,
so entries are told apart by their links.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lxml import etree

from pipeline.formats.content import pictures
from pipeline.formats.contract import Format, instant
from pipeline.formats.xmlbytes import parsed, quoted, spliced, standing, text_of
from pipeline.kit.clock import rfc3339
from pipeline.model.entry import Seen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pipeline.formats.xmlbytes import Namespaces
    from pipeline.model.entry import Entry, FeedHead

MEDIA_TYPE = "application/xml"
MOST = 50_000  # sitemaps.org/protocol.html: of pages in a sitemap, and of sitemaps in an index; 52,428,800 bytes each
MOST_PICTURES = 1_000  # of a page: developers.google.com/search/docs/crawling-indexing/sitemaps/image-sitemaps

SITEMAP = "http://www.sitemaps.org/schemas/sitemap/0.9"
IMAGE = "http://www.google.com/schemas/sitemap-image/1.1"
_NAMESPACES = {None: SITEMAP, "image": IMAGE}


def entry(entry: Entry, head: FeedHead) -> bytes:  # noqa: ARG001 - one signature for every format
    """One `url`: its page, its last change, its photographs. Raises ValueError for an address XML 1.0 cannot carry."""
    element = page(entry)
    for picture in pictures(entry.article)[:MOST_PICTURES]:
        shown = etree.SubElement(element, f"{{{IMAGE}}}image")
        etree.SubElement(shown, f"{{{IMAGE}}}loc").text = picture.url
    return standing(element, _NAMESPACES)


def page(entry: Entry) -> etree._Element:
    """A `url` with `loc` and `lastmod`, for what else its kind of sitemap says."""
    element = etree.Element(f"{{{SITEMAP}}}url")
    etree.SubElement(element, f"{{{SITEMAP}}}loc").text = entry.link
    etree.SubElement(element, f"{{{SITEMAP}}}lastmod").text = rfc3339(entry.modified_at)
    return element


def frame(head: FeedHead) -> bytes:  # noqa: ARG001 - one signature for every format
    """The sitemap without pages: it says nothing of itself."""
    return empty("urlset", _NAMESPACES)


def empty(name: str, namespaces: Namespaces) -> bytes:
    """A document of that root (in the sitemaps' namespace) with nothing in it yet."""
    root = etree.Element(f"{{{SITEMAP}}}{name}", nsmap=dict(namespaces))
    root.text = ""  # with an end tag, before which the pages go
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True) + b"\n"


def splice(frame: bytes, entries: Sequence[bytes]) -> bytes:
    """The sitemap with the pages in the order given."""
    return spliced(frame, entries, b"</urlset>")


def read(document: bytes) -> tuple[Seen, ...]:
    """`loc` and `lastmod` of every page. Raises ValueError where one is missing or the XML is broken."""
    return tuple(_seen(element) for element in pages(document))


def pages(document: bytes) -> list[etree._Element]:
    """The `url` elements. Raises ValueError where the XML is broken or is no sitemap."""
    root = parsed(document)
    if root.tag != f"{{{SITEMAP}}}urlset":
        message = f"{root.tag!s} is not a sitemap"
        raise ValueError(message)
    return root.findall(f"{{{SITEMAP}}}url")


def _seen(element: etree._Element) -> Seen:
    loc, lastmod = (text_of(element, f"{{{SITEMAP}}}{name}") for name in ("loc", "lastmod"))
    return Seen(None, None, instant(lastmod), loc)


def index(sitemaps: Sequence[tuple[str, datetime]]) -> bytes:
    """A sitemap index of (absolute URL of a sitemap, its last change), in the order given. Raises ValueError for more than 50,000."""
    if len(sitemaps) > MOST:
        message = f"{len(sitemaps)} sitemaps, more than the {MOST} of an index"
        raise ValueError(message)
    return spliced(empty("sitemapindex", {None: SITEMAP}), [_listed(url, changed) for url, changed in sitemaps], b"</sitemapindex>")


def _listed(url: str, changed: datetime) -> bytes:
    element = etree.Element(f"{{{SITEMAP}}}sitemap")
    etree.SubElement(element, f"{{{SITEMAP}}}loc").text = url
    etree.SubElement(element, f"{{{SITEMAP}}}lastmod").text = rfc3339(changed)
    return standing(element, {None: SITEMAP})


FORMAT = Format(
    "sitemap",
    "xml",
    MEDIA_TYPE,
    entry,
    quoted,
    frame,
    splice,
    read,
    folder="sitemaps",
    most=MOST,
    title="Sitemap",
    index=index,
)
