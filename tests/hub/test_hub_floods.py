"""What strangers ask for holds up nobody: silent callbacks, requests that are repeated, many at once."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, update

from pipeline import callbacks, hub
from pipeline.kit.crew import Crew
from pipeline.kit.http import Http
from pipeline.ledger import subscription_claims, subscription_outcomes, subscriptions
from pipeline.ledger import tables as t
from pipeline.ledger.subscriptions import Ask
from pipeline.model.run import Nudge, Step
from tasks.drain import drain
from tests.hub.conftest import PATIENCE, until
from tests.support.subscriber import form

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.hub.conftest import HubRoom
    from tests.support.subscriber import Subscription

BOTH = pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
HOSTS = 8
pytestmark = pytest.mark.usefixtures("slept")


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """`host:port` of hosts that take every connection and never say a word."""
    monkeypatch.setattr(callbacks, "REQUEST", 4 * PATIENCE)
    monkeypatch.setattr(Http.__init__, "__kwdefaults__", {"resolve": lambda _host: ("127.0.0.1",), "ca_file": ""})
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        yield [f"silent{number}.example.org:{listener.getsockname()[1]}" for number in range(HOSTS)]


def told_while_they_hang(room: HubRoom, made: Subscription) -> None:
    """Something changes, and this one hears of it."""
    with room.newsroom.context.ledger.write() as tx:
        tx.run(update(t.topics).values(seq=t.topics.c.seq + 1))
    hub.run(room.newsroom.context)
    until(lambda: made.heard)


@BOTH
def test_callbacks_that_never_answer_hold_up_no_telling(make_hub: Callable[..., HubRoom], silent: list[str]) -> None:
    """However many are to be asked: no more than so many at a time, and nobody is told later for it, slow as he was the last time."""
    room = make_hub("[hub]\nper_host = 5000\n", allow=("{reader}", "{publisher}", *silent))
    room.publish()
    made, context = room.reader.subscribe(room.found()), room.newsroom.context
    room.settle()
    with context.ledger.write() as tx:
        tx.run(update(t.subscriptions).values(milliseconds=300))
        asks = [Ask("subscribe", room.topic(), f"http://{silent[n % HOSTS]}/{n}", f"2001:db8:0:{n % 4}::/64", 600, "") for n in range(400)]
        assert not any(subscriptions.ask(tx, asks, context.settings.hub))
    told_while_they_hang(room, made)
    assert context.crew.marked(hub.ASKS) == hub.ASKING
    assert not hub.run(context).nudges


@BOTH
def test_who_repeats_a_request_is_asked_no_sooner_and_no_more_often(room: HubRoom) -> None:
    """Where nobody answers: three times in all, each at its time."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        nobody = f"127.0.0.1:{gone.getsockname()[1]}"
    room.newsroom.context.http._allow |= {nobody}

    def repeat() -> int:
        said = form(room.hub, hub_mode="subscribe", hub_topic=room.topic(), hub_callback=f"http://{nobody}/")
        assert said.status == 202
        room.settle()
        with room.newsroom.context.ledger.read() as tx:
            return int(tx.value(select(t.subscriptions.c.ask_attempts)))

    assert [repeat(), repeat()] == [1, 1]
    room.later(5.1)
    assert [repeat(), repeat()] == [2, 2]
    room.later(30.1)
    assert room.rows()[0].state == "refused"


@BOTH
def test_who_repeats_a_request_while_it_is_asked_is_asked_again_later(room: HubRoom) -> None:
    """Not at once: a callback that is silent for the whole of a request would have one after the other for ever."""
    made, ledger = room.reader.subscribe(room.found()), room.newsroom.context.ledger
    with ledger.write() as tx:
        claims = subscription_claims.claim(tx, "elsewhere", subscription_claims.waiting(tx, 10, tried=3), tried=3)
    assert room.reader.request(room.found(), made, "subscribe").status == 202
    with ledger.write() as tx:
        subscription_outcomes.refused(tx, [(claims[0], "no answer in time")])
        assert subscription_claims.waiting(tx, 10, tried=3) == {}
    assert room.rows()[0].state == "asked"
    room.later(5.1)
    assert room.rows()[0].state == "active"


