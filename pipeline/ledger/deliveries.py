"""Rows of deliveries: for each article and outlet what is wanted, what is held, and when to try next.

`next_attempt_at` stands exactly while there is something to do; the index of what is due covers only those rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Integer, Text, and_, bindparam, case, cast, false, func, literal, null, or_, select, text, update

from pipeline.ledger import tables as t
from pipeline.ledger.types import Instant
from pipeline.ledger.upsert import insert

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy import Executable, Row, Select

    from pipeline.ledger.engine import Tx

WAITING, PENDING, RETRYING, SETTLED, FAILED, SKIPPED = "waiting", "pending", "retrying", "settled", "failed", "skipped"
LIVE, PAGE, BEYOND, GONE = "live", "page", "beyond", "gone"
MOST_STRIKES = 3
FURTHEST = timedelta(days=8)  # further ahead than any retry list reaches: a clock was wrong, so it is due


@dataclass(frozen=True, slots=True)
class Planned:
    """One line of a delivery plan. `keep`: where an article leaves, a copy already there stays (networks).

    tell  there is something to do also where the article leaves and nothing is held (IndexNow)
    """

    article_id: int
    outlet: str
    revision: int
    number: int
    present: bool
    reason: str
    keep: bool
    sort_at: datetime
    wanted_at: datetime
    tell: bool = False


def plan(tx: Tx, lines: Sequence[Planned], *, again: bool = False) -> tuple[str, ...]:
    """Set what every outlet should hold of these articles; answers the outlets that have work now, sorted.

    again  rules changed: also where the same revision was planned before, and came to something else
    """
    # Rows are locked in the order of (article, outlet), as settling does, and outlets last: nobody waits in a ring.
    lines = sorted(lines, key=lambda line: (line.article_id, line.outlet))
    for keep in (False, True):
        tx.each(_upsert(keep=keep, again=again, postgres=tx.postgres), [_row(line, tx.now) for line in lines if line.keep is keep])
    keys = tuple(row.outlet for row in tx.all(_dirty(), {"articles": sorted({line.article_id for line in lines})}))
    tx.each(_wanted_more(), [{"k": key} for key in keys])
    return keys


@cache
def _dirty() -> Executable:
    d = t.deliveries.c
    articles: Any = bindparam("articles", expanding=True)
    return select(d.outlet).where(d.article_id.in_(articles), d.next_attempt_at.is_not(None)).distinct().order_by(d.outlet)


@cache
def _wanted_more() -> Executable:
    o = t.outlets.c
    return update(t.outlets).where(o.key == bindparam("k")).values(wanted_seq=o.wanted_seq + 1)


def _row(line: Planned, now: datetime) -> dict[str, object]:
    return {
        "article_id": line.article_id,
        "outlet": line.outlet,
        "state": PENDING if line.present or line.tell else SKIPPED,
        "reason": line.reason,
        "wanted": line.revision,
        "wanted_number": line.number,
        "wanted_present": line.present,
        "sort_at": line.sort_at,
        "wanted_at": line.wanted_at,
        "live_at": now,
        "next_attempt_at": now if line.present or line.tell else None,
    }


@cache
def _upsert(*, keep: bool, again: bool, postgres: bool) -> Executable:
    """A newer revision replaces the plan; whoever holds or may hold a copy is told even when rules no longer match.

    A removal still to be made may be of a copy that no row tells of: a run stored it and has not settled, or died before.
    What is kept where it left (`keep`) is what was wanted there until now; a withdrawal on its way is not called back.
    """
    statement = insert(t.deliveries, postgres=postgres)
    new, old = statement.excluded, t.deliveries.c
    holds = or_(old.wanted_present, old.held_present)
    due = or_(new.next_attempt_at.is_not(None), holds, old.next_attempt_at.is_not(None))
    newer = old.wanted_number < new.wanted_number
    otherwise = and_(old.wanted_number == new.wanted_number, old.wanted_present != new.wanted_present)
    return statement.on_conflict_do_update(
        index_elements=[old.article_id, old.outlet],
        set_={
            "state": case((due, literal(PENDING)), else_=literal(SKIPPED)),
            "reason": new.reason,
            "wanted": new.wanted,
            "wanted_number": new.wanted_number,
            "wanted_present": or_(new.wanted_present, old.wanted_present) if keep else new.wanted_present,
            "sort_at": new.sort_at,
            "wanted_at": new.wanted_at,
            "live_at": new.live_at,
            "next_attempt_at": case((due, new.live_at), else_=null()),
            "attempts": 0,
            "strikes": 0,
            "place": case((and_(holds, new.wanted_present.is_(False)), literal(GONE)), else_=old.place),
        },
        where=or_(newer, otherwise) if again else newer,
    )


@dataclass(frozen=True, slots=True)
class Due:
    """One delivery to make. `wanted` is the revision's row id.

    shown  whether the outlet's documents may hold an earlier one: it was not beyond them, nor gone
    again  the outlet holds this very revision: it is only made anew
    page   the archive page of a feed that it was last put on
    """

    article_id: int
    wanted: int
    number: int
    present: bool
    attempts: int
    strikes: int
    wanted_at: datetime
    live_at: datetime
    shown: bool
    again: bool
    sort_at: datetime
    page: str | None


def due(tx: Tx, outlet: str, most: int) -> tuple[Due, ...]:
    """What an outlet should be brought to now: those without strikes first, each group oldest first."""
    rows = tx.all(_due(), {"outlet": outlet, "most": most, **due_times(tx)})
    return tuple(Due(*row) for row in rows)


@cache
def _due() -> Executable:
    d = t.deliveries.c
    shown = and_(d.held_present, func.coalesce(d.place, "") != BEYOND)
    again = func.coalesce(and_(d.held == d.wanted, d.held_present == d.wanted_present), false())
    return (
        select(
            *(d.article_id, d.wanted, d.wanted_number, d.wanted_present, d.attempts, d.strikes, d.wanted_at, d.live_at),
            *(shown, again, d.sort_at, d.page),
        )
        .where(d.outlet == bindparam("outlet"), is_due())
        .order_by(d.strikes, d.next_attempt_at, d.article_id)
        .limit(bindparam("most"))
    )


def is_due() -> Any:
    """The condition on deliveries: its time has come, or was set by a clock that was wrong. Binds `due_times`."""
    at = t.deliveries.c.next_attempt_at
    return and_(at.is_not(None), or_(at <= bindparam("due_now", type_=Instant), at > bindparam("due_never", type_=Instant)))


def due_times(tx: Tx) -> dict[str, datetime]:
    """The values of `is_due`."""
    return {"due_now": tx.now, "due_never": tx.now + FURTHEST}


@dataclass(frozen=True, slots=True)
class Settled:
    """A delivery that was made: the outlet now holds what was wanted when it was read."""

    due: Due
    place: str
    url: str = ""
    page: str | None = None

    @property
    def reason(self) -> str | None:
        """What a person should know of it; None: what was known already, of what is gone."""
        return None if self.place == GONE else "It is older than what this outlet shows." if self.place == BEYOND else ""


def settle(tx: Tx, outlet: str, rows: Iterable[Settled]) -> None:
    """Held is now what was wanted; a row whose `wanted` moved on meanwhile keeps waiting, but what is held is noted."""
    settle_all(tx, [(outlet, row) for row in rows])


def settle_all(tx: Tx, rows: Iterable[tuple[str, Settled]]) -> None:
    """The same for deliveries of several outlets; locked in the order of (article, outlet), as a plan locks them."""
    ordered = sorted(rows, key=lambda row: (row[1].due.article_id, row[0]))
    tx.each(_settle(), [_settled_row(outlet, settled, tx.now) for outlet, settled in ordered])


def _settled_row(outlet: str, settled: Settled, now: datetime) -> dict[str, object]:
    due = settled.due
    held = {"w": due.wanted, "n": due.number, "p": due.present}
    made = {"pl": settled.place, "pg": settled.page, "u": settled.url, "r": settled.reason, "now": now}
    return {"o": outlet, "a": due.article_id, **held, **made}


@cache
def _settle() -> Executable:
    d = t.deliveries.c
    same = and_(d.wanted == bindparam("w"), d.wanted_present == bindparam("p"))
    held = func.coalesce(and_(d.held == bindparam("w"), d.held_present == bindparam("p")), false())
    return (
        update(t.deliveries)
        .where(d.outlet == bindparam("o"), d.article_id == bindparam("a"))
        .values(
            held=bindparam("w"),
            held_number=bindparam("n"),
            held_present=bindparam("p"),
            # What was held already, and is only made anew, is held since then.
            held_at=case((and_(same, or_(d.held_at.is_(None), ~held)), bindparam("now", type_=Instant)), else_=d.held_at),
            reason=case((bindparam("r", type_=Text).is_not(None), bindparam("r", type_=Text)), else_=d.reason),
            state=case((same, literal(SETTLED)), else_=d.state),
            next_attempt_at=case((same, cast(null(), Instant)), else_=d.next_attempt_at),
            attempts=case((same, literal(0, Integer)), else_=d.attempts),
            strikes=case((same, literal(0, Integer)), else_=d.strikes),
            # Withdrawn while it was made: that it is to be gone stays said.
            place=case((or_(same, d.wanted_present), bindparam("pl", type_=Text)), else_=literal(GONE)),
            page=bindparam("pg"),
            url=case((bindparam("u", type_=Text) != "", bindparam("u", type_=Text)), else_=d.url),
        )
    )


def put_on_page(tx: Tx, outlet: str, page: str, url: str, articles: Collection[int]) -> None:
    """These articles stand on an archive page from now on, also those that nothing is due for; on no other any more."""
    d = t.deliveries.c
    here = and_(d.outlet == outlet, d.article_id.in_(sorted(articles)), or_(d.page.is_(None), d.page != page))
    place = case((d.wanted_present, literal(PAGE)), else_=d.place)
    tx.run(update(t.deliveries).where(here).values(page=page, place=place, url=case((d.held_present, literal(url)), else_=d.url)))


@dataclass(frozen=True, slots=True)
class Failure:
    """A delivery that was not made. `again_at` None: it is failed, and waits for a person or a new revision.

    spends  whether one of its retries is used up; a failure of the whole outlet uses up nobody's
    """

    due: Due
    outcome: str
    answer: str
    again_at: datetime | None
    milliseconds: int = 0
    spends: bool = True


def fail(tx: Tx, outlet: str, failures: Sequence[Failure]) -> None:
    """Note the failures and when to try again; a row whose `wanted` moved on is due by itself and left alone."""
    if not failures:
        return
    d = t.deliveries.c
    statement = (
        update(t.deliveries)
        .where(d.outlet == outlet, d.article_id == bindparam("a"), d.wanted == bindparam("w"))
        .values(
            state=bindparam("s"),
            reason=bindparam("why"),
            next_attempt_at=bindparam("again", type_=Instant),
            attempts=d.attempts + bindparam("spent", type_=Integer),
        )
    )
    rows = [
        {
            "a": f.due.article_id,
            "w": f.due.wanted,
            "s": RETRYING if f.again_at else FAILED,
            "why": f.answer[:500],
            "again": f.again_at,
            "spent": int(f.spends),
        }
        for f in sorted(failures, key=lambda failure: failure.due.article_id)
    ]
    tx.each(statement, rows)
    record(tx, outlet, [(f.due.article_id, f.milliseconds, f.outcome, f.answer) for f in failures])


def left_out(tx: Tx, outlet: str, reasons: Mapping[int, str]) -> None:
    """What an outlet held is in none of its documents any more, though nothing was due for it: failed, with the reason."""
    if not reasons:
        return
    d = t.deliveries.c
    statement = update(t.deliveries).where(d.outlet == outlet, d.article_id == bindparam("a"), d.state == SETTLED)
    tx.each(statement.values(state=FAILED, reason=bindparam("why")), [{"a": one, "why": why[:500]} for one, why in sorted(reasons.items())])
    record(tx, outlet, [(one, 0, "left out", why) for one, why in sorted(reasons.items())])


def record(tx: Tx, outlet: str, tried: Iterable[tuple[int | None, int, str, str]]) -> None:
    """Rows of attempts: (article, milliseconds, outcome, what the outlet answered). Failures, and the success after one."""
    tx.each(
        t.attempts.insert(),
        [
            {"article_id": article, "outlet": outlet, "at": tx.now, "milliseconds": spent, "outcome": outcome, "answer": answer[:2000]}
            for article, spent, outcome, answer in tried
        ],
    )


def strike(tx: Tx, outlet: str, article_id: int) -> bool:
    """One more strike for a delivery that stopped its worker; True when that was its last and it is failed now."""
    d = t.deliveries.c
    here = and_(d.outlet == outlet, d.article_id == article_id)
    tx.run(update(t.deliveries).where(here).values(strikes=d.strikes + 1))
    strikes: int = tx.value(select(d.strikes).where(here)) or 0
    if strikes < MOST_STRIKES:
        return False
    why = f"It stopped its worker {strikes} times; a new revision or a person must free it."
    tx.run(update(t.deliveries).where(here).values(state=FAILED, reason=why, next_attempt_at=None))
    record(tx, outlet, [(article_id, 0, "stops its worker", why)])
    return True


def window(tx: Tx, outlet: str, most: int) -> list[Row[Any]]:
    """(article_id, wanted, sort_at, identity, short_id) of what an outlet should show, newest first, at most `most`."""
    return tx.all(_window(), {"outlet": outlet, "most": most})


@cache
def _window() -> Executable:
    d, a = t.deliveries.c, t.articles.c
    return (
        select(d.article_id, d.wanted, d.sort_at, a.identity, a.short_id)
        .join(t.articles, a.id == d.article_id)
        .where(d.outlet == bindparam("outlet"), text("wanted_present"), d.state != FAILED)
        .order_by(d.sort_at.desc(), d.article_id.desc())
        .limit(bindparam("most"))
    )


EVER, FOREVER = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


def stretch(tx: Tx, outlet: str, above: tuple[datetime, int] | None, upto: tuple[datetime, int] | None, most: int) -> list[Row[Any]]:
    """As `window`, oldest first: what lies above one place of the order, up to and with another."""
    low, high = above or (EVER, -1), upto or (FOREVER, 0)
    values = {"low": low[0], "low_id": low[1], "high": high[0], "high_id": high[1]}
    return tx.all(_stretch(), {"outlet": outlet, "most": most, **values})


@cache
def _stretch() -> Executable:
    d, a = t.deliveries.c, t.articles.c
    low, high = bindparam("low", type_=Instant), bindparam("high", type_=Instant)
    return (
        select(d.article_id, d.wanted, d.sort_at, a.identity, a.short_id)
        .join(t.articles, a.id == d.article_id)
        .where(
            *(d.outlet == bindparam("outlet"), text("wanted_present"), d.state != FAILED, d.sort_at >= low, d.sort_at <= high),
            or_(d.sort_at > low, d.article_id > bindparam("low_id")),
            or_(d.sort_at < high, d.article_id <= bindparam("high_id")),
        )
        .order_by(d.sort_at, d.article_id)
        .limit(bindparam("most"))
    )


def removed_from_page(tx: Tx, outlet: str, page: str) -> list[Row[Any]]:
    """(identity, live_at) of articles withdrawn from an archive page, newest first."""
    return tx.all(_removed_from_page(), {"outlet": outlet, "page": page})


@cache
def _removed_from_page() -> Executable:
    d = t.deliveries.c
    return _removed_from().where(d.page == bindparam("page"))


def removed_since(tx: Tx, outlet: str, since: datetime, most: int = 1000) -> list[Row[Any]]:
    """(identity, live_at) of articles withdrawn from an outlet since then, newest first."""
    return tx.all(_removed(), {"outlet": outlet, "since": since, "most": most})


@cache
def _removed() -> Executable:
    return _removed_from().where(t.deliveries.c.live_at > bindparam("since", type_=Instant)).limit(bindparam("most"))


def _removed_from() -> Select[Any]:
    d, a, r = t.deliveries.c, t.articles.c, t.revisions.c
    return (
        select(a.identity, d.live_at)
        .join(t.articles, a.id == d.article_id)
        .join(t.revisions, r.id == d.wanted)
        .where(d.outlet == bindparam("outlet"), text("place = 'gone'"), r.kind == "withdrawn")
        .order_by(d.live_at.desc(), a.id.desc())
    )


def held_at(tx: Tx, outlet: str, articles: Sequence[int]) -> Mapping[int, str]:
    """Article id → URL, for those of these articles an outlet holds now."""
    rows = tx.all(_held_at(), {"outlet": outlet, "articles": list(articles)})
    return {row.article_id: row.url for row in rows}


@cache
def _held_at() -> Executable:
    d = t.deliveries.c
    ids: Any = bindparam("articles", expanding=True)
    return select(d.article_id, d.url).where(d.outlet == bindparam("outlet"), d.article_id.in_(ids), d.held_present)


def unsettled_counts(tx: Tx) -> list[tuple[str, str, int]]:
    """(outlet, state, number) of every delivery that is neither settled nor skipped."""
    d = t.deliveries.c
    rows = tx.all(select(d.outlet, d.state, func.count()).where(t.UNSETTLED).group_by(d.outlet, d.state))
    return [(row[0], row[1], row[2]) for row in rows]


def hasten(tx: Tx, outlet: str) -> None:
    """The outlet answers again: what waited for nothing else (no attempt of its own is spent) is due at once."""
    d = t.deliveries.c
    waits = and_(d.outlet == outlet, d.state == RETRYING, d.attempts == 0, d.next_attempt_at > tx.now)
    tx.run(update(t.deliveries).where(waits).values(next_attempt_at=tx.now))


def clock_was_put_back(tx: Tx) -> None:
    """What was due at once when it was planned, by a clock that was ahead of the one now, is due at once still."""
    d = t.deliveries.c
    tx.run(update(t.deliveries).where(d.state == PENDING, d.next_attempt_at > tx.now).values(next_attempt_at=tx.now))


def again(tx: Tx, outlet: str, articles: Sequence[int] | None = None) -> int:
    """Have an outlet make what it holds (of these articles, or all) once more; answers how many."""
    d = t.deliveries.c
    which = d.held.is_not(None) if articles is None else d.article_id.in_(articles)
    done = tx.run(
        update(t.deliveries)
        .where(d.outlet == outlet, which, d.wanted.is_not(None), d.state == SETTLED)
        .values(state=PENDING, next_attempt_at=tx.now, attempts=0),
    )
    tx.run(update(t.outlets).where(t.outlets.c.key == outlet).values(wanted_seq=t.outlets.c.wanted_seq + 1))
    return done.rowcount


def empty(tx: Tx, outlet: str) -> int:
    """Have a closed outlet give up everything it shows; answers how much that is."""
    d = t.deliveries.c
    done = tx.run(
        update(t.deliveries)
        .where(d.outlet == outlet, d.wanted_present)
        .values(
            wanted_present=False,
            state=PENDING,
            reason="The outlet is closed.",
            next_attempt_at=tx.now,
            live_at=tx.now,
            wanted_at=tx.now,
            attempts=0,
            place=GONE,
        ),
    )
    if done.rowcount:
        tx.run(update(t.outlets).where(t.outlets.c.key == outlet).values(wanted_seq=t.outlets.c.wanted_seq + 1))
    return done.rowcount
