"""RSS at the level of bytes: what its specification, its best practices profile and Media RSS demand."""

from __future__ import annotations

import locale
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from lxml import etree

from pipeline.formats import FORMATS
from pipeline.formats.content import enclosure
from pipeline.formats.feedgen_cures import CONTENT, DC, DCTERMS, MEDIA, generator, news_entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from feedgen.feed import FeedGenerator

    from pipeline.model.article import Article
    from pipeline.model.entry import Entry, FeedHead

RSS = FORMATS["rss"]
# RFC 822 section 5.1 with the four-digit year RSS asks for, always in UTC.
RFC_822 = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000")


@pytest.fixture
def item(head: FeedHead, full_story: Article, make_entry: Callable[..., Entry]) -> etree._Element:
    """The item of the full story as it stands in a document."""
    document = RSS.document(head, [RSS.entry(make_entry(0, full_story), head)])
    found = etree.fromstring(document).find("channel/item")
    assert found is not None
    return found


def texts(parent: etree._Element, path: str) -> list[str | None]:
    """The texts of all children at `path`."""
    return [element.text for element in parent.findall(path)]


def attributes(element: etree._Element) -> dict[str, str]:
    """The attributes as a plain dict."""
    return {str(name): str(value) for name, value in element.attrib.items()}


def test_the_channel_says_what_readers_and_hubs_look_for(head: FeedHead) -> None:
    """Required elements, self and hub as separate atom:links, a date from the ledger, and no version of anything."""
    document = RSS.document(head, [])
    for bytes_wanted in (
        b"<link>https://news.example/</link>",
        b"<description>Every story from Russia</description>",
        b'<atom:link href="https://news.example/feeds/russia.rss" rel="self" type="application/rss+xml"/>',
        b'<atom:link href="https://news.example/hub" rel="hub"/>',
        b"<lastBuildDate>Mon, 23 Nov 2026 10:00:00 +0000</lastBuildDate>",
        b"<pubDate>Mon, 23 Nov 2026 10:00:00 +0000</pubDate>",
        b"<generator>Pressrun</generator>",
        b"<language>en</language>",
        b"<ttl>5</ttl>",
    ):
        assert document.count(bytes_wanted) == 1
    assert document.startswith(b"<?xml version='1.0' encoding='UTF-8'?>\n<rss ")


def test_without_a_hub_no_hub_is_named(head: FeedHead) -> None:
    """An empty hub_urls leaves no trace."""
    assert b"hub" not in RSS.document(replace(head, hub_urls=()), [])


def test_the_channels_picture_is_the_sites_and_says_whose(head: FeedHead) -> None:
    """`image` with url, title and link as RSS requires, the last two the channel's own; none without a logo."""
    document = RSS.document(replace(head, logo_url="https://news.example/logo.png"), [])
    (image,) = etree.fromstring(document).findall("channel/image")
    assert {str(child.tag): child.text for child in image} == {
        "url": "https://news.example/logo.png",
        "title": head.title,
        "link": head.home_url,
    }
    assert b"&amp;" not in b"".join(re.findall(rb"<title>.*?</title>", document))
    assert b"<image>" not in RSS.document(head, [])


@pytest.mark.parametrize(
    ("logo", "shown"), [("logo.svg", False), ("logo.webp", False), ("logo.PNG", True), ("logo.jpg?v=1", True), ("logo", True)]
)
def test_the_channels_picture_is_one_that_rss_knows(head: FeedHead, logo: str, shown: bool) -> None:  # noqa: FBT001 - a column of the table
    """GIF, JPEG or PNG; what an address does not tell is taken at the site's word."""
    assert (b"<image>" in RSS.frame(replace(head, logo_url=f"https://news.example/{logo}"))) == shown


def test_titles_carry_hex_references(head: FeedHead, story: Article, make_entry: Callable[..., Entry]) -> None:
    """`&` and `<` in channel and item titles survive readers that unescape twice."""
    entry = make_entry(0, replace(story, headline="Salt & <b>bread</b>"))
    document = RSS.document(head, [RSS.entry(entry, head)])
    assert b"<title>The Example News: Russia &#x26; neighbours</title>" in document
    assert b"<title>Salt &#x26; &#x3C;b&#x3E;bread&#x3C;/b&#x3E;</title>" in document


TOLD = "Salt & <b>bread</b> > water"
PLAIN = rb"(?:title|category|copyright|dc:rights|media:title|media:description|media:category)"


