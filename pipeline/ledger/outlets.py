"""Rows of outlets: who works there (lease), whose bytes count (fence), what is asked and done (wanted, held), and its circuit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, case, exists, func, null, or_, select, text, update

from pipeline.ledger import deliveries, filling
from pipeline.ledger import tables as t
from pipeline.ledger.types import Instant
from pipeline.ledger.upsert import insert

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Executable, Row

    from pipeline.ledger.engine import Tx

LEASE = timedelta(seconds=5)
NUDGE_PAUSE = timedelta(seconds=3)
LONGEST_CIRCUIT = timedelta(minutes=5)  # one request in that time harms nobody, and who is back is not kept waiting


@dataclass(frozen=True, slots=True)
class Hold:
    """A lease as it was granted. `careful`: the holder before died; `suspect` is what it was touching, if it said so.

    reshaped  its configuration changed since it was last made
    """

    outlet: str
    fence: int
    wanted_seq: int
    careful: bool
    suspect: int | None
    circuit_failures: int
    changed_at: datetime | None
    reshaped: bool = False


def claim(tx: Tx, key: str, owner: str, *, due: bool = False) -> Hold | None:
    """Take the outlet's lease, or None when somebody has it, it is paused, or its circuit is open; `due`: or nothing is to be done.

    A lease further ahead than twice its length was set by a wrong clock and counts as expired.
    """
    times = {**_times(tx), **(deliveries.due_times(tx) if due else {})}
    row = tx.first(_claim(due=due), {"k": key, "owner": owner, "until": tx.now + LEASE, **times})
    if row is None:
        return None
    return Hold(key, row.fence, row.wanted_seq, row.crashed, row.suspect, row.circuit_failures, row.changed_at, row.reshaped)


@cache
def _claim(*, due: bool) -> Executable:
    o = t.outlets.c
    return (
        update(t.outlets)
        .where(o.key == bindparam("k"), o.paused.is_(False), _free(), _closed_circuit(), *([_wants()] if due else []))
        .values(
            fence=o.fence + 1,
            crashed=o.lease_owner.is_not(None),
            lease_owner=bindparam("owner"),
            lease_until=bindparam("until", type_=Instant),
        )
        .returning(o.fence, o.wanted_seq, o.crashed, o.suspect, o.circuit_failures, o.changed_at, o.reshaped)
    )


def _times(tx: Tx) -> dict[str, datetime]:
    """The values that `_free` and `_closed_circuit` bind."""
    return {"now": tx.now, "never": tx.now + 2 * LEASE, "longest": tx.now + LONGEST_CIRCUIT}


def _free() -> Any:
    until, now = t.outlets.c.lease_until, bindparam("now", type_=Instant)
    return or_(until.is_(None), until <= now, until > bindparam("never", type_=Instant))


def _closed_circuit() -> Any:
    until, now = t.outlets.c.circuit_until, bindparam("now", type_=Instant)
    return or_(until.is_(None), until <= now, until > bindparam("longest", type_=Instant))


def mine(hold: Hold) -> Any:
    """The condition on outlets: nobody has taken the lease since."""
    return and_(t.outlets.c.key == hold.outlet, t.outlets.c.fence == hold.fence)


def renew(tx: Tx, hold: Hold) -> bool:
    """Five more seconds; False when the lease is no longer ours, or has ended."""
    # Released or abandoned meanwhile, by another thread: renewing that would keep everybody out for nobody.
    owned = and_(mine(hold), t.outlets.c.lease_owner.is_not(None), t.outlets.c.lease_until > tx.now)
    return tx.run(update(t.outlets).where(owned).values(lease_until=tx.now + LEASE)).rowcount == 1


def release(tx: Tx, hold: Hold) -> None:
    """Give the lease back in good order: whoever comes next need not be careful."""
    tx.run(_release(), {"k": hold.outlet, "f": hold.fence})


@cache
def _release() -> Executable:
    o = t.outlets.c
    here = and_(o.key == bindparam("k"), o.fence == bindparam("f"))
    return update(t.outlets).where(here).values(lease_owner=None, lease_until=None, crashed=False, suspect=None)


def progress(tx: Tx, hold: Hold, values: Mapping[str, object]) -> bool:
    """Write what a run achieved, guarded by the fence; False when the lease is no longer ours."""
    given = {f"new_{name}": value for name, value in values.items()}
    return tx.run(_progress(tuple(values)), {"k": hold.outlet, "f": hold.fence, **given}).rowcount == 1


@cache
def _progress(names: tuple[str, ...]) -> Executable:
    o = t.outlets.c
    here = and_(o.key == bindparam("k"), o.fence == bindparam("f"))
    return update(t.outlets).where(here).values({name: bindparam(f"new_{name}", type_=o[name].type) for name in names})


def has_work(tx: Tx, key: str) -> bool:
    """Whether anything is due at the outlet now."""
    return tx.first(_has_work(), {"k": key, **_times(tx), **deliveries.due_times(tx)}) is not None


@cache
def _has_work() -> Executable:
    o = t.outlets.c
    return select(o.key).where(o.key == bindparam("k"), o.paused.is_(False), _closed_circuit(), _wants())


def _wants() -> Any:
    o, d = t.outlets.c, t.deliveries.c
    waiting = exists().where(d.outlet == o.key, deliveries.is_due())
    edge = and_(o.next_edge_at.is_not(None), o.next_edge_at <= bindparam("now", type_=Instant))
    # A lease that ended with its owner's mark: whatever that run left is to be looked at, even if nothing else is due.
    left = and_(o.lease_owner.is_not(None), _free())
    return or_(o.held_seq < o.wanted_seq, edge, waiting, left)


def to_nudge(tx: Tx, among: Collection[str]) -> tuple[tuple[str, str], ...]:
    """(kind, key) of these outlets with work that nobody is at and nobody was told of within 3 s; they count as told now."""
    o = t.outlets.c
    quiet = or_(o.nudged_at.is_(None), o.nudged_at <= tx.now - NUDGE_PAUSE, o.nudged_at > tx.now)
    query = select(o.key, o.kind).where(o.key.in_(among), o.paused.is_(False), _free(), quiet, _closed_circuit(), _wants()).order_by(o.key)
    rows = tx.all(query, {**_times(tx), **deliveries.due_times(tx)})
    tx.each(update(t.outlets).where(o.key == bindparam("k")).values(nudged_at=tx.now), [{"k": row.key} for row in rows])
    return tuple((row.kind, row.key) for row in rows)


def failed_once_more(tx: Tx, hold: Hold, most: int, seconds: int) -> datetime | None:
    """Count a failure of the outlet itself; from the `most`-th in a row on its circuit is open, each time for twice as long.

    Answers until when it is open now, None while it is closed.
    """
    o = t.outlets.c
    count = tx.value(select(o.circuit_failures).where(mine(hold)))
    if count is None:
        return None
    count += 1
    length = timedelta(seconds=seconds) * 2 ** max(0, min(count - most, 10))
    until = tx.now + min(length, LONGEST_CIRCUIT) if count >= most else None
    tx.run(update(t.outlets).where(mine(hold)).values(circuit_failures=count, circuit_until=until))
    return until


def worked(tx: Tx, hold: Hold) -> None:
    """It answered: the circuit is closed."""
    tx.run(_worked(), {"k": hold.outlet, "f": hold.fence})


@cache
def _worked() -> Executable:
    o = t.outlets.c
    here = and_(o.key == bindparam("k"), o.fence == bindparam("f"), o.circuit_failures > 0)
    return update(t.outlets).where(here).values(circuit_failures=0, circuit_until=null())


def ensure(tx: Tx, rows: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
    """Make the ledger know the configured outlets (key, site, kind, name, config_sha, rules_sha, closed); answers those that changed.

    Those that are new or have other rules are planned anew, from the newest article down.
    """
    o = t.outlets.c
    before = tx.all(select(o.key, o.config_sha, o.rules_sha))
    known = {row.key: row.config_sha for row in before}
    rules = {row.key: row.rules_sha for row in before}
    statement = insert(t.outlets, postgres=tx.postgres)
    new = statement.excluded
    changed = case((new.config_sha != o.config_sha, o.wanted_seq + 1), else_=o.wanted_seq)
    statement = statement.on_conflict_do_update(
        index_elements=[o.key],
        set_={
            "wanted_seq": changed,
            "reshaped": or_(o.reshaped, new.config_sha != o.config_sha),
            "config_sha": new.config_sha,
            "rules_sha": new.rules_sha,
            "closed": new.closed,
        },
    )
    # Who is put back after it was left out of the configuration missed what came meanwhile.
    tx.run(update(t.outlets).where(o.key.not_in([str(row["key"]) for row in rows])).values(rules_sha=""))
    tx.each(statement, [{**row, "wanted_seq": 1} for row in sorted(rows, key=lambda r: str(r["key"]))])
    filling.begin(tx, [str(r["key"]) for r in rows if r["rules_sha"] and not r["closed"] and rules.get(str(r["key"])) != r["rules_sha"]])
    return tuple(str(r["key"]) for r in rows if known.get(str(r["key"]), r["config_sha"]) != r["config_sha"])


def orphans(tx: Tx, configured: Sequence[str]) -> list[tuple[str, int]]:
    """(outlet, articles held) of outlets that are no longer configured and still hold articles."""
    d, o = t.deliveries.c, t.outlets.c
    dropped = [row.key for row in tx.all(select(o.key).where(o.key.not_in(configured), o.closed.is_(False)))]
    if not dropped:  # at nearly every start; counting goes through every delivery there ever was
        return []
    held = select(d.outlet, func.count()).where(d.outlet.in_(dropped), d.held_present).group_by(d.outlet).order_by(d.outlet)
    return [(row[0], row[1]) for row in tx.all(held)]


def everyone(tx: Tx) -> list[Row[Any]]:
    """Every outlet's row, by key."""
    return tx.all(select(t.outlets).order_by(t.outlets.c.key))


