"""Google News sitemaps: https://developers.google.com/search/docs/crawling-indexing/sitemaps/news-sitemap .

Only what was published in the last two days belongs into one; which articles these are, the caller's clock knows.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lxml import etree

from pipeline.formats import sitemap
from pipeline.formats.contract import Format, instant
from pipeline.formats.xmlbytes import quoted, standing, text_of
from pipeline.kit.clock import rfc3339
from pipeline.model.entry import Seen

if TYPE_CHECKING:
    from pipeline.model.entry import Entry, FeedHead

MOST = 1_000  # `news:news` elements in one sitemap (the page above)
NEWS = "http://www.google.com/schemas/sitemap-news/0.9"
_NAMESPACES = {None: sitemap.SITEMAP, "news": NEWS}

_REQUIRED = tuple(
    f"{{{NEWS}}}news/" + "/".join(f"{{{NEWS}}}{step}" for step in path.split("/"))
    for path in ("publication/name", "publication/language", "title", "publication_date")
)
_ASIDE = re.compile(r"\s*\([^()]*\)\s*$")
_TRADITIONAL = frozenset({"hant", "tw", "hk", "mo"})


def entry(entry: Entry, head: FeedHead) -> bytes:
    """One `url` with its `news:news`, all four elements that Google requires. Raises ValueError for a text XML 1.0 cannot carry.

    The date is that of the first publication, and stays through updates and corrections; those are told by `lastmod`.
    """
    article = entry.article
    element = sitemap.page(entry)
    news = etree.SubElement(element, f"{{{NEWS}}}news")
    publication = etree.SubElement(news, f"{{{NEWS}}}publication")
    etree.SubElement(publication, f"{{{NEWS}}}name").text = publication_name(head)
    etree.SubElement(publication, f"{{{NEWS}}}language").text = language_code(article.language)
    etree.SubElement(news, f"{{{NEWS}}}publication_date").text = rfc3339(article.published_at)
    etree.SubElement(news, f"{{{NEWS}}}title").text = article.headline
    return standing(element, _NAMESPACES)


def publication_name(head: FeedHead) -> str:
    """As on news.google.com: without what stands there in parentheses at its end."""
    name = head.publication or head.publisher
    return _ASIDE.sub("", name) or name


def language_code(language: str) -> str:
    """ISO 639 code of a BCP 47 tag; of Chinese `zh-cn` where its script is simplified, `zh-tw` where it is traditional."""
    primary, *others = language.lower().split("-")
    if primary != "zh":
        return primary
    return "zh-tw" if _TRADITIONAL & set(others) and "hans" not in others else "zh-cn"


def frame(head: FeedHead) -> bytes:  # noqa: ARG001 - one signature for every format
    """The sitemap without pages. Google takes an empty one."""
    return sitemap.empty("urlset", _NAMESPACES)


def read(document: bytes) -> tuple[Seen, ...]:
    """`loc`, publication date and last change of every page. Raises ValueError where one is missing or the XML is broken."""
    return tuple(_seen(element) for element in sitemap.pages(document))


def _seen(element: etree._Element) -> Seen:
    loc, lastmod = (text_of(element, f"{{{sitemap.SITEMAP}}}{name}") for name in ("loc", "lastmod"))
    missing = [path for path in _REQUIRED if not element.findtext(path)]
    if missing:
        message = f"{loc} lacks {', '.join(missing)}"
        raise ValueError(message)
    return Seen(None, instant(text_of(element, _REQUIRED[-1])), instant(lastmod), loc)


FORMAT = Format(
    "news",
    "xml",
    sitemap.MEDIA_TYPE,
    entry,
    quoted,
    frame,
    sitemap.splice,
    read,
    folder="sitemaps",
    most=MOST,
    title="News sitemap",
    archived=False,
)
