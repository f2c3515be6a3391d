"""Rows of archive pages: the upper end of each in its feed's order, and whether it must be written again.

What stands on a page is no list: it is everything in the feed above the page before it, up to its own end.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, func, or_, select, text, update

from pipeline.ledger import tables as t
from pipeline.ledger.types import Instant
from pipeline.ledger.upsert import insert

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from sqlalchemy import BindParameter, Executable, Select

    from pipeline.ledger.engine import Tx


@dataclass(frozen=True, slots=True)
class Page:
    """One archive page: `name` is `<yyyy>-<mm>-<n>`, its end the date and article of its newest entry when it was closed."""

    name: str
    last_at: datetime
    last_id: int
    changed_at: datetime

    @property
    def end(self) -> tuple[datetime, int]:
        """Its upper end."""
        return (self.last_at, self.last_id)


def newest(tx: Tx, outlet: str) -> Page | None:
    """The page whose end is the latest; above it is the live document."""
    return _page(tx.first(_newest(), {"outlet": outlet}))


@cache
def _newest() -> Executable:
    return _of_outlet().order_by(*_down()).limit(1)


def above(tx: Tx, outlet: str, place: tuple[datetime, int]) -> Page | None:
    """The page that a place in the order falls on; None above the newest."""
    return _page(tx.first(_above(), {"outlet": outlet, "at": place[0], "id": place[1]}))


@cache
def _above() -> Executable:
    a, (at, last) = t.archives.c, _place()
    reaches = or_(a.last_at > at, and_(a.last_at == at, a.last_id >= last))
    return _of_outlet().where(a.last_at >= at, reaches).order_by(a.last_at, a.last_id).limit(1)


def before(tx: Tx, outlet: str, place: tuple[datetime, int]) -> Page | None:
    """The newest page that ends below a place in the order."""
    return _page(tx.first(_before(), {"outlet": outlet, "at": place[0], "id": place[1]}))


@cache
def _before() -> Executable:
    a, (at, last) = t.archives.c, _place()
    ends = or_(a.last_at < at, and_(a.last_at == at, a.last_id < last))
    return _of_outlet().where(a.last_at <= at, ends).order_by(*_down()).limit(1)


def named(tx: Tx, outlet: str, names: Collection[str]) -> list[Page]:
    """Those of these pages that exist."""
    return _pages(tx.all(_named(), {"outlet": outlet, "names": list(names)})) if names else []


@cache
def _named() -> Executable:
    chosen: Any = bindparam("names", expanding=True)
    return _of_outlet().where(t.archives.c.name.in_(chosen)).order_by(t.archives.c.name)


def to_write(tx: Tx, outlet: str, most: int) -> list[Page]:
    """Pages that must be written again, at most so many."""
    return _pages(tx.all(_to_write(), {"outlet": outlet, "most": most}))


@cache
def _to_write() -> Executable:
    return _of_outlet().where(text("again")).order_by(t.archives.c.name).limit(bindparam("most"))


def everything(tx: Tx, outlet: str) -> list[Page]:
    """All pages, the newest first."""
    return _pages(tx.all(_of_outlet().order_by(*_down()), {"outlet": outlet}))


def count(tx: Tx, outlet: str, month: str) -> int:
    """The highest number a page of that month (`yyyy-mm`) has; 0 without one."""
    a = t.archives.c
    found: int | None = tx.value(select(func.max(a.number)).where(a.outlet == outlet, a.month == month))
    return found or 0


def put(tx: Tx, outlet: str, pages: Iterable[Page]) -> None:
    """Note pages that stand as they should."""
    tx.each(_put(postgres=tx.postgres), [_row(outlet, page) for page in pages])


def _row(outlet: str, page: Page) -> dict[str, object]:
    month, _, number = page.name.rpartition("-")
    return {
        "outlet": outlet,
        "name": page.name,
        "month": month,
        "number": int(number),
        "last_at": page.last_at,
        "last_id": page.last_id,
        "changed_at": page.changed_at,
        "again": False,
    }


@cache
def _put(*, postgres: bool) -> Executable:
    statement = insert(t.archives, postgres=postgres)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=[t.archives.c.outlet, t.archives.c.name],
        set_={name: getattr(new, name) for name in ("last_at", "last_id", "changed_at", "again")},
    )


def write_again(tx: Tx, outlet: str, names: Collection[str] | None = None) -> None:
    """Have these pages (or all) written again: what stands there is damaged, or says what is no longer so."""
    if names is not None and not names:
        return
    a = t.archives.c
    which = a.outlet == outlet if names is None else and_(a.outlet == outlet, a.name.in_(list(names)))
    tx.run(update(t.archives).where(which).values(again=True))


def _of_outlet() -> Select[Any]:
    a = t.archives.c
    return select(a.name, a.last_at, a.last_id, a.changed_at).where(a.outlet == bindparam("outlet"))


def _place() -> tuple[BindParameter[Any], BindParameter[Any]]:
    return bindparam("at", type_=Instant), bindparam("id")


def _down() -> tuple[Any, Any]:
    return t.archives.c.last_at.desc(), t.archives.c.last_id.desc()


def _page(row: Any) -> Page | None:
    return Page(*row) if row is not None else None


def _pages(rows: Iterable[Any]) -> list[Page]:
    return [Page(*row) for row in rows]
