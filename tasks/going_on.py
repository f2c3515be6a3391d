"""A worker with one process that takes both queues makes the feeds itself, right after it validated.

The message would come back to the same process, milliseconds later, and the nudges to mirrors and networks would be sent
before it: they would work beside the feeds, for which everybody waits. Where there are more processes, or the queues are
taken by different workers, nudges are carried as they are.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pipeline.model.run import Step
from tasks.carry import carry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pipeline.model.run import Nudge

SECONDS = 1.0
"""How long after its message came a worker begins further runs; what a message may take in all stays the limit of `validate`."""

_alone: set[Step] = set()


def takes(steps: Iterable[Step], processes: int) -> None:
    """What this worker takes, told before its pool forks, and how many processes it has for that."""
    _alone.clear()
    if processes == 1:
        _alone.update(steps)


def go_on(nudges: Sequence[Nudge], run: Callable[[Step, Sequence[str]], Sequence[Nudge]], began: float) -> None:
    """Run the feeds among the nudges of `validate` here, where that is ours to do and there is time, and carry the rest.

    `began` is the monotonic second at which the message came. Whatever happens, what was not run is carried.
    """
    waiting = list(nudges)
    try:
        while (nudge := _next(waiting)) is not None and time.monotonic() - began < SECONDS:
            waiting.remove(nudge)
            waiting += run(nudge.step, nudge.keys)
    finally:
        carry(waiting)


def _next(waiting: Sequence[Nudge]) -> Nudge | None:
    """The next feed that may be made here."""
    return next((nudge for nudge in waiting if nudge.step is Step.FEEDS and {Step.VALIDATE, Step.FEEDS} <= _alone), None)
