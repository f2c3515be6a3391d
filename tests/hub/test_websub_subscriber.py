"""Subscribers as websub.rocks tries them (subscriber tests 100 to 302), against the one our own tests subscribe with.

What they hold of a hub is what our hub must do for them; what they hold of a subscriber, our own tests rely on. Over real sockets.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

import pytest

from tests.support.publishing import Page, Publisher
from tests.support.subscriber import Subscriber, Subscription, ask, form, signed

if TYPE_CHECKING:
    from collections.abc import Iterator

TOPIC = "/topic"


@pytest.fixture
def reader() -> Iterator[Subscriber]:
    """The subscriber."""
    with Subscriber() as made:
        yield made


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    """A publisher whose topic names its hub in one way or another; the hub is at `/hub` of the same server."""
    with Publisher() as made:
        yield made


def named(publisher: Publisher, how: str, hub: str, topic: str) -> Page:
    """The topic, naming hub and self in its header, or in its body."""
    if how == "header":
        return Page(b"words", headers={"link": f'<{hub}>; rel="hub", <{topic}>; rel="self"'})
    if how == "html":
        return Page(
            f'<html><head><link rel="hub" href="{hub}"><link rel="self" href="{topic}"></head></html>'.encode(), "text/html; charset=utf-8"
        )
    links = f'<link rel="hub" href="{hub}"/><link rel="self" href="{topic}"/>'
    atom = "http://www.w3.org/2005/Atom"
    if how == "atom":
        return Page(f'<feed xmlns="{atom}">{links}</feed>'.encode(), "application/atom+xml")
    return Page(f'<rss xmlns:a="{atom}"><channel>{links.replace("<link", "<a:link")}</channel></rss>'.encode(), "application/rss+xml")


def discovered(reader: Subscriber, publisher: Publisher, topic: str = TOPIC) -> Subscription:
    """Discover what stands at the topic, and subscribe there: the hub has heard of it under the name it gives itself."""
    made = reader.subscribe(reader.discover(publisher.url(topic)))
    path, body = publisher.posted[-1]
    assert path == "/hub"
    assert f"hub.topic={publisher.url(TOPIC).replace(':', '%3A').replace('/', '%2F')}".encode() in body
    return made


@pytest.mark.parametrize(("number", "how"), [(100, "header"), (101, "html"), (102, "atom"), (103, "rss")])
def test_websub_subscriber_100_to_103_discovery(reader: Subscriber, publisher: Publisher, number: int, how: str) -> None:
    """By Link headers, HTML tags, Atom links, RSS links: a subscription, its verification, and what is told."""
    assert number
    publisher.pages[TOPIC] = named(publisher, how, publisher.url("/hub"), publisher.url(TOPIC))
    made = discovered(reader, publisher)
    asked = f"{made.callback}?hub.mode=subscribe&hub.topic={publisher.url(TOPIC)}&hub.challenge=c-1&hub.lease_seconds=60"
    assert ask("GET", asked).body == b"c-1"
    assert ask("POST", made.callback, b"new words").status // 100 == 2
    assert [told.body for told in made.heard] == [b"new words"]


def test_websub_subscriber_104_headers_before_the_body(reader: Subscriber, publisher: Publisher) -> None:
    """Where both name a hub, the header counts."""
    page = named(publisher, "atom", publisher.url("/wrong"), publisher.url("/wrong"))
    page.headers = named(publisher, "header", publisher.url("/hub"), publisher.url(TOPIC)).headers
    publisher.pages[TOPIC] = page
    discovered(reader, publisher)


def test_websub_subscriber_200_self_differs_from_what_was_fetched(reader: Subscriber, publisher: Publisher) -> None:
    """The topic's own name counts."""
    publisher.pages["/other"] = named(publisher, "header", publisher.url("/hub"), publisher.url(TOPIC))
    discovered(reader, publisher, "/other")


@pytest.mark.parametrize(("number", "status"), [(201, 302), (202, 301)])
def test_websub_subscriber_201_and_202_the_topic_has_moved(reader: Subscriber, publisher: Publisher, number: int, status: int) -> None:
    """For now, or for good: it is looked for where it is."""
    assert number
    publisher.pages["/old"] = Page(status=status, headers={"location": publisher.url(TOPIC)})
    publisher.pages[TOPIC] = named(publisher, "header", publisher.url("/hub"), publisher.url(TOPIC))
    discovered(reader, publisher, "/old")


@pytest.mark.parametrize(("number", "status"), [(203, 307), (204, 308)])
def test_websub_subscriber_203_and_204_the_hub_has_moved(reader: Subscriber, publisher: Publisher, number: int, status: int) -> None:
    """The same request goes where the hub is."""
    assert number
    publisher.pages["/moved"] = Page(status=status, headers={"location": publisher.url("/hub")})
    publisher.pages[TOPIC] = named(publisher, "header", publisher.url("/moved"), publisher.url(TOPIC))
    discovered(reader, publisher)
    assert [path for path, _ in publisher.posted] == ["/moved", "/hub"]
    assert publisher.posted[0][1] == publisher.posted[1][1]


def test_websub_subscriber_205_verification_of_another_topic_is_refused(reader: Subscriber, publisher: Publisher) -> None:
    """404, for a topic it did not ask for and for a mode it did not ask for."""
    made = reader.make(publisher.url(TOPIC))
    for mode, topic in (("subscribe", publisher.url("/other")), ("unsubscribe", made.topic)):
        asked = f"{made.callback}?hub.mode={mode}&hub.topic={topic}&hub.challenge=c-1&hub.lease_seconds=60"
        assert ask("GET", asked).status == 404


def test_websub_subscriber_300_what_is_told_is_answered_with_2xx(reader: Subscriber) -> None:
    """With its signature."""
    made = reader.make("http://news.example/", secret="s")
    header = "sha256=" + hmac.new(b"s", b"words", hashlib.sha256).hexdigest()
    assert ask("POST", made.callback, b"words", {"x-hub-signature": header}).status // 100 == 2
    assert len(made.heard) == 1


@pytest.mark.parametrize(
    ("number", "headers"),
    [(301, {"x-hub-signature": "sha256=" + "0" * 64}), (301, {"x-hub-signature": "md5=x"}), (302, {})],
)
def test_websub_subscriber_301_and_302_what_is_not_signed_as_it_should_be_does_not_count(
    reader: Subscriber, number: int, headers: dict[str, str]
) -> None:
    """A wrong signature, or none; it is answered all the same."""
    assert number
    made = reader.make("http://news.example/", secret="s")
    assert ask("POST", made.callback, b"words", headers).status // 100 == 2
    assert made.heard == []
    assert len(made.told) == 1


def test_the_subscriber_knows_every_registered_algorithm() -> None:
    """Section 8: sha1, sha256, sha384, sha512."""
    for name in ("sha1", "sha256", "sha384", "sha512"):
        assert signed({"x-hub-signature": f"{name}={hmac.new(b's', b'words', name).hexdigest()}"}, b"words", "s")
    assert not signed({"x-hub-signature": f"md5={hmac.new(b's', b'words', 'md5').hexdigest()}"}, b"words", "s")


def test_a_stranger_is_nobody(reader: Subscriber) -> None:
    """Callbacks cannot be guessed."""
    assert form(f"http://{reader.authority}/guess", hub_mode="x").status == 404
