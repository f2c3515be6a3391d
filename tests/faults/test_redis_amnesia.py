"""Amnesia (FT4): whatever the broker forgets and whoever is killed meanwhile, nothing is lost and every outlet settles.

A message is only a nudge. PRESSRUN_FAULT_N sets how many articles wait when it happens (200). Each test prints what
came of it as one line of JSON; nothing of it but loss, doubles and what is stuck decides the verdict.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from pipeline.ledger import tables, views
from pipeline.model.errors import Unavailable
from tasks import broker
from tests.faults.looking import held_leases, loose_ends, marks
from tests.faults.newsroom_order import WORLD, Action, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.running import Running

N = int(os.environ.get("PRESSRUN_FAULT_N", "200"))
SITE = "storm"
OUTLETS = 5
WINDOW = 200
TIMES = 5
WORKERS = ("craft", "reach")


@dataclass(frozen=True, slots=True)
class Storm:
    """Many articles of one test; their ids begin with `prefix`, their texts hold its marks."""

    room: Running
    prefix: str

    @property
    def ids(self) -> list[str]:
        """The articles' ids."""
        return [f"{self.prefix}-{number}" for number in range(N)]

    def post(self) -> None:
        """Publish all of them, one after the other, the last one newest."""
        begin = self.room.context.clock.now() - timedelta(minutes=1)
        for number, name in enumerate(self.ids):
            at = begin + timedelta(milliseconds=number)
            action = Action(number, name, "published", at, Text(f"{self.prefix}w{number}w", WORLD, "name", at))
            self.room.send(action.kind, action.data(at), site=SITE, at=at)

    def applied(self) -> int:
        """How many are revisions by now."""
        a = tables.articles.c
        with self.room.context.ledger.read() as tx:
            return int(tx.value(select(func.count()).where(a.site == SITE, a.cms_id.like(f"{self.prefix}-%"))))

    def settled(self) -> int:
        """How many deliveries are made by now."""
        a, d = tables.articles.c, tables.deliveries.c
        made = select(func.count()).select_from(tables.deliveries.join(tables.articles, a.id == d.article_id))
        with self.room.context.ledger.read() as tx:
            return int(tx.value(made.where(a.site == SITE, a.cms_id.like(f"{self.prefix}-%"), d.state == "settled")))

    def statuses(self) -> list[views.ArticleStatus]:
        """Where each article is."""
        a = tables.articles.c
        with self.room.context.ledger.read() as tx:
            rows = tx.all(select(a.id).where(a.site == SITE, a.cms_id.like(f"{self.prefix}-%")).order_by(a.id))
            return views.status(tx, [row.id for row in rows])


@pytest.fixture
def storm(running: Running, request: pytest.FixtureRequest) -> Storm:
    """Articles nobody has heard of yet, at a room with nothing else to do."""
    running.settle(SITE)
    return Storm(running, f"s{abs(hash(request.node.name)) % 10**8}")


def signal_workers(room: Running, number: signal.Signals) -> None:
    """Send a signal to both workers and the processes they forked."""
    for name in WORKERS:
        os.killpg(room.supervisor.children[name].process.pid, number)


@contextmanager
def workers_asleep(room: Running) -> Iterator[None]:
    """No worker moves: what is posted meanwhile waits, its nudges in the broker."""
    room.until(lambda: _asleep_without_the_lock(room))
    try:
        yield
    finally:
        signal_workers(room, signal.SIGCONT)


def _asleep_without_the_lock(room: Running) -> bool:
    """Stop them; but one stopped inside a transaction on SQLite keeps everybody from writing, so then let it go on."""
    signal_workers(room, signal.SIGSTOP)
    try:
        with room.context.ledger.write(deadline=0.2):
            return True
    except Unavailable:
        signal_workers(room, signal.SIGCONT)
        return False


def flush(room: Running) -> None:
    """FLUSHALL."""
    assert room.supervisor.broker is not None
    with broker._client(room.supervisor.broker.url, 5.0) as client:
        client.flushall()


