"""Threads that wait, and work that is done together."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pipeline.kit.crew import Crew
from pipeline.kit.together import Together

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LONG = 30.0


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """Lets go whoever waits."""
    made = threading.Event()
    yield made
    made.set()


def test_few_are_young_and_many_may_wait(released: threading.Event) -> None:
    """There is room again when they are no longer young, as far as there may be any at all."""
    crew = Crew(most=5, young=2, patience=0.05)
    begun = 0
    while begun < 5:
        room = crew.room()
        assert room <= 2
        for _ in range(room):
            crew.begin(lambda: released.wait(LONG))
        begun += room
        crew.see_off()
    assert (begun, crew.room(), crew.is_crowded()) == (5, 0, True)
    assert not crew.idle(0.0)
    released.set()
    assert crew.idle(LONG)
    assert (crew.room(), crew.is_crowded()) == (2, False)
    crew.close()


def test_a_mark_is_counted_while_it_is_young_and_after(released: threading.Event) -> None:
    """By itself, whoever else is there."""
    crew = Crew(most=5, young=5, patience=0.05)
    crew.begin(lambda: released.wait(LONG))
    crew.begin(lambda: released.wait(LONG), "struck", "asks")
    crew.see_off()
    assert (crew.marked("struck"), crew.marked("struck", young=True), crew.marked("asks")) == (1, 0, 1)
    released.set()
    assert crew.idle(LONG)
    assert crew.marked("struck") == 0
    crew.close()


def test_those_with_a_mark_may_be_no_part_of_the_crowd(released: threading.Event) -> None:
    """Half of four are two, and of these one has the mark."""
    crew = Crew(most=4, young=4)
    crew.begin(lambda: released.wait(LONG), "asks")
    crew.begin(lambda: released.wait(LONG))
    assert (crew.is_crowded(), crew.is_crowded("asks"), crew.is_crowded("struck")) == (True, False, True)
    released.set()
    assert crew.idle(LONG)
    crew.close()


def test_who_raises_makes_room(released: threading.Event) -> None:
    """What it raised is lost."""
    crew = Crew(most=1, young=1)

    def fail() -> None:
        raise ValueError

    crew.begin(fail)
    assert crew.idle(LONG)
    crew.begin(lambda: released.wait(LONG))
    assert crew.room() == 0
    released.set()
    assert crew.idle(LONG)
    crew.close()


def test_what_gathers_is_done_together_and_each_gets_its_own() -> None:
    """Never two groups at a time, none longer than the bound, nothing twice."""
    groups: list[list[int]] = []
    inside = threading.Lock()

    def double(items: Sequence[int]) -> list[int]:
        assert inside.acquire(blocking=False)
        groups.append(list(items))
        inside.release()
        return [2 * item for item in items]

    together = Together(double, most=4)
    with ThreadPoolExecutor(16) as several:
        assert list(several.map(together.do, range(300))) == [2 * n for n in range(300)]
    assert sorted(n for group in groups for n in group) == list(range(300))
    assert max(map(len, groups)) <= 4


def test_what_a_group_raises_each_of_it_raises() -> None:
    """And the next one is done."""

    def halve(items: Sequence[int]) -> list[float]:
        return [1 / item for item in items]

    together = Together(halve)
    with pytest.raises(ZeroDivisionError):
        together.do(0)
    assert together.do(2) == 0.5
