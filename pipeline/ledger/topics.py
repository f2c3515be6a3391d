"""Rows of topics: what their subscribers should hold, and which of other publishers' are to be fetched."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, case, exists, literal, or_, select, update

from pipeline.ledger import tables as t
from pipeline.ledger.subscription_claims import CLAIM, FAR
from pipeline.ledger.types import Instant
from pipeline.ledger.upsert import insert

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from sqlalchemy import Executable

    from pipeline.ledger.engine import Tx

PAUSE = timedelta(seconds=1)  # between two looks at one topic, however often its publisher calls
FETCHES = (5, 30)  # seconds until the next look where one failed; after the last, the publisher's next call

_t = t.topics.c


@dataclass(frozen=True, slots=True)
class Fetch:
    """Another publisher's topic in our hands until `until`."""

    url: str
    by: str
    until: datetime
    attempts: int


def standing(tx: Tx, url: str) -> Any:
    """(seq, outlet, path, wanted_sha, media_type, body) of a topic, or None; `body` where it is another publisher's."""
    d = t.documents.c
    kept = t.topics.outerjoin(t.documents, and_(d.outlet == _t.outlet, d.path == _t.path))
    media = case((_t.outlet == "", _t.media_type), else_=d.media_type).label("media_type")
    return tx.first(select(_t.seq, _t.outlet, _t.path, _t.wanted_sha, media, _t.body).select_from(kept).where(_t.url == url))


def has_readers(tx: Tx, urls: Collection[str]) -> bool:
    """Whether anybody is to be told of the changes of these; the others count as told.

    Asked once their rows are written, and by that locked: who becomes a subscriber meanwhile waits for the new text.
    """
    return bool(urls) and tx.run(_to_nobody(), {"urls": list(urls)}).rowcount < len(urls)


@cache
def _to_nobody() -> Executable:
    chosen: Any = bindparam("urls", expanding=True)
    subscribed = exists().where(t.subscriptions.c.topic == _t.url, t.ACTIVE)
    return update(t.topics).where(_t.url.in_(chosen), ~subscribed).values(told_seq=_t.seq)


def expect(tx: Tx, url: str) -> None:
    """Have a row of this topic, though it may have no text yet."""
    row = {"url": url, "outlet": "", "path": "", "wanted_sha": "", "changed_at": tx.now, "seq": 0}
    tx.run(insert(t.topics, postgres=tx.postgres).on_conflict_do_nothing(), row)


def to_fetch(tx: Tx, urls: Collection[str]) -> None:
    """The publishers of these say that they changed; those that nobody subscribes to are left alone."""
    s = t.subscriptions.c
    for url in sorted(urls):
        if tx.first(select(s.id).where(s.topic == url).limit(1)) is None:
            continue
        expect(tx, url)
        fetched = tx.value(select(_t.fetched_at).where(_t.url == url))
        when = max(tx.now, fetched + PAUSE) if fetched is not None and fetched <= tx.now else tx.now
        tx.run(update(t.topics).where(_t.url == url).values(fetch_at=when, fetch_attempts=0))


def claim_fetches(tx: Tx, owner: str, most: int) -> list[Fetch]:
    """Up to so many topics that are to be fetched now. A look that nobody came back from counts as one that failed."""
    rows = tx.all(
        select(_t.url, _t.fetch_attempts).where(_due(tx)).order_by(_t.fetch_at, _t.url).limit(most).with_for_update(skip_locked=True)
    )
    until = tx.now + CLAIM
    for row in rows:
        last = row.fetch_attempts >= len(FETCHES)
        again = None if last else tx.now + CLAIM + timedelta(seconds=FETCHES[row.fetch_attempts])
        values = {
            "claimed_by": owner,
            "claimed_until": until,
            "fetch_attempts": row.fetch_attempts + 1,
            "fetch_at": again,
            "fetched_at": tx.now,
        }
        tx.run(update(t.topics).where(_t.url == row.url).values(**values))
    return [Fetch(row.url, owner, until, row.fetch_attempts) for row in rows]


def _due(tx: Tx) -> Any:
    free = or_(_t.claimed_until.is_(None), _t.claimed_until <= tx.now, _t.claimed_until > tx.now + 2 * CLAIM)
    return and_(_t.fetch_at.is_not(None), or_(_t.fetch_at <= tx.now, _t.fetch_at > tx.now + FAR), free)


def is_due(tx: Tx) -> bool:
    """Whether a topic is to be fetched, and nobody is at it."""
    return tx.first(select(_t.url).where(_due(tx)).limit(1)) is not None


def fetched(tx: Tx, found: Iterable[tuple[Fetch, str, str, bytes]]) -> None:
    """(topic, sha256, media type, body) as its publisher serves it; whoever called meanwhile has it fetched once more."""
    for one, sha, media_type, body in found:
        differs = _t.wanted_sha != sha
        tx.run(
            update(t.topics)
            .where(_mine(one))
            .values(
                wanted_sha=sha,
                seq=case((differs, _t.seq + 1), else_=_t.seq),
                changed_at=case((differs, literal(tx.now, Instant)), else_=_t.changed_at),
                media_type=media_type,
                body=body,
                fetch_at=case((_t.fetch_attempts == one.attempts + 1, None), else_=_t.fetch_at),
                claimed_by=None,
                claimed_until=None,
            )
        )


def not_fetched(tx: Tx, missed: Iterable[Fetch]) -> None:
    """Nothing was found: again after a while, as the claim said, or at the publisher's next call."""
    for one in missed:
        again = None if one.attempts >= len(FETCHES) else tx.now + timedelta(seconds=FETCHES[one.attempts])
        same = _t.fetch_attempts == one.attempts + 1
        values = {"claimed_by": None, "claimed_until": None, "fetch_at": case((same, literal(again, Instant)), else_=_t.fetch_at)}
        tx.run(update(t.topics).where(_mine(one)).values(**values))


def _mine(one: Fetch) -> Any:
    return and_(_t.url == one.url, _t.claimed_by == one.by, _t.claimed_until == one.until)
