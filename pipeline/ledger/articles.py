"""Rows of articles and revisions: the newest wins, decided by one conditional statement.

Read-then-write lets the older of two revisions win on PostgreSQL; here the comparison stands inside the upsert.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, case, func, not_, or_, select, text, tuple_, update

from pipeline.ledger import tables as t
from pipeline.ledger.upsert import insert
from pipeline.model.event import EventState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Executable
    from sqlalchemy.sql.elements import ColumnElement

    from pipeline.ledger.engine import Tx

PUBLISHED, UPDATED, CORRECTED, WITHDRAWN = "published", "updated", "corrected", "withdrawn"


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
    content: Mapping[str, object] | None
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
    revision = _add_revision(tx, candidate, row.id, row.newest)
    live = None
    if candidate.gated and candidate.effective_at > tx.now:
        _wait(tx, row.id, revision)
    else:
        live = _make_live(tx, row.id, revision)
    return Applied(EventState.APPLIED, row.id, row.newest, live, _published(tx, revision))


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


def _add_revision(tx: Tx, candidate: Candidate, article_id: int, number: int) -> int:
    before = _latest(tx, article_id) if number > 1 else None
    published = candidate.published_at or (before.published_at if before else candidate.event_at)
    row = {
        "article_id": article_id,
        "number": number,
        "kind": candidate.kind,
        "state": "waiting",
        "event": candidate.event,
        "headline": candidate.headline or (before.headline if before else ""),
        "content": candidate.content,
        "reason": candidate.reason,
        "received_at": candidate.received_at,
        "effective_at": candidate.effective_at,
        "published_at": published,
        "modified_at": _modified(candidate, published, before),
    }
    revision_id: int = tx.run(t.revisions.insert().returning(t.revisions.c.id), row).scalar_one()
    return revision_id


def _modified(candidate: Candidate, published: datetime, before: Any) -> datetime:
    """The last significant change: never before publication, never after it can be seen (no future date in a feed).

    What comes back after a withdrawal changed now: readers who honoured the tombstone wait for a later date (RFC 6721 5).
    """
    if before is not None and before.kind == WITHDRAWN and candidate.kind != WITHDRAWN:
        return candidate.effective_at
    said = candidate.modified_at or (published if before is None and candidate.kind == PUBLISHED else candidate.event_at)
    return min(max(said, published), candidate.effective_at)


def _latest(tx: Tx, article_id: int) -> Any:
    r = t.revisions.c
    return tx.first(select(r.headline, r.published_at, r.kind).where(r.article_id == article_id).order_by(r.number.desc()).limit(1))


def _published(tx: Tx, revision: int) -> datetime:
    published: datetime = tx.value(select(t.revisions.c.published_at).where(t.revisions.c.id == revision))
    return published


def _wait(tx: Tx, article_id: int, revision: int) -> None:
    """The newest revision's embargo is the article's: what waited before for an earlier hour waits no more."""
    r = t.revisions.c
    tx.run(update(t.revisions).where(r.article_id == article_id, r.id < revision, r.state == "waiting").values(state="superseded"))


def _make_live(tx: Tx, article_id: int, revision: int) -> int:
    """The article's live revision from now on; those that waited before it never will be."""
    r = t.revisions.c
    tx.run(
        update(t.revisions).where(r.article_id == article_id, r.id < revision, r.state != "superseded").values(state="superseded"),
    )
    tx.run(update(t.revisions).where(r.id == revision).values(state="live", live_at=tx.now))
    tx.run(update(t.articles).where(t.articles.c.id == article_id).values(live=revision))
    return revision


@dataclass(frozen=True, slots=True)
class Promoted:
    """A revision whose embargo ended and that can be seen now."""

    revision: int
    article_id: int
    number: int
    site: str
    content: Mapping[str, object]
    effective_at: datetime
    published_at: datetime


def promote(tx: Tx, most: int = 50) -> tuple[Promoted, ...]:
    """Make live the newest revision of each article whose time has come."""
    r, a = t.revisions.c, t.articles.c
    waiting = tx.all(
        select(r.article_id).where(text("revisions.state = 'waiting'"), r.effective_at <= tx.now).distinct().limit(most),
    )
    # Articles first, as `apply` does: a withdrawal on its way is waited for, and then nothing waits here any more.
    ids = sorted(row.article_id for row in waiting)
    tx.all(select(a.id).where(a.id.in_(ids)).order_by(a.id).with_for_update())
    due = tx.all(
        select(func.max(r.id).label("id"))
        .where(text("revisions.state = 'waiting'"), r.effective_at <= tx.now, r.article_id.in_(ids))
        .group_by(r.article_id),
    )
    rows = tx.all(
        select(r.id, r.article_id, r.number, a.site, r.content, r.effective_at, r.published_at)
        .join(t.articles, a.id == r.article_id)
        .where(r.id.in_([row.id for row in due]))
        .order_by(r.article_id),
    )
    for row in rows:
        _make_live(tx, row.article_id, row.id)
    return tuple(Promoted(*row) for row in rows)


def next_embargo(tx: Tx) -> datetime | None:
    """When the next waiting revision may be seen, or None."""
    when: datetime | None = tx.value(select(func.min(t.revisions.c.effective_at)).where(text("revisions.state = 'waiting'")))
    return when
