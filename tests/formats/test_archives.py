"""Archive pages: RFC 5005 links and marks in RSS and Atom, `next_url` in JSON Feed, and nothing of either in a plain feed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from lxml import etree

from pipeline.formats import FORMATS, Format
from pipeline.formats.feedgen_cures import ATOM, HISTORY

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.model.entry import Entry, FeedHead

xml_format = pytest.mark.parametrize("fmt", [FORMATS["rss"], FORMATS["atom"]], ids=["rss", "atom"])
BASE = "https://news.example/feeds/russia"


def live(head: FeedHead, fmt: Format) -> FeedHead:
    """The subscription document of a feed with two archive pages."""
    return replace(head, self_url=f"{BASE}.{fmt.extension}", prev_archive_url=f"{BASE}-2026-10-2.{fmt.extension}")


def newest_page(head: FeedHead, fmt: Format) -> FeedHead:
    """The archive page it points to: another before it, none after, and no hub, since it does not change."""
    return replace(
        head,
        self_url=f"{BASE}-2026-10-2.{fmt.extension}",
        hub_urls=(),
        current_url=f"{BASE}.{fmt.extension}",
        prev_archive_url=f"{BASE}-2026-10-1.{fmt.extension}",
        is_archive=True,
    )


def oldest_page(head: FeedHead, fmt: Format) -> FeedHead:
    """The first page: nothing before it."""
    page = f"{BASE}-2026-10-1.{fmt.extension}"
    following = f"{BASE}-2026-10-2.{fmt.extension}"
    return replace(newest_page(head, fmt), self_url=page, prev_archive_url="", next_archive_url=following)


def read(fmt: Format, head: FeedHead, *entries: Entry) -> etree._Element:
    """What holds the links: channel or feed."""
    root = etree.fromstring(fmt.document(head, [fmt.entry(entry, head) for entry in entries]))
    return root[0] if fmt.name == "rss" else root


def links(element: etree._Element) -> dict[str | None, str | None]:
    """Rel → href of the feed's own links; each rel once."""
    found = [(link.get("rel"), link.get("href")) for link in element.findall(f"{{{ATOM}}}link") if link.get("rel") != "alternate"]
    assert len(dict(found)) == len(found)
    return dict(found)


@xml_format
def test_the_live_document_points_to_the_newest_page(fmt: Format, head: FeedHead) -> None:
    """RFC 5005 section 4: prev-archive, no mark of an archive, no current."""
    element = read(fmt, live(head, fmt))
    url = f"{BASE}.{fmt.extension}"
    assert links(element) == {"self": url, "hub": head.hub_urls[0], "prev-archive": f"{BASE}-2026-10-2.{fmt.extension}"}
    assert element.find(f"{{{HISTORY}}}archive") is None


@xml_format
def test_a_page_points_on_and_back_and_says_it_is_one(fmt: Format, head: FeedHead, make_entry: Callable[..., Entry]) -> None:
    """Current, prev-archive, next-archive where there is one, and an empty fh:archive before the first entry."""
    newest, oldest = (read(fmt, made(head, fmt), make_entry()) for made in (newest_page, oldest_page))
    url = f"{BASE}.{fmt.extension}"
    first, second = f"{BASE}-2026-10-1.{fmt.extension}", f"{BASE}-2026-10-2.{fmt.extension}"
    assert links(newest) == {"self": second, "current": url, "prev-archive": first}
    assert links(oldest) == {"self": first, "current": url, "next-archive": second}
    for page in (newest, oldest):
        (mark,) = page.findall(f"{{{HISTORY}}}archive")
        assert (mark.text, len(mark), len(mark.attrib)) == (None, 0, 0)
        names = [str(child.tag).rpartition("}")[2] for child in page]
        assert names.index("archive") < names.index("item" if fmt.name == "rss" else "entry")


@xml_format
def test_entries_carry_no_archive_link(fmt: Format, head: FeedHead, make_entry: Callable[..., Entry]) -> None:
    """Their bytes are the same in the live document and on a page."""
    entry = make_entry()
    assert fmt.entry(entry, live(head, fmt)) == fmt.entry(entry, newest_page(head, fmt))
    assert b"archive" not in fmt.entry(entry, newest_page(head, fmt))


@xml_format
def test_a_feed_without_pages_has_no_trace_of_them(fmt: Format, head: FeedHead) -> None:
    """Neither a link nor a namespace."""
    assert b"archive" not in fmt.frame(head)
    assert HISTORY.encode() not in fmt.frame(head)


@xml_format
def test_every_hub_has_a_link_of_its_own(fmt: Format, head: FeedHead) -> None:
    """Websub.rocks compares rel with "hub" exactly."""
    hubs = ("https://news.example/hub", "https://hub.example/")
    element = read(fmt, replace(head, hub_urls=hubs))
    assert tuple(link.get("href") for link in element.findall(f"{{{ATOM}}}link[@rel='hub']")) == hubs


def test_json_walks_the_same_pages(head: FeedHead) -> None:
    """`next_url` leads from the live feed to the newest page and on; `feed_url` stays the live feed's; the last has none."""
    fmt = FORMATS["json"]
    told = [json.loads(fmt.frame(made(head, fmt))) for made in (live, newest_page, oldest_page)]
    assert [one["feed_url"] for one in told] == [f"{BASE}.json"] * 3
    assert [one.get("next_url") for one in told] == [f"{BASE}-2026-10-2.json", f"{BASE}-2026-10-1.json", None]
    assert [len(one.get("hubs", [])) for one in told] == [1, 0, 0]


def test_json_never_leads_in_a_circle(head: FeedHead) -> None:
    """JSON Feed 1.1: next_url must never be feed_url."""
    fmt = FORMATS["json"]
    for wrong in (
        replace(head, prev_archive_url=head.self_url),
        replace(newest_page(head, fmt), prev_archive_url=newest_page(head, fmt).current_url),
        replace(newest_page(head, fmt), prev_archive_url=newest_page(head, fmt).self_url),
    ):
        assert "next_url" not in json.loads(fmt.frame(wrong))
