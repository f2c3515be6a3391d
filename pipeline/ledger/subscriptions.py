"""Rows of subscriptions: who is told of which topic, what was asked for and is not verified yet, and what each was told last.

A row is one callback and one topic. `held_seq` is the change it was told of; while the topic's `seq` is greater there is
something to tell, and it is always the newest. Other hubs, which are told that something changed, are rows of their own kind.
Whoever works at a row has claimed it: two never tell one subscriber at a time, so none hears an old text after a newer one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sqlalchemy import and_, bindparam, case, delete, func, literal, or_, select, update

from pipeline.ledger import tables as t
from pipeline.ledger.types import Instant
from pipeline.ledger.upsert import insert

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Executable, Row, Select

    from pipeline.ledger.engine import Tx
    from pipeline.model.settings import Hub

SUBSCRIBER, HUB = "subscriber", "hub"
ASKED, ACTIVE, REFUSED, ENDED = "asked", "active", "refused", "ended"
STATES = (ASKED, ACTIVE, REFUSED, ENDED)
DENIED = "denied"
CLAIM = timedelta(seconds=12)  # longer than a request, and what comes before and after it
LONGEST = timedelta(days=1)  # a retry further ahead than that was set by a wrong clock
KEPT_REFUSED = timedelta(minutes=10)
UNVERIFIED_PER_CLIENT = 200

_s = t.subscriptions.c


@dataclass(frozen=True, slots=True)
class Ask:
    """A request to subscribe or unsubscribe that may be granted; `secret` is sealed, `client` the address it came from."""

    mode: str
    topic: str
    callback: str
    client: str
    lease_seconds: int
    secret: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A row in our hands until `until`: what it is to be asked, or told of. `attempts` of that before this one."""

    id: int
    by: str
    until: datetime
    kind: str
    topic: str
    callback: str
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
        """What `_mine` binds."""
        return {"i": self.id, "by": self.by, "until": self.until}


def host_of(url: str) -> str:
    """The host of a URL, as subscriptions are counted by it."""
    return (urlsplit(url).hostname or "").lower().rstrip(".")


def _key(topic: str, callback: str) -> str:
    return hashlib.sha256(f"{topic}\n{callback}".encode()).hexdigest()


def ask(tx: Tx, asks: Sequence[Ask], bounds: Hub) -> list[str]:
    """Note each request, to be verified; for each "", or what it is refused for: `unknown`, `most`, `per_host`, `client`."""
    return [_ask(tx, one, bounds) for one in asks]


def _ask(tx: Tx, one: Ask, bounds: Hub) -> str:
    key = _key(one.topic, one.callback)
    row = tx.first(select(_s.id, _s.state, _s.asked).where(_s.key == key, _s.kind == SUBSCRIBER))
    if one.mode == "unsubscribe" and (row is None or row.state in {REFUSED, ENDED}):
        return "unknown"
    seq = tx.value(select(t.topics.c.seq).where(t.topics.c.url == one.topic)) or 0
    values = {
        "asked": one.mode,
        "asked_secret": one.secret,
        "asked_lease": one.lease_seconds,
        "client": one.client,
        "ask_at": tx.now,
        "ask_attempts": 0,
        "changed_at": tx.now,
    }
    if row is None:
        if (full := _full(tx, one, bounds)) != "":
            return full
        fresh = {"key": key, "kind": SUBSCRIBER, "topic": one.topic, "callback": one.callback, "host": host_of(one.callback)}
        # Counted from now, not from the verification: what changes between the two is told.
        tx.run(insert(t.subscriptions, postgres=tx.postgres), {**fresh, **values, "state": ASKED, "held_seq": seq, "asked_seq": 1})
        return ""
    anew = {} if row.state == ACTIVE else {"state": ASKED, "held_seq": seq, "reason": "", "answer": "", "attempts": 0, "retry_at": None}
    tx.run(update(t.subscriptions).where(_s.id == row.id).values(asked_seq=_s.asked_seq + 1, **values, **anew))
    return ""


