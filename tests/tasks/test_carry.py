"""The sender of nudges: an outage of the broker is one line in the log, and every lost nudge is counted."""

from __future__ import annotations

import pytest
from celery import Celery
from kombu import Queue
from structlog.testing import capture_logs

from pipeline.kit import metrics
from pipeline.model.run import Nudge, Step
from tasks.carry import carry


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
