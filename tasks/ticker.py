"""The tick of every worker: one `upkeep` message a second from its main process, as long as none is unread.

There is no beat, whose clock would be one more thing to die. The main process forks its pool, so nothing here
opens a database or a thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery import bootsteps

from pipeline.kit import log
from pipeline.model.run import Nudge, Step
from tasks.carry import carry

if TYPE_CHECKING:
    from celery import Celery

SECONDS = 1.0


class Ticker(bootsteps.StartStopStep):
    """A timer on the consumer: it starts once the broker is reached, and stops with it."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        """Nothing runs yet."""
        super().__init__(parent, **kwargs)
        self._timer: Any = None

    def start(self, parent: Any) -> None:
        """Begin to tick."""
        self.stop(parent)
        self._timer = parent.timer.call_repeatedly(SECONDS, tick, (parent.app,))

    def stop(self, parent: Any) -> None:
        """Stop ticking."""
        del parent
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def tick(app: Celery) -> None:
    """Nudge upkeep unless a nudge is still unread: a stopped pool must not fill the queue."""
    try:
        with app.connection_or_acquire() as connection:
            unread = connection.default_channel.client.llen(Step.UPKEEP.value)
        if not unread:
            carry([Nudge(Step.UPKEEP)], app)
    except Exception as error:  # noqa: BLE001 - the worker's own reconnecting deals with the broker
        log.logger().warning("tick not sent", outcome=type(error).__name__)
