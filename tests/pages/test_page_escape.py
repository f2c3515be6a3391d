"""No text of a newsroom, however hostile, becomes markup, and no address but the web's is linked or loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from lxml.html import HtmlElement

from pipeline.model.article import Article, Author, Geo, Image
from pipeline.model.entry import Entry
from pipeline.pages import FeedLink, PageFrame, ShareLink, article_page, gone_page, index_page, moved_page

Parse = Callable[[bytes], HtmlElement]
MakeEntry = Callable[[Article], Entry]

# What validation lets pass: no control characters, no surrogates, no non-characters (XML 1.0, 2.2).
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

MARKUP = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)' x='",
    '" onfocus="alert(1)" autofocus="',
    "x\" style=\"background:url('https://evil.example/')",
    "--><svg onload=alert(1)>",
    "<!--<script>",
    "]]><b>bold</b>",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt; &amp; &#60;script&#62;",
    "\u2028alert(1)\u2029",
    "`onclick=alert(1)",
    "<a href=javascript:alert(1)>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "\\u003cscript\\u003e",
)

HOSTILE_URLS = (
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    " javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "//evil.example/",
    "file:///etc/passwd",
    "",
)


def _shape(page: HtmlElement) -> list[tuple[str, tuple[str, ...], str, str]]:
    """Every element with the names of its attributes, its class, and what it links to or loads."""
    return [
        (str(e.tag), tuple(sorted(map(str, e.attrib))), str(e.get("class")), f"{e.get('href')} {e.get('src')} {e.get('poster')}")
        for e in page.iter()
    ]


def _stuffed(article: Article, text: str) -> Article:
    """The article with `text` in each of its text fields."""
    assert article.correction is not None
    return replace(
        article,
        headline=text,
        summary=text,
        dateline=text,
        sign_off=text,
        section=(text, text),
        authors=(Author(text, "https://news.example/staff/"), Author(text)),
        tags=(text,),
        images=tuple(replace(image, caption=text, credit=text, alt=text) for image in article.images),
        videos=tuple(replace(video, caption=text, credit=text) for video in article.videos),
        correction=replace(article.correction, note=text),
        rights=text,
        geo=Geo("RU", text),
    )


def _framed(frame: PageFrame, text: str) -> PageFrame:
    """The frame with `text` in each of its texts."""
    site = replace(frame.site, title=text, description=text, publisher=text, rights=text)
    return replace(frame, site=site, title=text, feeds=tuple(replace(feed, title=text) for feed in frame.feeds))


def _pages(frame: PageFrame, entry: Entry, text: str) -> tuple[bytes, ...]:
    stuffed, framed = replace(entry, article=_stuffed(entry.article, text)), _framed(frame, text)
    shares = (ShareLink("x", text, "https://x.example/"),)
    return (
        article_page(stuffed, framed, shares),
        index_page(framed, [stuffed]),
        gone_page(framed, text, entry.modified_at, text),
        moved_page(framed, "https://mirror.example/there/"),
    )


def _check(frame: PageFrame, entry: Entry, parse: Parse, texts: tuple[str, ...]) -> None:
    harmless = [_shape(parse(page)) for page in _pages(frame, entry, "word")]
    for text in texts:
        pages = [parse(page) for page in _pages(frame, entry, text)]
        assert [_shape(page) for page in pages] == harmless, text
        assert pages[0].xpath("string(//h1)").split() == text.split()
        article = json.loads(pages[0].xpath('string(//script[@type="application/ld+json"])'))
        assert (article["headline"], article["image"][0]["creditText"], article["correction"]["text"]) == (text, text, text)


def test_markup_in_any_text_stays_text(frame: PageFrame, make_entry: MakeEntry, parse: Parse, full_story: Article) -> None:
    """The page has the same elements, attributes and links as with a harmless word, and shows the text as it is."""
    _check(frame, make_entry(full_story), parse, MARKUP)


def test_naughty_strings_in_any_text_stay_text(
    frame: PageFrame, make_entry: MakeEntry, parse: Parse, full_story: Article, naughty: tuple[str, ...]
) -> None:
    """The whole list, as validation would let it pass."""
    cleaned = (_ILLEGAL.sub("", text) for text in naughty)
    _check(frame, make_entry(full_story), parse, tuple(text for text in cleaned if text.strip()))


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_only_web_addresses_are_linked_or_loaded(
    frame: PageFrame, make_entry: MakeEntry, parse: Parse, full_story: Article, url: str
) -> None:
    """Whichever field holds the address: no link, no picture, no film, no canonical."""
    (film,) = full_story.videos
    article = replace(
        full_story,
        url=url,
        authors=(Author("A", url),),
        images=(Image(url, "lead", "Caption", "Credit", "Words"),),
        videos=(replace(film, thumbnail_url=url), replace(film, url=url)),
    )
    site = replace(frame.site, home_url=url, roku_channel_url=url, logo_url=url)
    framed = replace(frame, site=site, alternates=(url,), feeds=(FeedLink("Feed", url, "application/rss+xml"),))
    entry = replace(make_entry(article), link=url)
    shares = (ShareLink("x", "X", url),)
    for seo in ("canonical", "independent"):
        framed = replace(framed, seo=seo)
        for page in (article_page(entry, framed, shares), index_page(framed, [entry])):
            found = parse(page).xpath("//@href | //@src | //@poster | //@srcset | //@action")
            assert [str(value) for value in found if not str(value).startswith(("https://", "http://", "#"))] == []


def test_quotes_in_an_address_do_not_end_the_attribute(frame: PageFrame, make_entry: MakeEntry, parse: Parse, full_story: Article) -> None:
    """The address comes back whole, and no attribute is born of it."""
    url = "https://news.example/\"onclick='alert(1)'><script>"
    article = replace(full_story, url=url, authors=(Author("A", url),), images=(Image(url, "lead", credit="C"),))
    page = parse(article_page(make_entry(article), frame, (ShareLink("x", "X", url),)))
    assert page.xpath('//link[@rel="canonical"]/@href') == [url]
    assert page.xpath('//a[@rel="author"]/@href') == [url]
    assert page.xpath("//img/@src") == [url]
    assert not page.xpath('//@onclick | //script[not(@type="application/ld+json")]')


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_a_page_cannot_move_off_the_web(frame: PageFrame, url: str) -> None:
    """The mistake is said at once, not stored."""
    with pytest.raises(ValueError, match="cannot move"):
        moved_page(frame, url)
