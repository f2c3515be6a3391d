"""What a page tells machines: canonical address, robots, Open Graph, JSON-LD, feeds, content policy."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml.html import HtmlElement

from pipeline.pages import CONTENT_SECURITY_POLICY, STYLE_SHA256, PageFrame, ShareLink, article_page, gone_page, index_page, moved_page
from pipeline.pages.metadata import clipped, json_ld, locale_of

if TYPE_CHECKING:
    from pipeline.model.article import Article
    from pipeline.model.entry import Entry

Head = Callable[..., HtmlElement]


@pytest.fixture
def page(make_entry: Callable[[Article], Entry], frame: PageFrame, parse: Callable[[bytes], HtmlElement], full_story: Article) -> Head:
    """Make the full story's page under a policy towards search engines, parsed."""
    return lambda seo="canonical", article=full_story: parse(article_page(make_entry(article), replace(frame, seo=seo), ()))


def _meta(page: HtmlElement, name: str) -> list[str]:
    return [str(value) for value in page.xpath(f'/html/head/meta[@property="{name}" or @name="{name}"]/@content')]


def _structured(page: HtmlElement) -> list[dict[str, object]]:
    return [json.loads(script.text) for script in page.xpath('//script[@type="application/ld+json"]')]


@pytest.mark.parametrize(
    ("seo", "canonical", "robots"),
    [
        ("canonical", ["https://news.example/russia/ladoga-ferry-returns/"], "max-image-preview:large, max-snippet:-1"),
        ("noindex", [], "noindex"),
        ("independent", ["https://mirror.example/ladoga-ferry-returns-story-1024/"], "max-image-preview:large, max-snippet:-1"),
    ],
)
def test_canonical_and_robots_never_contradict(page: Head, seo: str, canonical: list[str], robots: str) -> None:
    """A mirror points home, keeps out of search, or stands on its own; kept out, it names no other address."""
    made = page(seo)
    assert made.xpath('/html/head/link[@rel="canonical"]/@href') == canonical
    assert _meta(made, "robots") == [robots]
    if canonical:
        assert _meta(made, "og:url") == canonical


def test_open_graph_and_cards_say_what_the_article_says(page: Head, full_story: Article) -> None:
    """Title, address, picture with its size and words, times, sections and tags; no empty element."""
    made, lead = page(), full_story.images[0]
    said = {
        "og:type": ["article"],
        "og:title": [full_story.headline],
        "og:url": [full_story.url],
        "og:description": [full_story.summary],
        "og:site_name": ["The Example News"],
        "og:locale": ["en_US"],
        "og:image": [lead.url],
        "og:image:secure_url": [lead.url],
        "og:image:type": ["image/jpeg"],
        "og:image:width": ["1600"],
        "og:image:height": ["900"],
        "og:image:alt": [lead.alt],
        "og:video": ["https://media.example/crossing.mp4"],
        "article:published_time": ["2026-11-23T11:05:00+03:00"],
        "article:modified_time": ["2026-11-23T12:40:00+03:00"],
        "article:author": ["https://news.example/staff/anna-belova/"],
        "article:section": ["Russia"],
        "article:tag": ["Ferries", "Lake Ladoga"],
        "twitter:card": ["summary_large_image"],
        "twitter:image": [lead.url],
        "description": [full_story.summary],
    }
    assert {name: _meta(made, name) for name in said} == said
    assert all(made.xpath("/html/head/meta[@content]/@content"))


def test_without_a_photograph_the_card_is_the_small_one(page: Head, full_story: Article) -> None:
    """And no picture is promised."""
    made = page(article=replace(full_story, images=()))
    assert _meta(made, "twitter:card") == ["summary"]
    assert _meta(made, "og:image") == _meta(made, "twitter:image") == []


def test_without_a_summary_the_text_describes_itself(page: Head, full_story: Article) -> None:
    """Its beginning, cut after a word."""
    (description,) = _meta(page(article=replace(full_story, summary="")), "description")
    assert description.startswith("The ferry Severyanka crossed Lake Ladoga with passengers on Monday")
    assert description.endswith("…")
    assert len(description) <= 200


def test_the_structured_article_round_trips(page: Head, full_story: Article) -> None:
    """Every value a search engine reads is the article's own."""
    article = _structured(page())[0]
    assert article["@type"] == "NewsArticle"
    assert article["@id"] == "tag:news.example,2026-01-01:cms/story-1024"
    assert article["url"] == full_story.url
    assert article["headline"] == full_story.headline
    assert article["description"] == full_story.summary
    assert article["datePublished"] == "2026-11-23T11:05:00+03:00"
    assert article["dateModified"] == "2026-11-23T12:40:00+03:00"
    assert article["articleSection"] == ["News", "Russia"]
    assert article["keywords"] == ["Ferries", "Lake Ladoga"]
    assert article["inLanguage"] == "en"
    assert article["version"] == 2
    assert article["dateline"] == full_story.dateline
    assert article["copyrightNotice"] == full_story.rights
    assert article["author"] == [
        {"@type": "Person", "name": "Anna Belova", "url": "https://news.example/staff/anna-belova/"},
        {"@type": "Person", "name": "Carl Dahl"},
    ]
    assert article["publisher"] == {
        "@type": "NewsMediaOrganization",
        "name": "Example Publishing",
        "url": "https://news.example/",
        "logo": {"@type": "ImageObject", "url": "https://news.example/logo.png"},
    }


