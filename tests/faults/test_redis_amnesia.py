"""Amnesia (FT4): whatever the broker forgets and whoever is killed meanwhile, nothing is lost and every outlet settles.

A message is only a nudge. PRESSRUN_FAULT_N sets how many articles wait when it happens (200, in the long form 1,000).
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from pipeline.ledger import tables
from pipeline.model.errors import Unavailable
from tasks import broker
from tasks.carry import UNREAD
from tests.faults.checking import judge
from tests.faults.conftest import scaled
from tests.faults.killing import percentile
from tests.faults.load import SITE, Load, story

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from tests.faults.scoreboard import Score
    from tests.support.running import Running

N = scaled(200, 1000)
OUTLETS = 7
TIMES = 5
WORKERS = ("craft", "reach")


@dataclass(slots=True)
class Storm:
    """Many articles of one test, and its line of the scoreboard."""

    room: Running
    load: Load
    score: Score
    woken: datetime | None = None

    @property
    def _prefix(self) -> str:
        return self.load.actions[0].article.rpartition("-")[0]

    def made(self) -> list[tuple[str, datetime, datetime]]:
        """(outlet, accepted, held) of each delivery made by now."""
        a, d = tables.articles.c, tables.deliveries.c
        rows = select(d.outlet, d.wanted_at, d.held_at).select_from(tables.deliveries.join(tables.articles, a.id == d.article_id))
        with self.room.context.ledger.read() as tx:
            found = tx.all(rows.where(a.site == SITE, a.cms_id.like(f"{self._prefix}-%"), d.held_at.is_not(None)))
        return [(row.outlet, row.wanted_at, row.held_at) for row in found]

    def settled(self) -> int:
        """How many deliveries are made by now."""
        return len(self.made())

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Everything is posted while no worker moves, so that all of it waits; they are woken at the end."""
        with workers_asleep(self.room):
            self.load.send()
            yield
            with self.room.context.ledger.read() as tx:
                self.woken = tx.now


@pytest.fixture
def storm(running: Running, score: Score, request: pytest.FixtureRequest) -> Storm:
    """Articles nobody has heard of yet, at a room with nothing else to do."""
    running.settle(SITE)
    score.database = "sqlite" if running.context.ledger.sqlite else "postgres"
    prefix = "s" + "".join(chr(97 + ord(letter) % 26) for letter in request.node.name[-30:])
    actions = story(prefix, N, score.seed, running.context.clock.now(), changed=0.0)
    return Storm(running, Load(running.context.settings.server.port, actions), score)


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


def verdict(storm: Storm, target: float | None = 5.0) -> None:
    """Wait until all is settled; then nothing is lost, nothing doubled, nothing stuck, and every outlet shows it.

    target  seconds in which all outlets are to be at work again
    """
    room, score = storm.room, storm.score
    judge(room, storm.load, score)
    made = storm.made()
    assert storm.woken is not None
    first: dict[str, datetime] = {}
    for outlet, _, held in made:
        first[outlet] = min(held, first.get(outlet, held))
    assert len(first) == OUTLETS
    score.note("all outlets at work again", max((held - storm.woken).total_seconds() for held in first.values()), target=target)
    score.note("p99", percentile(sorted((held - accepted).total_seconds() for _, accepted, held in made), 0.99))
    score.note("waiting", N, "articles")
    assert score.clean, score.problems


@pytest.mark.fault("FT4")
@pytest.mark.timeout(200)
def test_everything_flushed_while_all_articles_wait(storm: Storm) -> None:
    """FLUSHALL with every nudge in the broker, and again and again while the articles are processed."""
    before = len(storm.room.died)
    with storm.waiting():
        assert broker.queue_length(storm.room.broker_url, "validate") <= max(UNREAD.values())
        flush(storm.room)
    rage(storm, lambda: flush(storm.room))
    verdict(storm)
    assert storm.room.died[before:] == []


@pytest.mark.fault("FT4")
@pytest.mark.timeout(200)
def test_the_broker_killed_and_its_data_deleted(storm: Storm) -> None:
    """It is back with nothing in it; the workers it was killed under live on, and accepting never waited for it."""
    before = len(storm.room.died)
    with storm.waiting():
        kill_broker(storm.room)
    rage(storm, lambda: kill_broker(storm.room))
    verdict(storm)
    assert set(storm.room.died[before:]) == {"broker"}


@pytest.mark.fault("FT4")
@pytest.mark.timeout(200)
def test_workers_killed_in_the_middle(storm: Storm) -> None:
    """Each worker and its processes are killed while they have articles in hand; the supervisor starts them again."""
    before = len(storm.room.died)
    with storm.waiting():
        pass
    for name in WORKERS:
        at = storm.settled()
        storm.room.until(lambda at=at: storm.settled() > at or not storm.room.open_work(SITE))  # type: ignore[misc]
        storm.room.kill(name)
    verdict(storm, None)  # two processes have to be started
    storm.room.until(lambda: set(storm.room.died[before:]) == set(WORKERS))
