"""The sender of nudges: an outage of the broker is one line in the log, and every lost nudge is counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from celery import Celery
from kombu import Queue
from kombu.asynchronous.timer import Timer
from structlog.testing import capture_logs

from pipeline.kit import metrics
from pipeline.model.run import Nudge, Step
from tasks import ticker
from tasks.carry import UNREAD, carry


def app(broker: str) -> Celery:
    """An app that only sends."""
    made = Celery("sender", broker=broker, set_as_current=False)
    made.conf.update(task_queues=[Queue(step.value) for step in Step], task_publish_retry=False)
    return made


def count(outcome: str) -> float:
    """Nudges to `feeds` so far."""
    return float(metrics.nudges.labels("feeds", outcome)._value.get())


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_an_outage_is_said_once_and_its_end_too() -> None:
    """However many webhooks come meanwhile; the metric counts each nudge, those behind the first one, too."""
    away, there = app("redis://127.0.0.1:1/0"), app("memory://")
    lost, sent = count("lost"), count("sent")
    with capture_logs() as lines:
        for _ in range(3):
            carry([Nudge(Step.FEEDS, ("demo/feed:all",)), Nudge(Step.FEEDS, ("demo/feed:world",))], away)
        carry([Nudge(Step.FEEDS, ("demo/feed:all",))], there)
        carry([Nudge(Step.FEEDS, ("demo/feed:all",))], there)
    assert [line["event"] for line in lines] == ["nudge not sent", "nudges are sent again"]
    assert lines[1]["lost"] == 6
    assert (count("lost") - lost, count("sent") - sent) == (6, 2)


def waiting(made: Celery, step: Step) -> list[dict[str, Any]]:
    """Headers of the messages of a step, which are taken."""
    with made.connection_for_read() as connection, connection.SimpleQueue(step.value) as queue:
        return [dict(queue.get_nowait().headers) for _ in range(len(queue))]


def test_what_enough_unread_messages_say_is_spared() -> None:
    """Without a worker, an hour of webhooks and of requests to the hub does not fill the broker; what others wait for is never spared."""
    made = app("memory://")
    for step in (Step.VALIDATE, Step.UPKEEP, Step.HUB, Step.FEEDS):
        waiting(made, step)  # one memory for all tests of a process
    for _ in range(50):
        carry(
            [Nudge(Step.VALIDATE, ("demo",)), Nudge(Step.UPKEEP), Nudge(Step.HUB), Nudge(Step.FEEDS, ("demo/feed:all",))], made, spare=True
        )
    carry([Nudge(Step.VALIDATE, ("demo",))], made)
    assert len(waiting(made, Step.VALIDATE)) == UNREAD[Step.VALIDATE] + 1
    assert len(waiting(made, Step.UPKEEP)) == 1
    assert len(waiting(made, Step.HUB)) == UNREAD[Step.HUB]
    assert len(waiting(made, Step.FEEDS)) == 50
    assert metrics.nudges.labels("upkeep", "spared")._value.get() >= 49


def test_a_nudge_for_upkeep_never_expires() -> None:
    """There is one unread at most; if that were thrown away for its age, busy workers would never do upkeep."""
    made = app("memory://")
    waiting(made, Step.UPKEEP)
    ticker.tick(made)
    assert [headers["expires"] for headers in waiting(made, Step.UPKEEP)] == [None]


@dataclass
class Consumer:
    """What the ticker needs of a worker's consumer."""

    app: Celery
    timer: Timer


def test_a_worker_ticks_as_soon_as_it_is_there() -> None:
    """What the worker before it held is freed by upkeep, so that comes first; then once a second."""
    worker = Consumer(app("memory://"), Timer())
    waiting(worker.app, Step.UPKEEP)
    made = ticker.Ticker(worker)
    made.start(worker)
    _, entry = next(iter(worker.timer))
    assert entry is not None
    entry()
    assert len(waiting(worker.app, Step.UPKEEP)) == 1
    made.stop(worker)
