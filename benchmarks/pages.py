"""What a feed's build costs over a large archive: the live document, a page that closes, and an old page after a withdrawal.

In this process, by its CPU time, one step after the other: what is asked is the work, not who waits for whom. The floor is
the same bytes read and written, which is what a build would cost if making them cost nothing.
"""

from __future__ import annotations

import json
import resource
import sqlite3
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING

from benchmarks import articles
from benchmarks.stack import Stack, signed
from benchmarks.stocking import stock
from pipeline import accept, feeds, validate
from pipeline.context import Context, open_context, register
from pipeline.ledger import events
from pipeline.model.settings import Kind, outlet_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.measuring import Sizes

KEY = outlet_key("bench", Kind.FEED, "all")
PAGE = 50
LIVE, CLOSED, OLD = 20, 4, 4
"""How often each is done."""


@dataclass(frozen=True, slots=True)
class Pages:
    """CPU milliseconds of a feed's run, one value a run; `floor` of its page's bytes read and written; memory in MB.

    usual  of a site that publishes an article an hour, whose live document has `entries` then
    """

    usual: tuple[float, ...]
    entries: int
    held: int
    pages: int
    live: tuple[float, ...]
    closed: tuple[float, ...]
    old: tuple[float, ...]
    floor: float
    memory_before: float
    memory_after: float


def measure(sizes: Sizes) -> Pages:
    """Stock a site, give its archive pages, then build. Raises StackError when it does not settle."""
    with ExitStack() as opened:
        usual = _usual(_opened(opened, Stack(), 0))
        stack = Stack()
        context = _opened(opened, stack, sizes.large_archive)
        return _measured(context, sizes.large_archive, _paged(stack), *usual)


def _opened(opened: ExitStack, stack: Stack, held: int) -> Context:
    opened.callback(stack.stop)
    if held:
        stock(stack, held)
    else:
        stack.start()
    stack.halt()
    context = open_context(stack.config)
    opened.callback(context.close)
    register(context)
    return context


def _usual(context: Context) -> tuple[tuple[float, ...], int]:
    """(CPU of a run for each of the articles that follow an hour after the other, entries of the live document after the last)."""
    when = _now(context) - timedelta(hours=PAGE + LIVE)
    _run(context, [articles.event(number, when + timedelta(hours=number), "hour") for number in range(PAGE)])
    spent = tuple(_run(context, [articles.event(number, when + timedelta(hours=number), "hour")]) for number in range(PAGE, PAGE + LIVE))
    standing = context.origin(KEY).get(f"{articles.SITE}/feeds/all.rss") or b""
    return spent, standing.count(b"<item>")


def _paged(stack: Stack) -> int:
    """Rows of archive pages for what was copied, as if each had been closed when its entries were new; how many."""
    with closing(sqlite3.connect(stack.database)) as ledger, ledger:
        oldest = ledger.execute("SELECT min(last_at) FROM archives WHERE outlet = ?", (KEY,)).fetchone()[0]
        ledger.execute(
            """
            INSERT INTO archives (outlet, name, month, number, last_at, last_id, changed_at, again)
            SELECT outlet, month || '-' || (100000 + n), month, 100000 + n, sort_at, article_id, sort_at, 0 FROM (
              SELECT outlet, sort_at, article_id, strftime('%Y-%m', sort_at / 1000000, 'unixepoch') AS month,
                     row_number() OVER (ORDER BY sort_at, article_id) AS n
              FROM deliveries WHERE outlet = :key AND wanted_present AND sort_at < :oldest
            ) WHERE n % :page = 0
            """,
            {"key": KEY, "oldest": oldest, "page": PAGE},
        )
        return int(ledger.execute("SELECT count(*) FROM archives WHERE outlet = ?", (KEY,)).fetchone()[0])


def _measured(context: Context, held: int, pages: int, usual: tuple[float, ...], entries: int) -> Pages:
    before = _memory()
    _run(context, [articles.event(number, _now(context), "warm") for number in range(PAGE)])
    live = [_run(context, [articles.event(number, _now(context), "live")]) for number in range(LIVE)]
    closed = [_run(context, [articles.event(n, _now(context), f"closed{turn}") for n in range(200)]) for turn in range(CLOSED)]
    old = [_run(context, [_withdrawal(context, turn)]) for turn in range(OLD)]
    return Pages(usual, entries, held, pages, tuple(live), tuple(closed), tuple(old), _floor(context), before, _memory())


def _run(context: Context, made: Sequence[dict[str, object]]) -> float:
    """CPU milliseconds of the feed's runs after these events were stored and planned."""
    source = context.settings.sources[0]
    admitted = []
    for place, event in enumerate(made):
        body = json.dumps(event).encode()
        headers = {name.lower(): value for name, value in signed(body, f"{time.monotonic_ns()}-{place}").items()}
        admitted.append(accept.admit(source, headers, body, context))
    with context.ledger.write(durable=True) as tx:
        events.add(tx, admitted)
    while validate.run(context, [source.name]).done:
        pass
    began = time.process_time()
    while feeds.run(context, [KEY]).nudges:
        pass
    return 1000 * (time.process_time() - began)


def _withdrawal(context: Context, turn: int) -> dict[str, object]:
    """Of an article on one of the oldest pages, another each time."""
    with closing(sqlite3.connect(context.settings.database.removeprefix("sqlite:///"))) as ledger:
        oldest = "SELECT article_id FROM deliveries WHERE outlet = ? AND wanted_present ORDER BY sort_at LIMIT 1 OFFSET ?"
        (cms_id,) = ledger.execute(f"SELECT cms_id FROM articles WHERE id = ({oldest})", (KEY, turn * PAGE)).fetchone()
    return {"type": "article.withdrawn", "timestamp": _now(context).isoformat(), "data": {"id": cms_id}}


def _floor(context: Context) -> float:
    """CPU milliseconds to read and write an archive page in all its formats."""
    backend = context.origin(KEY)
    with closing(sqlite3.connect(context.settings.database.removeprefix("sqlite:///"))) as ledger:
        query = "SELECT path FROM documents WHERE outlet = ? AND path LIKE '%/all-20%' AND status = 'live' ORDER BY stored_at DESC LIMIT 3"
        paths = [row[0] for row in ledger.execute(query, (KEY,))]
    spent = []
    for _ in range(10):
        began = time.process_time()
        for path in paths:
            backend.put(f"floor/{path}", backend.get(path) or b"", "text/plain", 10**9)
        spent.append(1000 * (time.process_time() - began))
    return median(spent)


def _memory() -> float:
    """The most this process ever held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def _now(context: Context) -> datetime:
    return context.clock.now().astimezone(UTC)