@pytest.mark.parametrize("name", ["rss", "roku"])
def test_every_plain_text_carries_hex_references(name: str, head: FeedHead, full_story: Article, make_entry: Callable[..., Entry]) -> None:
    """Captions, sections, tags, rights, what the channel says of itself: all that the W3C validator takes for text. HTML stays HTML."""
    pictured, filmed = replace(full_story.images[0], caption=TOLD, alt=TOLD), replace(full_story.videos[0], caption=TOLD)
    said = replace(
        full_story, headline=TOLD, summary=TOLD, section=(TOLD,), tags=(f"{TOLD}!",), images=(pictured,), videos=(filmed,), rights=TOLD
    )
    channel = replace(head, title=TOLD, description=TOLD, rights=TOLD)
    fmt, hexed = FORMATS[name], b"Salt &#x26; &#x3C;b&#x3E;bread&#x3C;/b&#x3E; &#x3E; water"
    frame, entry = fmt.frame(channel), fmt.entry(make_entry(0, said), channel)
    plain = re.findall(rb"<" + PLAIN + rb"(?: [^>]*)?>([^<]*)</", entry) + re.findall(rb"<(?:title|copyright|description)>([^<]*)</", frame)
    assert len(plain) == {"rss": 10, "roku": 7}[name]
    assert {text.rstrip(b"!") for text in plain} == {hexed}
    assert b"<description>Salt &amp;amp; &amp;lt;b&amp;gt;" in entry
    assert etree.fromstring(fmt.document(channel, [entry])).findtext("channel/item/title") == TOLD


def test_an_entry_declares_no_namespace_again(head: FeedHead, full_story: Article, make_entry: Callable[..., Entry]) -> None:
    """All five prefixes are the root's."""
    entry = RSS.entry(make_entry(0, full_story), head)
    assert b"xmlns" not in entry
    assert {name.partition(b":")[0] for name in re.findall(rb"<([a-z0-9]+:[a-z]+)", entry)} == {b"content", b"dc", b"dcterms", b"media"}


def test_spliced_bytes_are_what_feedgen_itself_would_write(head: FeedHead, full_story: Article, make_entry: Callable[..., Entry]) -> None:
    """Splicing saves time and changes nothing but the line ends between entries and the titles' references."""
    entries = [make_entry(number, replace(full_story, headline=f"Story {number}")) for number in range(3)]
    plain = replace(head, title="Russia")
    whole: FeedGenerator = generator(plain, "application/rss+xml", rss=True)
    for entry in entries:
        enclosed = enclosure(entry.article)
        assert enclosed is not None
        made = news_entry(entry, plain, (enclosed,))
        whole.add_entry(made, order="append")
    spliced = RSS.document(plain, [RSS.entry(entry, plain) for entry in entries])
    assert re.sub(rb"\n(?=<item>|</channel>)", b"", spliced) == whole.rss_str()


def test_the_description_comes_before_the_contents(item: etree._Element, full_story: Article) -> None:
    """W3C validator, NeedDescriptionBeforeContent; both are HTML, the description of a plain text."""
    names = [str(child.tag) for child in item]
    assert names.index("description") < names.index(f"{{{CONTENT}}}encoded")
    assert "&" in full_story.summary
    assert texts(item, "description") == [full_story.summary.replace("&", "&amp;")]


def test_guid_is_the_identity_and_no_link(item: etree._Element) -> None:
    """A tag URI must say isPermaLink="false"."""
    guid = item.find("guid")
    assert guid is not None
    assert (guid.text, attributes(guid)) == ("tag:news.example,2026-01-01:cms/story-0", {"isPermaLink": "false"})


def test_dates_are_rfc_822_with_the_right_weekday(item: etree._Element) -> None:
    """English names whatever the locale, and a weekday that fits the date."""
    (stated,) = texts(item, "pubDate")
    assert stated is not None
    assert RFC_822.fullmatch(stated)
    assert datetime.strptime(stated, "%a, %d %b %Y %H:%M:%S %z").strftime("%a") == stated[:3]
    assert texts(item, f"{{{DCTERMS}}}modified") == ["2026-11-23T10:00:00.500000Z"]


def test_equal_instants_make_equal_bytes(head: FeedHead, full_story: Article, make_shown: Callable[..., Entry]) -> None:
    """Dates leave in UTC, whatever offset they came with."""
    moscow = timezone(timedelta(hours=3))
    elsewhere = replace(make_shown(0, full_story), modified_at=make_shown().modified_at.astimezone(moscow))
    elsewhere = replace(elsewhere, article=replace(elsewhere.article, published_at=full_story.published_at.astimezone(moscow)))
    for fmt in FORMATS.values():
        assert fmt.entry(elsewhere, head) == fmt.entry(make_shown(), head)
        assert fmt.document(replace(head, updated_at=head.updated_at.astimezone(moscow)), []) == fmt.document(head, [])


