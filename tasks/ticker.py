"""The tick of every worker: one `upkeep` message a second from its main process, as long as none is unread.

There is no beat, whose clock would be one more thing to die. The main process forks its pool, so nothing here
opens a database or a thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery import bootsteps

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
        """Begin to tick, at once: what a worker before left in the middle waits for upkeep."""
        self.stop(parent)
        parent.timer.call_after(0, tick, (parent.app,))
        self._timer = parent.timer.call_repeatedly(SECONDS, tick, (parent.app,))

    def stop(self, parent: Any) -> None:
        """Stop ticking."""
        del parent
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def tick(app: Celery) -> None:
    """Nudge upkeep unless a nudge is still unread: a stopped pool must not fill the queue."""
    carry([Nudge(Step.UPKEEP)], app, spare=True)
