"""Rolling restart (FT15): each worker and the web process is told to stop in turn (SIGTERM) while articles arrive, as at an update."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from pipeline.leasing import TAKES_WORK
from pipeline.ledger import outlets
from tests.faults import reading
from tests.faults.checking import judge
from tests.faults.conftest import scaled
from tests.faults.killing import delivered, holders, percentile, seconds_to_hold
from tests.faults.load import SITE, Load, story
from tests.support.running import running_in

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.scoreboard import Score
    from tests.support.running import Running

ROUNDS = scaled(1, 3)
PER_SECOND = 30.0
STEP = TAKES_WORK
"""Seconds in which a run begins new work; the target is two more."""


@pytest.mark.fault("FT15")
@pytest.mark.timeout(300)
def test_rolling_restart(tmp_path: Path, score: Score) -> None:
    """Everybody in turn; whoever runs a step ends it, and what was on its way to them is done by the next."""
    score.database = "sqlite"
    with running_in(tmp_path, "sqlite", sites=("storm",)) as room, reading.everybody(room.context.settings.server.port, SITE)[0] as reader:
        load = Load(room.context.settings.server.port, story("r", 10_000, score.seed, room.context.clock.now()))
        senders = load.start(per_second=PER_SECOND)
        exits: dict[str, list[float]] = {name: [] for name in room.supervisor.children}
        for _ in range(ROUNDS):
            for name, seconds in exits.items():
                seconds.append(_restart(room, name, load))
        load.end(senders)
        room.wait(lambda: not room.open_work(SITE))
        for name, seconds in exits.items():
            score.note(f"{name} exits", max(seconds), target=STEP + 2.0)
        score.note("p99", percentile(seconds_to_hold(room), 0.99))
        score.note("webhooks", len(load.seconds), "")
        score.note("worst answer to a webhook", max(load.seconds))
        judge(room, load, score, [reader])
        score.count("stuck", [f"a lease was found that its holder left: {key}" for key in _crashed(room)])
    assert score.clean, score.problems
    assert sorted(room.died) == sorted([*exits] * ROUNDS)


def _restart(room: Running, name: str, load: Load) -> float:
    """Tell a process to stop while it is at work; seconds until it had. Then wait until its successor works, too."""
    before = len(load.seconds)
    room.until(lambda: len(load.seconds) >= before + PER_SECOND / 2)
    child = room.supervisor.children[name].process
    if name != "web":
        room.wait(lambda: holders(room), 2.0)
    child.send_signal(signal.SIGTERM)
    began = time.monotonic()
    child.wait(60)
    took = time.monotonic() - began
    # uvicorn ends in good order and then as the signal would have ended it (0.54, `capture_signals`)
    assert child.returncode in {0, -signal.SIGTERM}, f"{name} ended with {child.returncode}\n{room.account()}"
    room.until(lambda: room.supervisor.children[name].process is not child)
    with room.context.ledger.read() as tx:
        then = tx.now
    room.until(lambda: delivered(room, then))
    return took


def _crashed(room: Running) -> list[str]:
    """Outlets whose last holder found a lease that nobody had given back."""
    with room.context.ledger.read() as tx:
        return [row.key for row in outlets.everyone(tx) if row.crashed]