def test_bylines_are_creators_and_never_rss_authors(item: etree._Element) -> None:
    """RSS `author` must be an e-mail address, so nobody stands there."""
    assert texts(item, f"{{{DC}}}creator") == ["Anna Belova", "Carl Dahl"]
    assert item.find("author") is None


def test_sections_have_a_domain_and_tags_have_none(item: etree._Element) -> None:
    """One category for each level of the breadcrumb, then one for each tag."""
    sections = "https://news.example/sections"
    found = [(c.text, c.get("domain")) for c in item.findall("category")]
    assert found == [("News", sections), ("Russia", sections), ("Ferries", None), ("Lake Ladoga", None)]


def test_every_photograph_has_its_caption_and_credit(item: etree._Element, full_story: Article) -> None:
    """media:content for each in order, never in a group of one, sizes only where known."""
    found = item.findall(f"{{{MEDIA}}}content[@medium='image']")
    assert [element.get("url") for element in found] == [image.url for image in full_story.images]
    for element, image in zip(found, full_story.images, strict=True):
        assert texts(element, f"{{{MEDIA}}}title") == [image.alt]
        assert texts(element, f"{{{MEDIA}}}description") == [image.caption]
        assert texts(element, f"{{{MEDIA}}}credit") == [image.credit]
        (thumbnail,) = element.findall(f"{{{MEDIA}}}thumbnail")
        assert thumbnail.get("url") == image.url
    assert [element.get("fileSize") for element in found] == ["245120", None, None]
    assert item.find(f".//{{{MEDIA}}}group") is None


def test_a_film_is_media_and_the_one_enclosure(item: etree._Element, full_story: Article) -> None:
    """The enclosure has url, length (0 where unknown) and type; the film its thumbnail and whole seconds."""
    enclosures = item.findall("enclosure")
    assert [attributes(e) for e in enclosures] == [{"url": full_story.videos[0].url, "length": "0", "type": "video/mp4"}]
    film = item.find(f"{{{MEDIA}}}content[@medium='video']")
    assert film is not None
    assert (film.get("duration"), film.get("type")) == ("61", "video/mp4")
    thumbnail = film.find(f"{{{MEDIA}}}thumbnail")
    assert thumbnail is not None
    assert thumbnail.get("url") == full_story.videos[0].thumbnail_url


def test_without_a_film_the_lead_photograph_is_enclosed(head: FeedHead, make_entry: Callable[..., Entry]) -> None:
    """Exactly one enclosure, with the size the newsroom gave."""
    entry = RSS.entry(make_entry(), head)
    assert entry.count(b"<enclosure ") == 1
    assert b'<enclosure url="https://img.example/ladoga/severyanka-quay.jpg" length="245120" type="image/jpeg"/>' in entry


def test_a_photograph_twice_in_an_article_stands_once(head: FeedHead, story: Article, make_entry: Callable[..., Entry]) -> None:
    """One media:content for each URL."""
    doubled = replace(story, images=story.images + story.images)
    assert RSS.entry(make_entry(0, doubled), head) == RSS.entry(make_entry(), head)


def test_rendering_in_threads_leaves_the_locale_alone(
    head: FeedHead, make_entry: Callable[..., Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a date is written the process's locale is C; four threads at once must not leave it there."""
    switch, before = locale.setlocale, locale.setlocale(locale.LC_ALL)

    def slowly(category: int, wanted: str | None = None) -> str:
        now_is = switch(category, wanted)
        time.sleep(0.0005)
        return now_is

    entry = make_entry()
    mine = switch(locale.LC_ALL, "C.UTF-8")
    monkeypatch.setattr(locale, "setlocale", slowly)
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: RSS.document(head, [RSS.entry(entry, head)]), range(20)))
        assert switch(locale.LC_ALL) == mine
    finally:
        switch(locale.LC_ALL, before)


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"<rss><channel><item></channel></rss>",
        b"<rss><channel><item><pubDate>Mon, 23 Nov 2026 10:00:00 +0000</pubDate></item></channel></rss>",
        b"<rss><channel><item><guid>x</guid><pubDate>yesterday</pubDate></item></channel></rss>",
        b"<rss><channel><item><guid>x</guid><pubDate>Mon, 23 Nov 99999999999999999999 10:00:00 +0000</pubDate></item></channel></rss>",
    ],
)
def test_what_is_no_feed_is_not_read(broken: bytes) -> None:
    """ValueError for broken XML, a missing guid, a date that is none."""
    with pytest.raises(ValueError, match=r".+"):
        RSS.read(broken)