def lease_owners(tx: Tx) -> frozenset[str]:
    """Who holds leases or claims now."""
    o, e = t.outlets.c, t.events.c
    rows = tx.all(select(o.lease_owner).where(o.lease_owner.is_not(None), o.lease_until > tx.now))
    claims = tx.all(
        select(e.claimed_by).where(text("events.state = 'waiting'"), e.claimed_by.is_not(None), e.claimed_until > tx.now).distinct()
    )
    return frozenset(row[0] for row in [*rows, *claims])


def free_leases(tx: Tx, owners: Sequence[str]) -> None:
    """End at once the leases of owners known to be dead; the owner's mark stays, so the next holder is careful.

    Whoever was told of the outlet was told in vain, so it may be told again at once.
    """
    o = t.outlets.c
    tx.run(update(t.outlets).where(o.lease_owner.in_(owners)).values(lease_until=tx.now, nudged_at=None))


def pause(tx: Tx, key: str, *, paused: bool) -> bool:
    """Pause an outlet or let it go on; False when there is no such outlet."""
    return tx.run(update(t.outlets).where(t.outlets.c.key == key).values(paused=paused)).rowcount == 1


def abandon(tx: Tx, hold: Hold) -> None:
    """End the lease now but keep its owner's mark: nobody knows what the run left behind, so the next one is careful."""
    tx.run(update(t.outlets).where(mine(hold)).values(lease_until=tx.now))


def changes(tx: Tx, site: str, kind: str) -> list[tuple[str, datetime]]:
    """(name, last change) of the outlets of a kind that ever showed anything."""
    o = t.outlets.c
    rows = tx.all(select(o.name, o.changed_at).where(o.site == site, o.kind == kind, o.changed_at.is_not(None)).order_by(o.key))
    return [(row.name, row.changed_at) for row in rows]


def raise_fence(tx: Tx, key: str, fence: int) -> bool:
    """Let the next lease begin above `fence`; False where it would anyway."""
    o = t.outlets.c
    return tx.run(update(t.outlets).where(o.key == key, o.fence < fence).values(fence=fence)).rowcount == 1
