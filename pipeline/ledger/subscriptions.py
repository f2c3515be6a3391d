"""Rows of subscriptions, as they come and go: what is asked for, bounded and written down; other hubs; what is over.

A row is one callback and one topic. Other hubs, which are told that something changed, are rows of their own kind. What is done
with rows is claimed (`subscription_claims`), and settled (`subscription_outcomes`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sqlalchemy import and_, delete, func, or_, select, update

from pipeline.ledger import tables as t
from pipeline.ledger.subscription_claims import unclaimed
from pipeline.ledger.upsert import insert

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from sqlalchemy import Select

    from pipeline.ledger.engine import Tx
    from pipeline.model.settings import Hub

SUBSCRIBER, HUB = "subscriber", "hub"
ASKED, ACTIVE, REFUSED, ENDED = "asked", "active", "refused", "ended"
STATES = (ASKED, ACTIVE, REFUSED, ENDED)
DENIED = "denied"
KEPT_REFUSED = timedelta(minutes=10)
MOST_REFUSED = 1000  # that are kept for people to look at; they are no subscriptions
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


def host_of(url: str) -> str:
    """The host of a URL, as subscriptions are counted by it."""
    return (urlsplit(url).hostname or "").lower().rstrip(".")


def _key(topic: str, callback: str, kind: str = SUBSCRIBER) -> str:
    """By it a row is the only one of its kind, topic and callback: whoever subscribes with another hub's address takes nobody's place."""
    named = (topic, callback) if kind == SUBSCRIBER else (kind, topic, callback)
    return hashlib.sha256("\n".join(named).encode()).hexdigest()


def ask(tx: Tx, asks: Sequence[Ask], bounds: Hub) -> list[str]:
    """Note each request, to be verified; for each "", or what it is refused for: `unknown`, `most`, `per_host`, `client`."""
    said = [""] * len(asks)
    keys = [_key(one.topic, one.callback) for one in asks]
    # In the order of their keys: two processes that write down several never wait for each other. Those of one key keep theirs.
    for place in sorted(range(len(asks)), key=lambda place: keys[place]):
        said[place] = _ask(tx, keys[place], asks[place], bounds)
    return said


def _ask(tx: Tx, key: str, one: Ask, bounds: Hub) -> str:
    seq = tx.value(select(t.topics.c.seq).where(t.topics.c.url == one.topic)) or 0
    values = {
        "asked": one.mode,
        "asked_secret": one.secret,
        "asked_lease": one.lease_seconds,
        "client": one.client,
        "changed_at": tx.now,
    }
    now = {"ask_at": tx.now, "ask_attempts": 0}
    fresh = {"key": key, "kind": SUBSCRIBER, "topic": one.topic, "callback": one.callback, "host": host_of(one.callback)}
    # Locked: nobody deletes it before what was asked for stands in it.
    known = select(_s.id, _s.state, _s.asked).where(_s.key == key).with_for_update()
    while (row := tx.first(known)) is None:
        if one.mode == "unsubscribe":
            return "unknown"
        if full := _full(tx, one, bounds):
            return full
        # Counted from now, not from the verification: what changes between the two is told.
        new = insert(t.subscriptions, postgres=tx.postgres).on_conflict_do_nothing().returning(_s.id)
        if tx.value(new, {**fresh, **values, **now, "state": ASKED, "held_seq": seq, "asked_seq": 1}) is not None:
            return ""
        # Another process was asked for the same just now, and has written it down: it is there.
    if row.state in {REFUSED, ENDED}:
        if one.mode == "unsubscribe":
            return "unknown"
        if full := _full(tx, one, bounds):
            return full
    anew = {} if row.state == ACTIVE else {"state": ASKED, "held_seq": seq, "reason": "", "answer": "", "attempts": 0, "retry_at": None}
    # Who repeats it is asked no sooner for that: a callback that does not answer would be asked for ever.
    soon = now if row.asked in {"", DENIED} else {}
    tx.run(update(t.subscriptions).where(_s.id == row.id).values(asked_seq=_s.asked_seq + 1, **values, **soon, **anew))
    return ""


def _full(tx: Tx, one: Ask, bounds: Hub) -> str:
    """Which bound keeps a new one out. What others ask for and did not mean yet, or was refused, takes nobody's place at a host."""
    asked = _s.state == ASKED
    counts = or_(_s.state == ACTIVE, and_(asked, _s.client == one.client))
    if max(_count(tx, counts), _count(tx, asked)) >= bounds.most:
        return "most"
    if _count(tx, counts, _s.host == host_of(one.callback)) >= bounds.per_host:
        return "per_host"
    unverified = _count(tx, asked, _s.client == one.client) if one.client else 0
    return "client" if unverified >= UNVERIFIED_PER_CLIENT else ""


def _count(tx: Tx, *where: Any) -> int:
    return int(tx.value(select(func.count()).select_from(t.subscriptions).where(_s.kind == SUBSCRIBER, *where)))


def has_place(tx: Tx, host: str, bounds: Hub) -> bool:
    """Whether one more that was verified may become active."""
    active = _s.state == ACTIVE
    return _count(tx, active, _s.host == host) < bounds.per_host and _count(tx, active) < bounds.most


def tell_hubs(tx: Tx, pairs: Collection[tuple[str, str]]) -> None:
    """The other hubs that are told of changes are these (hub, topic), and no others."""
    wanted = {_key(topic, hub, HUB): (hub, topic) for hub, topic in pairs}
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
    return any(tx.first(over.limit(1)) for over in _over(tx))


def prune(tx: Tx, most: int = 1000) -> int:
    """Delete some of what is over: leases that ended, and requests that were refused a while ago or before many others.

    What was asked for anew meanwhile stays.
    """
    some = {row.id for over in _over(tx) for row in tx.all(over.limit(most))}
    still = or_(_lease_over(tx), _refused(tx))
    return tx.run(delete(t.subscriptions).where(_s.id.in_(some), still)).rowcount


def _over(tx: Tx) -> Iterator[Select[Any]]:
    row = select(_s.id)
    yield row.where(_lease_over(tx))
    yield row.where(_refused(tx), _s.changed_at <= tx.now - KEPT_REFUSED)
    yield row.where(_refused(tx)).order_by(_s.changed_at.desc(), _s.id.desc()).offset(MOST_REFUSED)


def _lease_over(tx: Tx) -> Any:
    return and_(_s.expires_at.is_not(None), _s.expires_at <= tx.now, _s.asked == "", unclaimed(tx))


def _refused(tx: Tx) -> Any:
    return and_(_s.kind == SUBSCRIBER, _s.state == REFUSED, unclaimed(tx))