def kill_broker(room: Running) -> None:
    """SIGKILL it and delete what it had journaled; the supervisor starts it again when it looks."""
    embedded = room.supervisor.broker
    assert embedded is not None
    pid = room.until(lambda: embedded.pid)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while embedded.pid == pid:  # until it is reaped, which takes a moment
        time.sleep(0.001)
    shutil.rmtree(room.context.settings.data / "broker", ignore_errors=True)


def rage(storm: Storm, fault: Callable[[], None]) -> None:
    """The fault again and again while articles are processed: each time at least some more deliveries have been made."""
    for _ in range(TIMES):
        before, open_work = storm.settled(), storm.room.open_work(SITE)
        if not open_work:
            return
        fault()
        storm.room.until(lambda before=before: storm.settled() > before or not storm.room.open_work(SITE))  # type: ignore[misc]


def verdict(storm: Storm, what: str) -> None:
    """Wait until all is settled; then nothing is lost, nothing doubled, nothing stuck, and every outlet shows it."""
    room = storm.room
    room.settle(SITE)
    room.until(lambda: not held_leases(room.context, SITE))
    statuses = storm.statuses()
    states = Counter(o.state for s in statuses for o in s.outlets)
    seconds = sorted(o.seconds or 0.0 for s in statuses for o in s.outlets)
    told = {
        "test": what,
        "database": "sqlite" if room.context.ledger.sqlite else "postgres",
        "lost": N - len(statuses),
        "double": sum(s.revision != 1 for s in statuses),
        "stuck": sum(states.values()) - states["settled"],
        "malformed": 0,
        "p99": seconds[len(seconds) * 99 // 100],
    }
    print(json.dumps(told))  # noqa: T201 - the scoreboard reads it
    assert (told["lost"], told["double"], told["stuck"]) == (0, 0, 0)
    assert states == {"settled": N * OUTLETS}
    assert not loose_ends(room.context, SITE)
    _all_readable(storm)


def _all_readable(storm: Storm) -> None:
    """The feeds hold the newest, each once; every page stands with its own text."""
    folder = storm.room.context.settings.data / "mirrors" / SITE / "one"
    for name in ("all", "world"):
        items = storm.room.get(f"/{SITE}/feeds/{name}.json").json()["items"]
        here = [item["id"].rpartition("/")[2] for item in items if f"/{storm.prefix}-" in item["id"]]
        assert here == list(reversed(storm.ids))[:WINDOW]
    for number, name in enumerate(storm.ids):
        pages = list(folder.glob(f"{name}-name-*/index.html"))
        assert len(pages) == 1
        assert marks(pages[0].read_bytes(), storm.prefix) == {f"{storm.prefix}w{number}w"}


def test_everything_flushed_while_all_articles_wait(storm: Storm) -> None:
    """FLUSHALL with every nudge in the broker, and again and again while the articles are processed."""
    before = len(storm.room.died)
    with workers_asleep(storm.room):
        storm.post()
        flush(storm.room)
    rage(storm, lambda: flush(storm.room))
    verdict(storm, "flushall")
    assert storm.room.died[before:] == []


def test_the_broker_killed_and_its_data_deleted(storm: Storm) -> None:
    """It is back with nothing in it; the workers it was killed under live on, and accepting never waited for it."""
    before = len(storm.room.died)
    with workers_asleep(storm.room):
        storm.post()
        kill_broker(storm.room)
    rage(storm, lambda: kill_broker(storm.room))
    verdict(storm, "broker killed")
    assert set(storm.room.died[before:]) == {"broker"}


def test_workers_killed_in_the_middle(storm: Storm) -> None:
    """Each worker and its processes are killed while they have articles in hand; the supervisor starts them again."""
    before = len(storm.room.died)
    with workers_asleep(storm.room):
        storm.post()
    for name in WORKERS:
        at = storm.settled()
        storm.room.until(lambda at=at: storm.settled() > at or not storm.room.open_work(SITE))  # type: ignore[misc]
        storm.room.kill(name)
    verdict(storm, "workers killed")
    storm.room.until(lambda: set(storm.room.died[before:]) == set(WORKERS))