def _full(tx: Tx, one: Ask, bounds: Hub) -> str:
    def count(*where: Any) -> int:
        return int(tx.value(select(func.count()).select_from(t.subscriptions).where(_s.kind == SUBSCRIBER, *where)))

    if count() >= bounds.most:
        return "most"
    if count(_s.host == host_of(one.callback)) >= bounds.per_host:
        return "per_host"
    unverified = count(_s.state == ASKED, _s.client == one.client) if one.client else 0
    return "client" if unverified >= UNVERIFIED_PER_CLIENT else ""


def waiting(tx: Tx, most: int, *, tried: int, slow: bool = True) -> list[int]:
    """The ids of up to so many rows with something to do: to be asked first, then to be told, whose last answer came soon before others.

    tried  how many failures in a row are retried; after them only a newer text is told
    slow   whether those that failed or were slow the last time may be among them
    """
    asked = tx.all(_asked(tx).where(_CLEAN).order_by(_s.ask_at, _s.id).limit(most))
    quick = [] if slow else [_s.attempts == 0, _s.milliseconds < SLOW]
    order = (_s.attempts, _s.milliseconds, _s.id)
    told: list[Row[Any]] = []
    for url, seq in _untold(tx):
        told += tx.all(_fresh(tx, url, seq, tried).where(_CLEAN, *quick).order_by(*order).limit(most))
    told.sort(key=lambda row: (row.attempts, row.milliseconds, row.id))
    again = tx.all(_again(tx, tried).where(_CLEAN).order_by(*order).limit(most)) if slow else []
    return list(dict.fromkeys(row.id for row in (*asked, *told, *again)))[:most]


_CLEAN = and_(_s.claimed_by.is_(None), _s.strikes == 0)


SLOW = 250
"""Milliseconds from which on an answer was slow."""


def claim(tx: Tx, owner: str, ids: Collection[int], *, tried: int) -> list[Claim]:
    """Those of these rows that still have something to do and that nobody is at, taken for one request each."""
    clean = and_(_s.id.in_(list(ids)), _s.claimed_by.is_(None), _s.strikes == 0)
    return _take(tx, owner, clean, tried)


def claim_struck(tx: Tx, owner: str, *, tried: int, alone: bool) -> list[Claim]:
    """The next one that a run died with, by itself; those that two runs died with only where `alone` says that no other is at work."""
    most = MOST_STRIKES if alone else 1
    touched = (
        select(_s.id, _s.strikes, _s.claimed_by).where(t.TOUCHED, _unclaimed(tx)).order_by(_s.strikes, _s.attempts, _s.milliseconds, _s.id)
    )
    for row in tx.all(touched):
        if row.strikes + (row.claimed_by is not None) <= most and (found := _take(tx, owner, _s.id == row.id, tried)):
            return found
        if row.claimed_by is not None and not _is_due(tx, row.id, tried):
            # What it was claimed for is no more: nothing is left to be careful about.
            tx.run(update(t.subscriptions).where(_s.id == row.id).values(**_FREE))
    return []


def _is_due(tx: Tx, row: int, tried: int) -> bool:
    return any(tx.first(query.where(_s.id == row).limit(1)) for query in (_asked(tx), _behind(tx, tried)))


MOST_STRIKES = 3


def _take(tx: Tx, owner: str, which: Any, tried: int) -> list[Claim]:
    asked = tx.all(_asked(tx).where(which).order_by(_s.id).with_for_update(skip_locked=True, of=t.subscriptions))
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


def _unclaimed(tx: Tx) -> Any:
    """Nobody is at work there; a claim further ahead than twice its length was set by a wrong clock."""
    return or_(_s.claimed_until.is_(None), _s.claimed_until <= tx.now, _s.claimed_until > tx.now + 2 * CLAIM)


_WORKED = [column for column in t.subscriptions.c if column.name not in {"key", "host", "client", "asked_secret", "answer"}]


def _asked(tx: Tx) -> Select[Any]:
    """Rows whose callback is to be asked something now."""
    due = or_(_s.ask_at <= tx.now, _s.ask_at > tx.now + LONGEST)
    return select(*_WORKED).where(_s.ask_at.is_not(None), due, _unclaimed(tx))


