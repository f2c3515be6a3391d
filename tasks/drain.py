"""Run what is due in this process, without Celery: the same steps, the same nudges, one work list."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from pipeline import feeds, hub, mirrors, social, upkeep, validate
from pipeline.model.run import Nudge, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pipeline.context import Context
    from pipeline.model.run import Run

STEPS: dict[Step, Callable[[Context, Sequence[str]], Run]] = {
    Step.VALIDATE: validate.run,
    Step.FEEDS: feeds.run,
    Step.HUB: hub.run,
    Step.MIRRORS: mirrors.run,
    Step.SOCIAL: social.run,
    Step.UPKEEP: upkeep.run,
}
MOST_RUNS = 100_000


def drain(context: Context, nudges: Iterable[Nudge] = (), seen: Callable[[Nudge, Run], None] = lambda _nudge, _run: None) -> int:
    """Work through these nudges, what upkeep finds, and what they lead to; answers how many items were done."""
    done = 0
    work = deque([*nudges, Nudge(Step.UPKEEP)])
    for _ in range(MOST_RUNS):
        if not work:
            break
        nudge = work.popleft()
        run = STEPS[nudge.step](context, nudge.keys)
        seen(nudge, run)
        done += run.done
        work.extend(n for n in run.nudges if n not in work)
    return done
