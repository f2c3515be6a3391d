"""What outlets that are new, or have other rules, must still be planned for: the archive from the newest article down.

`outlets.fill_below` is the article id below which nobody has looked yet; it is gone once all were.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, or_, select, update

from pipeline.ledger import tables as t

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import Executable

    from pipeline.ledger.engine import Tx


@dataclass(frozen=True, slots=True)
class Standing:
    """An article as it is live now."""

    article_id: int
    revision: int
    number: int
    content: dict[str, Any] | None  # None: withdrawn
    published_at: datetime


def begin(tx: Tx, outlets: Collection[str]) -> None:
    """Look at every article again for these outlets; for none of them where there is no article yet."""
    below = _above_all(tx)
    if below is not None and outlets:
        o = t.outlets.c
        tx.run(update(t.outlets).where(o.key.in_(sorted(outlets))).values(fill_below=below, fill_again_at=None))


GRACE = timedelta(minutes=5)
"""A filled outlet is looked at once more after so long: a process that was not started again yet plans nothing for it."""


@dataclass(frozen=True, slots=True)
class Filling:
    """An outlet that is being filled: below which article id to go on, and whether that is the second look."""

    outlet: str
    below: int
    begun: bool
    second: bool


def to_fill(tx: Tx, among: Collection[str]) -> Filling | None:
    """One of these outlets that is being filled, or to be looked at once more."""
    o = t.outlets.c
    asked = or_(o.fill_below.is_not(None), o.fill_again_at <= tx.now)
    found = tx.first(
        select(o.key, o.fill_below, o.fill_again_at).where(asked, o.key.in_(sorted(among)), o.closed.is_(False)).order_by(o.key)
    )
    if found is None:
        return None
    below = found.fill_below if found.fill_below is not None else _above_all(tx) or 0
    return Filling(found.key, below, found.fill_below is not None, found.fill_again_at is not None)


def _above_all(tx: Tx) -> int | None:
    newest: int | None = tx.value(select(func.max(t.articles.c.id)))
    return newest + 1 if newest is not None else None


def standing(tx: Tx, site: str, below: int, most: int) -> tuple[list[Standing], int | None]:
    """(articles of a site, live or withdrawn, of the next `most` ids below; the last id looked at, None where there are no more)."""
    rows = tx.all(_standing(), {"site": site, "below": below, "most": most})
    live = [Standing(row.article_id, row.revision, row.number, row.content, row.published_at) for row in rows if row.revision is not None]
    return live, rows[-1].article_id if len(rows) == most else None


@cache
def _standing() -> Executable:
    a, r = t.articles.c, t.revisions.c
    return (
        select(a.id.label("article_id"), r.id.label("revision"), r.number, r.content, r.published_at)
        .outerjoin(t.revisions, r.id == a.live)
        .where(a.site == bindparam("site"), a.id < bindparam("below"))
        .order_by(a.id.desc())
        .limit(bindparam("most"))
    )


def went_on(tx: Tx, filling: Filling, below: int | None) -> None:
    """Note how far it came, unless it was begun anew meanwhile; once it is through the first time, when to look again."""
    o = t.outlets.c
    here = o.fill_below == filling.below if filling.begun else o.fill_below.is_(None)
    told: dict[str, object] = {"fill_below": below}
    if below is None:
        told["fill_again_at"] = None if filling.second else tx.now + GRACE
    tx.run(update(t.outlets).where(o.key == filling.outlet, here).values(told))
