"""Every statement as the database would run it, and how much it had to look at: taken while the product runs it, on the same connection.

PostgreSQL runs a statement under EXPLAIN ANALYZE, inside a savepoint that is taken back, and counts the rows that each
scan met. SQLite says in words how it would go about it; what it does is counted in steps of its virtual machine.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import psycopg
from sqlalchemy import Engine, event

from tests.ledger.archive import GROWING

if TYPE_CHECKING:
    from collections.abc import Iterator

_OURS = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", re.IGNORECASE)
_SCAN = re.compile(r"SCAN (\w+)(.*)")
TICK = 20
"""Steps of SQLite's virtual machine between two counts."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One statement. `scans`: growing tables it walks from end to end, by name; `work`: rows met, or steps taken."""

    where: str
    statement: str
    scans: frozenset[str]
    work: int
    told: str

    def __str__(self) -> str:
        """For a person who must mend it."""
        return f"[{self.where}] {self.work} {sorted(self.scans)}\n    {' '.join(self.statement.split())}\n    {self.told}"


@dataclass
class Explainer:
    """What was explained so far, by path and statement; of one that ran several times in a path, the most work."""

    where: str = ""
    plans: dict[tuple[str, str], Plan] = field(default_factory=dict)
    times: dict[tuple[str, str], int] = field(default_factory=dict)

    @contextmanager
    def path(self, name: str) -> Iterator[None]:
        """Explain what runs in here, as part of that path."""
        self.where = name
        try:
            yield
        finally:
            self.where = ""

    def __enter__(self) -> Self:
        """Listen; once, because threads of the app run statements while paths begin and end."""
        event.listen(Engine, "before_cursor_execute", self._before)
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no more."""
        event.remove(Engine, "before_cursor_execute", self._before)

    def _before(self, connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:  # noqa: FBT001
        del cursor, context
        key = (self.where, statement)
        self.times[key] = self.times.get(key, 0) + 1
        if not self.where or not _OURS.match(statement) or self.times[key] > 3:
            return
        given = parameters[0] if executemany else parameters
        raw = connection.connection.driver_connection
        scans, work, told = (_postgres if connection.dialect.name == "postgresql" else _sqlite)(raw, statement, given)
        known = self.plans.get(key)
        if known is None or work > known.work:
            self.plans[key] = Plan(self.where, statement, frozenset(scans), work, told)


def _sqlite(raw: Any, statement: str, given: Any) -> tuple[set[str], int, str]:
    told = [row[3] for row in raw.execute("EXPLAIN QUERY PLAN " + statement, given)]
    aliases = _aliases(statement)
    scans = {aliases.get(m[1], m[1]) for line in told if (m := _SCAN.match(line)) and "USING" not in m[2]}
    ticks = 0

    def tick() -> int:
        nonlocal ticks
        ticks += 1
        return 0

    raw.execute("SAVEPOINT explaining") if raw.in_transaction else None
    raw.set_progress_handler(tick, TICK)
    try:
        raw.execute(statement, given).fetchall()
    finally:
        raw.set_progress_handler(None, TICK)
        if raw.in_transaction:
            raw.execute("ROLLBACK TO explaining")
            raw.execute("RELEASE explaining")
    return scans & GROWING, ticks * TICK, "; ".join(told)


def _aliases(statement: str) -> dict[str, str]:
    return {m[2]: m[1] for m in re.finditer(r"\b(\w+) AS (\w+)\b", statement)}


def _postgres(raw: Any, statement: str, given: Any) -> tuple[set[str], int, str]:
    alone = raw.info.transaction_status == psycopg.pq.TransactionStatus.IDLE  # a glance, which reads and no more
    raw.execute("BEGIN" if alone else "SAVEPOINT explaining")
    try:
        with psycopg.ClientCursor(raw) as cursor:
            cursor.execute("EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, FORMAT JSON) " + statement, given)
            found = cursor.fetchone()
    finally:
        for end in ("ROLLBACK",) if alone else ("ROLLBACK TO explaining", "RELEASE explaining"):
            raw.execute(end)
    assert found is not None
    nodes = list(_nodes(found[0][0]["Plan"]))
    scans = {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan" and node["Relation Name"] in GROWING}
    told = "; ".join(f"{n['Node Type']} {n.get('Index Name') or n.get('Relation Name', '')} {_met(n)}" for n in nodes)
    return scans, sum(map(_met, nodes)), told


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", ()):
        yield from _nodes(inner)


def _met(node: dict[str, Any]) -> int:
    """Rows a scan looked at, those it threw away too."""
    if "Scan" not in node["Node Type"] or node["Node Type"] in {"CTE Scan", "Subquery Scan", "Function Scan"}:
        return 0
    thrown = sum(int(node.get(name, 0)) for name in ("Rows Removed by Filter", "Rows Removed by Index Recheck"))
    return int((node["Actual Rows"] + thrown) * node["Actual Loops"])