def _behind(tx: Tx, tried: int) -> Select[Any]:
    """Rows that are to be told something now, each with its topic's `seq`."""
    topic = t.topics.c
    waits = and_(_s.retry_at.is_not(None), _s.retry_at > tx.now, _s.retry_at <= tx.now + LONGEST)
    lasts = or_(_s.expires_at.is_(None), _s.expires_at > tx.now)
    wanted = or_(_s.attempts <= tried, topic.seq > _s.tried_seq)
    joined = t.topics.join(t.subscriptions, topic.url == _s.topic)
    columns = select(*_WORKED, topic.seq, topic.changed_at.label("topic_changed_at")).select_from(joined)
    return columns.where(t.ACTIVE, _s.held_seq < topic.seq, lasts, ~waits, wanted, _unclaimed(tx))


def _untold(tx: Tx) -> list[tuple[str, int]]:
    """(URL, seq) of topics that changed, as long as somebody may not have been told, or tried."""
    return [(row.url, row.seq) for row in tx.all(select(t.topics.c.url, t.topics.c.seq).where(t.UNTOLD))]


def _fresh(tx: Tx, url: str, seq: int, tried: int) -> Select[Any]:
    """Those of a topic that were not tried with its newest text, claimed or not. One topic at a time: that is a range of an index."""
    lasts = or_(_s.expires_at.is_(None), _s.expires_at > tx.now)
    wanted = or_(_s.attempts <= tried, _s.tried_seq < seq)
    columns = select(_s.id, _s.attempts, _s.milliseconds)
    return columns.where(t.ACTIVE, _s.topic == url, _s.held_seq < seq, _s.retry_at.is_(None), lasts, wanted)


def _again(tx: Tx, tried: int) -> Select[Any]:
    """Those whose next attempt is due, or whose time was set by a wrong clock."""
    due = or_(_s.retry_at <= tx.now, _s.retry_at > tx.now + LONGEST)
    return _behind(tx, tried).where(_s.retry_at.is_not(None), due)


