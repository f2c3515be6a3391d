"""Rows of events: inserted once, claimed by `validate` in batches, finished with what became of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, or_, select, text, update

from pipeline.kit.portions import portions
from pipeline.ledger import tables as t
from pipeline.ledger.types import Instant
from pipeline.ledger.upsert import insert
from pipeline.model.event import EventState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Executable

    from pipeline.ledger.engine import Tx
    from pipeline.model.event import Event, Problem

CLAIM = timedelta(seconds=8)  # the hard limit of `validate`: a claim older than that has nobody behind it
MOST_STRIKES = 3
MOST_BYTES = 500_000  # of bodies in one claim, so that a run holds few in memory and comes to its end


def add(tx: Tx, events: Sequence[Event]) -> Mapping[str, str]:
    """Store what is new; answer the sha256 kept for each event id, which may be another body's.

    One insert that ignores what is there, then one read: doubles inside a group and across processes get one answer.
    """
    rows = [
        {
            "event_id": e.event_id,
            "source": e.source,
            "webhook_id": e.webhook_id,
            "sha256": e.sha256,
            "size": len(e.body),
            "headers": dict(e.headers),
            "received_at": tx.now,
            "state": EventState.WAITING.value,
        }
        for e in events
    ]
    tx.each(_add(postgres=tx.postgres), rows)
    tx.each(_add_body(postgres=tx.postgres), [{"e": e.event_id, "s": e.sha256, "body": e.body} for e in events])
    return {row.event_id: row.sha256 for row in tx.all(_kept(), {"ids": [e.event_id for e in events]})}


@cache
def _add(*, postgres: bool) -> Executable:
    return insert(t.events, postgres=postgres).on_conflict_do_nothing()


@cache
def _add_body(*, postgres: bool) -> Executable:
    """The body of the event that has this id and this hash; another body under a known id finds none."""
    e = t.events.c
    its = select(e.id, bindparam("body", type_=t.bodies.c.body.type)).where(e.event_id == bindparam("e"), e.sha256 == bindparam("s"))
    return insert(t.bodies, postgres=postgres).from_select(["event", "body"], its).on_conflict_do_nothing()


@cache
def _kept() -> Executable:
    e = t.events.c
    ids: Any = bindparam("ids", expanding=True)
    return select(e.event_id, e.sha256).where(e.event_id.in_(ids))


@dataclass(frozen=True, slots=True)
class Claimed:
    """One waiting event in the hands of a run. `id` is its place in the order of arrival; `with_bodies` fills in `body`.

    size  bytes of the body
    """

    id: int
    event_id: str
    body: bytes
    received_at: datetime
    strikes: int
    size: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A batch. `careful`: some of it was in the hands of a run that died, so one item a commit.

    `spent` holds events that stopped their worker three times; they are to be rejected. `more`: there may be others.
    """

    events: tuple[Claimed, ...]
    spent: tuple[Claimed, ...]
    careful: bool
    more: bool


def claim(tx: Tx, source: str, owner: str, most: int = 100) -> Claim:
    """Take up to `most` waiting events of a source, and MOST_BYTES of them: those without strikes first, each group oldest first."""
    e = t.events.c
    found = tx.all(_to_claim(), {"source": source, "most": most, "now": tx.now, "never": tx.now + 2 * CLAIM})
    picked = next(portions(found, most, MOST_BYTES, lambda row: int(row.size)), [])
    ids = [row.id for row in picked]
    if not ids:
        return Claim((), (), careful=False, more=False)
    struck = [row.id for row in picked if row.suspect]
    tx.each(update(t.events).where(e.id == bindparam("i")).values(strikes=e.strikes + 1, suspect=False), [{"i": i} for i in struck])
    rows = tx.all(_take(), {"ids": ids, "owner": owner, "until": tx.now + CLAIM})
    rows.sort(key=lambda row: (row.strikes, row.id))
    sizes = {row.id: row.size for row in picked}
    claimed = [Claimed(row.id, row.event_id, b"", row.received_at, row.strikes, sizes[row.id]) for row in rows]
    return Claim(
        tuple(c for c in claimed if c.strikes < MOST_STRIKES),
        tuple(c for c in claimed if c.strikes >= MOST_STRIKES),
        careful=any(row.claimed_by for row in picked),
        more=len(found) == most or len(picked) < len(found),
    )


@cache
def _to_claim() -> Executable:
    e, now = t.events.c, bindparam("now", type_=Instant)
    free = or_(e.claimed_until.is_(None), e.claimed_until <= now, e.claimed_until > bindparam("never", type_=Instant))
    return (
        select(e.id, e.claimed_by, e.suspect, e.size)
        .where(text("events.state = 'waiting'"), e.source == bindparam("source"), free)
        .order_by(e.strikes, e.id)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True)
    )


