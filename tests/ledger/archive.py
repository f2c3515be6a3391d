"""An archive of any size in seconds: a few hundred articles live their lives in the press run, then SQL copies their rows into the past.

Every row is one the product wrote, with other ids and earlier times. The originals are the newest and stay as they are.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select, text

from pipeline.ledger import tables as t
from tests.conftest import article

if TYPE_CHECKING:
    from sqlalchemy import Table

    from pipeline.ledger.engine import Tx
    from tests.conftest import Newsroom

PATTERNS = 250
HOUR = 3_600_000_000  # microseconds
_NEXT, _NAMED = "{0} + :step * k", "{0} || '-' || k"
_RULES = {
    "events": {"id": _NEXT, "event_id": _NAMED, "webhook_id": _NAMED, "article_id": _NEXT},
    "bodies": {"event": _NEXT, "body": "{body}"},
    "articles": {"id": _NEXT, "cms_id": _NAMED, "identity": _NAMED, "short_id": _NAMED, "live": _NEXT, "order_arrival": _NEXT},
    "revisions": {"id": _NEXT, "article_id": _NEXT, "event": _NEXT},
    "deliveries": {"article_id": _NEXT, "wanted": _NEXT, "held": _NEXT},
    "documents": {"path": "k || '/' || {0}", "article_id": _NEXT},
    "attempts": {"id": _NEXT, "article_id": _NEXT},
    "audit": {"id": _NEXT},
}
"""Column → expression for copy `k`; every Instant is moved back by an hour a copy besides. :step lies above every id of the originals."""

GROWING = frozenset(_RULES)
"""The tables that have more rows the longer a newsroom lives; `topics` has one for each document that can be subscribed to."""


def story(number: int, **changes: object) -> dict[str, object]:
    """One of the originals."""
    section = ["News", ("World", "Sport")[number % 2]]
    made = {"id": f"o-{number}", "url": f"https://www.example.org/news/o-{number}.html", "headline": f"Story {number}", "section": section}
    return article(**{**made, **changes})


def stock(room: Newsroom, size: int) -> None:
    """Have the ledger hold `size` articles: of the originals some are corrected, withdrawn, refused, and had failures on their way."""
    for number in range(PATTERNS):
        when = room.clock.now() + timedelta(seconds=number)
        room.send("published", story(number), at=when)
        if number % 7 == 0:
            room.send("corrected", story(number, summary="Put right."), at=when + timedelta(minutes=1))
        if number % 11 == 0:
            room.send("withdrawn", {"id": f"o-{number}"}, at=when + timedelta(minutes=2))
        if number % 13 == 0:
            room.send("published", {"id": f"bad-{number}"})
    room.drain()
    with room.context.ledger.write() as tx:
        outlets = ["demo/feed:all", "demo/feed:world", "demo/network:x"]  # the mirror never failed: looking for that must not take long
        first = tx.value(select(func.min(t.articles.c.id)))
        rows = [{"article_id": first + n, "outlet": outlets[n % 3]} for n in range(PATTERNS)]
        same = {"at": tx.now, "milliseconds": 5, "outcome": "settled", "answer": ""}
        tx.each(t.attempts.insert(), [{**row, **same} for row in rows])
        audit = {"at": tx.now, "actor": "desk", "action": "replay", "target": "demo/feed:all", "detail": {}}
        tx.each(t.audit.insert(), [audit] * PATTERNS)
    with room.context.ledger.write() as tx:
        _multiply(tx, size // PATTERNS - 1)


def _multiply(tx: Tx, copies: int) -> None:
    tx.run(text("CREATE TEMP TABLE copies (k INTEGER)"))
    tx.each(text("INSERT INTO copies VALUES (:k)"), [{"k": k + 1} for k in range(copies)])
    highest = [tx.value(select(func.max(table.c.id))) or 0 for table in (t.events, t.articles, t.revisions, t.attempts, t.audit)]
    if tx.postgres:
        tx.run(text("SET LOCAL session_replication_role = replica"))  # the copies' keys fit by construction: checking each takes minutes
    for name, rules in _RULES.items():
        tx.run(text(_statement(t.metadata.tables[name], rules, postgres=tx.postgres)), {"step": max(highest)})
    tx.run(text("DROP TABLE copies"))
    if tx.postgres:
        for name in ("events", "articles", "revisions", "attempts", "audit"):
            tx.run(text(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), (SELECT max(id) FROM {name}))"))
        tx.run(text("ANALYZE"))  # as autovacuum does; SQLite has no such thing, and its plans must be good without


def _statement(table: Table, rules: dict[str, str], *, postgres: bool) -> str:
    chosen = []
    for column in table.c:
        rule = rules.get(column.name, "{0}")
        if column.type.__class__.__name__ == "Instant":
            rule = f"{{0}} - k * {HOUR}"
        body = "'\\x7b7d'::bytea" if postgres else "x'7b7d'"
        chosen.append(rule.replace("{body}", body).format(f'o."{column.name}"'))
    which = "WHERE o.article_id IS NOT NULL" if table.name == "documents" else ""
    names = ", ".join(f'"{c.name}"' for c in table.c)
    return f"INSERT INTO {table.name} ({names}) SELECT {', '.join(chosen)} FROM copies CROSS JOIN {table.name} o {which}"
