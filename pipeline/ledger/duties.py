"""Rows that belong to the deployment: who does upkeep, when it was last seen, tokens, identities, the audit."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, or_, select, update

from pipeline.kit.clock import EPOCH
from pipeline.ledger import tables as t
from pipeline.ledger.upsert import insert
from pipeline.model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from pipeline.ledger.engine import Tx

LENGTH = timedelta(seconds=5)
UPKEEP = "upkeep"


def take(tx: Tx, name: str, owner: str, *, dead: str | None = None) -> bool:
    """Take a named lease; False when somebody has it who is not known to be `dead`."""
    c = t.leases.c
    tx.run(insert(t.leases, postgres=tx.postgres).on_conflict_do_nothing(), {"name": name})
    free = or_(c.owner.is_(None), c.owner == owner, c.owner == dead, c.until <= tx.now, c.until > tx.now + 2 * LENGTH)
    taken = tx.run(update(t.leases).where(c.name == name, free).values(owner=owner, until=tx.now + LENGTH, fence=c.fence + 1))
    return taken.rowcount == 1


def owner(tx: Tx, name: str) -> str | None:
    """Who has a named lease now, or None."""
    who: str | None = tx.value(select(t.leases.c.owner).where(t.leases.c.name == name))
    return who


def give_back(tx: Tx, name: str, owner: str) -> None:
    """Release a named lease and note that its duty was done now."""
    c = t.leases.c
    tx.run(update(t.leases).where(c.name == name, c.owner == owner).values(owner=None, until=None, seen_at=tx.now))


def note_seen(tx: Tx, name: str) -> None:
    """Note that a duty without a lease of its own was seen to now."""
    tx.run(insert(t.leases, postgres=tx.postgres).on_conflict_do_nothing(), {"name": name})
    tx.run(update(t.leases).where(t.leases.c.name == name).values(seen_at=tx.now))


def seen_at(tx: Tx, name: str) -> datetime | None:
    """When the duty was last done, or None if never."""
    when: datetime | None = tx.value(select(t.leases.c.seen_at).where(t.leases.c.name == name))
    return when


KERNEL, COMPARE = "kernel ", "compare "
"""How the names of two sorts of rows begin: kernels that were seen at work, and outlets whose documents are compared."""
WRITTEN = timedelta(minutes=10)  # by then a kernel has put on the disk what it was given (Linux: after 30 s)
FORGOTTEN = timedelta(days=1)


def check_in(tx: Tx, kernel: str, stored_here: Iterable[str]) -> bool:
    """Note that this kernel is at work; True when it was not known, so that another may have stopped without writing everything.

    Then what these outlets stored since the last time any other was seen, and a little before, is to be compared.
    """
    c = t.leases.c
    seen = {row.name: row.seen_at for row in tx.all(select(c.name, c.seen_at).where(c.name.startswith(KERNEL)))}
    new = KERNEL + kernel not in seen
    if new:
        since = min(seen.values(), default=EPOCH + WRITTEN) - WRITTEN
        for outlet in sorted(stored_here):
            _begin_comparing(tx, outlet, since)
        tx.run(insert(t.leases, postgres=tx.postgres), {"name": KERNEL + kernel})
    tx.run(update(t.leases).where(c.name == KERNEL + kernel).values(seen_at=tx.now))
    if not comparing(tx):
        tx.run(delete(t.leases).where(c.name.startswith(KERNEL), c.seen_at < tx.now - FORGOTTEN))
    return new


def _begin_comparing(tx: Tx, outlet: str, since: datetime) -> None:
    """From the first path on; what an earlier comparison had not come to is compared too."""
    c = t.leases.c
    before = tx.value(select(c.until).where(c.name == COMPARE + outlet))
    tx.run(insert(t.leases, postgres=tx.postgres).on_conflict_do_nothing(), {"name": COMPARE + outlet})
    since = min(since, before) if before else since
    tx.run(update(t.leases).where(c.name == COMPARE + outlet).values(owner="", until=since))


def kernel_seen_at(tx: Tx, kernel: str) -> datetime | None:
    """When this kernel was last noted to be at work, or None."""
    return seen_at(tx, KERNEL + kernel)


def comparing(tx: Tx) -> list[tuple[str, datetime, str]]:
    """(outlet, since when it stored what is to be compared, the path up to which that was done)."""
    c = t.leases.c
    rows = tx.all(select(c.name, c.until, c.owner).where(c.name.startswith(COMPARE)).order_by(c.name))
    return [(row.name.removeprefix(COMPARE), row.until, row.owner) for row in rows]


def compared(tx: Tx, outlet: str, since: datetime, path: str | None) -> None:
    """An outlet's documents were compared up to this path, or all of them (None); unless it was begun anew meanwhile."""
    c = t.leases.c
    here = (c.name == COMPARE + outlet) & (c.until == since)
    tx.run(delete(t.leases).where(here) if path is None else update(t.leases).where(here).values(owner=path))


def keep_identity(tx: Tx, sites: Iterable[tuple[str, str, str]]) -> None:
    """Write (site, tag_host, tag_date) at the first start. Raises ConfigError where they differ from the first ones."""
    listed = list(sites)
    for fault in changed_identities(tx, listed).values():
        raise ConfigError(fault)
    tx.each(
        insert(t.sites, postgres=tx.postgres).on_conflict_do_nothing(), [{"site": s, "tag_host": h, "tag_date": d} for s, h, d in listed]
    )


def changed_identities(tx: Tx, sites: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Site → what is wrong, for those of (site, tag_host, tag_date) that differ from the first ones."""
    kept = {row.site: (row.tag_host, row.tag_date) for row in tx.all(select(t.sites))}
    return {
        site: (
            f"site “{site}” began with tag_host = {kept[site][0]!r} and tag_date = {kept[site][1]!r}; every guid is made from them, "
            "so a change would show each article to every reader again. Put the first values back."
        )
        for site, host, date in sites
        if kept.get(site, (host, date)) != (host, date)
    }


def token_hash(tx: Tx, name: str) -> str | None:
    """The sha256 kept for a token, or None."""
    found: str | None = tx.value(select(t.tokens.c.sha256).where(t.tokens.c.name == name))
    return found


def keep_token(tx: Tx, name: str, sha256: str) -> None:
    """Keep a token's hash; one that is there stays."""
    tx.run(insert(t.tokens, postgres=tx.postgres).on_conflict_do_nothing(), {"name": name, "sha256": sha256, "created_at": tx.now})


def note(tx: Tx, actor: str, action: str, target: str, detail: Mapping[str, object] | None = None) -> None:
    """A row of the audit."""
    tx.run(t.audit.insert(), {"at": tx.now, "actor": actor, "action": action, "target": target, "detail": dict(detail or {})})
