"""Kill storm (FT1): whoever is killed, and however often, everything that was acknowledged is published once and nothing else.

Worker trees, single prefork processes, the broker and the web process are killed by SIGKILL in an order drawn from the seed,
each when its share of the load is acknowledged and while it has work in hand; meanwhile the newsroom publishes, corrects
and withdraws, and subscribers read.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.faults import reading
from tests.faults.checking import judge
from tests.faults.conftest import LONG, scaled
from tests.faults.killing import Killing, percentile, seconds_to_hold
from tests.faults.load import SITE, Load, story

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.faults.scoreboard import Score
    from tests.support.running import Running

ARTICLES = scaled(120, 2000)
PER_SECOND = scaled(40, 60)
TREES, CHILDREN, BROKERS, WEBS = (10, 5, 5, 3) if LONG else (2, 1, 1, 1)


@pytest.mark.fault("FT1")
@pytest.mark.timeout(400)
def test_kill_storm(own_room: Callable[..., AbstractContextManager[Running]], score: Score) -> None:
    """Everything is killed again and again while articles arrive and are processed."""
    random = Random(score.seed)
    victims = ["worker"] * TREES + ["child"] * CHILDREN + ["broker"] * BROKERS + ["web"] * WEBS
    random.shuffle(victims)
    with own_room() as room, ExitStack() as stack:
        load = Load(room.context.settings.server.port, story("k", ARTICLES, score.seed, room.context.clock.now()))
        readers = [stack.enter_context(reader) for reader in reading.everybody(load.port, SITE, pause=0.25)]
        senders, killing = load.start(per_second=PER_SECOND), Killing(room)
        for place, victim in enumerate(victims, start=1):
            share = len(load.actions) * place // len(victims)
            room.wait(lambda share=share: len(load.seconds) >= share)  # type: ignore[misc]
            strike(killing, victim, random)
        last = time.monotonic()
        for sender in senders:
            room.wait(lambda sender=sender: not sender.is_alive())  # type: ignore[misc]
        room.wait(lambda: not room.open_work(SITE))
        score.note("drained after the last fault", time.monotonic() - last, target=5.0)
        measure(killing, score)
        score.note("reads", sum(reader.reads for reader in readers), "")
        judge(room, load, score, readers)
    assert score.clean, score.problems
    assert len(killing.kills) == len(victims)


def strike(killing: Killing, victim: str, random: Random) -> None:
    """Kill one of that kind."""
    if victim == "worker":
        killing.worker(random)
    else:
        {"child": killing.child, "broker": killing.broker, "web": killing.web}[victim]()


def measure(killing: Killing, score: Score) -> None:
    """How long deliveries took, and how long each kind of victim was missed."""
    seconds = seconds_to_hold(killing.room)
    score.note("p99", percentile(seconds, 0.99), target=6.0)
    score.note("p50", percentile(seconds, 0.5))
    score.note("killed", len(killing.kills), "processes")
    score.note("at work", sum(kill.in_hand > 0 for kill in killing.kills), "of them")
    for victim in ("craft", "reach", "child", "broker", "web"):
        score.note(f"{victim} back", max(killing.back(victim), default=0.0))
