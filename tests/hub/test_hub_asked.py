"""What is asked of the hub: who may have what, how many, and that the row is there before the answer."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from sqlalchemy import delete

from pipeline import upkeep
from pipeline.cli.start import first_token
from pipeline.kit.http import Http
from pipeline.ledger import subscriptions
from pipeline.ledger import tables as t
from pipeline.ledger.subscriptions import Ask
from tests.support.publishing import Page
from tests.support.subscriber import Found, ask, form

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hub.conftest import HubRoom

FORM = {"content-type": "application/x-www-form-urlencoded"}
BOTH = pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)


@BOTH
def test_the_row_is_there_before_the_answer(room: HubRoom) -> None:
    """Nobody has been asked anything yet; and the hub has been nudged."""
    made = room.reader.subscribe(room.found(), secret="s")
    rows = room.rows()
    assert [(row.state, row.asked, row.callback) for row in rows] == [("asked", "subscribe", made.callback)]
    assert made.verified == []


def test_the_callbacks_own_query_stays(room: HubRoom) -> None:
    """In the question it comes first and once; what is told is POSTed there as it is."""
    made = room.reader.subscribe(room.found(), query="?x=%2F%20")
    room.settle()
    assert made.verified[0][""].startswith("x=%2F%20&hub.mode=subscribe&")
    room.publish(id="a-2")
    assert len(made.heard) == 1


def test_unsubscribing_what_is_not_verified_yet(room: HubRoom) -> None:
    """The later request counts."""
    found = room.found()
    made = room.reader.subscribe(found)
    assert room.reader.request(found, made, "unsubscribe").status == 202
    room.settle()
    assert [one["hub.mode"] for one in made.verified] == ["unsubscribe"]
    assert room.rows() == []


@BOTH
def test_there_are_bounds_to_how_many(make_hub: Callable[..., HubRoom], monkeypatch: pytest.MonkeyPatch) -> None:
    """At one host, in all, and unverified of one client; whoever has one may renew it."""
    room = make_hub("[hub]\nper_host = 3\nmost = 5\n")
    room.publish()
    found = room.found()
    made = [room.reader.subscribe(found) for _ in range(4)]
    assert [one.got.status for one in made if one.got] == [202, 202, 202, 429]
    room.settle()
    assert room.reader.request(found, made[0], "subscribe").status == 202
    said = [form(room.hub, hub_mode="subscribe", hub_topic=found.topic, hub_callback=f"https://r{n}.example.org/") for n in range(3)]
    assert [answer.status for answer in said] == [202, 202, 429]
    assert said[-1].headers["retry-after"]
    monkeypatch.setattr(subscriptions, "UNVERIFIED_PER_CLIENT", 2)
    with room.newsroom.context.ledger.write() as tx:
        tx.run(delete(t.subscriptions).where(t.subscriptions.c.state == "active"))
    third = form(room.hub, hub_mode="subscribe", hub_topic=found.topic, hub_callback="https://r9.example.org/")
    assert (third.status, third.headers["content-type"]) == (429, "text/plain; charset=utf-8")


def test_ten_thousand_subscriptions_by_one_host_are_two_hundred(room: HubRoom) -> None:
    """The default bound; the rest is refused in words, and one who is asked costs one request."""
    topic = room.topic()
    with ThreadPoolExecutor(8) as several:
        said = list(
            several.map(
                lambda n: form(room.hub, hub_mode="subscribe", hub_topic=topic, hub_callback=f"http://{room.reader.authority}/{n}").status,
                range(1000),
            )
        )
    assert (said.count(202), said.count(429)) == (200, 800)


@BOTH
def test_many_at_once_are_each_written_down_once(room: HubRoom) -> None:
    """The same subscription from many threads is one row."""
    topic, made = room.topic(), room.reader.make(room.topic())
    with ThreadPoolExecutor(8) as several:
        said = list(
            several.map(lambda _: form(room.hub, hub_mode="subscribe", hub_topic=topic, hub_callback=made.callback).status, range(40))
        )
    assert set(said) == {202}
    assert len(room.rows()) == 1
    room.settle()
    assert len(made.verified) == 1


def test_a_name_that_leads_to_a_private_address_is_never_asked(room: HubRoom) -> None:
    """Whatever it led to before: the address that is connected to is the one that was checked."""
    answers = iter([("203.0.113.7", "127.0.0.1"), ("127.0.0.1",), ("10.0.0.1",)])
    room.newsroom.context.__dict__["http"] = Http(resolve=lambda _host: next(answers))
    before = len(room.reader.strays)
    for _ in range(3):
        assert form(room.hub, hub_mode="subscribe", hub_topic=room.topic(), hub_callback="http://rebinds.example.org/").status == 202
        room.settle()
        assert room.rows()[0].state == "refused"
        assert "not one of the public internet" in room.rows()[0].answer
    assert len(room.reader.strays) == before


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"x" * 140_000, FORM, 413),
        (b"hub.mode=subscribe", {"content-type": "application/json"}, 415),
        (b"hub.mode=subscribe", {**FORM, "content-encoding": "gzip"}, 415),
        (b"", FORM, 400),
        (b"hub.mode=%ff", FORM, 400),
    ],
)
def test_what_is_no_form_is_refused_in_words(room: HubRoom, body: bytes, headers: dict[str, str], status: int) -> None:
    """Plain text, and nothing kept."""
    answer = ask("POST", room.hub, body, headers)
    assert (answer.status, answer.headers["content-type"], answer.headers["cache-control"]) == (
        status,
        "text/plain; charset=utf-8",
        "no-store",
    )
    assert room.rows() == []


def test_a_hub_of_its_own_takes_nobody_elses_topics(room: HubRoom) -> None:
    """Neither to subscribe to nor to fetch."""
    page = room.publisher.url("/feed")
    assert form(room.hub, hub_mode="subscribe", hub_topic=page, hub_callback=f"http://{room.reader.authority}/x").status == 404
    assert form(room.hub, hub_mode="publish", hub_url=page).status == 404
    room.settle()
    assert room.publisher.asked == []


def test_an_allow_list_takes_those_hosts_and_ours(make_hub: Callable[..., HubRoom]) -> None:
    """By host and port, as they stand in the topic's URL."""
    room = make_hub('[hub]\npolicy = "allowlist"\ntopic_hosts = ["{publisher}"]\n')
    room.publish()
    for topic, status in ((room.topic(), 202), (room.publisher.url("/feed"), 202), ("http://127.0.0.1:1/feed", 404)):
        assert room.reader.request(Found(topic, (room.hub,)), room.reader.make(topic), "subscribe").status == status


