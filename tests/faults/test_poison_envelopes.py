"""Poison envelopes (FT13): whatever is written to the queues, no worker dies of it, each message is accounted for, and work goes on.

What each message does to kombu's own transport, and that ours parks each, is in `tests/tasks/test_transport.py`; here all of
them go to all queues of a press run with real workers, in front of an article.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from pipeline.model.run import Step
from tasks import broker
from tests.faults.checking import judge
from tests.faults.conftest import scaled
from tests.faults.load import SITE, Load, story
from tests.support.envelopes import poison

if TYPE_CHECKING:
    from tests.faults.scoreboard import Score
    from tests.support.running import Running

ROUNDS = scaled(1, 5)


@pytest.mark.fault("FT13")
@pytest.mark.timeout(200)
def test_poison_envelopes(running_sqlite: Running, score: Score) -> None:
    """Nobody dies, and the articles behind them are delivered."""
    room, score.database = running_sqlite, "sqlite"
    room.settle(SITE)
    died, before = len(room.died), broker.dead_counts(room.broker_url)
    load = Load(room.context.settings.server.port, story("p", ROUNDS, score.seed, room.context.clock.now(), changed=0.0))
    seconds, pushed = [], dict.fromkeys(Step, 0)
    for action in load.actions:
        for step in Step:
            pushed[step] += push(room, step)
        began = time.monotonic()
        load.send_one(action)
        assert room.wait(lambda: not room.open_work(SITE)), room.account()
        seconds.append(time.monotonic() - began)
    score.note("next article", max(seconds), target=1.0)
    score.note("poison", sum(pushed.values()), "messages")
    score.count("lost", not_accounted_for(room, pushed, before))
    judge(room, load, score)
    score.count("stuck", [f"{name} died of it" for name in room.died[died:]])
    assert score.clean, score.problems


def push(room: Running, step: Step) -> int:
    """Everything to the queue of a step, addressed to its task; how many that was."""
    messages = poison(step.value, step.value).values()
    with broker._client(room.broker_url, 5.0) as client:
        client.lpush(step.value, *messages)
    return len(messages)


def not_accounted_for(room: Running, pushed: dict[Step, int], before: dict[str, int]) -> list[str]:
    """Queues that do not count as many parked messages as were written to them."""

    def parked() -> dict[str, int]:
        return {queue: n - before.get(queue, 0) for queue, n in broker.dead_counts(room.broker_url).items()}

    room.wait(lambda: all(parked().get(step, 0) == count for step, count in pushed.items()))
    return [f"{parked().get(step, 0)} of {count} are parked of {step}" for step, count in pushed.items() if parked().get(step, 0) != count]