@cache
def _take() -> Executable:
    e = t.events.c
    ids: Any = bindparam("ids", expanding=True)
    mine = {"claimed_by": bindparam("owner"), "claimed_until": bindparam("until", type_=Instant)}
    return update(t.events).where(e.id.in_(ids)).values(mine).returning(e.id, e.event_id, e.received_at, e.strikes)


def with_bodies(tx: Tx, claimed: Sequence[Claimed]) -> tuple[Claimed, ...]:
    """The same with their bodies: read a few at a time, and not while the write lock is held."""
    bodies = {row.event: row.body for row in tx.all(_bodies(), {"ids": [c.id for c in claimed]})}
    return tuple(replace(c, body=bodies[c.id]) for c in claimed if c.id in bodies)


@cache
def _bodies() -> Executable:
    b = t.bodies.c
    ids: Any = bindparam("ids", expanding=True)
    return select(b.event, b.body).where(b.event.in_(ids))


def suspect(tx: Tx, row_id: int) -> None:
    """Note which event is about to be touched; if its worker dies, this is the one to blame."""
    tx.run(update(t.events).where(t.events.c.id == row_id).values(suspect=True))


def unclaim(tx: Tx, ids: Iterable[int]) -> None:
    """Put back what was not worked on, for whoever comes next."""
    statement = update(t.events).where(t.events.c.id == bindparam("i"), t.events.c.state == EventState.WAITING.value)
    tx.each(statement.values(claimed_by=None, claimed_until=None, suspect=False), [{"i": i} for i in ids])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one event."""

    id: int
    state: EventState
    type: str | None = None
    article_id: int | None = None
    revision: int | None = None
    problems: tuple[Problem, ...] = ()


def finish(tx: Tx, outcomes: Sequence[Outcome]) -> None:
    """Record outcomes; an event is finished once, so a second run's outcome changes nothing."""
    tx.each(_finish(), [_row(o, tx.now) for o in outcomes])


@cache
def _finish() -> Executable:
    e = t.events.c
    return (
        update(t.events)
        .where(e.id == bindparam("i"), e.state == EventState.WAITING.value)
        .values(
            state=bindparam("s"),
            type=bindparam("t"),
            article_id=bindparam("a"),
            revision=bindparam("r"),
            problems=bindparam("p"),
            processed_at=bindparam("n"),
            claimed_by=None,
            claimed_until=None,
            suspect=False,
        )
    )


def _row(outcome: Outcome, now: datetime) -> dict[str, object]:
    return {
        "i": outcome.id,
        "s": outcome.state.value,
        "t": outcome.type,
        "a": outcome.article_id,
        "r": outcome.revision,
        "p": [{"pointer": p.pointer, "detail": p.detail} for p in outcome.problems] or None,
        "n": now,
    }


def still_waiting(tx: Tx, ids: Sequence[int]) -> frozenset[int]:
    """Which of these are still to be decided: a batch re-claimed by another run leaves nothing here."""
    return frozenset(row.id for row in tx.all(_still_waiting(), {"ids": list(ids)}))


@cache
def _still_waiting() -> Executable:
    e = t.events.c
    ids: Any = bindparam("ids", expanding=True)
    return select(e.id).where(e.id.in_(ids), e.state == EventState.WAITING.value).with_for_update()


def sources_with_work(tx: Tx) -> tuple[str, ...]:
    """Sources with waiting events in nobody's hands."""
    e = t.events.c
    free = or_(e.claimed_until.is_(None), e.claimed_until <= tx.now, e.claimed_until > tx.now + 2 * CLAIM)
    rows = tx.all(select(e.source).where(text("events.state = 'waiting'"), free).distinct())
    return tuple(sorted(row.source for row in rows))


def waiting_counts(tx: Tx) -> list[tuple[str, int]]:
    """(source, number of events not yet processed)."""
    rows = tx.all(select(t.events.c.source, func.count()).where(text("events.state = 'waiting'")).group_by(t.events.c.source))
    return [(row[0], row[1]) for row in rows]


def free_claims(tx: Tx, owners: Sequence[str]) -> None:
    """Free at once what dead owners claimed; the claim's mark stays, so the next run is careful."""
    e = t.events.c
    tx.run(update(t.events).where(text("events.state = 'waiting'"), e.claimed_by.in_(owners)).values(claimed_until=tx.now))
