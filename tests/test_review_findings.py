"""Faults that were found by trying, each kept as the history that showed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline import accept, leasing, upkeep
from pipeline.backends.local import LocalBackend
from pipeline.ledger import documents, outlets
from pipeline.model.errors import Permanent, Transient, Unavailable
from tests.conftest import article

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from pipeline.model.run import Nudge
    from tests.conftest import Newsroom


def test_a_prolonged_embargo_holds_until_its_new_hour(newsroom: Newsroom) -> None:
    """The desk moves it later: the old hour passes and nothing is seen."""
    newsroom.send("published", article(embargo_until="2026-11-23T09:00:00Z"))
    newsroom.drain()
    newsroom.send("updated", article(embargo_until="2026-11-23T13:00:00Z", updated_at="2026-11-23T07:30:00Z"))
    newsroom.drain()
    newsroom.clock.move(3700)
    newsroom.drain()
    assert newsroom.feed_ids() == []
    newsroom.clock.move(4 * 3600)
    newsroom.drain()
    assert newsroom.feed_ids() == ["a-1"]


def test_a_sender_that_gave_up_costs_the_others_nothing(small_newsroom: Newsroom) -> None:
    """Its future is cancelled in the middle of a group: everybody else is answered, and the nudge leaves."""
    nudged: list[Nudge] = []

    def carry(nudges: Sequence[Nudge]) -> None:
        nudged.extend(nudges)

    acceptor = accept.Acceptor(small_newsroom.context, carry)
    acceptor._threads = [None]  # type: ignore[list-item] # none is started: the group is committed by hand
    futures: list[Future[accept.Accepted]] = []
    for number in range(4):
        event = small_newsroom.event(small_newsroom.body("published", article(id=f"a-{number}")))
        futures.append(acceptor.submit(event))
    futures[1].cancel()
    acceptor._threads = []
    acceptor._start()
    for number in (0, 2, 3):
        assert futures[number].result(timeout=10).event_id
    acceptor.stop()
    for thread in acceptor._threads:
        thread.join(10)
    assert nudged


def test_text_with_a_nul_is_cleaned_and_a_withdrawal_with_one_is_carried_out(newsroom: Newsroom) -> None:
    """PostgreSQL refuses NUL in a text; no chunk may stop for it."""
    odd = newsroom.send("pub\x00lished", article())
    newsroom.send("published", article())
    newsroom.send("withdrawn", {"id": "a-1", "reason": "not\x00 true"})
    newsroom.drain()
    assert newsroom.seen(odd)["status"] == "rejected"
    assert newsroom.status().state == "withdrawn"


def test_a_half_made_twin_goes_before_a_newer_document(small_newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gzip was stored, brotli was not: a static server must not serve the old gzip beside the new document."""
    small_newsroom.send("published", article())
    small_newsroom.drain()
    put = LocalBackend.put

    def failing(self: LocalBackend, path: str, body: bytes, media_type: str, fence: int) -> None:
        if path.endswith(".br"):
            message = "the disk is full"
            raise Transient(message)
        put(self, path, body, media_type, fence)

    with monkeypatch.context() as patched:
        patched.setattr(LocalBackend, "put", failing)
        small_newsroom.clock.move(3)
        upkeep.run(small_newsroom.context)
    assert list(small_newsroom.context.settings.origin.rglob("*.gz"))
    small_newsroom.send("withdrawn", {"id": "a-1"})
    small_newsroom.drain()
    assert not list(small_newsroom.context.settings.origin.rglob("all.*.gz"))


def test_a_run_that_could_not_settle_is_followed_by_a_careful_one(small_newsroom: Newsroom) -> None:
    """Bytes may stand that no row knows of."""
    context, key = small_newsroom.context, "demo/feed:all"
    with pytest.raises(Unavailable), leasing.lease(context, key, 5.0):
        raise Unavailable("the database went away")
    with leasing.lease(context, key, 5.0) as lease:
        assert lease is not None
        assert lease.hold.careful


def test_upkeep_does_not_make_a_crashed_feed_healthy(small_newsroom: Newsroom) -> None:
    """Its twins wait; the crash mark stays for the feed's own next run."""
    small_newsroom.send("published", article())
    small_newsroom.drain()
    context, key = small_newsroom.context, "demo/feed:all"
    with context.ledger.write() as tx:
        outlets.claim(tx, key, "host:1:dead")
    small_newsroom.clock.move(11)
    with context.ledger.read() as tx:
        rows = documents.without_twins(tx, [key], tx.now, tx.now, 12)
    assert rows
    upkeep._twins(context, context.clock.monotonic() + 10)
    with leasing.lease(context, key, 5.0) as lease:
        assert lease is not None
        assert lease.hold.careful


def test_one_hiccup_of_the_origin_waits_for_the_first_interval_only(small_newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """The retry list is what it says; the circuit stays closed, and formats that were stored are on record."""
    put = LocalBackend.put

    def full(self: LocalBackend, path: str, body: bytes, media_type: str, fence: int) -> None:
        if path.endswith("all.json"):
            message = "the disk is full"
            raise Transient(message)
        put(self, path, body, media_type, fence)

    small_newsroom.send("published", article())
    with monkeypatch.context() as patched:
        patched.setattr(LocalBackend, "put", full)
        small_newsroom.drain()
    assert small_newsroom.states()["demo/feed:all"] == "retrying"
    with small_newsroom.context.ledger.read() as tx:
        row = next(r for r in outlets.everyone(tx) if r.key == "demo/feed:all")
        stored = documents.one(tx, "demo/feed:all", "demo/feeds/all.rss")
    assert row.circuit_failures == 1
    assert row.circuit_until is None
    assert stored is not None
    small_newsroom.clock.move(4)
    small_newsroom.drain()
    assert small_newsroom.feed_ids() == ["a-1"]


def test_a_permanent_failure_of_the_origin_drops_no_live_article(small_newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the outlet's failure: the article comes back with its correction once the folder is mended."""
    small_newsroom.send("published", article())
    small_newsroom.drain()

    def refusing(self: LocalBackend, path: str, body: bytes, media_type: str, fence: int) -> None:
        message = "Is a directory"
        raise Permanent(message)

    small_newsroom.send("corrected", article(headline="Put right", updated_at="2026-11-23T07:30:00Z"))
    with monkeypatch.context() as patched:
        patched.setattr(LocalBackend, "put", refusing)
        small_newsroom.drain()
    assert small_newsroom.states()["demo/feed:all"] == "retrying"
    small_newsroom.clock.move(10)
    small_newsroom.drain()
    assert b"Put right" in small_newsroom.feed("all", "rss")


def test_what_returns_after_a_withdrawal_is_newer_than_its_tombstone(small_newsroom: Newsroom) -> None:
    """Readers that honoured the tombstone would keep it removed otherwise."""
    import re

    small_newsroom.send("published", article())
    small_newsroom.drain()
    small_newsroom.clock.move(60)
    small_newsroom.send("withdrawn", {"id": "a-1"})
    small_newsroom.drain()
    stone = re.search(rb'when="([^"]+)"', small_newsroom.feed("all", "atom"))
    assert stone is not None
    small_newsroom.clock.move(60)
    small_newsroom.send("published", article())
    small_newsroom.drain()
    entry = small_newsroom.feed("all", "atom").partition(b"<entry")[2]
    updated = re.search(rb"<updated>([^<]+)<", entry)
    assert updated is not None
    assert updated[1][:19] > stone[1][:19]
