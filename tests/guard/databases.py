"""The whole database, as bytes to search and as rows to compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import MetaData, inspect, select

from tests.guard.canaries import as_bytes

if TYPE_CHECKING:
    from pipeline.ledger import Ledger


def rows(ledger: Ledger, *, without: frozenset[str] = frozenset()) -> dict[str, list[tuple[Any, ...]]]:
    """Table → its rows in a fixed order, of every table that the database has, known to the code or not."""
    with ledger.read() as tx:
        found = MetaData()
        names = inspect(tx.connection).get_table_names()
        found.reflect(tx.connection, only=names)
        made = {name: [tuple(row) for row in tx.all(select(found.tables[name]))] for name in names if name not in without}
    return {name: sorted(listed, key=repr) for name, listed in made.items()}


def everything(ledger: Ledger) -> dict[str, bytes]:
    """`table x` → every column of every row."""
    return {f"table {name}": as_bytes(listed) for name, listed in rows(ledger).items()}
