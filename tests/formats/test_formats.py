"""What every format promises alike: determinism, order, round trip through feedparser and atoma, golden files."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import atoma
import feedparser
import pytest

from pipeline.formats import FORMATS, READERS, Expectation, Format, check
from pipeline.formats.contract import check_frame
from pipeline.formats.feedgen_cures import TOMBSTONES
from pipeline.model.entry import Address, Tombstone
from pipeline.rules.article import from_native
from tests.formats.conftest import regolded

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.model.article import Article
    from pipeline.model.entry import Entry, FeedHead

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = sorted(path.name.removesuffix(".article.json") for path in GOLDEN.glob("*.article.json"))
ENDINGS = {"html": "subscribe.html", "sitemap": "sitemap.xml", "news": "news.xml"}
PAGES = "https://news.example/feeds/russia-2026-10"

every_format = pytest.mark.parametrize("fmt", FORMATS.values(), ids=list(FORMATS))
reader_format = pytest.mark.parametrize("fmt", [FORMATS[name] for name in ("rss", "atom", "json")], ids=["rss", "atom", "json"])
xml_format = pytest.mark.parametrize("fmt", [FORMATS["rss"], FORMATS["atom"]], ids=["rss", "atom"])


def head_of(fmt: Format, head: FeedHead) -> FeedHead:
    """The head with the self link of this format."""
    return replace(head, self_url=address_of(fmt))


def address_of(fmt: Format) -> str:
    """Where the feed stands in a format."""
    return f"https://news.example/{fmt.folder}/russia.{fmt.extension}"


def archived(fmt: Format, head: FeedHead) -> FeedHead:
    """The head of an archive page between two others."""
    return replace(
        head,
        self_url=f"{PAGES}-2.{fmt.extension}",
        hub_urls=(),
        current_url=head_of(fmt, head).self_url,
        prev_archive_url=f"{PAGES}-1.{fmt.extension}",
        next_archive_url=f"{PAGES}-3.{fmt.extension}",
        is_archive=True,
    )


def made(fmt: Format, head: FeedHead, entries: list[Entry]) -> bytes:
    """A document of these entries."""
    own = head if head.is_archive else head_of(fmt, head)
    return fmt.document(own, [fmt.entry(entry, own) for entry in entries])


def test_the_registry_finds_the_formats_in_the_order_pages_name_them() -> None:
    """RSS first, and each in the folder and with the ending, media type and bound the standards give it."""
    assert [(f.name, f"{f.folder}/x.{f.extension}", f.media_type, f.most) for f in FORMATS.values()] == [
        ("rss", "feeds/x.rss", "application/rss+xml; charset=utf-8", None),
        ("atom", "feeds/x.atom", "application/atom+xml; charset=utf-8", None),
        ("json", "feeds/x.json", "application/feed+json", None),
        ("html", "feeds/x.html", "text/html; charset=utf-8", 20),
        ("news", "sitemaps/x.xml", "application/xml", 1_000),
        ("ninjs", "feeds/x.ninjs.json", "application/json", None),
        ("roku", "feeds/x.roku.xml", "application/rss+xml; charset=utf-8", None),
        ("sitemap", "sitemaps/x.xml", "application/xml", 50_000),
    ]
    assert all(f.title for f in FORMATS.values())


@every_format
def test_the_same_entries_make_the_same_bytes(fmt: Format, head: FeedHead, full_story: Article, make_entry: Callable[..., Entry]) -> None:
    """Nothing of the clock, the machine or the run is in a document."""
    entries = [make_entry(number, full_story) for number in range(3)]
    assert made(fmt, head, entries) == made(fmt, head, entries)


@every_format
def test_an_entry_is_the_same_under_every_feed_of_a_site(fmt: Format, head: FeedHead, make_shown: Callable[..., Entry]) -> None:
    """Its bytes are kept by site, revision and format, so nothing that is a feed's own may show in it."""
    of_the_site = {"sections_url", "publication", "publisher", "language"}
    changed: dict[str, Any] = {
        "updated_at": make_shown(9).modified_at,
        "hub_urls": (),
        "ttl_minutes": 60,
        "tombstones": (Tombstone("tag:x,2026:gone", make_shown(9).modified_at),),
        "is_archive": True,
        "addresses": (Address("rss", "RSS", "https://news.example/y.rss", "application/rss+xml"),),
    }
    changed |= {field.name: f"https://news.example/{field.name}" for field in fields(head) if field.name not in {*changed, *of_the_site}}
    other = replace(head, **changed)
    assert all(getattr(other, field.name) != getattr(head, field.name) for field in fields(head) if field.name not in of_the_site)
    assert fmt.entry(make_shown(), head) == fmt.entry(make_shown(), other)


