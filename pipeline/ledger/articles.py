"""Rows of articles and revisions: the newest wins, decided by one conditional statement.

Read-then-write lets the older of two revisions win on PostgreSQL; here the comparison stands inside the upsert.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, case, func, not_, or_, select, text, tuple_, update

from pipeline.ledger import tables as t
from pipeline.ledger.types import Instant
from pipeline.ledger.upsert import insert
from pipeline.model.event import EventState

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Executable
    from sqlalchemy.sql.elements import ColumnElement

    from pipeline.ledger.engine import Tx
    from pipeline.ledger.types import JsonText

PUBLISHED, UPDATED, CORRECTED, WITHDRAWN = "published", "updated", "corrected", "withdrawn"
MOST_ENDING = 50


@dataclass(frozen=True, slots=True)
class Candidate:
    """A valid event on its way to become a revision.

    major        what the source orders by, as a number; None where the event does not say
    order_time   the event's own time, microseconds
    content      the article's JSON; None for a withdrawal
    effective_at when it may be seen: not before the embargo, nor before published_at
    gated        whether one of these lay ahead when it came; what is not gated waits for no clock
    modified_at  updated_at where the sender gave one
    """

    event: int
    site: str
    space: str
    cms_id: str
    identity: str
    short_id: str
    kind: str
    major: int | None
    order_time: int
    content_sha: str
    headline: str
    content: JsonText | None
    reason: str
    received_at: datetime
    effective_at: datetime
    gated: bool
    event_at: datetime
    published_at: datetime | None
    modified_at: datetime | None


@dataclass(frozen=True, slots=True)
class Applied:
    """What the ledger made of a candidate; `live` is the revision's row id when it can be seen now."""

    state: EventState
    article_id: int
    number: int
    live: int | None = None
    published_at: datetime | None = None


def apply(tx: Tx, candidate: Candidate) -> Applied:
    """Make the candidate the article's newest revision, unless a newer one is known or nothing changed."""
    row = tx.first(_upsert(postgres=tx.postgres), _article_row(candidate))
    if row is None:
        article = _known(tx, candidate)
        return Applied(EventState.STALE, article[0], article[1])
    if row.previous_sha == row.content_sha:
        return Applied(EventState.UNCHANGED, row.id, row.newest)
    before = tx.first(_latest(), {"article": row.id}) if row.newest > 1 else None
    published = candidate.published_at or (before.published_at if before else candidate.event_at)
    waits = candidate.gated and candidate.effective_at > tx.now
    made = {**_revision_row(candidate, published, before), "article_id": row.id, "number": row.newest}
    made |= {"state": "waiting", "live_at": None} if waits else {"state": "live", "live_at": tx.now}
    revision: int = tx.value(_add_revision(), made)
    if before is not None:
        tx.run(_supersede(only_waiting=waits), {"article": row.id, "before": revision})
    if not waits:
        tx.run(_show(), {"article": row.id, "revision": revision})
    return Applied(EventState.APPLIED, row.id, row.newest, None if waits else revision, published)


def _article_row(candidate: Candidate) -> dict[str, object]:
    return {
        "site": candidate.site,
        "space": candidate.space,
        "cms_id": candidate.cms_id,
        "identity": candidate.identity,
        "short_id": candidate.short_id,
        "order_major": candidate.major,
        "order_open": candidate.major is None,
        "order_time": candidate.order_time,
        "order_arrival": candidate.event,
        "content_sha": candidate.content_sha,
        "previous_sha": "",
        "newest": 1,
    }


@cache
def _upsert(*, postgres: bool) -> Executable:
    statement = insert(t.articles, postgres=postgres)
    new, old = statement.excluded, t.articles.c
    return statement.on_conflict_do_update(
        index_elements=[old.site, old.space, old.cms_id],
        set_={
            "order_major": func.coalesce(new.order_major, old.order_major),
            "order_open": new.order_open,
            "order_time": new.order_time,
            "order_arrival": new.order_arrival,
            "previous_sha": old.content_sha,
            "content_sha": new.content_sha,
            "newest": old.newest + case((new.content_sha != old.content_sha, 1), else_=0),
        },
        where=_newer(new, old),
    ).returning(old.id, old.newest, old.content_sha, old.previous_sha)


def _newer(new: Any, old: Any) -> ColumnElement[bool]:
    """(major, event time, arrival), where a withdrawal that gave no major is ordered by its event time.

    Its major is then a floor only (`order_open`): a revision below it is stale; one at or above it is newer
    exactly when it happened later. So a publish that overtook its withdrawal on the way stays withdrawn.
    """
    later = tuple_(new.order_time, new.order_arrival) > tuple_(old.order_time, old.order_arrival)
    unknown = or_(new.order_major.is_(None), old.order_major.is_(None))
    above = and_(new.order_major >= old.order_major, later)
    greater = or_(new.order_major > old.order_major, and_(new.order_major == old.order_major, later))
    is_open = old.order_open
    return or_(and_(unknown, later), and_(not_(unknown), is_open, above), and_(not_(unknown), not_(is_open), greater))


def _known(tx: Tx, candidate: Candidate) -> tuple[int, int]:
    a = t.articles.c
    row = tx.first(
        select(a.id, a.newest).where(a.site == candidate.site, a.space == candidate.space, a.cms_id == candidate.cms_id),
    )
    if row is None:  # pragma: no cover - the upsert has just met it
        message = "an article vanished from the ledger"
        raise RuntimeError(message)
    return row.id, row.newest


