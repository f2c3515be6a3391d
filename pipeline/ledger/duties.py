"""Rows that belong to the deployment: who does upkeep, when it was last seen, tokens, identities, the audit."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import or_, select, update

from pipeline.ledger import tables as t
from pipeline.ledger.upsert import insert
from pipeline.model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from pipeline.ledger.engine import Tx

LENGTH = timedelta(seconds=5)
UPKEEP = "upkeep"


def take(tx: Tx, name: str, owner: str) -> bool:
    """Take a named lease; False when somebody has it."""
    c = t.leases.c
    tx.run(insert(t.leases, postgres=tx.postgres).on_conflict_do_nothing(), {"name": name})
    free = or_(c.owner.is_(None), c.owner == owner, c.until <= tx.now, c.until > tx.now + 2 * LENGTH)
    taken = tx.run(update(t.leases).where(c.name == name, free).values(owner=owner, until=tx.now + LENGTH, fence=c.fence + 1))
    return taken.rowcount == 1


def give_back(tx: Tx, name: str, owner: str) -> None:
    """Release a named lease and note that its duty was done now."""
    c = t.leases.c
    tx.run(update(t.leases).where(c.name == name, c.owner == owner).values(owner=None, until=None, seen_at=tx.now))


def seen_at(tx: Tx, name: str) -> datetime | None:
    """When the duty was last done, or None if never."""
    when: datetime | None = tx.value(select(t.leases.c.seen_at).where(t.leases.c.name == name))
    return when


def keep_identity(tx: Tx, sites: Iterable[tuple[str, str, str]]) -> None:
    """Write (site, tag_host, tag_date) at the first start. Raises ConfigError where they differ from the first ones."""
    listed = list(sites)
    tx.each(
        insert(t.sites, postgres=tx.postgres).on_conflict_do_nothing(), [{"site": s, "tag_host": h, "tag_date": d} for s, h, d in listed]
    )
    kept = {row.site: (row.tag_host, row.tag_date) for row in tx.all(select(t.sites))}
    for site, host, date in listed:
        if kept[site] != (host, date):
            message = (
                f"site “{site}” began with tag_host = {kept[site][0]!r} and tag_date = {kept[site][1]!r}; every guid is made from them, "
                "so a change would show each article to every reader again. Put the first values back."
            )
            raise ConfigError(message)


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
