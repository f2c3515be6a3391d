"""Threads that wait for other servers: many may wait, few may be at work.

Whoever answers soon is through before anybody notices. Whoever does not has its thread to itself, and after a moment counts as
waiting: then the next one begins, so that nobody waits behind somebody slow.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MOST = 256  # requests under way in one process, which bounds memory and egress
YOUNG = 24  # of them begun within the last PATIENCE: what the processor has work with
PATIENCE = 0.25  # seconds


class Crew:
    """One for a process. Its threads are made when needed, and end with the process: after the request that they are at."""

    def __init__(self, most: int = MOST, young: int = YOUNG, patience: float = PATIENCE) -> None:
        """Nothing is begun."""
        self._most, self._young, self._patience = most, young, patience
        self._began: dict[int, tuple[float, frozenset[str]]] = {}
        self._numbers = itertools.count()
        self._change = threading.Condition()
        self._threads: ThreadPoolExecutor | None = None

    def room(self) -> int:
        """How many more may be begun now."""
        with self._change:
            return max(0, min(self._young - self._count_young(), self._most - len(self._began)))

    def is_crowded(self, *without: str) -> bool:
        """Whether half of those that may be under way are, who have none of these marks: the rest is for who answers soon."""
        with self._change:
            return sum(marks.isdisjoint(without) for _, marks in self._began.values()) >= self._most // 2

    def marked(self, mark: str, *, young: bool = False) -> int:
        """How many with this mark are under way, or of these only the young ones."""
        since = time.monotonic() - self._patience
        with self._change:
            return sum(mark in marks and (began > since or not young) for began, marks in self._began.values())

    def marks(self) -> Counter[str]:
        """How many of those under way have each mark."""
        with self._change:
            return Counter(mark for _, marks in self._began.values() for mark in marks)

    def begin(self, work: Callable[[], object], *marks: str) -> None:
        """Have it done by a thread of its own; what it raises is lost, so it raises nothing."""
        number = next(self._numbers)
        with self._change:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self._most, thread_name_prefix="waits")
            self._began[number] = (time.monotonic(), frozenset(marks))
        self._threads.submit(self._do, number, work)

    def wait(self, seconds: float) -> bool:
        """Until one has ended, or this long; whether one has."""
        with self._change:
            return self._change.wait(seconds)

    def see_off(self) -> None:
        """Until each has ended or become one that waits."""
        with self._change:
            while self._count_young():
                self._change.wait(self._patience / 4)

    def idle(self, seconds: float) -> bool:
        """Whether all have ended within this time."""
        with self._change:
            return self._change.wait_for(lambda: not self._began, seconds)

    def close(self) -> None:
        """Let the threads go, each when its request is over."""
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    def _do(self, number: int, work: Callable[[], object]) -> None:
        try:
            work()
        finally:
            with self._change:
                del self._began[number]
                self._change.notify_all()

    def _count_young(self) -> int:
        since = time.monotonic() - self._patience
        return sum(began > since for began, _ in self._began.values())
