"""The one sender of nudges. A nudge that cannot be sent is no error: the row is there, and upkeep finds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.kit import log, metrics
from pipeline.model.run import Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from celery import Celery

    from pipeline.model.run import Nudge

UPKEEP_EXPIRES = 3


def carry(nudges: Sequence[Nudge], app: Celery | None = None) -> None:
    """Send each nudge to the queue of its step; what cannot be sent is counted and left to upkeep."""
    if not nudges:
        return
    app = app or _app()
    with app.producer_or_acquire() as producer:
        for nudge in nudges:
            try:
                _send(app, producer, nudge)
            except Exception as error:  # noqa: BLE001 - whatever the broker does, the caller's work is done
                metrics.nudges.labels(nudge.step.value, "lost").inc()
                log.logger().warning("nudge not sent", step=nudge.step.value, outcome=type(error).__name__)
                return
            metrics.nudges.labels(nudge.step.value, "sent").inc()


def _app() -> Celery:
    from tasks.celery import app  # noqa: PLC0415 - tasks.celery sends through here, too

    return app


def _send(app: Celery, producer: Any, nudge: Nudge) -> None:
    expires = UPKEEP_EXPIRES if nudge.step is Step.UPKEEP else None
    app.send_task(
        nudge.step.value,
        args=[list(nudge.keys)],
        queue=nudge.step.value,
        producer=producer,
        ignore_result=True,
        retry=False,
        expires=expires,
    )
