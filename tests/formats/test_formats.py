"""What every format promises alike: determinism, order, round trip through feedparser and atoma, golden files."""

from __future__ import annotations

import io
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import atoma
import feedparser
import pytest

from pipeline.formats import FORMATS, Expectation, Format, check

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.model.article import Article
    from pipeline.model.entry import Entry, FeedHead

GOLDEN = Path(__file__).parents[1] / "golden"

every_format = pytest.mark.parametrize("fmt", FORMATS.values(), ids=list(FORMATS))
xml_format = pytest.mark.parametrize("fmt", [FORMATS["rss"], FORMATS["atom"]], ids=["rss", "atom"])


def head_of(fmt: Format, head: FeedHead) -> FeedHead:
    """The head with the self link of this format."""
    return replace(head, self_url=f"https://news.example/feeds/russia.{fmt.extension}")


def made(fmt: Format, head: FeedHead, entries: list[Entry]) -> bytes:
    """A document of these entries."""
    return fmt.document(head_of(fmt, head), [fmt.entry(entry, head_of(fmt, head)) for entry in entries])


def test_the_registry_finds_the_formats_in_the_order_pages_name_them() -> None:
    """RSS first, and each with the media type the standards give it."""
    assert [(f.name, f.extension, f.media_type) for f in FORMATS.values()] == [
        ("rss", "rss", "application/rss+xml; charset=utf-8"),
        ("atom", "atom", "application/atom+xml; charset=utf-8"),
        ("json", "json", "application/feed+json"),
    ]


@every_format
def test_the_same_entries_make_the_same_bytes(fmt: Format, head: FeedHead, full_story: Article, make_entry: Callable[..., Entry]) -> None:
    """Nothing of the clock, the machine or the run is in a document."""
    entries = [make_entry(number, full_story) for number in range(3)]
    assert made(fmt, head, entries) == made(fmt, head, entries)


@every_format
def test_an_entry_is_the_same_under_every_feed_of_a_site(fmt: Format, head: FeedHead, make_entry: Callable[..., Entry]) -> None:
    """Its bytes are kept by revision, format and base URL, so title, hub, self link and dates of the feed must not show."""
    other = replace(head, identity="tag:x,2026:feed/y", self_url="https://news.example/y", title="Y", hub_urls=(), description="Y")
    assert fmt.entry(make_entry(), head) == fmt.entry(make_entry(), replace(other, updated_at=make_entry(9).modified_at))


@every_format
def test_a_document_reads_back_as_it_was_put_in(fmt: Format, head: FeedHead, make_entry: Callable[..., Entry]) -> None:
    """Ids and dates, in the order given, and the contract finds nothing."""
    entries = [make_entry(number) for number in range(50)]
    document = made(fmt, head, entries)
    assert [seen.identity for seen in fmt.read(document)] == [entry.identity for entry in entries]
    assert all(seen.modified == entry.modified_at for seen, entry in zip(fmt.read(document), entries, strict=True))
    expected = [Expectation(entry.identity, entry.article.published_at) for entry in entries]
    assert check(fmt, document, expected, 2_000_000, head.updated_at) == []


@every_format
def test_an_empty_feed_is_a_feed(fmt: Format, head: FeedHead) -> None:
    """A site's first feed, and one whose every article was withdrawn."""
    document = made(fmt, head, [])
    assert fmt.read(document) == ()
    assert fmt.name == "json" or not feedparser.parse(document).bozo


@every_format
def test_no_control_character_leaves(fmt: Format, head: FeedHead, full_story: Article, make_entry: Callable[..., Entry]) -> None:
    """Line ends and spaces are the only things below U+0020."""
    assert not set(made(fmt, head, [make_entry(0, full_story)])) & (set(range(32)) - {9, 10, 13})


@xml_format
def test_feedparser_reads_every_field(fmt: Format, head: FeedHead, full_story: Article, make_entry: Callable[..., Entry]) -> None:
    """Nothing is bozo, and title, link, id, bylines, categories, dates, summary, contents, enclosure and hub come back."""
    entry = make_entry(0, full_story)
    parsed: Any = feedparser.parse(made(fmt, head, [entry]))
    assert parsed.bozo == 0
    assert parsed.feed.title == head.title
    assert parsed.feed.link == head.home_url
    assert {(link.rel, link.href) for link in parsed.feed.links} >= {
        ("self", head_of(fmt, head).self_url),
        ("hub", head.hub_urls[0]),
    }
    got = parsed.entries[0]
    assert (got.title, got.link, got.id) == (full_story.headline, entry.link, entry.identity)
    assert [author.name for author in got.authors] == [author.name for author in full_story.authors]
    assert [tag.term for tag in got.tags] == ["News", "Russia", "Ferries", "Lake Ladoga"]
    assert [tag.scheme for tag in got.tags] == [head.sections_url] * 2 + [None] * 2
    assert got.published_parsed[:6] == (2026, 11, 23, 8, 5, 0)
    assert got.summary == full_story.summary
    assert "Tickets sold out for the week" in got.content[0].value
    assert got.content[0].type == "text/html"
    assert got.enclosures[0]["href"] == full_story.videos[0].url


def test_atoma_reads_all_three(head: FeedHead, story: Article, make_entry: Callable[..., Entry]) -> None:
    """A second reader, strict about required elements, agrees."""
    entries = [make_entry(number) for number in range(3)]
    wanted = [(entry.identity, entry.article.headline) for entry in entries]
    rss = atoma.parse_rss_bytes(made(FORMATS["rss"], head, entries))
    assert [(item.guid, item.title) for item in rss.items] == wanted
    assert rss.items[0].content_encoded is not None
    atom = atoma.parse_atom_bytes(made(FORMATS["atom"], head, entries))
    assert [(one.id_, one.title.value) for one in atom.entries] == wanted
    feed = atoma.parse_json_feed_bytes(made(FORMATS["json"], head, entries))
    assert [(item.id_, item.title) for item in feed.items] == wanted
    assert feed.items[0].date_published == story.published_at


@every_format
def test_golden_documents_do_not_change(fmt: Format, head: FeedHead, make_entry: Callable[..., Entry]) -> None:
    """The page the project began with, byte for byte; PRESSRUN_REGOLD=1 writes the files anew."""
    document = made(fmt, head, [make_entry()])
    golden = GOLDEN / f"anatomy.{fmt.extension}"
    if os.environ.get("PRESSRUN_REGOLD") == "1":
        golden.write_bytes(document)
    assert document == golden.read_bytes()


@xml_format
def test_the_w3c_validator_has_nothing_to_say(
    fmt: Format, head: FeedHead, full_story: Article, make_entry: Callable[..., Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs where FEEDVALIDATOR_SRC names a checkout of w3c/feedvalidator's `src`."""
    if not os.environ.get("FEEDVALIDATOR_SRC"):
        pytest.skip("FEEDVALIDATOR_SRC is not set")
    monkeypatch.setattr(sys, "path", [os.environ["FEEDVALIDATOR_SRC"], *sys.path])
    import feedvalidator
    from feedvalidator import compatibility

    document = made(fmt, head, [make_entry(number, full_story) for number in range(3)])
    events = feedvalidator.validateStream(io.BytesIO(document), firstOccurrenceOnly=1, base=head_of(fmt, head).self_url)["loggedEvents"]
    assert compatibility.AA(events) == []
