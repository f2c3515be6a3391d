"""feedgen with its known defects cured: what rss.py and atom.py build their elements with.

feedgen 1.0.0 (December 2023, the latest) drops every attribute of an Atom entry's links but href
(github.com/lkiesow/python-feedgen/issues/135), cannot write a hub link into RSS, knows neither credits nor captions,
dates with *now* what is not dated, and switches the process-wide locale while it writes an RFC 822 date. So: a subclass, an
extension pair, every date given, one generator for each format, and one lock around all of it.
"""

from __future__ import annotations

import threading
from datetime import UTC
from html import escape
from typing import TYPE_CHECKING

from feedgen.entry import FeedEntry
from feedgen.ext.base import BaseEntryExtension, BaseExtension
from feedgen.feed import FeedGenerator
from lxml import etree

from pipeline.formats.content import contents_html, films, media_type_of, pictures, sections, summary_of, whole_seconds
from pipeline.kit.clock import rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.formats.content import Attachment
    from pipeline.model.article import Article, Image, Video
    from pipeline.model.entry import Entry, FeedHead

GENERATOR = "Pressrun"
CHANNEL_IMAGES = frozenset({"image/gif", "image/jpeg", "image/png", ""})  # RSS 2.0, `image`; "" is what a URL's ending does not tell
ATOM = "http://www.w3.org/2005/Atom"
CONTENT = "http://purl.org/rss/1.0/modules/content/"
DC = "http://purl.org/dc/elements/1.1/"
DCTERMS = "http://purl.org/dc/terms/"
MEDIA = "http://search.yahoo.com/mrss/"
HISTORY = "http://purl.org/syndication/history/1.0"  # RFC 5005 section 1.2
TOMBSTONES = "http://purl.org/atompub/tombstones/1.0"  # RFC 6721 section 2
XML = "http://www.w3.org/XML/1998/namespace"

_EXTENSION = {"dc": DC, "dcterms": DCTERMS, "media": MEDIA}
RSS_NAMESPACES = {**_EXTENSION, "atom": ATOM, "content": CONTENT}  # what the root declares: ours, then feedgen's own two

RENDERING = threading.Lock()
"""Held around every use of feedgen: its `formatRFC2822` sets the process's locale to C and back, so two threads can leave it at C."""


class NewsEntry(FeedEntry):  # type: ignore[misc]
    """A feedgen entry whose Atom links keep rel, type, hreflang, title and length, and whose RSS description is HTML."""

    def atom_entry(self, extensions: bool = True) -> etree._Element:  # noqa: FBT001, FBT002 - feedgen's own signature
        """The Atom entry element, without a namespace of its own (feedgen writes xmlns as a plain attribute of the root)."""
        element: etree._Element = super().atom_entry(extensions=extensions)
        for link, stated in zip(element.findall("link"), self.link() or (), strict=True):
            for name in ("rel", "type", "hreflang", "title", "length"):
                if stated.get(name):
                    link.set(name, stated[name])
        return element

    def rss_entry(self, extensions: bool = True) -> etree._Element:  # noqa: FBT001, FBT002 - feedgen's own signature
        """The RSS item, its summary written as the HTML that readers take a `description` for (RSS 2.0, Elements of <item>)."""
        element: etree._Element = super().rss_entry(extensions=extensions)
        for description in element.iterfind("description"):
            description.text = escape(description.text or "", quote=False)
        return element


class NewsExtension(BaseExtension):  # type: ignore[misc]
    """What feedgen's head lacks: hubs, archive links and publisher in RSS, tombstones in Atom, archive marks and namespaces in both.

    `head` is set before use; `rss` says which document it is, since namespaces are asked for without telling.
    """

    head: FeedHead
    rss: bool

    def extend_ns(self) -> dict[str, str]:
        """Prefix → URI. What an archive page or a tombstone needs is declared where there is one."""
        history = {"fh": HISTORY} if self.head.is_archive else {}
        if self.rss:
            return _EXTENSION | history
        return history | ({"at": TOMBSTONES} if self.head.tombstones else {})

    def extend_rss(self, feed: etree._Element) -> etree._Element:
        """Add `dc:publisher`, and an `atom:link` for each hub (W3C WebSub section 4: its rel is exactly "hub") and archive page."""
        channel = feed[0]
        _text(channel, DC, "publisher", self.head.publisher)
        for rel, url in _links(self.head):
            etree.SubElement(channel, f"{{{ATOM}}}link", href=url, rel=rel)
        _archived(channel, self.head)
        return feed

    def extend_atom(self, feed: etree._Element) -> etree._Element:
        """Add a `deleted-entry` for each tombstone (RFC 6721 section 3: `ref` and `when` are required)."""
        for stone in self.head.tombstones:
            etree.SubElement(feed, f"{{{TOMBSTONES}}}deleted-entry", ref=stone.identity, when=rfc3339(stone.withdrawn_at))
        _archived(feed, self.head)
        return feed


class NewsEntryExtension(BaseEntryExtension):  # type: ignore[misc]
    """What feedgen's entry lacks: bylines, language, rights, last change and media in RSS, xml:lang in Atom."""

    entry: Entry

    def extend_rss(self, item: etree._Element) -> etree._Element:
        """Add Dublin Core and Media RSS elements; `author` is left alone, for RSS demands an e-mail address in it."""
        article = self.entry.article
        for author in article.authors:
            _text(item, DC, "creator", author.name)
        _text(item, DC, "language", article.language)
        _text(item, DC, "rights", article.rights)
        _text(item, DCTERMS, "modified", rfc3339(self.entry.modified_at))
        _media(item, article)
        return item

    def extend_atom(self, entry: etree._Element) -> etree._Element:
        """Say the article's language for title, summary and content at once (RFC 4287 section 2)."""
        entry.set(f"{{{XML}}}lang", self.entry.article.language)
        return entry


