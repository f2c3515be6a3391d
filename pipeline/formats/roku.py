"""Media RSS for apps on Roku: what rokudev/feed-specifications (mrss-feed-specification.md) asked, and what SDK apps still read.

Direct Publisher, which that specification was for, ended in January 2024; certified apps now fetch a feed themselves, and
Roku's own sample (rokudev/hero-grid-channel, Parser.brs) takes this shape. Only an article with a film has anything to play.
Dates are RFC 822 as RSS demands; what that specification wanted in ISO 8601 stands beside them in `dcterms`.

A television shows a description letter by letter: the specification asks for text, and the sample puts an item's `description` into a
label as it is. Every other reader of RSS takes it for HTML. So `media:description`, which says that it is plain, is the text itself,
and `description` too, unless it would be taken for markup or a reference: then it is written as HTML.
"""

from __future__ import annotations

from datetime import UTC
from email.utils import format_datetime
from html import escape, unescape
from typing import TYPE_CHECKING

from lxml import etree

from pipeline.formats import rss
from pipeline.formats.content import VIDEO_TYPE, films, media_type_of, pictures, sections, short, summary_of, whole_seconds
from pipeline.formats.contract import Format, NoPlace
from pipeline.formats.feedgen_cures import ATOM, DCTERMS, GENERATOR, MEDIA
from pipeline.formats.xmlbytes import quoted, standing
from pipeline.kit.clock import rfc3339

if TYPE_CHECKING:
    from pipeline.model.article import Article, Video
    from pipeline.model.entry import Entry, FeedHead

MEDIA_TYPE = "application/rss+xml; charset=utf-8"
DESCRIPTION_LENGTH = 200  # characters of media:description: mrss-feed-specification.md
_NAMESPACES = {"atom": ATOM, "dcterms": DCTERMS, "media": MEDIA}


def entry(entry: Entry, head: FeedHead) -> bytes:
    """One `item` of the article's film. Raises NoPlace without one, ValueError for a text XML 1.0 cannot carry."""
    article = entry.article
    if not article.videos:
        message = "it has no film to play"
        raise NoPlace(message)
    item = etree.Element("item")
    description = short(summary_of(article), DESCRIPTION_LENGTH)
    _say(item, "title", article.headline)
    _say(item, "link", entry.link)
    _say(item, "guid", entry.identity, isPermaLink="false")
    _say(item, "pubDate", format_datetime(article.published_at.astimezone(UTC)))
    _say(item, "description", _read_as_html(description))
    _say(item, f"{{{DCTERMS}}}created", rfc3339(article.published_at))
    _say(item, f"{{{DCTERMS}}}modified", rfc3339(entry.modified_at))
    film = _film(article)
    played = _played(item, article, film)
    _say(played, f"{{{MEDIA}}}title", article.headline, type="plain")
    _say(played, f"{{{MEDIA}}}description", description, type="plain")
    _say(played, f"{{{MEDIA}}}credit", film.credit, scheme="urn:ebu")
    for name in sections(article):
        _say(item, f"{{{MEDIA}}}category", name, scheme=head.sections_url)
    _say(item, f"{{{MEDIA}}}keywords", ", ".join(article.tags))
    _posters(item, played, article, film)
    return rss.plainly(standing(item, _NAMESPACES))


def frame(head: FeedHead) -> bytes:
    """The channel without items. Raises ValueError for a head XML 1.0 cannot carry."""
    root = etree.Element("rss", {"version": "2.0"}, nsmap=dict(_NAMESPACES))
    channel = etree.SubElement(root, "channel")
    for name, text in (("title", head.title), ("link", head.home_url), ("description", head.description or head.title)):
        _say(channel, name, text)
    _say(channel, "language", head.language)
    _say(channel, "copyright", head.rights)
    _say(channel, "lastBuildDate", format_datetime(head.updated_at.astimezone(UTC)))
    _say(channel, "generator", GENERATOR)
    _say(channel, "ttl", str(max(1, head.ttl_minutes)))
    etree.SubElement(channel, f"{{{ATOM}}}link", href=head.self_url, rel="self", type=MEDIA_TYPE.partition(";")[0])
    for url in head.hub_urls:
        etree.SubElement(channel, f"{{{ATOM}}}link", href=url, rel="hub")
    return rss.plainly_framed(etree.tostring(root, encoding="UTF-8", xml_declaration=True))


def _say(parent: etree._Element, name: str, text: str, **attributes: str) -> None:
    if text:
        etree.SubElement(parent, name, attributes).text = text


def _read_as_html(text: str) -> str:
    """The text itself where it says the same as HTML, else the HTML that says it."""
    return text if "<" not in text and unescape(text) == text else escape(text, quote=False)


def _film(article: Article) -> Video:
    """The first that has what Roku requires of one, a picture and a length; where none has both, the first."""
    every = films(article)
    return next((film for film in every if film.thumbnail_url and film.duration_seconds is not None), every[0])


def _played(item: etree._Element, article: Article, film: Video) -> etree._Element:
    stated = {
        "url": film.url,
        "type": media_type_of(film.media_type, film.url, VIDEO_TYPE),
        "medium": "video",
        "isDefault": "true",
        "duration": whole_seconds(film),
        "width": film.width,
        "height": film.height,
        "lang": article.language,
    }
    return etree.SubElement(item, f"{{{MEDIA}}}content", {name: str(value) for name, value in stated.items() if value is not None})


def _posters(item: etree._Element, played: etree._Element, article: Article, film: Video) -> None:
    """The film's own picture, else the lead photograph, where each kind of app looks for it: inside the film and beside it.

    Roku wants 800 by 450 pixels or more, of 16:9; what a newsroom's film has is what there is.
    """
    poster = film.thumbnail_url or next((image.url for image in pictures(article)), "")
    for parent in (played, item) if poster else ():
        etree.SubElement(parent, f"{{{MEDIA}}}thumbnail", url=poster)


FORMAT = Format("roku", "roku.xml", MEDIA_TYPE, entry, quoted, frame, rss.splice, rss.read, title="Roku", archived=False)
