"""The front page of a mirror lists what is new, newest first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING

import pytest
from lxml.html import HtmlElement

from pipeline.pages import PageFrame, index_page

if TYPE_CHECKING:
    from pipeline.model.article import Article
    from pipeline.model.entry import Entry

Parse = Callable[[bytes], HtmlElement]


@pytest.fixture
def entries(make_entry: Callable[[Article], Entry], samples: dict[str, Article]) -> list[Entry]:
    """The samples' entries, one of each article, oldest first."""
    return [make_entry(article) for name, article in samples.items() if not name.startswith("05")]


def test_headlines_lead_to_the_pages_newest_first(frame: PageFrame, entries: list[Entry], parse: Parse) -> None:
    """One link for each article, to where this mirror's reader reads it."""
    links = parse(index_page(frame, entries)).xpath("//article/div/h3/a")
    assert [(link.get("href"), link.text_content()) for link in links] == [(e.link, e.article.headline) for e in reversed(entries)]


def test_a_teaser_has_summary_section_time_and_photograph(frame: PageFrame, entries: list[Entry], parse: Parse) -> None:
    """In the article's own language and direction."""
    teasers = parse(index_page(frame, entries)).xpath("//article")
    for teaser, entry in zip(teasers, reversed(entries), strict=True):
        article = entry.article
        assert teaser.get("lang") == article.language
        assert teaser.get("dir") == ("rtl" if article.language == "ar" else "ltr")
        assert teaser.xpath('string(.//*[@class="kicker"])') == " / ".join(article.section)
        assert teaser.xpath('string(.//*[@class="summary"])') == article.summary
        assert teaser.xpath("count(.//time[@datetime])") == 1
        assert teaser.xpath("./img/@src") == ([article.lead_image.url] if article.lead_image else [])


def test_the_newest_photograph_opens_the_front_page(frame: PageFrame, entries: list[Entry], parse: Parse) -> None:
    """Large, in its place by time, where one of the first four has one; else the newest headline is the large one."""
    *pictured, plain = entries
    later = [replace(plain, article=replace(plain.article, id=f"p{n}", images=())) for n in range(4)]
    for shown, at in (([*pictured, plain], 1), ([plain], 0), ([*pictured, *later], 0)):
        teasers = parse(index_page(frame, shown)).xpath("//article/@class")
        assert [n for n, name in enumerate(teasers) if name == "teaser first"] == [at]
    assert parse(index_page(frame, [])).xpath("//article") == []


def test_photographs_are_painted_with_the_page(frame: PageFrame, entries: list[Entry], parse: Parse) -> None:
    """None is decoded apart from it, which a screenshot does not wait for; only those far down are loaded when they come near."""
    photographs = parse(index_page(frame, entries)).xpath("//article/img")
    assert [image.get("loading") for image in photographs][:3] == [None] * 3
    assert photographs[-1].get("loading") == "lazy"
    assert not [image for image in photographs if image.get("decoding")]


def test_the_order_of_the_entries_does_not_change_a_byte(frame: PageFrame, entries: list[Entry]) -> None:
    """Also where two were published at the same instant."""
    first, second, third = entries[:3]
    twin = replace(second, article=replace(second.article, published_at=first.article.published_at))
    assert len({index_page(frame, order) for order in permutations([first, twin, third])}) == 1


@pytest.mark.parametrize(
    ("seo", "canonical"),
    [("canonical", ["https://news.example/"]), ("noindex", []), ("independent", ["https://mirror.example/"])],
)
def test_the_front_page_follows_the_mirrors_policy(
    frame: PageFrame, entries: list[Entry], parse: Parse, seo: str, canonical: list[str]
) -> None:
    """It points home, keeps out of search, or stands on its own."""
    page = parse(index_page(replace(frame, seo=seo), entries))
    assert page.xpath('//link[@rel="canonical"]/@href') == canonical
    assert (page.xpath('//meta[@name="robots"]/@content') == ["noindex"]) is (seo == "noindex")


def test_the_front_page_names_addresses_feeds_and_channel(frame: PageFrame, entries: list[Entry], parse: Parse) -> None:
    """As an article's page does."""
    page = parse(index_page(frame, entries))
    assert "uk.news.example" in page.xpath('string(//*[@class="alternates"])')
    assert "channelstore.example" in page.xpath('string(//*[@class="roku"])')
    assert page.xpath('count(//*[@class="feeds"]/a)') == len(frame.feeds)
    assert page.xpath("string(//h1)") == frame.title


def test_an_empty_front_page_says_so(frame: PageFrame, parse: Parse) -> None:
    """Rather than to look broken."""
    page = parse(index_page(frame, []))
    assert "Nothing has been published here yet." in page.xpath("string(//main)")
    assert not page.xpath("//article")
