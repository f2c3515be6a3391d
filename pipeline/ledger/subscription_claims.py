"""Rows of subscriptions in hand: who is to be asked or told something now, in which order, and who is at it.

`held_seq` is the change a row was told of; while the topic's `seq` is greater there is something to tell, and it is always the newest.
Whoever works at a row has claimed it: two never tell one subscriber at a time, so none hears an old text after a newer one.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, case, func, or_, select, update

from pipeline.ledger import tables as t
from pipeline.ledger.types import Instant

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Executable, Row, Select

    from pipeline.ledger.engine import Tx

CLAIM = timedelta(seconds=12)  # longer than a request, and what comes before and after it
FAR = timedelta(minutes=1)  # ahead: a wrong clock wrote it. No pause before a question is longer, and nothing is written down so early

_s = t.subscriptions.c


@dataclass(frozen=True, slots=True)
class Claim:
    """A row in our hands until `until`: what it is to be asked, or told of. `attempts` of that before this one."""

    id: int
    by: str
    until: datetime
    kind: str
    topic: str
    callback: str
    host: str
    asked: str
    asked_seq: int
    asked_lease: int
    reason: str
    secret: str
    seq: int
    attempts: int
    strikes: int  # so many runs died with it
    changed_at: datetime | None

    def mine(self) -> dict[str, object]:
        """What `mine` binds."""
        return {"i": self.id, "by": self.by, "until": self.until}


ANY = 1_000_000


def waiting(tx: Tx, most: int, *, tried: int, slow: bool = True, asks: int = ANY, full: Collection[str] = ()) -> dict[int, str]:
    """Up to so many rows with something to do: to be asked first, then to be told, whose last answer came soon before others.

    For each id the host at which somebody is told something; "" for who is asked, for strangers choose those hosts. Who was never told
    comes after those who are known to be quick.

    tried  how many failures in a row are retried; after them only a newer text is told
    slow   whether those that failed or were slow the last time may be among them
    asks   how many may be among them that are to be asked something
    full   hosts at which nobody may be told anything more
    """
    clean = and_(_CLEAN, _s.host.not_in(sorted(full))) if full else _CLEAN
    quick = [] if slow else [_s.attempts == 0, _s.milliseconds < SLOW]
    order = (_s.attempts, case((_s.milliseconds == 0, 1), else_=0), _s.milliseconds, _s.id)
    asked = _to_ask(tx, min(most, asks)) if asks else []
    told: list[Row[Any]] = []
    for url, seq in _untold(tx):
        told += tx.all(_fresh(tx, url, seq, tried).where(clean, *quick).order_by(*order).limit(most))
    told.sort(key=lambda row: (row.attempts, row.milliseconds == 0, row.milliseconds, row.id))
    again = tx.all(_again(tx, tried).where(clean).order_by(*order).limit(most)) if slow else []
    hosts = {row.id: row.host for row in (*told, *again)}
    return dict(itertools.islice({**dict.fromkeys((row.id for row in asked), ""), **hosts}.items(), most))


def _to_ask(tx: Tx, most: int) -> list[Row[Any]]:
    """Who was not asked yet before who did not answer, and the first of every client before anybody's second."""
    turn = func.row_number().over(partition_by=_s.client, order_by=(_s.ask_attempts, _s.ask_at, _s.id)).label("turn")
    due = _asked(tx).with_only_columns(_s.id, _s.ask_attempts, _s.ask_at, turn).where(_CLEAN).subquery()
    return tx.all(select(due.c.id).order_by(due.c.ask_attempts, due.c.turn, due.c.ask_at, due.c.id).limit(most))


_CLEAN = and_(_s.claimed_by.is_(None), _s.strikes == 0)


SLOW = 250
"""Milliseconds from which on an answer was slow."""


def claim(tx: Tx, owner: str, ids: Collection[int], *, tried: int, asks: int = ANY) -> list[Claim]:
    """Those of these rows that still have something to do and that nobody is at, taken for one request each; to ask only so many."""
    clean = and_(_s.id.in_(list(ids)), _s.claimed_by.is_(None), _s.strikes == 0)
    return _take(tx, owner, clean, tried, asks)


