"""A worker alone with both queues makes the feeds itself; every other one sends messages, and nothing is forgotten on the way."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from pipeline.model.run import Nudge, Step
from tasks import going_on

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ALL, WORLD = Nudge(Step.FEEDS, ("demo/feed:all",)), Nudge(Step.FEEDS, ("demo/feed:world",))
MIRROR, NETWORKS = Nudge(Step.MIRRORS, ("demo/mirror:one",)), Nudge(Step.SOCIAL, ("demo/network:x",))
AGAIN = Nudge(Step.VALIDATE, ("newsroom",))
CRAFT = (Step.VALIDATE, Step.FEEDS, Step.UPKEEP)


@pytest.fixture
def carried(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Nudge]]:
    """What was sent as messages."""
    sent: list[Nudge] = []
    monkeypatch.setattr(going_on, "carry", sent.extend)
    yield sent
    going_on.takes((), 0)


class Runs:
    """Runs of steps, each leading to what a test says."""

    def __init__(self, leads: dict[Nudge, Sequence[Nudge]] | None = None, *, fails: bool = False) -> None:
        """Nothing ran yet."""
        self.ran: list[Nudge] = []
        self.leads, self.fails = leads or {}, fails

    def __call__(self, step: Step, keys: Sequence[str]) -> Sequence[Nudge]:
        """Run it, or crash."""
        nudge = Nudge(step, tuple(keys))
        self.ran.append(nudge)
        if self.fails:
            raise RuntimeError("a crash")
        return self.leads.get(nudge, ())


def test_one_process_with_both_queues_makes_the_feeds_and_then_sends_the_rest(carried: list[Nudge]) -> None:
    """In the order they were named; what a feed leads to goes along."""
    going_on.takes(CRAFT, 1)
    runs = Runs({WORLD: [MIRROR]})
    going_on.go_on([ALL, WORLD, NETWORKS, AGAIN], runs, time.monotonic())
    assert runs.ran == [ALL, WORLD]
    assert carried == [NETWORKS, AGAIN, MIRROR]


@pytest.mark.parametrize(
    ("steps", "processes"), [(CRAFT, 2), (CRAFT, 0), ((Step.VALIDATE,), 1), ((Step.FEEDS,), 1), ((Step.MIRRORS, Step.SOCIAL), 1)]
)
def test_everybody_else_sends_everything(carried: list[Nudge], steps: Sequence[Step], processes: int) -> None:
    """Where others may take it at the same time, or only others can."""
    going_on.takes(steps, processes)
    runs = Runs()
    going_on.go_on([ALL, WORLD, MIRROR], runs, time.monotonic())
    assert (runs.ran, carried) == ([], [ALL, WORLD, MIRROR])


def test_a_message_that_took_its_second_is_not_made_longer(carried: list[Nudge]) -> None:
    """The limits of the task are those of one run: what begins late is a message of its own."""
    going_on.takes(CRAFT, 1)
    runs = Runs()
    going_on.go_on([ALL, WORLD], runs, time.monotonic() - 2 * going_on.SECONDS)
    assert (runs.ran, carried) == ([], [ALL, WORLD])


def test_a_feed_that_crashes_takes_no_nudge_with_it(carried: list[Nudge]) -> None:
    """Mirrors and networks hear of the article all the same."""
    going_on.takes(CRAFT, 1)
    with pytest.raises(RuntimeError):
        going_on.go_on([ALL, WORLD, MIRROR], Runs(fails=True), time.monotonic())
    assert carried == [WORLD, MIRROR]
