"""ninjs 3.1 against the IPTC's own schema, and the mapping of every field."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

from pipeline.formats import FORMATS, ninjs
from pipeline.model.article import Geo
from tests.formats.conftest import GOLDEN, MADE

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.model.article import Article
    from pipeline.model.entry import Entry, FeedHead

NINJS = FORMATS["ninjs"]


@cache
def judge() -> Draft202012Validator:
    """The schema, with its one foreign reference (GeoJSON, which nothing here emits) answered from a registry of our own."""
    folder = Path(os.environ.get("PRESSRUN_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
    path = folder / "ninjs-schema_3.1.json"
    if not path.is_file():
        pytest.skip("ninjs-schema_3.1.json is not at hand (PRESSRUN_TEST_DATA)")
    anything: Resource[Any] = Resource.from_contents({"$schema": "https://json-schema.org/draft/2020-12/schema"})
    registry: Registry[Any] = Registry().with_resource("https://geojson.org/schema/GeoJSON.json", anything)
    schema = json.loads(path.read_text("utf-8"))
    return Draft202012Validator(schema, registry=registry, format_checker=FormatChecker(("uri", "date-time")))


def problems(item: object) -> list[str]:
    """What the schema has to say."""
    return [f"{error.json_path}: {error.message}" for error in judge().iter_errors(item)]


def made(head: FeedHead, *entries: Entry) -> Any:
    """The items of these entries, read as JSON."""
    return json.loads(NINJS.document(head, [NINJS.entry(entry, head) for entry in entries]))


def test_every_item_fits_the_schema(head: FeedHead, full_story: Article, make_entry: Callable[..., Entry]) -> None:
    """With every field filled, and with none that may be missing."""
    geo = Geo("RU", "Sortavala", 61.7, 30.69)
    bare = replace(full_story, summary="", sign_off="", section=(), authors=(), tags=(), images=(), videos=(), rights="", dateline="")
    entries = [make_entry(0, replace(full_story, geo=geo, priority=3)), make_entry(1, replace(bare, correction=None))]
    items = made(head, *entries)
    assert [problems(item) for item in items] == [[], []]
    assert not {"by", "people", "located", "subjects", "infoSources", "associations", "places", "urgency"} & set(items[1])


def test_the_schema_would_notice() -> None:
    """A member it does not know, and an item without a uri, are refused: an oracle that finds nothing must be able to."""
    assert problems({"uri": "tag:x,2026:y", "extra": 1})
    assert problems({"type": "text"})


@pytest.mark.parametrize("case", sorted(path.name for path in GOLDEN.glob("*.ninjs.json")))
def test_golden_items_fit_the_schema(case: str) -> None:
    """What stands in the golden files is valid, too."""
    items = json.loads((GOLDEN / case).read_text("utf-8"))
    assert [problems(item) for item in items] == [[]] * len(items)


def test_an_item_says_what_the_article_says(head: FeedHead, full_story: Article, make_entry: Callable[..., Entry]) -> None:
    """Every member of the mapping."""
    entry = make_entry(0, full_story)
    (item,) = made(head, entry)
    assert (item["uri"], item["type"], item["version"], item["pubStatus"]) == (entry.identity, "text", "2", "usable")
    assert (item["firstCreated"], item["versionCreated"]) == ("2026-11-23T08:05:00.250000Z", "2026-11-23T10:00:00.500000Z")
    assert item["headlines"] == [{"role": "main", "contentType": "text/plain", "value": full_story.headline}]
    assert {one["role"]: one["value"] for one in item["descriptions"]} == {
        "summary": full_story.summary,
        "correction": "An earlier version gave\nthe wrong pier.",
    }
    (body,) = item["bodies"]
    assert (body["role"], body["contentType"], body["value"]) == ("main", "text/html", full_story.body_html)
    assert 0 < body["wordCount"] < body["charCount"]
    assert item["by"] == "Anna Belova, Carl Dahl"
    assert item["people"] == [
        {"rel": "author", "name": "Anna Belova", "uri": "https://news.example/staff/anna-belova/"},
        {"rel": "author", "name": "Carl Dahl"},
    ]
    assert (item["located"], item["language"], item["copyrightHolder"]) == ("SORTAVALA, Russia", "en", head.publisher)
    assert item["copyrightNotice"] == full_story.rights
    assert item["infoSources"] == [{"role": "editor", "name": "AB/CD/EF"}]
    assert item["renditions"] == [{"name": "web", "href": entry.link, "contentType": "text/html"}]
    assert item["altIds"] == [{"role": "cms", "value": "story-0"}]


def test_sections_are_named_with_their_path_and_tags_without(head: FeedHead, story: Article, make_entry: Callable[..., Entry]) -> None:
    """A path is percent-encoded, so any section's name makes a URI."""
    (item,) = made(head, make_entry(0, replace(story, section=("News", "Москва & область"), tags=("a b",))))
    assert item["subjects"] == [
        {"rel": "section", "name": "News", "uri": f"{head.sections_url}/News"},
        {
            "rel": "section",
            "name": "Москва & область",
            "uri": f"{head.sections_url}/News/%D0%9C%D0%BE%D1%81%D0%BA%D0%B2%D0%B0%20%26%20%D0%BE%D0%B1%D0%BB%D0%B0%D1%81%D1%82%D1%8C",
        },
        {"rel": "tag", "name": "a b"},
    ]
    assert problems(item) == []


