"""One site's head, and entries made from the golden story, for the tests of every format."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.model.article import Article, Correction, Video
from pipeline.model.entry import Entry, FeedHead
from pipeline.rules.article import from_native

GOLDEN = Path(__file__).parents[1] / "golden"
MADE = datetime(2026, 11, 23, 10, 0, 0, 500_000, tzinfo=UTC)

MakeEntry = Callable[..., Entry]


def regolded(path: Path, document: bytes) -> bytes:
    """What the golden file holds; PRESSRUN_REGOLD=1 makes it hold the document first."""
    if os.environ.get("PRESSRUN_REGOLD") == "1":
        path.write_bytes(document)
    return path.read_bytes()


@pytest.fixture(scope="session")
def head() -> FeedHead:
    """The head of the feed `russia`, with a hub."""
    return FeedHead(
        identity="tag:news.example,2026-01-01:feed/russia",
        self_url="https://news.example/feeds/russia.rss",
        home_url="https://news.example/",
        title="The Example News: Russia & neighbours",
        description="Every story from Russia",
        language="en",
        publisher="The Example News",
        sections_url="https://news.example/sections",
        updated_at=MADE,
        rights="© The Example News",
        hub_urls=("https://news.example/hub",),
    )


@pytest.fixture(scope="session")
def story() -> Article:
    """The golden story: breadcrumb, three photographs with credits, a sub-heading, a sign-off."""
    return from_native(json.loads((GOLDEN / "anatomy.article.json").read_text("utf-8"))["article"])


@pytest.fixture(scope="session")
def full_story(story: Article) -> Article:
    """The golden story with a correction and a film besides."""
    film = Video(
        "https://img.example/ladoga/crossing.mp4",
        "video/mp4",
        61.4,
        "The first crossing",
        "Lakeside Pictures",
        "https://img.example/ladoga/crossing.jpg",
        1280,
        720,
    )
    return replace(story, videos=(film,), correction=Correction("An earlier version gave\nthe wrong pier.", MADE))


@pytest.fixture(scope="session")
def make_entry(story: Article) -> MakeEntry:
    """`make_entry(number=0, article=the golden story)`: entry `number`, each an hour older than the one before."""

    def make(number: int = 0, article: Article = story) -> Entry:
        older = timedelta(hours=number)
        return Entry(
            identity=f"tag:news.example,2026-01-01:cms/story-{number}",
            short_id=f"story{number:05d}",
            revision=2,
            link=f"https://news.example/story/{number}/?a=1&b=2",
            article=replace(article, id=f"story-{number}", published_at=article.published_at - older),
            modified_at=MADE - older,
        )

    return make


@pytest.fixture(scope="session")
def make_shown(make_entry: MakeEntry, full_story: Article) -> MakeEntry:
    """As `make_entry`, of a story that every format shows: with a film, and nothing missing."""

    def make(number: int = 0, article: Article = full_story) -> Entry:
        return make_entry(number, article)

    return make


@pytest.fixture(scope="session")
def naughty() -> tuple[str, ...]:
    """The big list of naughty strings; skips where the corpora folder is not at hand."""
    folder = Path(os.environ.get("PRESSRUN_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
    found = next((p for p in (folder / "corpora" / "naughty-strings.json", folder / "naughty-strings.json") if p.is_file()), None)
    if found is None:
        pytest.skip("naughty-strings.json is not at hand (PRESSRUN_TEST_DATA)")
    return tuple(json.loads(found.read_text("utf-8")))


@pytest.fixture
def w3c(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes, str], list[object]]:
    """`w3c(document, its own URL)`: what the W3C feed validator says of it at its level AA.

    Runs where FEEDVALIDATOR_SRC names a checkout of w3c/feedvalidator's `src`.
    """
    if not os.environ.get("FEEDVALIDATOR_SRC"):
        pytest.skip("FEEDVALIDATOR_SRC is not set")
    monkeypatch.setattr(sys, "path", [os.environ["FEEDVALIDATOR_SRC"], *sys.path])
    import feedvalidator
    from feedvalidator import compatibility

    def judged(document: bytes, url: str) -> list[object]:
        told = feedvalidator.validateStream(io.BytesIO(document), firstOccurrenceOnly=1, base=url)["loggedEvents"]
        return list(compatibility.AA(told))

    return judged
