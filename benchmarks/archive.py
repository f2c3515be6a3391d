"""What a new article costs on a site that already holds few articles, and on one that holds many.

Both press runs are up at once and take batches in turn, so that the machine's moods reach both alike; CPU seconds are
counted for each tree of processes by itself. The archives are put in as rows by bulk SQL, settled everywhere, before the start.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.accept import SENDERS
from benchmarks.measuring import load
from benchmarks.sending import senders
from benchmarks.stack import Stack
from benchmarks.stocking import stock

if TYPE_CHECKING:
    from benchmarks.measuring import Sizes

PATIENCE = 300.0
REST = 1.0


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU and wall milliseconds an article, one value a batch, with `held` articles in the archive."""

    held: int
    cpu: tuple[float, ...]
    wall: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Archive:
    """The same work on both; `stocked` is how many seconds it took to fill the larger one."""

    small: Cost
    large: Cost
    articles: int
    stocked: float
    load: float

    def ratio(self, name: str) -> float:
        """Large by small, `name` being cpu or wall: the median of the batches' own ratios, each pair being neighbours in time."""
        large, small = ((c.cpu if name == "cpu" else c.wall) for c in (self.large, self.small))
        return median(many / few for many, few in zip(large, small, strict=True))


@dataclass
class _Taken:
    stack: Stack
    held: int
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    @property
    def cost(self) -> Cost:
        return Cost(self.held, tuple(self.cpu), tuple(self.wall))


def measure(sizes: Sizes) -> Archive:
    """Stock two sites, fill both feeds' windows, then batch after batch in turn. Raises StackError when one does not settle."""
    with ExitStack() as opened:
        began = time.perf_counter()
        large = _Taken(_open(opened, sizes.large_archive), sizes.large_archive)
        stocked = time.perf_counter() - began
        small = _Taken(_open(opened, sizes.small_archive), sizes.small_archive)
        for taken in (large, small):
            _batch(taken.stack, "warm", sizes.archive_warm)
        at_start = load()
        for place in range(sizes.archive_rounds):
            for taken in (small, large) if place % 2 else (large, small):
                cpu, wall = _batch(taken.stack, f"batch{place}", sizes.archive_batch)
                taken.cpu.append(cpu)
                taken.wall.append(wall)
        return Archive(small.cost, large.cost, sizes.archive_rounds * sizes.archive_batch, stocked, at_start)


def _open(opened: ExitStack, held: int) -> Stack:
    stack = Stack()
    opened.callback(stack.stop)
    stock(stack, held)
    return stack


def _batch(stack: Stack, prefix: str, count: int) -> tuple[float, float]:
    """(CPU, wall) milliseconds an article; the rest at the end is charged too, for work that follows settling (twins)."""
    with senders(stack.port, prefix, count, connections=SENDERS) as ready:
        cpu, began = stack.cpu_seconds(), time.perf_counter()
        ready.go()
        ready.result()
        stack.wait_until_settled(PATIENCE)
        wall = time.perf_counter() - began
    time.sleep(REST)
    return 1000 * (stack.cpu_seconds() - cpu) / count, 1000 * wall / count
