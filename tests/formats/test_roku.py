"""Media RSS for apps on Roku: what an app needs to list and play a film, and nothing for a story without one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Any

import feedparser
import pytest
from lxml import etree

from pipeline.formats import FORMATS, Format, NoPlace
from pipeline.formats.feedgen_cures import ATOM, DCTERMS, MEDIA
from pipeline.formats.roku import DESCRIPTION_LENGTH
from pipeline.model.article import Video

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.model.article import Article
    from pipeline.model.entry import Entry, FeedHead

ROKU, RSS = FORMATS["roku"], FORMATS["rss"]


@pytest.fixture
def item(head: FeedHead, make_shown: Callable[..., Entry]) -> etree._Element:
    """The item of the story with a film."""
    found = etree.fromstring(ROKU.document(head, [ROKU.entry(make_shown(), head)])).find("channel/item")
    assert found is not None
    return found


def attributes(element: etree._Element | None) -> dict[str, str]:
    """The attributes of an element that is there."""
    assert element is not None
    return {str(name): str(value) for name, value in element.attrib.items()}


def test_a_film_can_be_listed_and_played(item: etree._Element, full_story: Article) -> None:
    """Address, type, whole seconds and size; title and description inside, the poster inside and beside it."""
    film = full_story.videos[0]
    played = item.find(f"{{{MEDIA}}}content")
    assert attributes(played) == {
        "url": film.url,
        "type": "video/mp4",
        "medium": "video",
        "isDefault": "true",
        "duration": "61",
        "width": "1280",
        "height": "720",
        "lang": "en",
    }
    assert played is not None
    assert [etree.QName(child).localname for child in played] == ["title", "description", "credit", "thumbnail"]
    posters = [attributes(one)["url"] for one in item.iter(f"{{{MEDIA}}}thumbnail")]
    assert posters == [film.thumbnail_url, film.thumbnail_url]
    assert [one.text for one in item.iter(f"{{{MEDIA}}}category")] == ["News", "Russia"]
    assert item.findtext(f"{{{MEDIA}}}keywords") == "Ferries, Lake Ladoga"


def test_it_is_rss_to_everybody_else(item: etree._Element, make_shown: Callable[..., Entry]) -> None:
    """Identity, link and dates as in the other feeds: RFC 822 for RSS, ISO 8601 for those who want it."""
    assert (item.findtext("guid"), attributes(item.find("guid"))) == (make_shown().identity, {"isPermaLink": "false"})
    assert item.findtext("link") == make_shown().link
    assert item.findtext("pubDate") == "Mon, 23 Nov 2026 08:05:00 +0000"
    assert item.findtext(f"{{{DCTERMS}}}created") == "2026-11-23T08:05:00.250000Z"
    assert item.findtext(f"{{{DCTERMS}}}modified") == "2026-11-23T10:00:00.500000Z"


def test_rss_and_roku_say_the_same_date_the_same_way(head: FeedHead, item: etree._Element, make_shown: Callable[..., Entry]) -> None:
    """One writes it by feedgen, the other by the standard library."""
    root = etree.fromstring(RSS.document(head, [RSS.entry(make_shown(), head)]))
    assert item.findtext("pubDate") == root.findtext("channel/item/pubDate")
    assert etree.fromstring(ROKU.frame(head)).findtext("channel/lastBuildDate") == root.findtext("channel/lastBuildDate")


def test_equal_instants_make_equal_bytes(head: FeedHead, make_shown: Callable[..., Entry]) -> None:
    """Whatever offset they came with."""
    moscow, entry = timezone(timedelta(hours=3)), make_shown()
    elsewhere = replace(entry, article=replace(entry.article, published_at=entry.article.published_at.astimezone(moscow)))
    assert ROKU.entry(elsewhere, head) == ROKU.entry(entry, head)
    assert ROKU.frame(replace(head, updated_at=head.updated_at.astimezone(moscow))) == ROKU.frame(head)


def test_the_channel_says_where_it_is_and_who_pushes_it(head: FeedHead) -> None:
    """Self and hubs as RSS has them; required elements filled, a description also where the feed has none."""
    channel = etree.fromstring(ROKU.document(replace(head, description=""), []))[0]
    assert [(link.get("rel"), link.get("href")) for link in channel.iter(f"{{{ATOM}}}link")] == [
        ("self", head.self_url),
        ("hub", head.hub_urls[0]),
    ]
    assert (channel.findtext("title"), channel.findtext("description"), channel.findtext("link")) == (head.title, head.title, head.home_url)


def test_descriptions_fit_a_television(head: FeedHead, make_shown: Callable[..., Entry], full_story: Article) -> None:
    """At most 200 characters, whole words, in both places."""
    long = replace(full_story, summary="word " * 100)
    made = etree.fromstring(ROKU.document(head, [ROKU.entry(make_shown(0, long), head)]))
    for said in (made.findtext("channel/item/description"), made.findtext(f"channel/item/{{{MEDIA}}}content/{{{MEDIA}}}description")):
        assert said is not None
        assert DESCRIPTION_LENGTH - 5 <= len(said) <= DESCRIPTION_LENGTH
        assert said.endswith("word…")


def test_a_story_without_a_film_has_no_place(head: FeedHead, make_entry: Callable[..., Entry]) -> None:
    """Which is told apart from a story that cannot be written."""
    with pytest.raises(NoPlace, match="no film"):
        ROKU.entry(make_entry(), head)


def test_the_lead_photograph_stands_for_a_film_without_a_picture(
    head: FeedHead, make_shown: Callable[..., Entry], full_story: Article
) -> None:
    """And where there is no photograph either, no poster is invented; a film of unknown length has no duration."""
    bare = replace(full_story, videos=(Video("https://img.example/a.m3u8"),))
    made = ROKU.entry(make_shown(0, bare), head)
    assert made.count(f'<media:thumbnail url="{full_story.images[0].url}"/>'.encode()) == 2
    assert b"duration" not in made
    assert b'type="application/vnd.apple.mpegurl"' in made
    assert b"thumbnail" not in ROKU.entry(make_shown(0, replace(bare, images=())), head)


def test_the_film_that_can_be_listed_comes_first(head: FeedHead, make_shown: Callable[..., Entry], full_story: Article) -> None:
    """Roku requires a picture and a length; of several films the first with both is shown, whole: address, poster, credit."""
    listed = Video("https://v.example/b.mp4", duration_seconds=60, credit="A crew", thumbnail_url="https://v.example/b.jpg")
    pictured = Video("https://v.example/p.mp4", credit="Nobody", thumbnail_url="https://v.example/p.jpg")
    timed = Video("https://v.example/t.mp4", credit="Nobody", duration_seconds=5)
    last = replace(listed, url="https://v.example/last.mp4")
    several = replace(full_story, videos=(pictured, timed, listed, last))
    played = etree.fromstring(ROKU.document(head, [ROKU.entry(make_shown(0, several), head)])).find(f"channel/item/{{{MEDIA}}}content")
    assert played is not None
    assert (played.get("url"), played.get("duration"), played.findtext(f"{{{MEDIA}}}credit")) == (listed.url, "60", "A crew")
    assert attributes(played.find(f"{{{MEDIA}}}thumbnail")) == {"url": listed.thumbnail_url}


@pytest.mark.parametrize(("seconds", "said"), [(0.2, "1"), (0, "1"), (1.4, "1"), (61.6, "62")])
@pytest.mark.parametrize("fmt", [ROKU, RSS], ids=["roku", "rss"])
def test_a_film_is_never_without_length(
    fmt: Format, seconds: float, said: str, head: FeedHead, make_shown: Callable[..., Entry], full_story: Article
) -> None:
    """Whole seconds, at least one: players pass over a length of 0."""
    short = replace(full_story, videos=(replace(full_story.videos[0], duration_seconds=seconds),))
    made = etree.fromstring(fmt.document(head, [fmt.entry(make_shown(0, short), head)]))
    assert [one.get("duration") for one in made.iterfind(f"channel/item/{{{MEDIA}}}content[@medium='video']")] == [said]


def test_feedparser_reads_it(head: FeedHead, make_shown: Callable[..., Entry]) -> None:
    """Well-formed, with the film where programs look."""
    parsed: Any = feedparser.parse(ROKU.document(head, [ROKU.entry(make_shown(), head)]))
    assert parsed.bozo == 0
    (got,) = parsed.entries
    assert got.id == make_shown().identity
    assert got.media_content[0]["url"] == make_shown().article.videos[0].url
    assert got.media_thumbnail[0]["url"] == make_shown().article.videos[0].thumbnail_url
