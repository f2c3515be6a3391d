"""The one sender of nudges. A nudge that cannot be sent is no error: the row is there, and upkeep finds it."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from pipeline.kit import log, metrics
from pipeline.model.run import Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from celery import Celery

    from pipeline.model.run import Nudge

UNREAD = {Step.UPKEEP: 1, Step.VALIDATE: 20, Step.HUB: 8}
"""Messages of a step that nobody has read yet, beyond which clock, webhooks and requests to the hub add none: while no worker runs
they must not fill the broker, and who comes back must not read thousands that say the same. Upkeep finds what was not told."""


def carry(nudges: Sequence[Nudge], app: Celery | None = None, *, spare: bool = False) -> None:
    """Send each nudge to the queue of its step; what cannot be sent is counted and left to upkeep.

    spare  leave out those of a step of which enough are unread
    """
    if not nudges:
        return
    app = app or _app()
    left = list(nudges)
    try:
        with app.producer_or_acquire() as producer:
            while left:
                enough = spare and _enough(producer, left[0].step)
                if not enough:
                    _send(app, producer, left[0])
                metrics.nudges.labels(left.pop(0).step.value, "spared" if enough else "sent").inc()
    except Exception as error:  # noqa: BLE001 - whatever the broker does, the caller's work is done
        for nudge in left:
            metrics.nudges.labels(nudge.step.value, "lost").inc()
        _outage.lost(left[0].step if left else nudges[-1].step, len(left), error)
    else:
        _outage.over()


class _Outage:
    """Says once that the broker is away, and once that it is back; the metric counts what is lost meanwhile."""

    def __init__(self) -> None:
        self._lost = 0
        self._away = False
        self._saying = threading.Lock()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """What a parent met is not a child's to tell of."""
        self._lost, self._away, self._saying = 0, False, threading.Lock()

    def lost(self, step: Step, count: int, error: Exception) -> None:
        with self._saying:
            first, self._away = not self._away, True
            self._lost += count
        if first:
            log.logger().warning("nudge not sent", step=step.value, outcome=type(error).__name__)

    def over(self) -> None:
        if not self._away:
            return
        with self._saying:
            lost, back = self._lost, self._away
            self._lost, self._away = 0, False
        if back:
            log.logger().warning("nudges are sent again", lost=lost)


_outage = _Outage()


def _app() -> Celery:
    from tasks.celery import app  # noqa: PLC0415 - tasks.celery sends through here, too

    return app


def _enough(producer: Any, step: Step) -> bool:
    most = UNREAD.get(step)
    return most is not None and producer.channel._size(step.value) >= most  # noqa: SLF001 - kombu has no public name for it


def _send(app: Celery, producer: Any, nudge: Nudge) -> None:
    app.send_task(
        nudge.step.value,
        args=[list(nudge.keys)],
        queue=nudge.step.value,
        producer=producer,
        ignore_result=True,
        retry=False,
    )