@BOTH
def test_another_publishers_topic_is_fetched_when_it_calls(make_hub: Callable[..., HubRoom]) -> None:
    """Only where somebody subscribes, once for several calls, told only when it differs; what cannot be had is tried twice more."""
    room = make_hub('[hub]\npolicy = "open"\n')
    page = room.publisher.pages["/feed"] = Page(b"one")
    topic = room.publisher.url("/feed")
    assert form(room.hub, hub_mode="publish", hub_url=topic).status == 202
    room.settle()
    assert room.publisher.asked == []
    made = room.reader.subscribe(Found(topic, (room.hub,)))
    room.settle()
    for _ in range(3):
        form(room.hub, hub_mode="publish", hub_url=topic)
    room.settle()
    assert room.publisher.asked == ["/feed"]
    assert [told.body for told in made.heard] == [b"one"]
    room.newsroom.clock.move(2)
    form(room.hub, hub_mode="publish", hub_url=topic)
    room.settle()
    assert (len(room.publisher.asked), len(made.heard)) == (2, 1)
    page.body, page.status = b"two", 500
    room.newsroom.clock.move(2)
    form(room.hub, hub_mode="publish", hub_url=topic)
    room.settle()
    page.status = 200
    room.later(6)
    assert [told.body for told in made.heard] == [b"one", b"two"]


