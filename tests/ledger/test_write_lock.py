"""What stands inside a write transaction: statements that are ready, and of large texts only a few at a time.

SQLite has one writer: whatever is worked out while its lock is held keeps every webhook waiting.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from pipeline import planning, upkeep, validate
from pipeline.kit.portions import portions
from pipeline.ledger import Ledger, articles, events, tables
from pipeline.rules.article import from_stored, to_stored
from tests.conftest import article

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.conftest import Newsroom

LARGE = "<p>The harbour was quiet. Гавань.</p>" * 1700  # 71 kB, 112 in a webhook that escapes its letters
MANY = 12
FEW = 3  # of these, in 250 kB


@dataclass
class Watch:
    """What was done inside write transactions: for each, how many articles; and of what takes time, its names."""

    within: set[int] = field(default_factory=set)  # threads: leases are renewed in one of their own
    sizes: list[int] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Looks at every write transaction of the test."""
    seen, write = Watch(), Ledger.write

    @contextmanager
    def watched(self: Ledger, **options: Any) -> Iterator[Any]:
        with write(self, **options) as tx:
            seen.within.add(threading.get_ident())
            seen.sizes.append(0)
            try:
                yield tx
            finally:
                seen.within.discard(threading.get_ident())

    def noted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            result = real(*arguments, **options)
            if threading.get_ident() in seen.within and not (isinstance(result, str) and len(result) < 1000):
                seen.slow.append(name)
            return result

        return call

    def counted(real: Callable[..., Any], number: Callable[[Any], int]) -> Callable[..., Any]:
        def call(tx: Any, what: Any) -> Any:
            seen.sizes[-1] += number(what)
            return real(tx, what)

        return call

    monkeypatch.setattr(Ledger, "write", watched)
    monkeypatch.setattr(json, "dumps", noted("dumps", json.dumps))
    monkeypatch.setattr(json, "loads", noted("loads", json.loads))
    monkeypatch.setattr(upkeep, "from_stored", noted("from_stored", from_stored))
    monkeypatch.setattr(validate, "to_stored", noted("to_stored", to_stored))
    monkeypatch.setattr(articles, "apply", counted(articles.apply, lambda _candidate: 1))
    monkeypatch.setattr(articles, "promote", counted(articles.promote, len))
    return seen


def send(room: Newsroom, **changes: Any) -> None:
    """Many large articles wait."""
    for number in range(MANY):
        room.send("published", article(id=f"a-{number}", body_html=LARGE, **changes))


def test_large_articles_are_validated_a_few_in_a_transaction_and_made_json_before_it(newsroom: Newsroom, watch: Watch) -> None:
    """Whatever the body's limit, the lock is not held for megabytes."""
    send(newsroom)
    watch.sizes.clear()
    newsroom.drain()
    assert max(watch.sizes) <= FEW
    assert sum(watch.sizes) == MANY
    assert watch.slow == []
    assert len(newsroom.feed_ids()) == MANY


def test_embargoes_that_end_at_once_are_made_live_a_few_in_a_transaction(newsroom: Newsroom, watch: Watch) -> None:
    """They are read, and their outlets chosen, before it begins; one look of upkeep makes them all live."""
    send(newsroom, embargo_until="2026-11-23T09:00:00Z")
    newsroom.drain()
    newsroom.clock.move(7200)
    watch.sizes.clear()
    newsroom.drain()
    assert max(watch.sizes) <= FEW
    assert sum(watch.sizes) == MANY
    assert watch.slow == []
    assert len(newsroom.feed_ids()) == MANY


def test_more_embargoes_than_one_look_reads_end_in_one_run(small_newsroom: Newsroom) -> None:
    """A morning's whole edition is out at its hour."""
    for number in range(articles.MOST_ENDING + 20):
        small_newsroom.send("published", article(id=f"a-{number}", embargo_until="2026-11-23T09:00:00Z"))
    small_newsroom.drain()
    small_newsroom.clock.move(7200)
    upkeep.run(small_newsroom.context)
    with small_newsroom.context.ledger.read() as tx:
        assert articles.next_embargo(tx) is None


def test_what_is_withdrawn_between_the_look_and_the_lock_stays_withdrawn(newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its plan was made already; the transaction looks again."""
    newsroom.send("published", article(embargo_until="2026-11-23T09:00:00Z"))
    newsroom.drain()
    newsroom.clock.move(7200)
    plan = planning.lines

    def meanwhile(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(planning, "lines", plan)
        newsroom.send("withdrawn", {"id": "a-1"})
        validate.run(newsroom.context, ["newsroom"])
        return plan(*arguments, **options)

    monkeypatch.setattr(planning, "lines", meanwhile)
    newsroom.drain()
    assert newsroom.status().state == "withdrawn"
    assert newsroom.feed_ids() == []
    r = tables.revisions.c
    with newsroom.context.ledger.read() as tx:
        assert [row.state for row in tx.all(select(r.state).order_by(r.number))] == ["superseded", "live"]


def test_a_claim_takes_no_more_bytes_than_it_may(newsroom: Newsroom) -> None:
    """SQLite writes a row anew with its body, whatever of it changes; one larger than the bound is taken alone."""
    send(newsroom)
    with newsroom.context.ledger.write() as tx:
        first = events.claim(tx, "newsroom", "somebody").events
    assert len(first) > 1
    assert sum(event.size for event in first) <= events.MOST_BYTES
    assert all(event.size > len(LARGE) for event in first)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [([], []), ([9], [[9]]), ([9, 9], [[9], [9]]), ([1, 2, 3, 1], [[1, 2], [3, 1]]), ([1, 1, 1, 1], [[1, 1, 1], [1]])],
)
def test_portions_are_bounded_by_number_and_by_weight(weights: Sequence[int], expected: list[list[int]]) -> None:
    """At most three, and at most four together; what is heavier comes alone."""
    assert list(portions(weights, 3, 4, lambda weight: weight)) == expected
