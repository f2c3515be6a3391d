"""Atom at the level of bytes: RFC 4287, RFC 6721 and the cure of feedgen's issue 135."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from lxml import etree

from pipeline.formats import FORMATS
from pipeline.formats.content import attachments
from pipeline.formats.feedgen_cures import ATOM as NS
from pipeline.formats.feedgen_cures import TOMBSTONES, XML, generator, news_entry
from pipeline.model.entry import Tombstone

if TYPE_CHECKING:
    from collections.abc import Callable

    from feedgen.feed import FeedGenerator

    from pipeline.model.article import Article
    from pipeline.model.entry import Entry, FeedHead

ATOM = FORMATS["atom"]


@pytest.fixture
def element(head: FeedHead, full_story: Article, make_entry: Callable[..., Entry]) -> etree._Element:
    """The entry of the full story as it stands in a document."""
    document = ATOM.document(head, [ATOM.entry(make_entry(0, full_story), head)])
    found = etree.fromstring(document).find(f"{{{NS}}}entry")
    assert found is not None
    return found


def one(parent: etree._Element, name: str) -> etree._Element:
    """The only child of that name."""
    (found,) = parent.findall(f"{{{NS}}}{name}")
    return found


def attributes(element: etree._Element) -> dict[str, str]:
    """The attributes as a plain dict."""
    return {str(name): str(value) for name, value in element.attrib.items()}


def test_the_feed_has_what_rfc_4287_requires_once(head: FeedHead) -> None:
    """Id, title and updated exactly once; an author for entries without one; self, hub and alternate links apart."""
    feed = etree.fromstring(ATOM.document(head, []))
    assert feed.tag == f"{{{NS}}}feed"
    assert feed.get(f"{{{XML}}}lang") == "en"
    assert one(feed, "id").text == head.identity
    assert one(feed, "title").text == head.title
    assert datetime.fromisoformat(one(feed, "updated").text or "") == head.updated_at
    assert one(one(feed, "author"), "name").text == head.publisher
    assert [(link.get("rel"), link.get("href")) for link in feed.findall(f"{{{NS}}}link")] == [
        ("self", head.self_url),
        ("hub", head.hub_urls[0]),
        ("alternate", head.home_url),
    ]
    assert attributes(one(feed, "generator")) == {}


def test_the_sites_logo_is_the_feeds(head: FeedHead) -> None:
    """RFC 4287 section 4.2.8; none where the site has none."""
    feed = etree.fromstring(ATOM.document(replace(head, logo_url="https://news.example/logo.png"), []))
    assert one(feed, "logo").text == "https://news.example/logo.png"
    assert b"logo" not in ATOM.document(head, [])


def test_links_keep_every_attribute(element: etree._Element, full_story: Article, make_entry: Callable[..., Entry]) -> None:
    """Without the cure only href is written: then every enclosure is a doubled alternate."""
    alternate, film, lead, *others = element.findall(f"{{{NS}}}link")
    assert attributes(alternate) == {"href": make_entry().link, "rel": "alternate", "type": "text/html", "hreflang": "en"}
    assert attributes(film) == {"href": full_story.videos[0].url, "rel": "enclosure", "type": "video/mp4", "title": "The first crossing"}
    assert (lead.get("rel"), lead.get("type"), lead.get("length")) == ("enclosure", "image/jpeg", "245120")
    assert [link.get("rel") for link in others] == ["enclosure", "enclosure"]


def test_texts_say_what_they_are(element: etree._Element, full_story: Article) -> None:
    """Contents as html, summary as text, both in the article's language, and the title without markup."""
    assert one(element, "content").get("type") == "html"
    assert "<h2>Tickets sold out" in (one(element, "content").text or "")
    assert (one(element, "summary").get("type"), one(element, "summary").text) == ("text", full_story.summary)
    assert one(element, "title").get("type", "text") == "text"
    assert element.get(f"{{{XML}}}lang") == "en"


def test_dates_keep_their_fraction(element: etree._Element) -> None:
    """RFC 3339 with an offset; two changes within a second stay apart."""
    assert one(element, "published").text == "2026-11-23T08:05:00.250000+00:00"
    assert one(element, "updated").text == "2026-11-23T10:00:00.500000+00:00"


def test_bylines_and_sections(element: etree._Element, head: FeedHead) -> None:
    """Authors with their pages, sections with scheme and label, tags with a bare term."""
    authors = [(one(a, "name").text, [u.text for u in a.findall(f"{{{NS}}}uri")]) for a in element.findall(f"{{{NS}}}author")]
    assert authors == [("Anna Belova", ["https://news.example/staff/anna-belova/"]), ("Carl Dahl", [])]
    assert [attributes(c) for c in element.findall(f"{{{NS}}}category")] == [
        {"term": "News", "scheme": head.sections_url, "label": "News"},
        {"term": "Russia", "scheme": head.sections_url, "label": "Russia"},
        {"term": "Ferries"},
        {"term": "Lake Ladoga"},
    ]


def test_withdrawn_articles_leave_a_tombstone(head: FeedHead) -> None:
    """`ref` and `when` as RFC 6721 wants them; the namespace appears only then."""
    stone = Tombstone("tag:news.example,2026-01-01:cms/gone", datetime(2026, 11, 23, 8, tzinfo=UTC))
    (found,) = etree.fromstring(ATOM.document(replace(head, tombstones=(stone,)), [])).findall(f"{{{TOMBSTONES}}}deleted-entry")
    assert attributes(found) == {"ref": stone.identity, "when": "2026-11-23T08:00:00Z"}
    assert b"tombstones" not in ATOM.document(head, [])


def test_spliced_bytes_are_what_feedgen_itself_would_write(head: FeedHead, full_story: Article, make_entry: Callable[..., Entry]) -> None:
    """Splicing saves time and changes nothing but the line ends between entries."""
    entries = [make_entry(number, full_story) for number in range(3)]
    whole: FeedGenerator = generator(head, "application/atom+xml", rss=False)
    for entry in entries:
        whole.add_entry(news_entry(entry, head, attachments(entry.article)), order="append")
    spliced = ATOM.document(head, [ATOM.entry(entry, head) for entry in entries])
    assert re.sub(rb"\n(?=<entry |</feed>)", b"", spliced) == whole.atom_str()


@pytest.mark.parametrize(
    "broken",
    [
        b"<feed",
        b'<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>x</id></entry></feed>',
        (
            b'<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>x</id><published>2026-11-23T08:00:00</published>'
            b"<updated>2026-11-23T08:00:00Z</updated></entry></feed>"
        ),
    ],
)
def test_what_is_no_feed_is_not_read(broken: bytes) -> None:
    """ValueError for broken XML, missing dates, a date without an offset."""
    with pytest.raises(ValueError, match=r".+"):
        ATOM.read(broken)
