"""An archive of any size: two hundred articles go through the press run, then SQL copies their rows into the years before.

Accepting fifty thousand would take longer than everything else a run measures. Every row is one the product wrote, with
other ids and earlier dates; the newest two hundred are untouched. Copied pages exist as rows only, since nothing reads an
old page's bytes when a new article comes.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.stack import Stack

PATTERNS = 200
PREFIX = "stock"
YEARS_MINUTES = 5 * 365.25 * 24 * 60
PATIENCE = 120.0

# Column → expression for the copy `k` (1, 2, …); :step lies above every id of the originals, :shift is microseconds.
_SHIFTED = "{0} - :shift * k"
_NEXT = "{0} + :step * k"
_NAMED = "{0} || '-' || k"
_RULES: dict[str, Mapping[str, str]] = {
    "events": {
        "id": _NEXT,
        "event_id": _NAMED,
        "webhook_id": _NAMED,
        "article_id": _NEXT,
        "received_at": _SHIFTED,
        "processed_at": _SHIFTED,
    },
    "bodies": {"event": _NEXT},
    "articles": {
        "id": _NEXT,
        "cms_id": _NAMED,
        "identity": _NAMED,
        "short_id": "printf('%010x', id + :step * k)",
        "live": _NEXT,
        "order_arrival": _NEXT,
    },
    "revisions": {
        "id": _NEXT,
        "article_id": _NEXT,
        "event": _NEXT,
        "content": f"replace({{0}}, '{PREFIX}-', '{PREFIX}-' || k || '-')",
        **dict.fromkeys(("received_at", "effective_at", "live_at", "published_at", "modified_at"), _SHIFTED),
    },
    "deliveries": {
        **dict.fromkeys(("article_id", "wanted", "held"), _NEXT),
        **dict.fromkeys(("sort_at", "wanted_at", "live_at", "held_at"), _SHIFTED),
    },
    "documents": {"path": "k || '/' || {0}", "article_id": _NEXT, "changed_at": _SHIFTED},
}


def stock(stack: Stack, held: int) -> None:
    """Have the press run hold `held` articles (a multiple of 200, or less than 200), spread over five years; it runs afterwards.

    Raises StackError when it does not settle them.
    """
    originals = min(held, PATTERNS)
    copies = held // originals - 1
    minutes = YEARS_MINUTES / (copies + 1)
    stack.start()
    stack.publish(range(originals), PREFIX, minutes)
    stack.wait_until_settled(PATIENCE)
    if copies:
        stack.halt()
        multiply(stack, copies, minutes)
        stack.start()
        stack.wait_until_settled(PATIENCE)


def multiply(stack: Stack, copies: int, minutes: float) -> None:
    """Copy every article `copies` times, each `minutes` further into the past. The press run must not be up."""
    with closing(sqlite3.connect(stack.database, isolation_level=None)) as ledger:
        ledger.execute("PRAGMA journal_mode = OFF")  # a folder that is thrown away: whoever is interrupted starts anew
        ledger.execute("PRAGMA synchronous = OFF")
        step = ledger.execute("SELECT max(i) FROM (SELECT max(id) AS i FROM events UNION SELECT max(id) FROM revisions)").fetchone()[0]
        values = {"step": step, "shift": int(minutes * 60_000_000)}
        ledger.execute(
            "CREATE TEMP TABLE copies AS WITH RECURSIVE c(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM c LIMIT ?) SELECT k FROM c", (copies,)
        )
        ledger.execute("BEGIN")
        for table, rules in _RULES.items():
            ledger.execute(_statement(ledger, table, rules), values)
        ledger.execute("COMMIT")


def _statement(ledger: sqlite3.Connection, table: str, rules: Mapping[str, str]) -> str:
    """INSERT … SELECT of all columns, in the order of the new ids, so that tables and keys only grow at their ends."""
    columns = [row[1] for row in ledger.execute(f"PRAGMA table_info({table})")]
    if missing := rules.keys() - set(columns):
        message = f"{table} has no {', '.join(sorted(missing))}: the rules of this file are out of date"
        raise LookupError(message)
    chosen = ", ".join(rules.get(name, "{0}").format(f'"{name}"') for name in columns)
    which = "WHERE article_id IS NOT NULL" if table == "documents" else ""
    key = {"bodies": "event", "deliveries": "article_id", "documents": "outlet, path"}.get(table, "id")
    # CROSS JOIN: SQLite then keeps this order, copies outside, and need not sort a gigabyte.
    return f"INSERT INTO {table} SELECT {chosen} FROM copies CROSS JOIN (SELECT * FROM {table} {which} ORDER BY {key})"
