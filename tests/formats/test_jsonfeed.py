"""JSON Feed 1.1 against a schema of its specification, and what our items say."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest

from pipeline.formats import FORMATS
from pipeline.model.article import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.model.article import Article
    from pipeline.model.entry import Entry, FeedHead

JSON = FORMATS["json"]

_URL = {"type": "string", "format": "uri", "pattern": "^https?://"}
_DATE = {"type": "string", "format": "date-time"}
_TEXT = {"type": "string", "minLength": 1}
_EXTENSIONS = {"^_[A-Za-z][^.]*$": {"type": "object", "propertyNames": {"pattern": "^[A-Za-z0-9][A-Za-z0-9]*$"}}}


def closed(required: list[str], **properties: object) -> dict[str, object]:
    """An object with these members, extensions, and nothing else."""
    return {
        "type": "object",
        "required": required,
        "properties": properties,
        "patternProperties": _EXTENSIONS,
        "additionalProperties": False,
    }


_AUTHORS = {"type": "array", "minItems": 1, "items": {**closed([], name=_TEXT, url=_URL, avatar=_URL), "minProperties": 1}}
_ATTACHMENT = closed(
    ["url", "mime_type"],
    url=_URL,
    mime_type={"type": "string", "pattern": "^[a-z]+/[a-z0-9.+-]+$"},
    title=_TEXT,
    size_in_bytes={"type": "integer", "minimum": 0},
    duration_in_seconds={"type": "number", "minimum": 0},
)
_ITEM = {
    **closed(
        ["id"],
        id=_TEXT,
        url=_URL,
        external_url=_URL,
        title=_TEXT,
        content_html=_TEXT,
        content_text=_TEXT,
        summary=_TEXT,
        image=_URL,
        banner_image=_URL,
        date_published=_DATE,
        date_modified=_DATE,
        authors=_AUTHORS,
        tags={"type": "array", "items": _TEXT, "uniqueItems": True},
        language=_TEXT,
        attachments={"type": "array", "items": _ATTACHMENT},
    ),
    "anyOf": [{"required": ["content_html"]}, {"required": ["content_text"]}],
}
SCHEMA = closed(
    ["version", "title", "items"],
    version={"const": "https://jsonfeed.org/version/1.1"},
    title=_TEXT,
    home_page_url=_URL,
    feed_url=_URL,
    description=_TEXT,
    user_comment=_TEXT,
    next_url=_URL,
    icon=_URL,
    favicon=_URL,
    authors=_AUTHORS,
    language=_TEXT,
    expired={"const": True},
    hubs={"type": "array", "items": closed(["type", "url"], type={"enum": ["WebSub", "rssCloud"]}, url=_URL)},
    items={"type": "array", "items": _ITEM},
)
VALIDATOR = jsonschema_rs.Draft202012Validator(SCHEMA, validate_formats=True)


def made(head: FeedHead, *entries: Entry) -> Any:
    """The feed of these entries, read as JSON and found to fit the schema."""
    feed = json.loads(JSON.document(head, [JSON.entry(entry, head) for entry in entries]))
    assert [error.message for error in VALIDATOR.iter_errors(feed)] == []
    return feed


def test_the_feed_says_who_it_is(head: FeedHead) -> None:
    """Version, links, hub, language, publisher; no address that nobody answers at."""
    feed = made(head)
    assert feed["items"] == []
    assert (feed["title"], feed["feed_url"], feed["home_page_url"]) == (head.title, head.self_url, head.home_url)
    assert feed["hubs"] == [{"type": "WebSub", "url": head.hub_urls[0]}]
    assert feed["authors"] == [{"name": head.publisher}]
    assert "pressrun.example" not in json.dumps(feed)
    assert "hubs" not in made(replace(head, hub_urls=()))


def test_an_item_says_what_the_article_says(head: FeedHead, full_story: Article, make_entry: Callable[..., Entry]) -> None:
    """Every member of the mapping, in the words of JSON Feed 1.1."""
    entry = make_entry(0, full_story)
    (item,) = made(head, entry)["items"]
    assert (item["id"], item["url"], item["title"]) == (entry.identity, entry.link, full_story.headline)
    assert (item["summary"], item["language"], item["image"]) == (full_story.summary, "en", full_story.images[0].url)
    assert (item["date_published"], item["date_modified"]) == ("2026-11-23T08:05:00.250000Z", "2026-11-23T10:00:00.500000Z")
    assert item["tags"] == ["News", "Russia", "Ferries", "Lake Ladoga"]
    assert item["authors"] == [{"name": "Anna Belova", "url": "https://news.example/staff/anna-belova/"}, {"name": "Carl Dahl"}]
    assert item["_pressrun"] == {"revision": 2, "signoff": "AB/CD/EF"}
    film, lead, *others = item["attachments"]
    assert (film["mime_type"], film["duration_in_seconds"]) == ("video/mp4", 61.4)
    assert (lead["mime_type"], lead["size_in_bytes"]) == ("image/jpeg", 245120)
    assert [other["mime_type"] for other in others] == ["image/jpeg"] * 2


def test_attachments_share_no_title(head: FeedHead, story: Article, make_entry: Callable[..., Entry]) -> None:
    """Equal titles would mean two renditions of one photograph."""
    images = tuple(Image(f"https://img.example/{n}.png", caption="The quay") for n in range(3))
    (item,) = made(head, make_entry(0, replace(story, images=images)))["items"]
    assert [attachment.get("title") for attachment in item["attachments"]] == ["The quay", None, None]


def test_an_article_without_anything_optional_fits_too(head: FeedHead, story: Article, make_entry: Callable[..., Entry]) -> None:
    """Absent is absent: no empty string, no null."""
    bare = replace(story, summary="", sign_off="", section=(), authors=(), tags=(), images=(), rights="", dateline="")
    (item,) = made(head, make_entry(0, bare))["items"]
    assert not {"image", "authors", "tags", "attachments"} & set(item)
    assert item["_pressrun"] == {"revision": 2}


@pytest.mark.parametrize(
    "broken", [b"{", b"[]", b"{}", b'{"items":[1]}', b'{"items":[{"id":"x"}]}', b'{"items":[{"id":1}]}', b"\xff"], ids=repr
)
def test_what_is_no_feed_is_not_read(broken: bytes) -> None:
    """ValueError for broken JSON, no items, items without id or dates."""
    with pytest.raises(ValueError, match=r".+"):
        JSON.read(broken)


def test_a_page_of_the_archive_fits_too(head: FeedHead, make_entry: Callable[..., Entry]) -> None:
    """With the address of the page before it, the live feed's as its own, and hubs only where there is one."""
    page = replace(
        head,
        self_url="https://news.example/feeds/russia-2026-10-2.json",
        current_url="https://news.example/feeds/russia.json",
        prev_archive_url="https://news.example/feeds/russia-2026-10-1.json",
        hub_urls=(),
        is_archive=True,
    )
    feed = made(page, make_entry())
    assert (feed["feed_url"], feed["next_url"]) == (page.current_url, page.prev_archive_url)
    assert len(made(replace(head, hub_urls=("https://a.example/", "https://b.example/")))["hubs"]) == 2
