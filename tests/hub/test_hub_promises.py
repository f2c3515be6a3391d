"""A 202 is kept: whatever another process writes between any two statements, what was asked for is still there."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text, update

from pipeline.ledger import documents, subscription_claims, subscription_outcomes, subscriptions, topics
from pipeline.ledger import tables as t
from pipeline.ledger.subscriptions import Ask
from pipeline.model.document import Document
from tests.hub.conftest import until
from tests.support.subscriber import Found

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.ledger.engine import Ledger, Tx
    from pipeline.model.settings import Hub
    from tests.hub.conftest import HubRoom

BOTH = pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
POSTGRES = pytest.mark.parametrize("database", ["postgres"], indirect=True)


class Meanwhile:
    """A transaction that is held up before the first statement of one kind: `what` happens then, elsewhere."""

    def __init__(self, tx: Tx, before: str, what: Callable[[], object]) -> None:
        """Nothing has happened."""
        self._tx, self._before, self._what = tx, before, what
        self._happened = False

    def __getattr__(self, name: str) -> Any:
        """As the transaction does it."""
        if name == self._before and not self._happened:
            self._happened = True
            self._what()
        return getattr(self._tx, name)


class Elsewhere(threading.Thread):
    """Another process: `come` lets it go on until it has ended or waits for a lock."""

    def __init__(self, ledger: Ledger, work: Callable[[Tx], object]) -> None:
        """One transaction of it."""
        super().__init__(daemon=True)
        self._ledger, self._work = ledger, work

    def run(self) -> None:
        """Do it."""
        with self._ledger.write() as tx:
            self._work(tx)

    def come(self) -> None:
        """Begin."""
        self.start()
        until(lambda: not self.is_alive() or self._waits())

    def _waits(self) -> bool:
        waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
        with self._ledger.read() as tx:
            return bool(tx.value(waiting))


def _ask(room: HubRoom, callback: str) -> Ask:
    return Ask("subscribe", room.topic(), callback, "192.0.2.1", 600, "")


def _asked(room: HubRoom, tx: Any, *callbacks: str) -> list[str]:
    return subscriptions.ask(tx, [_ask(room, one) for one in callbacks], room.newsroom.context.settings.hub)


@POSTGRES
def test_who_renews_while_its_lease_that_ended_is_cleared_away_stays(room: HubRoom) -> None:
    """The row was found to be over, was renewed, and is not over when it is its turn."""
    made, ledger = room.reader.subscribe(room.found()), room.newsroom.context.ledger
    room.settle()
    with ledger.write() as tx:
        tx.run(update(t.subscriptions).values(expires_at=tx.now))

    def renew() -> None:
        with ledger.write() as other:
            assert _asked(room, other, made.callback) == [""]

    with ledger.write() as tx:
        subscriptions.prune(Meanwhile(tx, "run", renew))  # type: ignore[arg-type]
    room.settle()
    assert [(row.state, row.asked) for row in room.rows()] == [("active", "")]
    assert len(made.verified) == 2


@POSTGRES
def test_who_subscribes_while_its_unsubscription_is_confirmed_is_asked_again(room: HubRoom) -> None:
    """The later request counts, although the row goes that it would have stood in."""
    made, ledger = room.reader.subscribe(room.found()), room.newsroom.context.ledger
    room.settle()
    room.reader.request(room.found(), made, "unsubscribe")
    with ledger.write() as tx:
        claims = subscription_claims.claim(tx, "elsewhere", subscription_claims.waiting(tx, 10, tried=3), tried=3)
    assert [one.asked for one in claims] == ["unsubscribe"]
    confirmed = Elsewhere(ledger, lambda other: subscription_outcomes.verified(other, claims, room.newsroom.context.settings.hub))
    with ledger.write() as tx:
        assert _asked(room, Meanwhile(tx, "run", confirmed.come), made.callback) == [""]
    confirmed.join()
    made.mode = "subscribe"
    room.settle()
    assert [(row.state, row.asked) for row in room.rows()] == [("active", "")]


@POSTGRES
def test_two_processes_that_are_asked_for_the_same_new_subscription_write_it_down_once(
    room: HubRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither has seen it when it looks; both answer 202, and what came with the second is there too."""
    ledger, full = room.newsroom.context.ledger, subscriptions._full
    made = [room.reader.make(room.topic()) for _ in range(2)]

    def full_late(tx: Tx, one: Ask, bounds: Hub) -> str:
        monkeypatch.undo()
        with ledger.write() as other:
            assert _asked(room, other, made[0].callback) == [""]
        return full(tx, one, bounds)

    monkeypatch.setattr(subscriptions, "_full", full_late)
    with ledger.write() as tx:
        assert _asked(room, tx, made[0].callback, made[1].callback) == ["", ""]
    room.settle()
    assert {row.callback: row.state for row in room.rows()} == {one.callback: "active" for one in made}


@BOTH
def test_who_answers_410_and_subscribes_again_is_asked_whether_it_meant_it(room: HubRoom) -> None:
    """Both before the hub has written down the 410, which ends the subscription there was and not the new one."""
    made, ledger = room.reader.subscribe(room.found()), room.newsroom.context.ledger
    room.settle()
    with ledger.write() as tx:
        tx.run(update(t.topics).values(seq=t.topics.c.seq + 1))
        claims = subscription_claims.claim(tx, "elsewhere", subscription_claims.waiting(tx, 10, tried=3), tried=3)
    assert room.reader.request(room.found(), made, "subscribe").status == 202
    with ledger.write() as tx:
        subscription_outcomes.ended(tx, claims)
    assert [row.state for row in room.rows()] == ["asked"]
    room.settle()
    assert [row.state for row in room.rows()] == ["active"]
    assert len(made.verified) == 2


@POSTGRES
def test_who_is_verified_while_the_first_text_of_its_topic_is_stored_is_told_of_it(make_hub: Callable[..., HubRoom]) -> None:
    """Before that there is no row of the topic that one of the two could lock; the later one must see the other."""
    room = make_hub()
    ledger = room.newsroom.context.ledger
    room.reader.subscribe(Found(room.topic(), (room.hub,)))
    with ledger.write() as tx:
        claims = subscription_claims.claim(tx, "elsewhere", subscription_claims.waiting(tx, 10, tried=3), tried=3)
    readers: list[bool] = []

    def store(other: Tx) -> None:
        document = Document("demo/feeds/all.atom", "application/atom+xml", b"the first text")
        documents.topics(other, "demo/feed:all", {room.topic(): document}, other.now)
        readers.append(topics.has_readers(other, [room.topic()]))

    stored = Elsewhere(ledger, store)
    with ledger.write() as tx:
        subscription_outcomes.verified(tx, claims, room.newsroom.context.settings.hub)
        stored.come()
    stored.join()
    with ledger.read() as tx:
        assert subscription_claims.is_due(tx, 3)
    assert readers == [True]