@pytest.mark.parametrize("status", [301, 404, 500])
def test_a_topic_that_leads_elsewhere_or_is_not_there_is_not_told(make_hub: Callable[..., HubRoom], status: int) -> None:
    """Redirects are not followed: the publisher of the new address may say so itself."""
    room = make_hub('[hub]\npolicy = "open"\n')
    room.publisher.pages["/feed"] = Page(b"words", status=status, headers={"location": room.publisher.url("/other")})
    topic = room.publisher.url("/feed")
    made = room.reader.subscribe(Found(topic, (room.hub,)))
    room.settle()
    form(room.hub, hub_mode="publish", hub_url=topic)
    room.settle()
    for seconds in (18, 45, 600):
        room.later(seconds)
    assert room.publisher.asked == ["/feed"] * 3
    assert made.told == []


def test_the_operator_sees_who_subscribes(room: HubRoom) -> None:
    """Counts by topic, each callback with what it answered; never a secret."""
    token = first_token(room.newsroom.context)
    found = room.found()
    good, bad = room.reader.subscribe(found, secret="not to be told"), room.reader.subscribe(found)
    room.settle()
    bad.answers = [503]
    room.publish(id="a-2")
    got = ask("GET", f"{room.hub[:-3]}api/v1/subscriptions", headers={"authorization": f"Bearer {token}"})
    said = json.loads(got.body)
    count = {"topic": room.topic(), "kind": "subscriber", "state": "active", "number": 2, "behind": 1, "retrying": 1, "given_up": 0}
    assert said["topics"] == [count]
    lines = {line["callback"]: line for line in said["subscriptions"]}
    assert (lines[good.callback]["signed"], lines[good.callback]["behind"], lines[good.callback]["attempts"]) == (True, False, 0)
    assert (lines[bad.callback]["behind"], lines[bad.callback]["reason"]) == (True, "it answered 503")
    assert b"not to be told" not in got.body
    narrowed = ask("GET", f"{room.hub[:-3]}api/v1/subscriptions?state=refused", headers={"authorization": f"Bearer {token}"})
    assert json.loads(narrowed.body)["subscriptions"] == []


@BOTH
def test_a_subscriber_at_the_address_of_another_hub_is_one_of_its_own(make_hub: Callable[..., HubRoom]) -> None:
    """Both are told, whoever came first: nobody takes the place of a site's other hub by giving its address as a callback."""
    room = make_hub(hubs=["http://{publisher}/their/hub"])
    room.publish()
    theirs = room.publisher.url("/their/hub")
    assert form(room.hub, hub_mode="subscribe", hub_topic=room.topic(), hub_callback=theirs).status == 202
    assert {row.kind for row in room.rows() if (row.topic, row.callback) == (room.topic(), theirs)} == {"hub", "subscriber"}
    later = room.publisher.url("/later/hub")
    assert form(room.hub, hub_mode="subscribe", hub_topic=room.topic(), hub_callback=later).status == 202
    with room.newsroom.context.ledger.write() as tx:
        subscriptions.tell_hubs(tx, [(later, room.topic())])
    assert {row.kind for row in room.rows() if row.callback == later} == {"hub", "subscriber"}


@BOTH
def test_what_was_refused_keeps_nobody_out(make_hub: Callable[..., HubRoom]) -> None:
    """A stranger who asks for others, who did not mean it, takes neither a host's places nor the hub's."""
    room = make_hub("[hub]\nper_host = 3\nmost = 3\n")
    room.publish()
    for number in range(5):
        said = form(room.hub, hub_mode="subscribe", hub_topic=room.topic(), hub_callback=f"http://{room.reader.authority}/nobody{number}")
        assert said.status == 202
        room.settle()
    assert {row.state for row in room.rows()} == {"refused"}
    honest = room.reader.subscribe(room.found())
    room.settle()
    assert [row.callback for row in room.rows() if row.state == "active"] == [honest.callback]


