"""What outlets that are new, or have other rules, must still be planned for: the archive from the newest article down.

`outlets.fill_below` is the article id below which nobody has looked yet; it is gone once all were.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, select, update

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
    content: dict[str, Any]
    published_at: datetime


def begin(tx: Tx, outlets: Collection[str]) -> None:
    """Look at every article again for these outlets; for none of them where there is no article yet."""
    newest = tx.value(select(func.max(t.articles.c.id)))
    if newest is not None and outlets:
        o = t.outlets.c
        tx.run(update(t.outlets).where(o.key.in_(sorted(outlets))).values(fill_below=newest + 1))


def to_fill(tx: Tx, among: Collection[str]) -> tuple[str, int] | None:
    """One of these outlets that is being filled, and below which article id to go on."""
    o = t.outlets.c
    found = tx.first(
        select(o.key, o.fill_below).where(o.fill_below.is_not(None), o.key.in_(sorted(among)), o.closed.is_(False)).order_by(o.key)
    )
    return (found.key, found.fill_below) if found else None


def standing(tx: Tx, site: str, below: int, most: int) -> tuple[list[Standing], int | None]:
    """(articles of a site that are live, of the next `most` ids below; the last id looked at, None where there are no more)."""
    rows = tx.all(_standing(), {"site": site, "below": below, "most": most})
    live = [Standing(row.article_id, row.revision, row.number, row.content, row.published_at) for row in rows if row.content is not None]
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


def went_on(tx: Tx, outlet: str, was: int, below: int | None) -> None:
    """Note how far it came, unless it was begun anew meanwhile."""
    o = t.outlets.c
    tx.run(update(t.outlets).where(o.key == outlet, o.fill_below == was).values(fill_below=below))