@cache
def _add_revision() -> Executable:
    return t.revisions.insert().returning(t.revisions.c.id)


def _revision_row(candidate: Candidate, published: datetime, before: Any) -> dict[str, object]:
    return {
        "kind": candidate.kind,
        "event": candidate.event,
        "headline": candidate.headline or (before.headline if before else ""),
        "content": candidate.content,
        "reason": candidate.reason,
        "received_at": candidate.received_at,
        "effective_at": candidate.effective_at,
        "published_at": published,
        "modified_at": _modified(candidate, published, before),
    }


def _modified(candidate: Candidate, published: datetime, before: Any) -> datetime:
    """The last significant change: never before publication, never after it can be seen (no future date in a feed).

    What comes back after a withdrawal changed now: readers who honoured the tombstone wait for a later date (RFC 6721 5).
    """
    if before is not None and before.kind == WITHDRAWN and candidate.kind != WITHDRAWN:
        return candidate.effective_at
    said = candidate.modified_at or (published if before is None and candidate.kind == PUBLISHED else candidate.event_at)
    return min(max(said, published), candidate.effective_at)


@cache
def _latest() -> Executable:
    r = t.revisions.c
    found = select(r.headline, r.published_at, r.kind).where(r.article_id == bindparam("article"))
    return found.order_by(r.number.desc()).limit(1)


@cache
def _supersede(*, only_waiting: bool) -> Executable:
    """What came before this revision never will be live; a new embargo ends only those that wait for an earlier hour."""
    r = t.revisions.c
    which = r.state == "waiting" if only_waiting else r.state != "superseded"
    statement = update(t.revisions).where(r.article_id == bindparam("article"), r.id < bindparam("before"), which)
    return statement.values(state="superseded")


@cache
def _show() -> Executable:
    return update(t.articles).where(t.articles.c.id == bindparam("article")).values(live=bindparam("revision"))


@dataclass(frozen=True, slots=True)
class Ending:
    """A revision that waits for nothing any more: its embargo is over."""

    revision: int
    article_id: int
    number: int
    site: str
    content: Mapping[str, object]
    effective_at: datetime
    published_at: datetime


def ending(tx: Tx, sites: Collection[str], most: int = MOST_ENDING) -> tuple[Ending, ...]:
    """The newest revision whose time has come of each article of these sites that has one."""
    r, a = t.revisions.c, t.articles.c
    over = and_(text("revisions.state = 'waiting'"), r.effective_at <= tx.now)
    newest = select(func.max(r.id)).join(t.articles, a.id == r.article_id).where(over, a.site.in_(sites)).group_by(r.article_id)
    rows = tx.all(
        select(r.id, r.article_id, r.number, a.site, r.content, r.effective_at, r.published_at)
        .join(t.articles, a.id == r.article_id)
        .where(r.id.in_(newest.order_by(r.article_id).limit(most)))
        .order_by(r.article_id),
    )
    return tuple(Ending(*row) for row in rows)


def promote(tx: Tx, endings: Sequence[Ending]) -> frozenset[int]:
    """Make these live; answers the articles that were: one withdrawn or put off since it was read is not among them."""
    r, a = t.revisions.c, t.articles.c
    ids = sorted(e.article_id for e in endings)
    # Articles first, as `apply` does: a withdrawal on its way is waited for, and then nothing waits here any more.
    tx.all(select(a.id).where(a.id.in_(ids)).order_by(a.id).with_for_update())
    rows = tx.all(
        select(r.article_id, func.max(r.id).label("id"))
        .where(text("revisions.state = 'waiting'"), r.effective_at <= tx.now, r.article_id.in_(ids))
        .group_by(r.article_id),
    )
    newest = {row.article_id: row.id for row in rows}
    still = [e for e in endings if newest.get(e.article_id) == e.revision]
    pairs = [{"article": e.article_id, "before": e.revision, "revision": e.revision} for e in still]
    tx.each(_supersede(only_waiting=False), pairs)
    tx.each(_go_live(), [{**pair, "now": tx.now} for pair in pairs])
    tx.each(_show(), pairs)
    return frozenset(e.article_id for e in still)


@cache
def _go_live() -> Executable:
    live = update(t.revisions).where(t.revisions.c.id == bindparam("revision"))
    return live.values(state="live", live_at=bindparam("now", type_=Instant))


def live(tx: Tx, site: str, short_id: str) -> int | None:
    """The row id of the revision that is live of the article with that short id; None where there is none."""
    a = t.articles.c
    found: int | None = tx.value(select(a.live).where(a.site == site, a.short_id == short_id))
    return found


def first_published(tx: Tx, article_id: int) -> datetime | None:
    """The date of its first revision that was ever live; None where none was."""
    r = t.revisions.c
    shown = select(r.published_at).where(r.article_id == article_id, r.live_at.is_not(None)).order_by(r.number).limit(1)
    when: datetime | None = tx.value(shown)
    return when


def next_embargo(tx: Tx) -> datetime | None:
    """When the next waiting revision may be seen, or None."""
    when: datetime | None = tx.value(select(func.min(t.revisions.c.effective_at)).where(text("revisions.state = 'waiting'")))
    return when