def news_entry(entry: Entry, head: FeedHead, enclosures: Sequence[Attachment]) -> NewsEntry:
    """Build the entry with everything RSS and Atom say alike. Call with RENDERING held. Raises ValueError for illegal texts."""
    article = entry.article
    made = NewsEntry()
    made.register_extension("news", NewsEntryExtension)
    made.news.entry = entry
    made.id(entry.identity)
    made.title(article.headline)
    made.published(article.published_at.astimezone(UTC))
    made.updated(entry.modified_at.astimezone(UTC))
    made.summary(summary_of(article), type="text")
    made.content(contents_html(entry), type="html")
    made.rights(article.rights)
    made.author([{"name": a.name, **({"uri": a.url} if a.url else {})} for a in article.authors])
    made.category([{"term": s, "label": s, "scheme": head.sections_url} for s in sections(article)] + [{"term": t} for t in article.tags])
    made.link(href=entry.link, rel="alternate", type="text/html", hreflang=article.language)
    made.link([_enclosed(one) for one in enclosures])
    return made


def generator(head: FeedHead, media_type: str, *, rss: bool) -> FeedGenerator:
    """Build the frame, the head without entries, for one format: a feedgen generator holds a single self link."""
    made = FeedGenerator()
    made.register_extension("news", NewsExtension, NewsEntryExtension)
    made.news.head, made.news.rss = head, rss
    made.generator(GENERATOR)
    made.docs("")
    made.id(head.identity)
    made.title(head.title)
    made.description(head.description or head.title)
    made.language(head.language)
    made.rights(head.rights)
    made.author({"name": head.publisher})
    made.updated(head.updated_at.astimezone(UTC))
    made.pubDate(head.updated_at.astimezone(UTC))  # some partners ask for it beside lastBuildDate
    made.ttl(max(1, head.ttl_minutes))
    made.link(href=head.self_url, rel="self", type=media_type)
    made.link([{"href": url, "rel": rel} for rel, url in _links(head)])
    if not rss:
        made.logo(head.logo_url or None)
    elif media_type_of("", head.logo_url) in CHANNEL_IMAGES and head.logo_url:
        # W3C validator, ImageTitleDoesntMatch and ImageLinkDoesntMatch: both are the channel's own.
        made.image(head.logo_url, head.title, head.home_url)
    # feedgen takes the RSS channel's link from whichever call came last.
    made.link(href=head.home_url, rel="alternate", type="text/html")
    return made


def _links(head: FeedHead) -> list[tuple[str, str]]:
    """(rel, URL) of hubs and archive pages (RFC 5005 section 4), which is all that RSS and Atom add to self and alternate."""
    archives = [("current", head.current_url), ("prev-archive", head.prev_archive_url), ("next-archive", head.next_archive_url)]
    return [("hub", url) for url in head.hub_urls] + [(rel, url) for rel, url in archives if url]


def _archived(head_element: etree._Element, head: FeedHead) -> None:
    """Mark an archive page as one that stays as it is (RFC 5005 section 4)."""
    if head.is_archive:
        etree.SubElement(head_element, f"{{{HISTORY}}}archive")


def _enclosed(one: Attachment) -> dict[str, str]:
    stated = {"href": one.url, "rel": "enclosure", "type": one.media_type, "title": one.title, "length": str(one.size_bytes or "")}
    return {name: value for name, value in stated.items() if value}


def _media(item: etree._Element, article: Article) -> None:
    """Media RSS 1.5.1: one `media:content` for each photograph and film; a lone one never in a `media:group`."""
    for image in pictures(article):
        element = _medium(item, image, "image", fileSize=image.size_bytes or None)
        _described(element, image.alt, image.caption, image.credit)
        _thumbnail(element, image.url, image.width, image.height)
    for video in films(article):
        element = _medium(item, video, "video", duration=whole_seconds(video))
        _described(element, "", video.caption, video.credit)
        if video.thumbnail_url:
            _thumbnail(element, video.thumbnail_url)


def _thumbnail(element: etree._Element, url: str, width: int | None = None, height: int | None = None) -> None:
    """The picture that stands for it in lists: a photograph for itself, since many a list looks for nothing else."""
    stated = {"url": url, "width": width, "height": height}
    etree.SubElement(element, f"{{{MEDIA}}}thumbnail", {name: str(value) for name, value in stated.items() if value})


def _medium(item: etree._Element, shown: Image | Video, medium: str, **more: int | None) -> etree._Element:
    kind = media_type_of(shown.media_type, shown.url) or None
    stated = {"url": shown.url, "medium": medium, "type": kind, "width": shown.width, "height": shown.height, **more}
    attributes = {name: str(value) for name, value in stated.items() if value is not None}
    return etree.SubElement(item, f"{{{MEDIA}}}content", attributes)


def _described(element: etree._Element, title: str, description: str, credit: str) -> None:
    _text(element, MEDIA, "title", title, type="plain")
    _text(element, MEDIA, "description", description, type="plain")
    # No role: a newsroom's credit names a photographer, an agency or both, and a wrong role would be worse than none.
    _text(element, MEDIA, "credit", credit, scheme="urn:ebu")


def _text(parent: etree._Element, namespace: str, name: str, text: str, **attributes: str) -> None:
    if text:
        etree.SubElement(parent, f"{{{namespace}}}{name}", attributes).text = text
