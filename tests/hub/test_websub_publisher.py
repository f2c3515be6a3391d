"""Our feeds as websub.rocks tries a publisher: hub and self are named in header and document, and hubs are told of each change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import pytest
from lxml import etree

from pipeline import settings as settings_file
from tests.support.subscriber import ATOM, ask, links

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hub.conftest import HubRoom

FEEDS = ("rss", "atom", "json")
OTHER = "http://{publisher}/their/hub"


@pytest.fixture
def told(make_hub: Callable[..., HubRoom]) -> HubRoom:
    """A room whose site names another hub, and retries it soon."""
    made = make_hub("[retries]\nhub = [5, 10]\n", hubs=[OTHER])
    made.publish()
    return made


def embedded(extension: str, body: bytes) -> tuple[list[str], list[str]]:
    """(hubs, selves) of a feed document."""
    if extension == "json":
        top = json.loads(body)
        return [hub["url"] for hub in top["hubs"] if hub["type"] == "WebSub"], [top["feed_url"]]
    root = etree.fromstring(body)
    found = [*root.iterfind(f"channel/{ATOM}link"), *root.iterfind(f"{ATOM}link")]
    hubs, selves = ([e.get("href", "") for e in found if e.get("rel") == rel] for rel in ("hub", "self"))
    return hubs, selves


@pytest.mark.parametrize("extension", FEEDS)
def test_websub_publisher_names_its_hubs_and_itself(told: HubRoom, extension: str) -> None:
    """In one Link header and in the document, ours first; with 304 and HEAD too; and there is one self, which answers with itself."""
    topic, other = told.topic("all", extension), OTHER.replace("{publisher}", told.publisher.authority)
    got = ask("GET", topic)
    head, same = ask("HEAD", topic), ask("GET", topic, headers={"if-none-match": got.headers["etag"]})
    assert same.status == 304
    for answer in (got, head, same):
        assert links(answer.headers["link"]) == [("hub", told.hub), ("hub", other), ("self", topic)]
    assert embedded(extension, got.body) == ([told.hub, other], [topic])


@pytest.mark.parametrize("extension", FEEDS)
def test_websub_publisher_can_be_subscribed_to_in_every_format(told: HubRoom, extension: str) -> None:
    """From discovery to what is told: 202, the question, the new document as it stands."""
    made = told.reader.subscribe(told.found("all", extension))
    told.settle()
    told.publish(id="a-2")
    assert [one.body for one in made.heard] == [ask("GET", told.topic("all", extension)).body]


def test_websub_publisher_tells_other_hubs_of_each_change(told: HubRoom) -> None:
    """With hub.url and hub.topic both: once for each document that changed, and once at the start, so that the hub knows of it."""
    told.publisher.posted.clear()
    told.publish(id="a-2", section=["Culture"])
    fields = [(path, dict(parse_qsl(body.decode()))) for path, body in told.publisher.posted]
    topics = {topic for topic, outlet in settings_file.own_topics(told.newsroom.context.settings).items() if outlet == "demo/feed:all"}
    assert {fields_["hub.topic"] for _, fields_ in fields} == topics
    assert all(
        path == "/their/hub" and f == {"hub.mode": "publish", "hub.url": f["hub.topic"], "hub.topic": f["hub.topic"]} for path, f in fields
    )
    assert len(fields) == len(topics)


def test_websub_publisher_tries_again_where_a_hub_does_not_answer(told: HubRoom) -> None:
    """After each interval of the list; then with the next change only."""
    told.publisher.posted.clear()
    told.publisher.taken = 500
    told.publish(id="a-2", section=["Culture"])
    first = len(told.publisher.posted)
    for seconds in (6.1, 12.1, 60, 600):
        told.later(seconds)
    assert len(told.publisher.posted) == 3 * first
    told.publisher.taken = 204
    told.publish(id="a-3", section=["Culture"])
    assert len(told.publisher.posted) == 4 * first
    told.later(600)
    assert len(told.publisher.posted) == 4 * first


def test_a_mirrors_feed_names_no_hub(told: HubRoom) -> None:
    """It stands at an address that no hub of ours tells of."""
    got = ask("GET", f"{told.newsroom.context.settings.server.public_url}mirrors/demo/one/feeds/all.atom")
    assert got.status == 200
    assert "link" not in got.headers
    assert embedded("atom", got.body)[0] == []
