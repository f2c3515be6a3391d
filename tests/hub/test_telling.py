"""How subscribers are told: the newest text and never an older one after it, each by itself, as long as its lease lasts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, update

from pipeline import context as contexts
from pipeline import hub
from pipeline.kit import metrics
from pipeline.ledger import subscription_claims, subscription_outcomes, subscriptions
from pipeline.ledger import tables as t
from tests.conftest import article
from tests.hub.conftest import PATIENCE
from tests.support.subscriber import ask, form

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hub.conftest import HubRoom
    from tests.support.subscriber import Subscription

BOTH = pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
RETRIES = "[retries]\nhub = [10, 20]\n"


@pytest.fixture
def soon(make_hub: Callable[..., HubRoom]) -> HubRoom:
    """A room whose subscribers are tried again after 10 and 20 s."""
    made = make_hub(RETRIES)
    made.publish()
    return made


def subscribed(room: HubRoom, **more: str) -> Subscription:
    """Somebody who subscribes to everything, verified."""
    made = room.reader.subscribe(room.found(), **more)
    room.settle()
    assert len(made.verified) == 1
    return made


def standing(room: HubRoom) -> bytes:
    """The feed as it stands."""
    return ask("GET", room.topic()).body


@BOTH
def test_whoever_fails_is_tried_again_and_then_told_the_newest(soon: HubRoom) -> None:
    """At each interval of the list; what changed meanwhile takes the place of what waited, and nobody else waits for it."""
    bad, good = subscribed(soon), subscribed(soon)
    bad.answers = [500]
    soon.publish(id="a-2")
    soon.publish(id="a-3")
    assert len(good.heard) == 2
    assert len(bad.told) == 1
    soon.later(12.1)
    assert len(bad.told) == 2
    assert bad.told[-1].body == standing(soon) != bad.told[0].body
    bad.answers = [204]
    soon.later(24.1)
    soon.later(600)
    assert [told.body for told in bad.told[2:]] == [standing(soon)]


@BOTH
def test_after_the_last_retry_the_next_change_is_told_still(soon: HubRoom) -> None:
    """A subscription that fails stays until its lease ends."""
    made = subscribed(soon)
    made.answers = [500]
    soon.publish(id="a-2")
    for seconds in (12.1, 24.1, 60, 600, 3600):
        soon.later(seconds)
    assert len(made.told) == 3
    made.answers = [204]
    soon.publish(id="a-3")
    assert len(made.heard) == 4
    assert made.told[-1].body == standing(soon)
    soon.later(600)
    assert len(made.heard) == 4


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404, 429, 500, 503])
def test_everything_but_2xx_and_410_is_a_failure(soon: HubRoom, status: int) -> None:
    """Redirects are not followed; the subscription stays."""
    made = subscribed(soon)
    made.answers = [status, 200]
    soon.publish(id="a-2")
    assert soon.reader.strays == []
    assert str(status) in soon.rows()[0].answer
    soon.later(12.1)
    assert [row.state for row in soon.rows()] == ["active"]
    assert len(made.told) == 2


def test_410_ends_the_subscription(soon: HubRoom) -> None:
    """It is told no more."""
    made = subscribed(soon)
    made.answers = [410]
    soon.publish(id="a-2")
    assert soon.rows() == []
    soon.publish(id="a-3")
    assert len(made.told) == 1


def test_a_text_that_comes_back_is_told_again(soon: HubRoom) -> None:
    """Nobody knows whether the one between was taken: a hash would say that nothing has changed."""
    made = subscribed(soon)
    with soon.newsroom.context.ledger.write() as tx:
        before = tx.value(select(t.topics.c.seq).where(t.topics.c.url == soon.topic()))
    soon.publish(id="a-2")
    soon.newsroom.send("withdrawn", {"id": "a-2"})
    soon.settle()
    with soon.newsroom.context.ledger.write() as tx:
        assert tx.value(select(t.topics.c.seq).where(t.topics.c.url == soon.topic())) == before + 2
    assert len(made.heard) == 2


def test_what_does_not_change_is_not_told(soon: HubRoom) -> None:
    """A feed without the new article is no new text; and the formats are topics of their own."""
    world = soon.reader.subscribe(soon.found("world"))
    rss = soon.reader.subscribe(soon.found("all", "rss"))
    soon.settle()
    soon.publish(id="a-2", section=["Culture"])
    assert (len(world.told), len(rss.told)) == (0, 1)


@BOTH
def test_what_changes_between_the_request_and_its_verification_is_told(soon: HubRoom) -> None:
    """Who read the feed and then subscribed has no gap."""
    made = soon.reader.subscribe(soon.found())
    made.confirms = False
    with soon.newsroom.context.ledger.write() as tx:
        tx.run(update(t.subscriptions).values(ask_at=None))  # nobody came to ask yet
    soon.publish(id="a-2")
    assert made.told == []
    made.confirms = True
    with soon.newsroom.context.ledger.write() as tx:
        tx.run(update(t.subscriptions).values(ask_at=tx.now))
    soon.settle()
    assert [told.body for told in made.heard] == [standing(soon)]


@BOTH
def test_a_lease_ends_and_a_renewed_one_does_not(make_hub: Callable[..., HubRoom]) -> None:
    """What was granted is what counts, within the bounds; when it is over, nothing is told and the row goes."""
    room = make_hub("[hub]\nlease_min = 300\nlease_default = 600\nlease_max = 1000\n")
    room.publish()
    found = room.found()
    asked = {"": "600", "1": "300", "300": "300", "700": "700", "99999999": "1000"}
    made = {lease: room.reader.subscribe(found, **({"hub_lease_seconds": lease} if lease else {})) for lease in asked}
    room.settle()
    assert {lease: one.verified[0]["hub.lease_seconds"] for lease, one in made.items()} == asked
    room.later(290)
    room.reader.request(found, made["300"], "subscribe", hub_lease_seconds="900")
    room.settle()
    room.later(20)
    room.publish(id="a-2")
    assert {lease for lease, one in made.items() if one.told} == {"", "300", "700", "99999999"}
    assert len(room.rows()) == 4
    room.later(1000)
    assert room.rows() == []
    room.publish(id="a-3")
    assert all(len(one.told) <= 1 for one in made.values())


@BOTH
@pytest.mark.parametrize("how", ["404", "echo", "redirect"])
def test_what_is_not_confirmed_is_refused_and_what_was_in_force_stays(soon: HubRoom, how: str) -> None:
    """A callback that answers 404, something else than the challenge, or leads elsewhere."""
    had, new = subscribed(soon, secret="first"), soon.reader.make(soon.topic())
    found = soon.found()
    for made in (had, new):
        made.confirms, made.echo = how == "echo", "something else"
        if how == "redirect":
            made.mode = "none"
        soon.reader.request(found, made, "unsubscribe" if made is had else "subscribe")
        made.mode = "none" if how == "redirect" else made.mode
    soon.settle()
    assert [(row.state, row.asked) for row in soon.rows()] == [("refused", ""), ("active", "")]
    soon.publish(id="a-2")
    assert (len(had.heard), len(new.told)) == (1, 0)
    soon.later(700)
    assert [row.state for row in soon.rows()] == ["active"]


def test_a_callback_that_cannot_be_reached_is_asked_twice_more(soon: HubRoom) -> None:
    """After 5 and 30 s; then it is refused."""
    other = soon.reader.__class__()
    soon.newsroom.context.http._allow |= {other.authority}
    with other:
        made = other.make(soon.topic())
    assert form(soon.hub, hub_mode="subscribe", hub_topic=made.topic, hub_callback=made.callback).status == 202
    soon.settle()
    assert soon.rows()[0].state == "asked"
    for seconds, state in ((5.1, "asked"), (29, "asked"), (1.1, "refused")):
        soon.later(seconds)
        assert soon.rows()[0].state == state
    assert "connection refused" in soon.rows()[0].answer


def test_a_feed_that_is_closed_ends_its_subscriptions(soon: HubRoom) -> None:
    """Each subscriber is told why, once; nothing is told any more."""
    made = subscribed(soon)
    with soon.newsroom.context.ledger.write() as tx:
        contexts._register_topics(tx, soon.newsroom.context.settings)
        assert subscriptions.topics(tx) == [soon.topic()]
        subscriptions.deny(tx, soon.topic(), "This topic is no longer published here.")
    soon.settle()
    assert [(one["hub.mode"], one["hub.topic"], one["hub.reason"]) for one in made.denied] == [
        ("denied", soon.topic(), "This topic is no longer published here.")
    ]
    assert soon.rows() == []
    soon.publish(id="a-2")
    assert made.told == []


def test_a_feed_that_is_not_configured_any_more_is_no_topic(soon: HubRoom) -> None:
    """At the next start its subscribers are told, and nobody can subscribe to it."""
    made, settings = subscribed(soon), soon.newsroom.context.settings
    site = settings.sites[0]
    closed = replace(settings, sites=(replace(site, feeds=tuple(replace(feed, closed=True) for feed in site.feeds)),))
    soon.newsroom.context.settings = closed
    with soon.newsroom.context.ledger.write() as tx:
        contexts._register_topics(tx, closed)
    soon.settle()
    assert len(made.denied) == 1
    assert form(soon.hub, hub_mode="subscribe", hub_topic=soon.topic(), hub_callback=made.callback).status == 404


@BOTH
def test_the_slow_hold_nobody_up(soon: HubRoom) -> None:
    """A run goes on without them; they are settled when they answer."""
    slow = [subscribed(soon) for _ in range(4)]
    quick = subscribed(soon)
    for one in slow:
        one.slow = 30.0
    soon.newsroom.send("published", article(id="a-2"))
    soon.newsroom.drain()
    assert len(quick.heard) == 1
    assert not soon.newsroom.context.crew.idle(0.0)
    soon.reader.released.set()
    soon.settle()
    assert [len(one.heard) for one in slow] == [1, 1, 1, 1]
    assert {row.held_seq == row.seq for row in soon.rows()} == {True}


@BOTH
def test_two_runs_never_tell_one_subscriber_at_a_time(soon: HubRoom) -> None:
    """What one has claimed the other leaves alone, until the claim has ended."""
    made = subscribed(soon)
    ledger = soon.newsroom.context.ledger
    with ledger.write() as tx:
        tx.run(update(t.topics).values(seq=t.topics.c.seq + 1))
        ids = subscription_claims.waiting(tx, 10, tried=2)
        taken = subscription_claims.claim(tx, "somebody", ids, tried=2)
    assert len(taken) == 1
    soon.settle()
    assert made.told == []
    with ledger.write() as tx:
        subscription_outcomes.put_back(tx, taken)
    soon.later(1.1)
    assert len(made.told) == 1


@BOTH
def test_what_a_run_died_with_is_told_after_the_others(soon: HubRoom) -> None:
    """A crash is a strike; whoever answers at all has none any more."""
    bad, good = subscribed(soon), subscribed(soon)
    _die(soon, bad, before=1)
    soon.settle()
    assert (len(bad.told), len(good.told)) == (1, 1)
    assert bad.told[0].at > good.told[0].at
    assert _strikes(soon) == {0}


@BOTH
def test_what_three_runs_died_with_is_left_out_until_the_next_change(soon: HubRoom) -> None:
    """With an alert; the others are told in the meantime."""
    bad, good = subscribed(soon), subscribed(soon)
    alerts = metrics.alerts.labels("stops its worker")._value.get()
    _die(soon, bad, before=2)
    soon.settle()
    soon.later(3600)
    assert (len(bad.told), len(good.told)) == (0, 1)
    assert metrics.alerts.labels("stops its worker")._value.get() == alerts + 1
    soon.publish(id="a-2")
    assert len(bad.told) == 1
    assert _strikes(soon) == {0}


def _die(room: HubRoom, made: Subscription, before: int) -> None:
    """Everything changes; a process takes this one, which has so many strikes already, and is gone."""
    with room.newsroom.context.ledger.write() as tx:
        tx.run(update(t.topics).values(seq=t.topics.c.seq + 1))
        mine = t.subscriptions.c.callback == made.callback
        tx.run(update(t.subscriptions).where(mine).values(strikes=before, claimed_by="dead", claimed_until=tx.now))


def _strikes(room: HubRoom) -> set[int]:
    with room.newsroom.context.ledger.read() as tx:
        return {row[0] for row in tx.all(select(t.subscriptions.c.strikes))}


def test_a_process_that_was_held_up_tells_nothing(soon: HubRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its claim might end before its request does: another may be telling something newer."""
    made = subscribed(soon)
    monkeypatch.setattr(hub, "LATE", -1.0)
    soon.publish(id="a-2")
    assert made.told == []
    monkeypatch.undo()
    soon.later(1.1)
    assert len(made.heard) == 1


