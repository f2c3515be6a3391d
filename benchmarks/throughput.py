"""Articles per second from the first webhook until every one of the fourteen outlets holds all of them; memory beside it.

All are published within the minute before, so windows grow to their greatest size: the dearest case, not the usual one.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks import processes
from benchmarks.accept import SENDERS, Rate, rate
from benchmarks.measuring import load
from benchmarks.memory import Memory
from benchmarks.sending import senders
from benchmarks.stack import OUTLETS, Stack, StackError

if TYPE_CHECKING:
    from benchmarks.measuring import Sizes

WARM = 20
REST = 3.0
PATIENCE = 400.0


@dataclass(frozen=True, slots=True)
class Throughput:
    """`cpu` in seconds by process, `until` in seconds from the first webhook until an outlet was done."""

    articles: int
    seconds: float
    accepted: Rate
    until: dict[str, float]
    cpu: dict[str, float]
    load: float

    @property
    def per_second(self) -> float:
        """Articles per second until every outlet holds them."""
        return self.articles / self.seconds

    @property
    def cpu_milliseconds(self) -> float:
        """CPU time of the whole stack an article: what a busy machine blurs least."""
        return 1000 * sum(self.cpu.values()) / self.articles


def measure(sizes: Sizes) -> tuple[Throughput, Memory]:
    """One burst on a fresh site. Raises StackError when something is not accepted, rejected, or not settled in time."""
    with Stack() as stack:
        stack.publish(range(WARM), "warm", 60.0)
        stack.wait_until_settled(60)
        time.sleep(REST)
        idle = processes.pss_megabytes(stack.pid)
        made = _burst(stack, sizes.burst)
        time.sleep(REST)
        return made, Memory(idle, processes.pss_megabytes(stack.pid))


def _burst(stack: Stack, count: int) -> Throughput:
    with senders(stack.port, "burst", count, connections=SENDERS) as ready:
        before, began = processes.cpu_by_command(stack.pid), load()
        ready.go()
        sent = ready.result()
        stack.wait_until_settled(PATIENCE)
        after = processes.cpu_by_command(stack.pid)
    if sent.statuses != {"202": count}:
        message = f"of {count} webhooks not all were accepted: {sent.statuses}"
        raise StackError(message)
    until = _until(stack, sent.began, count)
    cpu = {name: spent - before.get(name, 0.0) for name, spent in after.items()}
    return Throughput(count, max(until.values()), rate(sent), until, cpu, began)


def _until(stack: Stack, began: float, count: int) -> dict[str, float]:
    """Outlet → seconds until it held its last article. Raises StackError unless every article has all its outlets."""
    with closing(stack.ledger()) as ledger:
        rows = ledger.execute("SELECT outlet, max(held_at) FROM deliveries WHERE state = 'settled' GROUP BY outlet").fetchall()
        planned = ledger.execute("SELECT count(*) FROM deliveries").fetchone()[0]
    if planned != OUTLETS * (count + WARM):
        message = f"{planned} deliveries for {count + WARM} articles and {OUTLETS} outlets"
        raise StackError(message)
    return {outlet: held_at / 1e6 - began for outlet, held_at in rows}
