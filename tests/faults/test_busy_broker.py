"""The broker killed while steps run (FT2): no worker dies of it, and work flows again as soon as the broker answers.

A busy worker of Celery 5.7.0 on kombu's own transport exits each time (`tests/tasks/test_transport.py` shows it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.checking import judge
from tests.faults.conftest import scaled
from tests.faults.killing import Killing, percentile
from tests.faults.load import SITE, Load, story
from tests.support.running import running_in

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from tests.faults.scoreboard import Score
    from tests.support.running import Running

KILLS = scaled(4, 20)
PER_SECOND = 30.0
BETWEEN = 10
"""Deliveries made between two kills, so that each meets a press run at work."""


@pytest.mark.fault("FT2")
@pytest.mark.timeout(300)
def test_busy_broker(tmp_path: Path, score: Score) -> None:
    """Killed again and again, each time while leases are held."""
    score.database = "sqlite"
    with running_in(tmp_path, "sqlite", sites=("storm",)) as room:
        load = Load(room.context.settings.server.port, story("b", 10_000, score.seed, room.context.clock.now()))
        senders, killing, answering = load.start(per_second=PER_SECOND), Killing(room), []
        for _ in range(KILLS):
            _some_more(killing)
            killing.broker()
            room.until(lambda: room.supervisor.broker is not None and room.supervisor.broker.pid)
            answering.append(_now(room))
            assert room.wait(lambda: _after(killing, answering[-1]) is not None), room.account()
        load.end(senders)
        room.wait(lambda: not room.open_work(SITE))
        seconds = sorted(_after(killing, at) or 0.0 for at in answering)
        score.note("resumed p95", percentile(seconds, 0.95), target=3.0)
        score.note("resumed p50", percentile(seconds, 0.5))
        score.note("killed", len(killing.kills), "times")
        score.note("at work", sum(kill.in_hand > 0 for kill in killing.kills), "of them")
        judge(room, load, score)
        score.count("stuck", [f"{name} died with the broker" for name in room.died if name != "broker"])
    assert score.clean, score.problems
    assert room.died.count("broker") == KILLS


def _some_more(killing: Killing) -> None:
    """Some deliveries were made since."""
    before = len(killing.moments("any"))
    killing.room.until(lambda: len(killing.moments("any")) >= before + BETWEEN)


def _now(room: Running) -> datetime:
    with room.context.ledger.read() as tx:
        return tx.now


def _after(killing: Killing, when: datetime) -> float | None:
    """Seconds from then to the next delivery, None while there is none."""
    later = [at for at in killing.moments("any") if at > when]
    return (min(later) - when).total_seconds() if later else None
