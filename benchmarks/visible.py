"""How long from the webhook until a subscriber sees the article, and until the last outlet holds it, on an idle site.

The clock starts before the first byte of the webhook is sent. It stops when complete answers to three GETs, one a format,
held the article. Asking all the time would compete with the build for the processors, so the ledger's row of each document
is watched instead and the feed is fetched once it changed: what is reported is never earlier than what a subscriber saw.
"""

from __future__ import annotations

import http.client
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from benchmarks import articles
from benchmarks.measuring import load, percentile
from benchmarks.stack import OUTLETS, Stack, StackError

if TYPE_CHECKING:
    import sqlite3

    from benchmarks.measuring import Sizes

FEED, OTHER = "all", "world"
FORMATS = ("rss", "atom", "json")
NUMBER = 0  # of articles in both feeds: their section is News/World
PAUSE = 0.15
LOOK = 0.0005
PATIENCE = 30.0
ARCHIVE_MINUTES = 10 * 24 * 60.0
"""What the site already holds was published over ten days, so the feed's window is its usual fifty entries and not a burst's."""


@dataclass(frozen=True, slots=True)
class Visible:
    """Seconds from sending the webhook; each list has one value a publish.

    stored      all formats of the named feed are stored and settled (ledger)
    visible     all three were fetched and show it
    other_feed  the other feed that takes it is settled, too
    last        every one of the fourteen outlets is settled or skipped

    Where the time of `stored` goes, by the instants in the ledger's rows (each is its transaction's beginning):
    received    the webhook was sent, read and checked, and the transaction that stores it began
    processed   that commit, the nudge, the claim, schema, house rules and cleaning, until the revision's transaction began
    held        that commit, the nudge, three documents built and written, until the transaction that settles them began
    """

    feed: str
    held_before: int
    entries: int
    stored: tuple[float, ...]
    visible: tuple[float, ...]
    other_feed: tuple[float, ...]
    last: tuple[float, ...]
    received: tuple[float, ...]
    processed: tuple[float, ...]
    held: tuple[float, ...]
    load: float

    def milliseconds(self, name: str, share: float) -> float:
        """A percentile of one of the lists."""
        return 1000 * percentile(getattr(self, name), share)


@dataclass(frozen=True, slots=True)
class _Times:
    stored: float
    visible: float
    other_feed: float
    last: float
    received: float
    processed: float
    held: float


def measure(sizes: Sizes) -> Visible:
    """Fill a site, let it rest, publish one by one. Raises StackError when an article does not come out."""
    with Stack() as stack:
        stack.publish(range(sizes.held), "held", ARCHIVE_MINUTES)
        stack.wait_until_settled(120)
        for warm in range(3):
            _one(stack, f"warm{warm}")
            time.sleep(PAUSE)
        time.sleep(2)
        began = load()
        times = []
        for place in range(sizes.publishes):
            times.append(_one(stack, f"v{place}"))
            time.sleep(PAUSE)
        entries = stack.get(f"/{articles.SITE}/feeds/{FEED}.rss")[1].count(b"<item>")
    lists = {name: tuple(getattr(t, name) for t in times) for name in _Times.__dataclass_fields__}
    return Visible(FEED, sizes.held, entries, **lists, load=began)


def _one(stack: Stack, prefix: str) -> _Times:
    """Publish one article and follow it; `prefix` makes it a new one."""
    event = articles.event(NUMBER, datetime.now(UTC) - timedelta(seconds=1), prefix)
    identity = articles.cms_id(NUMBER, prefix)
    with ExitStack() as opened:
        connections = [opened.enter_context(closing(_connected(stack))) for _ in (*FORMATS, "webhook")]
        ledger = opened.enter_context(closing(stack.ledger()))
        began, instant = time.perf_counter(), time.time()
        stack.post(connections.pop(), event, identity)
        stored = _when(ledger, began, identity, f"outlet = '{articles.SITE}/feed:{FEED}'", 1)
        visible = _fetched(connections, identity, began)
        other = _when(ledger, began, identity, f"outlet = '{articles.SITE}/feed:{OTHER}'", 1)
        last = _when(ledger, began, identity, "TRUE", OUTLETS)
        phases = _phases(ledger, identity, instant)
    return _Times(stored, visible, other, last, *phases)


def _phases(ledger: sqlite3.Connection, cms_id: str, began: float) -> tuple[float, float, float]:
    """Seconds each from sending to received, on to processed, on to held by the feed."""
    question = (
        "SELECT e.received_at, e.processed_at, d.held_at FROM articles a JOIN events e ON e.article_id = a.id "
        f"JOIN deliveries d ON d.article_id = a.id AND d.outlet = '{articles.SITE}/feed:{FEED}' WHERE a.cms_id = ?"
    )
    received, processed, held = (microseconds / 1e6 for microseconds in ledger.execute(question, (cms_id,)).fetchone())
    return received - began, processed - received, held - processed


def _connected(stack: Stack) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=10)
    connection.connect()
    return connection


def _when(ledger: sqlite3.Connection, began: float, cms_id: str, which: str, count: int) -> float:
    """Seconds until `count` deliveries of the article are settled or skipped. Raises StackError after 30 s."""
    question = (
        "SELECT count(*) FROM deliveries d JOIN articles a ON a.id = d.article_id "
        f"WHERE a.site = ? AND a.space = 'newsroom' AND a.cms_id = ? AND d.state IN ('settled', 'skipped') AND {which}"
    )
    while ledger.execute(question, (articles.SITE, cms_id)).fetchone()[0] < count:
        if time.perf_counter() - began > PATIENCE:
            message = f"{cms_id} did not come out within {PATIENCE:.0f} s ({which})"
            raise StackError(message)
        time.sleep(LOOK)
    return time.perf_counter() - began


def _fetched(connections: list[http.client.HTTPConnection], cms_id: str, began: float) -> float:
    """Seconds until complete answers in all formats show the article; all asked at once, as three subscribers would."""
    wanted = dict(zip(FORMATS, connections, strict=True))
    while wanted:
        for extension, connection in wanted.items():
            connection.request("GET", f"/{articles.SITE}/feeds/{FEED}.{extension}")
        bodies = {extension: connection.getresponse().read() for extension, connection in wanted.items()}
        wanted = {extension: c for extension, c in wanted.items() if f"newsroom/{cms_id}".encode() not in bodies[extension]}
        if wanted and time.perf_counter() - began > PATIENCE:
            message = f"{cms_id} is settled and not in {', '.join(wanted)}"
            raise StackError(message)
    return time.perf_counter() - began