def claim_struck(tx: Tx, owner: str, *, tried: int, alone: bool) -> list[Claim]:
    """The next one that a run died with, by itself; those that two runs died with only where `alone` says that no other is at work."""
    most = MOST_STRIKES if alone else 1
    touched = (
        select(_s.id, _s.strikes, _s.claimed_by).where(t.TOUCHED, unclaimed(tx)).order_by(_s.strikes, _s.attempts, _s.milliseconds, _s.id)
    )
    for row in tx.all(touched):
        if row.strikes + (row.claimed_by is not None) <= most and (found := _take(tx, owner, _s.id == row.id, tried)):
            return found
        if row.claimed_by is not None and not _is_due(tx, row.id, tried):
            # What it was claimed for is no more: nothing is left to be careful about. Unless another has come for it since.
            tx.run(update(t.subscriptions).where(_s.id == row.id, _s.claimed_by == row.claimed_by, unclaimed(tx)).values(**FREE))
    return []


def _is_due(tx: Tx, row: int, tried: int) -> bool:
    return any(tx.first(query.where(_s.id == row).limit(1)) for query in (_asked(tx), _behind(tx, tried)))


MOST_STRIKES = 3


def _take(tx: Tx, owner: str, which: Any, tried: int, asks: int = ANY) -> list[Claim]:
    asked = tx.all(_asked(tx).where(which).order_by(_s.id).limit(asks).with_for_update(skip_locked=True, of=t.subscriptions))
    others = and_(which, _s.id.not_in([row.id for row in asked]))
    behind = tx.all(_behind(tx, tried).where(others).order_by(_s.id).with_for_update(skip_locked=True, of=t.subscriptions))
    until = tx.now + CLAIM
    made = [_claimed(row, owner, until, asks=True) for row in asked] + [_claimed(row, owner, until, asks=False) for row in behind]
    tx.each(_taken(), [{"i": one.id, "by": owner, "until": until, "strikes": one.strikes} for one in made])
    return made


def _claimed(row: Row[Any], owner: str, until: datetime, *, asks: bool) -> Claim:
    return Claim(
        id=row.id,
        by=owner,
        until=until,
        kind=row.kind,
        topic=row.topic,
        callback=row.callback,
        host=row.host,
        asked=row.asked if asks else "",
        asked_seq=row.asked_seq,
        asked_lease=row.asked_lease,
        reason=row.reason,
        secret=row.secret,
        seq=0 if asks else row.seq,
        attempts=row.ask_attempts if asks else row.attempts,
        strikes=row.strikes + (row.claimed_by is not None),
        changed_at=None if asks else row.topic_changed_at,
    )


@cache
def _taken() -> Executable:
    values = {"claimed_by": bindparam("by"), "claimed_until": bindparam("until", type_=Instant), "strikes": bindparam("strikes")}
    return update(t.subscriptions).where(_s.id == bindparam("i")).values(values)


def unclaimed(tx: Tx) -> Any:
    """Nobody is at work there; a claim further ahead than twice its length was set by a wrong clock."""
    return or_(_s.claimed_until.is_(None), _s.claimed_until <= tx.now, _s.claimed_until > tx.now + 2 * CLAIM)


_WORKED = [column for column in t.subscriptions.c if column.name not in {"key", "client", "asked_secret", "answer"}]


def _asked(tx: Tx) -> Select[Any]:
    """Rows whose callback is to be asked something now."""
    due = or_(_s.ask_at <= tx.now, _s.ask_at > tx.now + FAR)
    return select(*_WORKED).where(_s.ask_at.is_not(None), due, unclaimed(tx))


def _behind(tx: Tx, tried: int) -> Select[Any]:
    """Rows that are to be told something now, each with its topic's `seq`."""
    topic = t.topics.c
    waits = and_(_s.retry_at.is_not(None), _s.retry_at > tx.now, ~_ahead(tx))
    lasts = or_(_s.expires_at.is_(None), _s.expires_at > tx.now)
    wanted = or_(_s.attempts <= tried, topic.seq > _s.tried_seq)
    joined = t.topics.join(t.subscriptions, topic.url == _s.topic)
    columns = select(*_WORKED, topic.seq, topic.changed_at.label("topic_changed_at")).select_from(joined)
    return columns.where(t.ACTIVE, _s.held_seq < topic.seq, lasts, ~waits, wanted, unclaimed(tx))


