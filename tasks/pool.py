"""Limits of time end pool processes that are at work, never one that has said it is done.

The main process of a worker reads what its children say, and between two of these looks it may wait for the broker, for
longer than a task may take. Celery 5.7.0 then fires the limit before it reads: an idle child is killed for a task that
ended seconds ago, and what was in its pipe is lost with it. So here the pipe is read first.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any

from celery import bootsteps

if TYPE_CHECKING:
    from collections.abc import Callable

LIMITS = ("on_soft_timeout", "on_hard_timeout")
MOST_SAID = 100  # messages read of one child; it says two for each task


class HearsFirst(bootsteps.StartStopStep):
    """Puts the look into the pipe before both limits, in a pool of processes; others have no such limits."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, parent: Any) -> None:
        """Begin; again after each reconnect, with the same pool."""
        pool = getattr(parent.pool, "_pool", None)
        for name in LIMITS:
            ends = getattr(pool, name, None)
            if ends is not None and not isinstance(ends, _AfterHearing):
                setattr(pool, name, _AfterHearing(pool, ends))


class _AfterHearing:
    """A limit of billiard's pool, asked again once everything the child said was read."""

    def __init__(self, pool: Any, ends: Callable[[Any], None]) -> None:
        """`ends` is what the limit does to a job."""
        self._pool, self._ends = pool, ends

    def __call__(self, job: Any) -> None:
        """End the job, unless it is done."""
        for process in self._pool._pool:  # noqa: SLF001 - there is no public name for any of this
            if process.pid == job._worker_pid:  # noqa: SLF001
                self._hear(process.outqR_fd)
        if not job.ready():
            self._ends(job)

    def _hear(self, pipe: int) -> None:
        """Read its messages, unless the loop has one of them half read."""
        read = self._pool.handle_result_event
        for _ in range(MOST_SAID):
            callback, _given = self._pool._result_handler._hub.readers.get(pipe, (None, ()))  # noqa: SLF001
            if callback is not read or not select.select([pipe], [], [], 0)[0]:
                return
            read(pipe)
