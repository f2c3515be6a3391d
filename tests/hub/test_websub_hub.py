"""The hub as websub.rocks tries one (hub tests 100 to 106), over real sockets: W3C WebSub sections 5, 7 and 8."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

import pytest

from tests.support.publishing import Page
from tests.support.subscriber import Found, ask, form, links

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hub.conftest import HubRoom
    from tests.support.subscriber import Subscription

TOPIC = "/elsewhere/feed"


def as_websub_rocks_asks(made: Subscription, hub: str, topic: str) -> None:
    """What every one of these tests asserts of the last distribution: body, media type, links and signature."""
    told, stands = made.told[-1], ask("GET", topic)
    assert told.body
    assert told.body.strip() == stands.body.strip()
    assert told.headers["content-type"] == stands.headers["content-type"]
    found = links(told.headers["link"])
    assert ("hub", hub) in found
    assert [target for rel, target in found if rel == "self"] == [topic]
    if made.secret:
        assert told.headers["x-hub-signature"] == "sha256=" + hmac.new(made.secret.encode(), told.body, hashlib.sha256).hexdigest()
    else:
        assert "x-hub-signature" not in told.headers


def is_verified(made: Subscription, topic: str, times: int = 1, mode: str = "subscribe") -> None:
    """It was asked so often whether it meant it, each time with another challenge, and told for how long it counts."""
    assert made.got is not None
    assert made.got.status == 202
    asked = [one for one in made.verified if one["hub.mode"] == mode]
    assert len(asked) == times
    assert {one["hub.topic"] for one in asked} == {topic}
    assert len({one["hub.challenge"] for one in asked}) == times
    assert mode == "unsubscribe" or {one["hub.lease_seconds"] for one in asked} == {"864000"}


def test_websub_hub_100_a_typical_request(room: HubRoom) -> None:
    """202 before anybody was asked; then the question, and with the next change the whole document."""
    made = room.reader.subscribe(room.found())
    assert made.verified == []
    room.settle()
    is_verified(made, room.topic())
    assert made.told == []
    room.publish(id="a-2")
    assert len(made.heard) == 1
    as_websub_rocks_asks(made, room.hub, room.topic())


def test_websub_hub_101_with_a_secret(room: HubRoom) -> None:
    """Each distribution is signed."""
    made = room.reader.subscribe(room.found(), secret="the reader's own secret & more")
    room.settle()
    is_verified(made, room.topic())
    room.publish(id="a-2")
    assert len(made.heard) == 1
    as_websub_rocks_asks(made, room.hub, room.topic())


def test_websub_hub_102_further_parameters_are_ignored(room: HubRoom) -> None:
    """Of whatever name."""
    made = room.reader.subscribe(room.found(), foo="bar", hub_foo="hub.bar")
    room.settle()
    is_verified(made, room.topic())
    room.publish(id="a-2")
    assert len(made.heard) == 1
    as_websub_rocks_asks(made, room.hub, room.topic())


def test_websub_hub_103_subscribed_again_before_the_lease_ends(room: HubRoom) -> None:
    """It is asked again, the new secret counts, and there is one notification, not two."""
    found = room.found()
    made = room.reader.subscribe(found, secret="first")
    room.settle()
    made.secret = "second"
    assert room.reader.request(found, made, "subscribe").status == 202
    room.settle()
    is_verified(made, room.topic(), times=2)
    room.publish(id="a-2")
    assert len(made.told) == len(made.heard) == 1
    as_websub_rocks_asks(made, room.hub, room.topic())


def test_websub_hub_104_unsubscribed(room: HubRoom) -> None:
    """It is asked whether it meant that, too, and hears no more."""
    found = room.found()
    made = room.reader.subscribe(found)
    room.settle()
    room.publish(id="a-2")
    assert room.reader.request(found, made, "unsubscribe").status == 202
    room.settle()
    is_verified(made, room.topic(), mode="unsubscribe")
    room.publish(id="a-3")
    assert len(made.told) == 1
    assert room.rows() == []


@pytest.mark.parametrize(
    ("number", "media_type", "body", "changed"),
    [
        (105, "text/plain; charset=utf-8", b"plain words", b"other words"),
        (106, "application/json", b'{"items": []}', b'{"items": [1]}'),
    ],
)
def test_websub_hub_105_and_106_a_topic_of_any_media_type(
    make_hub: Callable[..., HubRoom], number: int, media_type: str, body: bytes, changed: bytes
) -> None:
    """An open hub tells of other publishers' topics, with the media type they have, letter by letter."""
    room = make_hub('[hub]\npolicy = "open"\n')
    page = room.publisher.pages[TOPIC] = Page(body, media_type)
    found = Found(room.publisher.url(TOPIC), (room.hub,))
    made = room.reader.subscribe(found, secret=f"{number}")
    room.settle()
    is_verified(made, found.topic)
    page.body = changed
    assert form(room.hub, hub_mode="publish", hub_topic=found.topic).status == 202
    room.settle()
    assert [told.body for told in made.heard] == [changed]
    as_websub_rocks_asks(made, room.hub, found.topic)