@every_format
def test_a_document_reads_back_as_it_was_put_in(fmt: Format, head: FeedHead, make_shown: Callable[..., Entry]) -> None:
    """Ids and dates, in the order given, and the contract finds nothing."""
    entries = [make_shown(number) for number in range(50)]
    document = made(fmt, head, entries)
    for seen, entry in zip(fmt.read(document), entries, strict=True):
        assert (seen.identity or seen.link) == (entry.link if seen.identity is None else entry.identity)
        assert seen.modified == entry.modified_at
    expected = [Expectation(entry.identity, entry.article.published_at, entry.link) for entry in entries]
    assert check(fmt, document, expected, 2_000_000, head.updated_at) == []


@every_format
def test_an_empty_feed_is_a_feed(fmt: Format, head: FeedHead) -> None:
    """A site's first feed, and one whose every article was withdrawn."""
    document = made(fmt, head, [])
    assert tuple(fmt.read(document)) == ()
    assert check_frame(fmt, document) == []
    assert fmt.extension not in {"rss", "atom"} or not feedparser.parse(document).bozo


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
    assert (unescape(got.summary) if fmt.name == "rss" else got.summary) == full_story.summary
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


@pytest.mark.parametrize("case", CASES)
@every_format
def test_golden_documents_do_not_change(
    fmt: Format, case: str, head: FeedHead, full_story: Article, make_entry: Callable[..., Entry]
) -> None:
    """Every golden story in every format, byte for byte."""
    story = from_native(json.loads((GOLDEN / f"{case}.article.json").read_text("utf-8"))["article"])
    if fmt.name == "roku":  # which shows nothing else
        story = replace(story, videos=full_story.videos)
    named = tuple(Address(one.name, one.title, address_of(one), one.media_type.partition(";")[0]) for one in FORMATS.values())
    head = replace(head, addresses=named[:4], language=story.language)
    document = made(fmt, head, [make_entry(0, story)])
    assert document == regolded(GOLDEN / f"{case}.{ENDINGS.get(fmt.name, fmt.extension)}", document)


@reader_format
def test_golden_archive_pages_do_not_change(fmt: Format, head: FeedHead, make_entry: Callable[..., Entry]) -> None:
    """A page between two others, of two entries."""
    document = made(fmt, archived(fmt, head), [make_entry(0), make_entry(1)])
    assert document == regolded(GOLDEN / f"anatomy.archive.{fmt.extension}", document)


@pytest.mark.parametrize("fmt", [FORMATS[name] for name in ("rss", "atom", "roku")], ids=["rss", "atom", "roku"])
@pytest.mark.parametrize("of", ["live", "archive"])
def test_the_w3c_validator_has_nothing_to_say(
    fmt: Format, of: str, head: FeedHead, full_story: Article, make_entry: Callable[..., Entry], w3c: Callable[[bytes, str], list[object]]
) -> None:
    """Neither of a live feed with a logo, two hubs and pages behind it, nor of one of these pages."""
    logo = replace(head, logo_url="https://news.example/logo.png")
    live = replace(logo, hub_urls=(*head.hub_urls, "https://hub.example/"), prev_archive_url=f"{PAGES}-2.{fmt.extension}")
    shown = head_of(fmt, live) if of == "live" else archived(fmt, logo)
    entries = [fmt.entry(make_entry(number, full_story), shown) for number in range(3)]
    assert w3c(fmt.document(shown, entries), shown.self_url) == []


def test_of_a_tombstone_the_w3c_validator_says_only_that_it_does_not_know_it(
    head: FeedHead, make_entry: Callable[..., Entry], w3c: Callable[[bytes, str], list[object]]
) -> None:
    """As docs/formats.md says: one message, and of this namespace; Atom has no other way to say that an entry is gone."""
    fmt, entry = FORMATS["atom"], make_entry()
    shown = head_of(fmt, replace(head, tombstones=(Tombstone("tag:news.example,2026-01-01:cms/gone", entry.modified_at),)))
    (told,) = w3c(fmt.document(shown, [fmt.entry(entry, shown)]), shown.self_url)
    assert (type(told).__name__, vars(told)["params"]["namespace"]) == ("UnknownNamespace", TOMBSTONES)


def test_the_docs_name_every_format_with_its_address_and_type() -> None:
    """The first table of docs/formats.md is the registry, neither more nor less."""
    page = (GOLDEN.parents[1] / "docs" / "formats.md").read_text("utf-8")
    table = re.findall(r"^\| `([a-z]+)` \| `([^`]+)` \| `([^`]+)` \|", page, re.MULTILINE)
    assert {name: (address, media_type) for name, address, media_type in table} == {
        fmt.name: (
            f"{fmt.folder}/<{'name' if fmt.folder == 'sitemaps' else 'feed'}>.{fmt.extension}",
            fmt.media_type.partition(";")[0],
        )
        for fmt in FORMATS.values()
    }


def test_what_every_feed_has_exists() -> None:
    """The default names are formats, in the order pages name them."""
    assert tuple(FORMATS)[: len(READERS)] == READERS
