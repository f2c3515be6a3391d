"""Whose failure it is: a mirror that is down fails nobody's delivery, however long; a page it refuses ends with that page's own retries."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from pipeline import mirrors
from pipeline.backends.http import HttpBackend
from pipeline.ledger import tables
from pipeline.model.errors import Permanent, Transient
from tests.conftest import article
from tests.support.mirrors import KEY, outlet, pages_with, rows, settle_for, story, validated
from tests.support.put_server import Fault, PutServer

if TYPE_CHECKING:
    from tests.conftest import Newsroom

HOUR = 3600.0
LONG_ENOUGH = 12 * 24 * HOUR  # more than the whole list of a mirror's retries takes, with jitter


def refuse(monkeypatch: pytest.MonkeyPatch, part: str, error: Exception) -> None:
    """The server takes everything but paths with this part in them."""
    real = HttpBackend.put

    def put(self: HttpBackend, path: str, body: bytes, media_type: str, fence: int) -> None:
        if part in path:
            raise error
        real(self, path, body, media_type, fence)

    monkeypatch.setattr(HttpBackend, "put", put)


def hours(room: Newsroom, seconds: float, step: float = HOUR) -> None:
    """Let time pass, with upkeep looking once in a while."""
    for _ in range(int(seconds / step)):
        room.clock.move(step)
        room.drain()


@pytest.mark.parametrize("fault", [Fault.ERROR, Fault.RESET, Fault.TRUNCATE])
def test_an_outage_of_three_days_ends_with_the_newest_revision_and_fails_nothing(
    remote_over_each: Newsroom, server: PutServer, fault: Fault
) -> None:
    """Published, corrected and withdrawn meanwhile; an hour or so after it is back everything stands as it should."""
    room = remote_over_each
    for name in ("a-1", "a-2", "a-3"):
        room.send("published", story(name, headline=f"First {name}"))
    server.fault = fault
    room.drain()
    hours(room, 30 * HOUR)
    room.send("corrected", story("a-1", headline="Second a-1", updated_at="2026-11-24T07:00:00Z"))
    room.send("withdrawn", {"id": "a-3"})
    room.drain()
    hours(room, 42 * HOUR)
    assert {row.state for row in rows(room.context).values()} <= {"pending", "retrying"}
    asked = len(server.seen)
    assert asked < 72 * 12
    server.fault = Fault.NONE
    hours(room, 3 * HOUR, 600)
    assert {row.state for row in rows(room.context).values()} == {"settled"}
    assert pages_with(server, "First a-1") == []
    assert pages_with(server, "First a-3") == []
    assert len([seen for seen in server.seen[asked:] if seen.method == "PUT" and "/a-1-" in seen.path]) == 1
    shown = [item["id"].rpartition("/")[2] for item in json.loads((server.root / "feeds/all.json").read_bytes())["items"]]
    assert sorted(shown) == ["a-1", "a-2"]
    assert outlet(room.context).circuit_failures == 0


def test_an_outage_uses_up_nobodys_retries(remote_over_each: Newsroom, server: PutServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hiccup of one page after a long outage is its first failure, not its last."""
    room = remote_over_each
    room.send("published", story("a-1"))
    room.send("published", story("a-2"))
    server.fault = Fault.ERROR
    room.drain()
    hours(room, LONG_ENOUGH, 6 * HOUR)
    server.fault = Fault.NONE
    with monkeypatch.context() as patched:
        refuse(patched, "a-1-", Transient("502 Bad Gateway"))
        hours(room, 2 * HOUR, 600)
        assert room.states("a-2")[KEY] == "settled"
        assert room.states("a-1")[KEY] == "retrying"
    hours(room, 7 * HOUR, 600)
    assert room.states("a-1")[KEY] == "settled"