@BOTH
def test_who_asks_for_many_comes_after_the_first_of_everybody_else(room: HubRoom) -> None:
    """And who did not answer comes after all who were not asked yet."""
    context = room.newsroom.context
    with context.ledger.write() as tx:
        asks = [Ask("subscribe", room.topic(), f"https://r{n}.example.org/", ("a", "b")[n == 4], 600, "") for n in range(5)]
        subscriptions.ask(tx, asks, context.settings.hub)
        tx.run(update(t.subscriptions).where(t.subscriptions.c.callback == "https://r0.example.org/").values(ask_attempts=1))
        names = {row.id: row.callback[9:10] for row in tx.all(select(t.subscriptions.c.id, t.subscriptions.c.callback))}
        order = "".join(names[row] for row in subscription_claims.waiting(tx, 10, tried=3))
    assert "4" in order[:2]
    assert order[-1] == "0"


def subscribers(room: HubRoom, hosts: list[str], each: int, **more: object) -> None:
    """So many that are active at each of these hosts."""
    with room.newsroom.context.ledger.write() as tx:
        for number in range(each * len(hosts)):
            place = hosts[number % len(hosts)]
            row = {"kind": "subscriber", "topic": room.topic(), "state": "active", "held_seq": 1, "changed_at": tx.now, **more}
            tx.run(
                t.subscriptions.insert(),
                {**row, "key": str(number), "callback": f"http://{place}/{number}", "host": place.partition(":")[0]},
            )


def test_who_asks_in_the_name_of_a_host_takes_nothing_of_its_share(make_hub: Callable[..., HubRoom], silent: list[str]) -> None:
    """Callbacks at a port of it that nobody listens at hang, and whoever subscribes there is told all the same."""
    there = silent[0].partition(":")[0]
    room = make_hub(allow=("{reader}", "{publisher}", *silent))
    room.publish()
    made, context = room.reader.subscribe(room.found()), room.newsroom.context
    room.settle()
    with context.ledger.write() as tx:
        asks = [Ask("subscribe", room.topic(), f"http://{silent[0]}/{n}", "", 600, "") for n in range(2 * hub.AT_HOST)]
        assert not any(subscriptions.ask(tx, asks, context.settings.hub))
        tx.run(update(t.subscriptions).where(t.subscriptions.c.callback == made.callback).values(host=there))
    told_while_they_hang(room, made)
    assert context.crew.marked(hub.ASKS) == 2 * hub.AT_HOST


@BOTH
def test_two_hosts_that_hang_all_of_a_sudden_leave_room_for_the_others(make_hub: Callable[..., HubRoom], silent: list[str]) -> None:
    """All that were quick the last time, quicker than who lives; of each host only so many are waited for."""
    room = make_hub(allow=("{reader}", "{publisher}", *silent))
    room.publish()
    made, context = room.reader.subscribe(room.found()), room.newsroom.context
    room.settle()
    context.__dict__["crew"] = Crew(most=3 * hub.AT_HOST)
    subscribers(room, silent[:2], 2 * hub.AT_HOST, milliseconds=10)
    with context.ledger.write() as tx:
        tx.run(update(t.subscriptions).where(t.subscriptions.c.callback == made.callback).values(milliseconds=40))
    told_while_they_hang(room, made)
    assert [context.crew.marked(f"{hub.AT}silent{number}.example.org") for number in range(3)] == [hub.AT_HOST, hub.AT_HOST, 0]
    assert not hub.run(context).nudges


def test_many_at_one_host_that_takes_its_time_are_told_one_after_the_other(room: HubRoom) -> None:
    """More than are told at a time: one nudge is enough for all of them."""
    several = [room.reader.make(room.topic()) for _ in range(3 * hub.AT_HOST)]
    for one in several:
        one.slow = 0.9
        room.reader.request(room.found(), one, "subscribe")
    room.settle()
    with room.newsroom.context.ledger.write() as tx:
        tx.run(update(t.topics).values(seq=t.topics.c.seq + 1))
    drain(room.newsroom.context, [Nudge(Step.HUB)])
    assert room.newsroom.context.crew.idle(PATIENCE)
    assert {len(one.told) for one in several} == {1}


def test_who_was_never_told_comes_after_those_who_are_known_to_be_quick(room: HubRoom) -> None:
    """Nobody knows of the new ones yet whether they answer."""
    subscribers(room, ["new.example.org"], 1)
    made = room.reader.subscribe(room.found())
    room.settle()
    with room.newsroom.context.ledger.write() as tx:
        tx.run(update(t.subscriptions).values(milliseconds=200).where(t.subscriptions.c.callback == made.callback))
        tx.run(update(t.topics).values(seq=t.topics.c.seq + 1))
        assert list(subscription_claims.waiting(tx, 10, tried=3).values()) == ["127.0.0.1", "new.example.org"]