def _untold(tx: Tx) -> list[tuple[str, int]]:
    """(URL, seq) of topics that changed, as long as somebody may not have been told, or tried."""
    return [(row.url, row.seq) for row in tx.all(select(t.topics.c.url, t.topics.c.seq).where(t.UNTOLD))]


def _fresh(tx: Tx, url: str, seq: int, tried: int) -> Select[Any]:
    """Those of a topic that were not tried with its newest text, claimed or not. One topic at a time: that is a range of an index."""
    lasts = or_(_s.expires_at.is_(None), _s.expires_at > tx.now)
    wanted = or_(_s.attempts <= tried, _s.tried_seq < seq)
    columns = select(_s.id, _s.host, _s.attempts, _s.milliseconds)
    return columns.where(t.ACTIVE, _s.topic == url, _s.held_seq < seq, _s.retry_at.is_(None), lasts, wanted)


def _again(tx: Tx, tried: int) -> Select[Any]:
    """Those whose next attempt is due, or whose time was set by a wrong clock."""
    due = or_(_s.retry_at <= tx.now, _ahead(tx))
    return _behind(tx, tried).where(_s.retry_at.is_not(None), due)


def _ahead(tx: Tx) -> ColumnElement[bool]:
    """Written down later than now, by a clock that was put back since: its next attempt is due.

    How far ahead an attempt lies says less: a list may have two days, and a subscriber may ask for an hour after any failure.
    """
    return _s.changed_at > tx.now + FAR


def is_due(tx: Tx, tried: int) -> bool:
    """Whether anybody is to be asked or told something, and nobody is at it."""
    return (
        tx.first(_asked(tx).limit(1)) is not None
        or tx.first(_again(tx, tried).limit(1)) is not None
        or tx.first(select(_s.id).where(t.TOUCHED, unclaimed(tx)).limit(1)) is not None
        or any(tx.first(_fresh(tx, url, seq, tried).where(unclaimed(tx)).limit(1)) for url, seq in _untold(tx))
    )


def note_told(tx: Tx, tried: int) -> None:
    """Topics of which nobody is left to be told or under way; and who has given up, and may be tried with the next change."""
    for url, seq in sorted(_untold(tx)):
        if tx.first(_fresh(tx, url, seq, tried).limit(1)) is None:
            tx.run(update(t.topics).where(t.topics.c.url == url, t.topics.c.seq == seq).values(told_seq=seq))
    resting = select(_s.id).where(_s.retry_at.is_not(None), _s.retry_at <= tx.now, t.ACTIVE, _CLEAN)
    due = {row.id for row in tx.all(_again(tx, tried).where(_CLEAN))}
    if rest := [row.id for row in tx.all(resting) if row.id not in due]:
        tx.run(update(t.subscriptions).where(_s.id.in_(rest), _CLEAN).values(retry_at=None))


def owners(tx: Tx) -> list[str]:
    """Who has claimed a row now."""
    rows = tx.all(select(_s.claimed_by).where(t.TOUCHED, _s.claimed_by.is_not(None), _s.claimed_until > tx.now).distinct())
    return [row[0] for row in rows]


def free(tx: Tx, dead: Sequence[str]) -> None:
    """End at once what dead owners claimed; their mark stays, so whoever comes next is careful."""
    tx.run(update(t.subscriptions).where(t.TOUCHED, _s.claimed_by.in_(dead)).values(claimed_until=tx.now))
    tx.run(update(t.topics).where(t.topics.c.claimed_by.in_(dead)).values(claimed_until=tx.now))


def mine() -> Any:
    """The row of a claim, as long as that is still what holds it. Binds what `Claim.mine` gives."""
    return and_(_s.id == bindparam("i"), _s.claimed_by == bindparam("by"), _s.claimed_until == bindparam("until", type_=Instant))


FREE = {"claimed_by": None, "claimed_until": None}
