"""One site's frame, and entries made from the golden story and the sample events, for the tests of every page."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import lxml.html
import pytest
from lxml.html import HtmlElement

from pipeline.model.article import Article, Correction, Geo, Video
from pipeline.model.entry import Entry
from pipeline.model.settings import Site
from pipeline.pages import FeedLink, PageFrame, ShareLink, page_path
from pipeline.rules.article import from_native

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden"
EXAMPLES = HERE.parents[1] / "schemas" / "examples"
BASE = "https://mirror.example/"

MakeEntry = Callable[[Article], Entry]
Parse = Callable[[bytes], HtmlElement]


@pytest.fixture(scope="session")
def site() -> Site:
    """A newsroom whose clock stands three hours before UTC."""
    return Site(
        name="demo",
        title="The Example News",
        home_url="https://news.example/",
        language="en",
        publisher="Example Publishing",
        tag_host="news.example",
        tag_date="2026-01-01",
        description="News & nothing else",
        logo_url="https://news.example/logo.png",
        rights="© The Example News",
        timezone="Europe/Moscow",
        roku_channel_url="https://channelstore.example/details/example-news",
    )


@pytest.fixture(scope="session")
def frame(site: Site) -> PageFrame:
    """The frame of one mirror of four addresses, with a feed in three formats."""
    kinds = (("RSS", "application/rss+xml"), ("Atom", "application/atom+xml"), ("JSON", "application/feed+json"))
    return PageFrame(
        site=site,
        base_url=BASE,
        feeds=tuple(FeedLink(f"Russia ({name})", f"{BASE}feeds/russia.{name.lower()}", media_type) for name, media_type in kinds),
        alternates=("https://news.example/", BASE, "https://uk.news.example/", "http://newsonion.example/uk/"),
        seo="canonical",
        title="The Example News",
    )


@pytest.fixture(scope="session")
def shares() -> tuple[ShareLink, ...]:
    """Three networks, one of them the reader's mail."""
    return (
        ShareLink("x", "X", "https://x.example/intent/post?text=a&url=b"),
        ShareLink("telegram", "Telegram", "https://telegram.example/share?url=b"),
        ShareLink("email", "E-mail", "mailto:?subject=a&body=b"),
    )


@pytest.fixture(scope="session")
def story() -> Article:
    """The golden story: breadcrumb, three photographs with credits, a sub-heading, a sign-off."""
    return from_native(json.loads((GOLDEN / "anatomy.article.json").read_text("utf-8"))["article"])


@pytest.fixture(scope="session")
def full_story(story: Article) -> Article:
    """The golden story with a film, a correction and a place besides: no field of an article is empty."""
    film = Video(
        url="https://media.example/crossing.mp4",
        media_type="video/mp4",
        duration_seconds=61.4,
        caption="The first crossing",
        credit="Lakeside Films",
        thumbnail_url="https://img.example/crossing.jpg",
        width=1280,
        height=720,
    )
    correction = Correction("An earlier version gave the wrong pier.", story.published_at + timedelta(hours=1))
    return replace(story, videos=(film,), correction=correction, geo=Geo("RU", "Sortavala", 61.7, 30.7))


@pytest.fixture(scope="session")
def make_entry() -> MakeEntry:
    """`make_entry(article)`: the article as this mirror shows it, last changed when it says so."""

    def make(article: Article) -> Entry:
        short_id = f"story{article.id[-5:].rjust(5, '0')}"
        return Entry(
            identity=f"tag:news.example,2026-01-01:cms/{article.id}",
            short_id=short_id,
            revision=article.version or 1,
            link=BASE + page_path(article.url, short_id),
            article=article,
            modified_at=article.updated_at or article.published_at,
        )

    return make


@pytest.fixture(scope="session")
def samples() -> dict[str, Article]:
    """The articles among the sample events, by file name."""
    events = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(EXAMPLES.glob("*.json"))}
    return {name: from_native(event["data"]) for name, event in events.items() if event["type"] != "article.withdrawn"}


@pytest.fixture(scope="session")
def parse() -> Parse:
    """Read a page as a browser would: bytes in UTF-8, HTML."""

    def read(page: bytes) -> HtmlElement:
        return lxml.html.document_fromstring(page, parser=lxml.html.HTMLParser(encoding="utf-8"))

    return read


@pytest.fixture(scope="session")
def naughty() -> tuple[str, ...]:
    """The big list of naughty strings; skips where the corpora folder is not at hand."""
    folder = Path(os.environ.get("PRESSRUN_TEST_DATA", HERE.parents[2] / "shared" / "data"))
    path = folder / "corpora" / "naughty-strings.json"
    if not path.is_file():
        pytest.skip("naughty-strings.json is not at hand (PRESSRUN_TEST_DATA)")
    return tuple(json.loads(path.read_text("utf-8")))