@BOTH
def test_what_others_ask_for_keeps_nobody_out_until_it_is_meant(make_hub: Callable[..., HubRoom]) -> None:
    """As many as a host may have are asked for there by a stranger, and nobody answers; and of those who mean it no more come in."""
    room = make_hub("[hub]\nper_host = 2\n")
    room.publish()
    with room.newsroom.context.ledger.write() as tx:
        strangers = [
            Ask("subscribe", room.topic(), f"http://{room.reader.authority}/nobody{number}", "198.51.100.1", 600, "") for number in range(3)
        ]
        assert subscriptions.ask(tx, strangers, room.newsroom.context.settings.hub).count("per_host") == 1
        others = [
            Ask("subscribe", room.topic(), room.reader.make(room.topic()).callback, f"192.0.2.{number}", 600, "") for number in range(3)
        ]
        assert subscriptions.ask(tx, others, room.newsroom.context.settings.hub) == ["", "", ""]
    room.settle()
    states = {row.callback: row.state for row in room.rows()}
    assert sorted(states[one.callback] for one in others) == ["active", "active", "refused"]
    assert [room.reader.request(room.found(), one, "subscribe").status for one in room.reader.subscriptions.values()].count(429) == 1
    room.settle()
    assert sorted(states[one.callback] for one in others) == ["active", "active", "refused"]


@BOTH
def test_who_was_refused_and_asks_again_is_counted_again(make_hub: Callable[..., HubRoom], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody comes past a bound by being refused first."""
    monkeypatch.setattr(subscriptions, "UNVERIFIED_PER_CLIENT", 2)
    room = make_hub()
    room.publish()
    made = [room.reader.make(room.topic()) for _ in range(4)]
    for one in made:
        one.confirms = False
        assert room.reader.request(room.found(), one, "subscribe").status == 202
        room.settle()
    assert [room.reader.request(room.found(), one, "subscribe").status for one in made] == [202, 202, 429, 429]
    assert sorted(row.state for row in room.rows()) == ["asked", "asked", "refused", "refused"]


@BOTH
def test_of_what_was_refused_the_newest_are_kept_for_a_while(room: HubRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that somebody sees them, and no flood of them fills the ledger."""
    monkeypatch.setattr(subscriptions, "MOST_REFUSED", 2)
    callbacks = [f"http://{room.reader.authority}/nobody{number}" for number in range(4)]
    for callback in callbacks:
        form(room.hub, hub_mode="subscribe", hub_topic=room.topic(), hub_callback=callback)
        room.later(1)
    upkeep.run(room.newsroom.context)
    assert [row.callback for row in room.rows()] == callbacks[:1:-1]
    room.later(600)
    upkeep.run(room.newsroom.context)
    assert room.rows() == []


def _of_three(room: HubRoom, *forwarded: str) -> list[int]:
    """What three clients are answered who come by way of a server in front."""
    said = []
    for number, shown in enumerate(forwarded):
        body = urlencode({"hub.mode": "subscribe", "hub.topic": room.topic(), "hub.callback": f"https://r{number}.example.org/"})
        said.append(ask("POST", room.hub, body.encode(), {**FORM, "x-forwarded-for": shown}).status)
    return said


def test_behind_a_trusted_server_each_client_is_its_own(make_hub: Callable[..., HubRoom], monkeypatch: pytest.MonkeyPatch) -> None:
    """It says who asked it; what a client itself said before that is nobody's address."""
    monkeypatch.setattr(subscriptions, "UNVERIFIED_PER_CLIENT", 1)
    room = make_hub(proxies=["127.0.0.0/8"])
    assert _of_three(room, "198.51.100.1", "198.51.100.2", "203.0.113.5, 198.51.100.2") == [202, 202, 429]


def test_who_is_not_named_as_a_server_in_front_is_the_client_whatever_it_says(room: HubRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or one client could be as many as it likes."""
    monkeypatch.setattr(subscriptions, "UNVERIFIED_PER_CLIENT", 1)
    assert _of_three(room, "198.51.100.1", "198.51.100.2", "198.51.100.3") == [202, 429, 429]