def test_a_document_that_is_not_what_its_row_says_is_not_told(soon: HubRoom) -> None:
    """Nor is anybody's retry spent on it; once it is whole again, it is told."""
    made = subscribed(soon)
    path = soon.newsroom.context.settings.origin / "demo" / "feeds" / "all.atom"
    whole = path.read_bytes()
    path.write_bytes(b"torn")
    with soon.newsroom.context.ledger.write() as tx:
        tx.run(update(t.topics).values(seq=t.topics.c.seq + 1))
    soon.settle()
    assert (made.told, soon.rows()[0].attempts) == ([], 0)
    path.write_bytes(whole)
    soon.later(1.1)
    assert [told.body for told in made.heard] == [whole]


def test_a_run_waits_once_for_documents_that_are_not_what_their_rows_say(soon: HubRoom, slept: list[float]) -> None:
    """However many subscribe to how many of them: the others are not told later for it."""
    formats = ("atom", "rss", "json")
    several = [soon.reader.subscribe(soon.found("all", extension)) for extension in formats * 5]
    made = soon.reader.subscribe(soon.found("world"))
    soon.settle()
    context = soon.newsroom.context
    for extension in formats:
        (context.settings.origin / "demo" / "feeds" / f"all.{extension}").write_bytes(b"torn")
    with context.ledger.write() as tx:
        tx.run(update(t.topics).values(seq=t.topics.c.seq + 1))
    hub.run(context)
    assert context.crew.idle(PATIENCE)
    assert (len(made.heard), sum(len(one.told) for one in several)) == (1, 0)
    assert 0 < slept.count(hub.PAUSE) < hub.LOOKS