def test_photographs_and_films_are_associations(head: FeedHead, full_story: Article, make_entry: Callable[..., Entry]) -> None:
    """Each with caption, credit and what is known of its file; never a rendition of the text."""
    (item,) = made(head, make_entry(0, full_story))
    assert [one["name"] for one in item["associations"]] == ["picture-1", "picture-2", "picture-3", "video-1"]
    lead, film = item["associations"][0], item["associations"][-1]
    image = full_story.images[0]
    assert lead == {
        "name": "picture-1",
        "uri": image.url,
        "type": "picture",
        "by": image.credit,
        "descriptions": [
            {"role": "caption", "contentType": "text/plain", "value": image.caption},
            {"role": "alt", "contentType": "text/plain", "value": image.alt},
        ],
        "renditions": [
            {"name": "original", "href": image.url, "contentType": "image/jpeg", "width": 1600, "height": 900, "sizeInBytes": 245120}
        ],
    }
    assert film["renditions"][0]["duration"] == 61.4
    assert film["renditions"][1] == {"name": "thumbnail", "href": full_story.videos[0].thumbnail_url}


def test_an_item_stands_alone(head: FeedHead, make_entry: Callable[..., Entry]) -> None:
    """The same item, as a document of its own."""
    item = NINJS.entry(make_entry(), head)
    assert [json.loads(ninjs.alone(item))] == made(head, make_entry())


def test_a_withdrawn_article_is_canceled(make_entry: Callable[..., Entry]) -> None:
    """Its identity, its dates, and not a word of what it said."""
    entry = make_entry()
    item = json.loads(ninjs.canceled(entry.identity, 3, entry.article.published_at, MADE))
    assert problems(item) == []
    assert (item["uri"], item["pubStatus"], item["version"]) == (entry.identity, "canceled", "3")
    assert (item["firstCreated"], item["versionCreated"]) == ("2026-11-23T08:05:00.250000Z", "2026-11-23T10:00:00.500000Z")
    assert not {"headlines", "bodies", "descriptions", "by", "associations"} & set(item)


@pytest.mark.parametrize(
    "broken", [b"", b"{}", b"[1]", b'[{"uri":"x"}]', b'[{"uri":1,"firstCreated":"x","versionCreated":"x"}]', b"\xff"], ids=repr
)
def test_what_is_no_list_of_items_is_not_read(broken: bytes) -> None:
    """ValueError for broken JSON, another shape, items without uri or dates."""
    with pytest.raises(ValueError, match=r".+"):
        NINJS.read(broken)
