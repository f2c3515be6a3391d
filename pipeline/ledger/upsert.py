"""INSERT … ON CONFLICT, spelled once for both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from sqlalchemy import Table


def insert(table: Table, *, postgres: bool) -> postgresql.Insert:
    """The dialect's own INSERT, which knows `on_conflict_do_update`; both share one interface."""
    return postgresql.insert(table) if postgres else sqlite.insert(table)  # type: ignore[return-value]