@BOTH
def test_who_gave_nothing_back_for_long_is_told_once_it_renews(soon: HubRoom) -> None:
    """Its retries are spent, and nothing has changed since; but who answers the question answers."""
    made = subscribed(soon)
    made.answers = [500]
    soon.publish(id="a-2")
    for seconds in (12.1, 24.1, 60, 600):
        soon.later(seconds)
    assert len(made.told) == 3
    made.answers = [204]
    soon.reader.request(soon.found(), made, "subscribe")
    soon.settle()
    assert [told.body for told in made.told[3:]] == [standing(soon)]


@BOTH
def test_a_retry_is_no_sooner_than_its_interval_however_long_that_is(make_hub: Callable[..., HubRoom]) -> None:
    """Two days are no wrong clock where the list says two days."""
    room = make_hub("[retries]\nhub = [172800, 172800]\n")
    room.publish()
    made = subscribed(room)
    made.answers = [500]
    room.publish(id="a-2")
    room.later(1.5 * 86_400)
    assert len(made.told) == 1
    room.later(86_400)
    assert len(made.told) == 2


@BOTH
def test_a_clock_that_is_put_back_keeps_nobody_waiting(make_hub: Callable[..., HubRoom]) -> None:
    """Neither who has just asked, nor who failed just before it and is to be tried again in seconds."""
    room = make_hub()
    room.publish()
    made = room.reader.subscribe(room.found())
    room.newsroom.clock.move(-3600)
    room.settle()
    assert len(made.verified) == 1
    made.answers = [500, 204]
    room.publish(id="a-2")
    assert len(made.told) == 1
    room.newsroom.clock.move(-3600)
    room.later(10)
    assert [told.body for told in made.told[1:]] == [standing(room)]