def is_due(tx: Tx, tried: int) -> bool:
    """Whether anybody is to be asked or told something, and nobody is at it."""
    return (
        tx.first(_asked(tx).limit(1)) is not None
        or tx.first(_again(tx, tried).limit(1)) is not None
        or tx.first(select(_s.id).where(t.TOUCHED, _unclaimed(tx)).limit(1)) is not None
        or any(tx.first(_fresh(tx, url, seq, tried).where(_unclaimed(tx)).limit(1)) for url, seq in _untold(tx))
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


def _mine() -> Any:
    return and_(_s.id == bindparam("i"), _s.claimed_by == bindparam("by"), _s.claimed_until == bindparam("until", type_=Instant))


_FREE = {"claimed_by": None, "claimed_until": None}


def told(tx: Tx, rows: Iterable[tuple[Claim, int, str]]) -> None:
    """(row, milliseconds, answer) of those that took the newest text."""
    tx.each(_told(), [{**one.mine(), "seq": one.seq, "ms": ms, "said": said, "now": tx.now} for one, ms, said in rows])


@cache
def _told() -> Executable:
    values = {
        **_FREE,
        "held_seq": bindparam("seq"),
        "tried_seq": bindparam("seq"),
        "held_at": bindparam("now", type_=Instant),
        "attempts": 0,
        "strikes": 0,
        "retry_at": None,
        "milliseconds": bindparam("ms"),
        "answer": bindparam("said"),
    }
    return update(t.subscriptions).where(_mine()).values(values)


def failed(tx: Tx, rows: Iterable[tuple[Claim, int, str, datetime]], tried: int) -> None:
    """(row, milliseconds, answer, when again) of those that did not take it. After `tried` retries a newer text is awaited."""
    tx.each(
        _failed(),
        [
            {**one.mine(), "seq": one.seq, "ms": ms, "said": said, "retry": again, "n": min(one.attempts + 1, tried + 1)}
            for one, ms, said, again in rows
        ],
    )


@cache
def _failed() -> Executable:
    values = {
        **_FREE,
        "tried_seq": bindparam("seq"),
        "attempts": bindparam("n"),
        "strikes": 0,
        "retry_at": bindparam("retry", type_=Instant),
        "milliseconds": bindparam("ms"),
        "answer": bindparam("said"),
    }
    return update(t.subscriptions).where(_mine()).values(values)


def put_back(tx: Tx, rows: Iterable[Claim]) -> None:
    """Give up the claim on rows that nothing was tried with; soon is soon enough."""
    retry = tx.now + timedelta(seconds=1)
    statement = update(t.subscriptions).where(_mine()).values(**_FREE, retry_at=retry)
    tx.each(statement, [one.mine() for one in rows])


def ended(tx: Tx, rows: Iterable[Claim]) -> None:
    """The subscription is over: its callback said so (410), or was told so."""
    tx.each(delete(t.subscriptions).where(_mine()), [one.mine() for one in rows])


def verified(tx: Tx, rows: Iterable[Claim]) -> None:
    """What was asked for was meant: it is in force from now on. What was asked for meanwhile is still to be verified."""
    for one in sorted(rows, key=lambda one: one.topic):
        same = and_(_mine(), _s.asked_seq == one.asked_seq)
        # Locked: whoever changes the topic sees this subscription, or is seen here.
        seq = tx.value(select(t.topics.c.seq).where(t.topics.c.url == one.topic).with_for_update(read=True)) or 0
        if one.asked == "unsubscribe":
            tx.run(delete(t.subscriptions).where(same), one.mine())
        else:
            tx.run(
                update(t.subscriptions)
                .where(same)
                .values(
                    state=ACTIVE,
                    secret=_s.asked_secret,
                    expires_at=tx.now + timedelta(seconds=one.asked_lease),
                    **_ASKED_NO_MORE,
                    retry_at=case((_s.held_seq < seq, literal(tx.now, Instant)), else_=_s.retry_at),
                    reason="",
                    answer="",
                ),
                one.mine(),
            )
        _let_go(tx, one)


_ASKED_NO_MORE = {"asked": "", "asked_secret": "", "ask_at": None, "ask_attempts": 0}


def refused(tx: Tx, rows: Iterable[tuple[Claim, str]]) -> None:
    """(row, why): it was not confirmed. What was in force stays so; a new one is shown for a while."""
    for one, why in rows:
        same = and_(_mine(), _s.asked_seq == one.asked_seq)
        state = func.replace(_s.state, ASKED, REFUSED)
        tx.run(update(t.subscriptions).where(same).values(state=state, answer=why, changed_at=tx.now, **_ASKED_NO_MORE), one.mine())
        _let_go(tx, one)


def ask_again(tx: Tx, rows: Iterable[tuple[Claim, str, datetime]]) -> None:
    """(row, why, when): nobody answered who could have confirmed it."""
    for one, why, when in rows:
        same = and_(_mine(), _s.asked_seq == one.asked_seq)
        tx.run(update(t.subscriptions).where(same).values(ask_at=when, ask_attempts=_s.ask_attempts + 1, answer=why), one.mine())
        _let_go(tx, one)


def _let_go(tx: Tx, one: Claim) -> None:
    tx.run(update(t.subscriptions).where(_mine()).values(**_FREE, strikes=0), one.mine())


def tell_hubs(tx: Tx, pairs: Collection[tuple[str, str]]) -> None:
    """The other hubs that are told of changes are these (hub, topic), and no others."""
    wanted = {_key(topic, hub): (hub, topic) for hub, topic in pairs}
    tx.run(delete(t.subscriptions).where(_s.kind == HUB, _s.key.not_in(list(wanted))))
    rows = [
        {"key": key, "kind": HUB, "topic": topic, "callback": hub, "host": host_of(hub), "state": ACTIVE, "changed_at": tx.now}
        for key, (hub, topic) in sorted(wanted.items())
    ]
    tx.each(insert(t.subscriptions, postgres=tx.postgres).on_conflict_do_nothing(), rows)


def topics(tx: Tx) -> list[str]:
    """Every topic that somebody subscribes to."""
    return [row[0] for row in tx.all(select(_s.topic).where(_s.kind == SUBSCRIBER).distinct())]


def deny(tx: Tx, topic: str, reason: str) -> None:
    """End every subscription to a topic; each is told so once."""
    values = {"state": ENDED, "asked": DENIED, "asked_seq": _s.asked_seq + 1, "ask_at": tx.now, "ask_attempts": 0, "reason": reason}
    tx.run(update(t.subscriptions).where(_s.kind == SUBSCRIBER, _s.topic == topic, _s.asked != DENIED).values(values))


def has_ended(tx: Tx) -> bool:
    """Whether there is anything for `prune`."""
    return any(tx.first(select(_s.id).where(over).limit(1)) for over in _over(tx))


def prune(tx: Tx, most: int = 200) -> int:
    """Delete some of what is over: leases that ended, and requests that were refused a while ago."""
    some = [row.id for over in _over(tx) for row in tx.all(select(_s.id).where(over).limit(most))]
    return tx.run(delete(t.subscriptions).where(_s.id.in_(some))).rowcount


def _over(tx: Tx) -> tuple[Any, Any]:
    lease = and_(_s.expires_at.is_not(None), _s.expires_at <= tx.now, _s.asked == "")
    refused_ = and_(_s.kind == SUBSCRIBER, _s.state == REFUSED, _s.changed_at <= tx.now - KEPT_REFUSED)
    return and_(lease, _unclaimed(tx)), and_(refused_, _unclaimed(tx))


def owners(tx: Tx) -> list[str]:
    """Who has claimed a row now."""
    rows = tx.all(select(_s.claimed_by).where(t.TOUCHED, _s.claimed_by.is_not(None), _s.claimed_until > tx.now).distinct())
    return [row[0] for row in rows]


def free(tx: Tx, dead: Sequence[str]) -> None:
    """End at once what dead owners claimed; their mark stays, so whoever comes next is careful."""
    tx.run(update(t.subscriptions).where(t.TOUCHED, _s.claimed_by.in_(dead)).values(claimed_until=tx.now))
    tx.run(update(t.topics).where(t.topics.c.claimed_by.in_(dead)).values(claimed_until=tx.now))


def counts(tx: Tx, tried: int) -> list[dict[str, object]]:
    """For each topic and kind: how many there are in each state, how many are behind, and how many of these failed before."""
    topic = t.topics.c
    behind = and_(t.ACTIVE, _s.held_seq < topic.seq)
    columns = (
        func.count().label("number"),
        func.sum(_one_if(behind)).label("behind"),
        func.sum(_one_if(and_(behind, _s.attempts > 0))).label("retrying"),
        func.sum(_one_if(and_(behind, _s.attempts > tried))).label("given_up"),
    )
    joined = t.subscriptions.outerjoin(t.topics, topic.url == _s.topic)
    query = select(_s.topic, _s.kind, _s.state, *columns).select_from(joined).group_by(_s.topic, _s.kind, _s.state)
    return [dict(row._mapping) for row in tx.all(query.order_by(_s.topic, _s.kind, _s.state))]  # noqa: SLF001 - SQLAlchemy's name for it


def _one_if(condition: Any) -> Any:
    return case((condition, 1), else_=0)


def listed(tx: Tx, topic: str | None, state: str | None, most: int) -> list[Row[Any]]:
    """The newest subscriptions, without their secrets."""
    columns = (_s.id, _s.kind, _s.topic, _s.callback, _s.state, _s.asked, _s.expires_at, _s.held_at, _s.retry_at, _s.attempts, _s.answer)
    query = select(*columns, (_s.secret != "").label("signed"), t.topics.c.seq, _s.held_seq)
    query = query.select_from(t.subscriptions.outerjoin(t.topics, t.topics.c.url == _s.topic)).order_by(_s.id.desc()).limit(most)
    if topic:
        query = query.where(_s.topic == topic)
    return tx.all(query.where(_s.state == state) if state else query)


def by_state(tx: Tx) -> Mapping[str, int]:
    """State → how many subscribers."""
    rows = tx.all(select(_s.state, func.count()).where(_s.kind == SUBSCRIBER).group_by(_s.state))
    return {row[0]: row[1] for row in rows}
