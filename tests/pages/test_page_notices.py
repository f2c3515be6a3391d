"""What stands where an article is not: withdrawn, moved, and robots.txt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from lxml.html import HtmlElement

from pipeline.pages import PageFrame, gone_page, moved_page, robots

Parse = Callable[[bytes], HtmlElement]
WHEN = datetime(2026, 11, 18, 18, 40, tzinfo=UTC)


def test_a_withdrawn_article_leaves_a_notice(frame: PageFrame, parse: Parse) -> None:
    """What it was, when and why it went, and the way home; search engines forget it."""
    page = parse(gone_page(frame, "The headline", WHEN, "It was wrong."))
    text = " ".join(page.xpath("string(//main)").split())
    assert page.xpath("string(//h1)") == "This article has been withdrawn"
    assert "The headline" in text
    assert "It was wrong." in text
    assert "Withdrawn 18 November 2026, 21:40 UTC+3" in text
    assert page.xpath("//main//time/@datetime") == ["2026-11-18T21:40:00+03:00"]
    assert page.xpath("//main//a/@href") == [frame.base_url]
    assert page.xpath('//meta[@name="robots"]/@content') == ["noindex"]
    assert not page.xpath('//link[@rel="canonical"] | //script')


def test_a_withdrawal_without_headline_or_reason_says_no_more(frame: PageFrame, parse: Parse) -> None:
    """No empty paragraphs."""
    page = parse(gone_page(frame, "", WHEN, ""))
    assert not [p for p in page.xpath("//main//p") if not p.text_content().strip()]
    assert not page.xpath('//*[@class="reason" or @class="standfirst"]')


def test_a_moved_page_leads_on_at_once(frame: PageFrame, parse: Parse) -> None:
    """By refresh, by canonical link, and by a link to click; nothing keeps it from being followed."""
    target = "https://mirror.example/new-name-abcdefgh27/?a=1&b=2"
    page = parse(moved_page(frame, target))
    assert page.xpath('//meta[@http-equiv="refresh"]/@content') == [f"0; url={target}"]
    assert page.xpath('//link[@rel="canonical"]/@href') == [target]
    assert page.xpath("//main//a/@href") == [target]
    assert not page.xpath('//meta[@name="robots"]')


@pytest.mark.parametrize(
    ("seo", "text"),
    [
        ("canonical", "User-agent: *\nAllow: /\n"),
        ("noindex", "User-agent: *\nAllow: /\n"),
        ("independent", "User-agent: *\nAllow: /\n\nSitemap: https://mirror.example/sitemap.xml\n"),
    ],
)
def test_robots_may_read_everything(frame: PageFrame, seo: str, text: str) -> None:
    """A page kept out of search must be read to be known as such; only a mirror on its own names its sitemap."""
    assert robots(replace(frame, seo=seo)).decode() == text


def test_notices_are_the_same_each_time(frame: PageFrame) -> None:
    """Byte for byte."""
    assert gone_page(frame, "a", WHEN, "b") == gone_page(frame, "a", WHEN, "b")
    assert moved_page(frame, frame.base_url) == moved_page(frame, frame.base_url)