def test_structured_photographs_carry_caption_and_credit(page: Head, full_story: Article) -> None:
    """As ImageObject, the lead first."""
    images = _structured(page())[0]["image"]
    assert isinstance(images, list)
    assert [(image["contentUrl"], image["caption"], image["creditText"]) for image in images] == [
        (image.url, image.caption, image.credit) for image in full_story.images
    ]


def test_structured_film_correction_and_place(page: Head, full_story: Article) -> None:
    """The film with its length, the correction with its time, the place with its degrees."""
    article = _structured(page())[0]
    assert full_story.correction is not None
    assert isinstance(article["video"], list)
    assert article["video"][0]["duration"] == "PT1M1S"
    assert article["video"][0]["name"] == "The first crossing"
    assert article["correction"] == {
        "@type": "CorrectionComment",
        "text": full_story.correction.note,
        "datePublished": "2026-11-23T12:05:00+03:00",
    }
    assert article["contentLocation"] == {
        "@type": "Place",
        "name": "Sortavala",
        "address": {"@type": "PostalAddress", "addressCountry": "RU"},
        "geo": {"@type": "GeoCoordinates", "latitude": 61.7, "longitude": 30.7},
    }


def test_the_structured_breadcrumb_counts_from_one(page: Head) -> None:
    """Names in order; it is left out where the article has no section."""
    breadcrumb = _structured(page())[1]
    assert breadcrumb["@type"] == "BreadcrumbList"
    assert breadcrumb["itemListElement"] == [
        {"@type": "ListItem", "position": 1, "name": "News"},
        {"@type": "ListItem", "position": 2, "name": "Russia"},
    ]


def test_an_article_without_authors_is_the_publishers(page: Head, full_story: Article) -> None:
    """And one without a section has no breadcrumb."""
    (article,) = _structured(page(article=replace(full_story, authors=(), section=())))
    assert article["author"] == [article["publisher"]]


@given(st.text())
def test_json_in_a_script_parses_to_the_same_text_and_cannot_end_it(text: str) -> None:
    """Whatever the text: no `<`, `>`, `&`, U+2028 or U+2029 remains, and nothing is lost."""
    made = json_ld({text: [text]})
    assert not set(made) & set("<>&\u2028\u2029")
    assert json.loads(made) == {text: [text]}


@given(st.text(), st.integers(min_value=2, max_value=300))
def test_clipping_keeps_the_limit_and_the_beginning(text: str, limit: int) -> None:
    """A text that fits stays whole; one that does not ends with an ellipsis."""
    made, line = clipped(text, limit), " ".join(text.split())
    assert len(made) <= limit
    assert made == line if len(line) <= limit else line.startswith(made[:-1]) and made.endswith("…")


@pytest.mark.parametrize(
    ("language", "locale"),
    [("en", "en_US"), ("en-GB", "en_GB"), ("zh-Hans-CN", "zh_CN"), ("es-419", "es_ES"), ("RU", "ru_RU"), ("tlh", "")],
)
def test_the_locale_is_language_and_territory(language: str, locale: str) -> None:
    """Where the newsroom names no territory and we know none, nothing is said."""
    assert locale_of(language) == locale


def test_feeds_can_be_discovered_from_every_page(
    page: Head, frame: PageFrame, make_entry: Callable[[Article], Entry], parse: Callable[[bytes], HtmlElement], story: Article
) -> None:
    """One link for each format, with media type and a title of its own."""
    pages = (page(), parse(index_page(frame, [make_entry(story)])), parse(gone_page(frame, "", story.published_at, "")))
    for made in pages:
        links = made.xpath('/html/head/link[@rel="alternate"]')
        found = [(link.get("title"), link.get("href"), link.get("type")) for link in links]
        assert found == [(feed.title, feed.url, feed.media_type) for feed in frame.feeds]


def test_every_page_obeys_its_own_content_policy(
    frame: PageFrame,
    shares: tuple[ShareLink, ...],
    make_entry: Callable[[Article], Entry],
    parse: Callable[[bytes], HtmlElement],
    full_story: Article,
) -> None:
    """One inline style whose hash the policy names; no script that runs, no style attribute, nothing loaded but pictures and films."""
    entry = make_entry(full_story)
    pages = (
        article_page(entry, frame, shares),
        index_page(frame, [entry]),
        gone_page(frame, "A headline", full_story.published_at, "A reason"),
        moved_page(frame, frame.base_url),
    )
    for made in map(parse, pages):
        (style,) = made.xpath("//style")
        digest = hashlib.sha256(style.text.encode()).digest()
        assert f"sha256-{base64.b64encode(digest).decode()}" == STYLE_SHA256
        assert made.xpath('//meta[@http-equiv="Content-Security-Policy"]/@content') == [CONTENT_SECURITY_POLICY]
        assert f"style-src '{STYLE_SHA256}';" in CONTENT_SECURITY_POLICY
        assert not made.xpath('//script[not(@type="application/ld+json")]')
        assert not made.xpath('//@style | //@*[starts-with(name(), "on")]')
        assert not made.xpath('//link[not(@rel="alternate" or @rel="canonical")] | //iframe | //object | //form')
