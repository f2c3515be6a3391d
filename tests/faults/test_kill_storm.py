"""Kill storm (FT1): whoever is killed, and however often, everything that was acknowledged is published once and nothing else.

Worker trees, single prefork processes, the broker and the web process are killed by SIGKILL at moments drawn from the seed,
while the newsroom publishes, corrects and withdraws, and subscribers read.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack
from random import Random
from typing import TYPE_CHECKING

import psutil
import pytest
from sqlalchemy import select

from pipeline.ledger import tables
from tests.faults import reading
from tests.faults.checking import judge
from tests.faults.conftest import LONG, scaled
from tests.faults.load import SITE, Load, story

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.faults.scoreboard import Score
    from tests.support.running import Running

ARTICLES = scaled(120, 2000)
WORKERS, CHILDREN, BROKERS, WEBS = (10, 5, 5, 3) if LONG else (2, 1, 1, 1)


@pytest.mark.fault("FT1")
@pytest.mark.timeout(400)
def test_kill_storm(own_room: Callable[..., AbstractContextManager[Running]], score: Score) -> None:
    """Everything is killed again and again while articles arrive and are processed."""
    random = Random(score.seed)
    victims = ["workers"] * WORKERS + ["child"] * CHILDREN + ["broker"] * BROKERS + ["web"] * WEBS
    random.shuffle(victims)
    with own_room() as room, ExitStack() as stack:
        load = Load(room.context.settings.server.port, story("k", ARTICLES, score.seed, room.context.clock.now()))
        readers = [stack.enter_context(reader) for reader in reading.everybody(load.port, SITE)]
        senders = load.start()
        for victim in victims:
            _after_some_work(room, random)
            _kill(room, victim, random)
        last = time.monotonic()
        for sender in senders:
            room.wait(lambda sender=sender: not sender.is_alive())  # type: ignore[misc]
        room.wait(lambda: not room.open_work(SITE))
        score.note("drained after the last fault", time.monotonic() - last, target=5.0)
        score.note("p99", _percentile(room, 0.99), target=6.0)
        score.note("p50", _percentile(room, 0.5))
        score.note("killed", len(victims), "processes")
        score.note("reads", sum(reader.reads for reader in readers), "")
        judge(room, load, score, readers)
    assert score.clean, score.problems


def _after_some_work(room: Running, random: Random) -> None:
    """Until some more deliveries were made than before, or a moment has passed: so faults meet work in every state."""
    before, more = _settled(room), random.randrange(1, 40)
    room.wait(lambda: _settled(room) >= before + more, random.uniform(0.3, 1.5))


def _settled(room: Running) -> int:
    d = tables.deliveries.c
    with room.context.ledger.read() as tx:
        return len(tx.all(select(d.article_id).where(d.state == "settled")))


def _kill(room: Running, victim: str, random: Random) -> None:
    if victim == "broker":
        assert room.supervisor.broker is not None
        if (pid := room.supervisor.broker.pid) is not None:
            os.kill(pid, signal.SIGKILL)
    elif victim == "child":
        forked = psutil.Process(room.supervisor.children["craft"].process.pid).children()
        if forked:
            os.kill(random.choice(forked).pid, signal.SIGKILL)
            room.killed += 1
    else:
        name = "web" if victim == "web" else random.choice(("craft", "reach"))
        if room.supervisor.children[name].process.poll() is None:
            room.kill(name)


def _percentile(room: Running, share: float) -> float:
    """Seconds from acceptance to held, of all deliveries that are made."""
    d = tables.deliveries.c
    with room.context.ledger.read() as tx:
        rows = tx.all(select(d.wanted_at, d.held_at).where(d.state == "settled", d.held_at.is_not(None)))
    seconds = sorted((row.held_at - row.wanted_at).total_seconds() for row in rows)
    return seconds[int(len(seconds) * share)] if seconds else 0.0