@pytest.mark.parametrize("others", [0, 2], ids=["alone", "among others"])
def test_a_page_that_is_refused_again_and_again_fails_once_its_own_retries_are_spent(
    remote: Newsroom, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    """Also where nothing else is due: what all share tells the page's failure from the mirror's, and the circuit stays closed."""
    refuse(monkeypatch, "bad-", Transient("500 Internal Server Error"))
    remote.send("published", story("bad"))
    for number in range(others):
        remote.send("published", story(f"good-{number}"))
    remote.drain()
    assert remote.states("bad")[KEY] == "retrying"
    hours(remote, LONG_ENOUGH, 6 * HOUR)
    retries = len(remote.context.settings.retries.mirror)
    assert [(row.state, row.attempts) for row in rows(remote.context).values() if row.state != "settled"] == [("failed", retries + 1)]
    assert outlet(remote.context).circuit_failures == 0


@pytest.mark.parametrize("error", [Transient("503 Service Unavailable"), Permanent("403 Forbidden")], ids=["503", "403"])
def test_feeds_that_cannot_be_put_fail_no_article(remote: Newsroom, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """The pages were taken: that what they share is refused is the mirror's failure."""
    remote.send("published", story("a-1"))
    with monkeypatch.context() as patched:
        refuse(patched, "feeds/", error)
        remote.drain()
        hours(remote, LONG_ENOUGH, 6 * HOUR)
        assert [(row.state, row.attempts) for row in rows(remote.context).values()] == [("retrying", 0)]
    hours(remote, 3 * HOUR, 600)
    assert remote.states("a-1")[KEY] == "settled"


@pytest.mark.parametrize("fault", [Fault.REFUSE, Fault.REDIRECT])
@pytest.mark.parametrize("known", [False, True], ids=["a new mirror", "one that worked"])
def test_a_mirror_that_refuses_everything_fails_no_article(remote: Newsroom, server: PutServer, fault: Fault, *, known: bool) -> None:
    """A token that ran out, a server that moved: the mirror's failure, however plainly it says so. Mended, it gets what waited."""
    if known:
        remote.send("published", story("a-0"))
        remote.drain()
    server.fault = fault
    for number in range(1, 4):
        remote.send("published", story(f"a-{number}"))
    if known:
        remote.send("withdrawn", {"id": "a-0"})
    remote.drain()
    hours(remote, LONG_ENOUGH, 6 * HOUR)
    assert {(row.state, row.attempts) for row in rows(remote.context).values()} == {("retrying", 0)}
    assert outlet(remote.context).circuit_failures > 0
    server.fault = Fault.NONE
    hours(remote, HOUR, 600)
    assert {row.state for row in rows(remote.context).values()} == {"settled"}
    assert pages_with(server, "About a-0") == []


@pytest.mark.parametrize("others", [0, 2], ids=["alone", "among others"])
def test_a_page_that_is_refused_in_so_many_words_fails_by_itself(remote: Newsroom, monkeypatch: pytest.MonkeyPatch, others: int) -> None:
    """What all share is taken, so the refusal is that page's own, and final; the circuit stays closed."""
    refuse(monkeypatch, "bad-", Permanent("403 Forbidden"))
    remote.send("published", story("bad"))
    for number in range(others):
        remote.send("published", story(f"good-{number}"))
    remote.drain()
    assert remote.states("bad")[KEY] == "failed"
    assert [row.state for row in rows(remote.context).values()].count("settled") == others
    assert outlet(remote.context).circuit_failures == 0


def test_the_first_success_after_an_outage_is_on_record(remote: Newsroom, server: PutServer) -> None:
    """Failures, and the success that ends them, are what an operator looks for among the attempts."""
    remote.send("published", story("a-1"))
    server.fault = Fault.ERROR
    remote.drain()
    server.fault = Fault.NONE
    settle_for(remote, seconds=10)
    a = tables.attempts.c
    with remote.context.ledger.read() as tx:
        found = [row.outcome for row in tx.all(select(a.outcome).where(a.outlet == KEY).order_by(a.id))]
    assert found == ["retrying", "settled"]


def stones(room: Newsroom) -> int:
    """Tombstones in the mirror's feed."""
    return (room.context.settings.data / "mirrors/demo/one/feeds/all.atom").read_bytes().count(b"deleted-entry ")


def test_a_tombstone_leaves_a_quiet_mirror_after_thirty_days(newsroom: Newsroom) -> None:
    """Nothing else happens there: time alone brings the run, rounded up to five minutes, and then no other."""
    newsroom.send("published", article())
    newsroom.drain()
    newsroom.send("withdrawn", {"id": "a-1"})
    newsroom.drain()
    assert stones(newsroom) == 1
    edge = outlet(newsroom.context).next_edge_at
    assert edge.timestamp() % 300 == 0
    assert timedelta(0) < edge - newsroom.clock.now() - timedelta(days=30) <= timedelta(minutes=5)
    newsroom.clock.move(30 * 24 * HOUR - 60)
    newsroom.drain()
    assert stones(newsroom) == 1
    newsroom.clock.move(400)
    newsroom.drain()
    assert stones(newsroom) == 0
    assert outlet(newsroom.context).next_edge_at is None
    assert mirrors.run(newsroom.context, [KEY]).nudges == ()


def test_a_retry_of_a_mirror_does_not_forget_the_edge(remote_over_each: Newsroom, server: PutServer) -> None:
    """The edge comes while the mirror is down: when it is back, its feed is as old as the origin's."""
    room = remote_over_each
    room.send("published", article())
    room.drain()
    room.send("withdrawn", {"id": "a-1"})
    room.drain()
    server.fault = Fault.ERROR
    room.clock.move(30 * 24 * HOUR + 400)
    room.drain()
    assert outlet(room.context).circuit_failures > 0
    feed = server.root / "feeds/all.atom"
    assert b"deleted-entry " in feed.read_bytes()
    hours(room, 5 * HOUR)
    server.fault = Fault.NONE
    hours(room, 3 * HOUR, 600)
    assert b"deleted-entry " not in feed.read_bytes()


def test_a_mirror_in_order_counts_no_attempts(remote: Newsroom) -> None:
    """A clean delivery leaves no row."""
    remote.send("published", story("a-1"))
    validated(remote)
    mirrors.run(remote.context, [KEY])
    with remote.context.ledger.read() as tx:
        assert tx.value(select(func.count()).select_from(tables.attempts)) == 0


def test_one_answer_brings_everything_that_waited_for_the_mirror(remote_over_each: Newsroom, server: PutServer) -> None:
    """After minutes or hours: within five minutes of its return a request goes through, and nobody waits for a time of its own."""
    room = remote_over_each
    names = [f"a-{number}" for number in range(6)]
    room.send("published", story("gone"))
    room.drain()
    server.fault = Fault.ERROR
    for name in names:
        room.send("published", story(name))
        room.drain()
        room.clock.move(7)
    room.send("withdrawn", {"id": "gone"})
    for _ in range(20):
        room.drain()
        room.clock.move(61)
    assert "settled" not in {row.state for row in rows(room.context).values()}
    server.fault = Fault.NONE
    room.clock.move(5 * 60)
    room.drain()
    assert {row.state for row in rows(room.context).values()} == {"settled"}
