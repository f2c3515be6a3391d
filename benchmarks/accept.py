"""Accepted webhooks per second and the latency of the answer, with sixteen senders on kept connections.

Taken twice: with the workers stopped in place (what the web process can do) and with them at work on the same two or more
processors (what a sender meets in a burst).
"""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks import processes
from benchmarks.measuring import load, percentile
from benchmarks.sending import senders
from benchmarks.stack import Stack, StackError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.measuring import Sizes
    from benchmarks.sending import Sent

SENDERS = 16
WARM = 50
STOPS = 50


@dataclass(frozen=True, slots=True)
class Rate:
    """Accepted webhooks per second, and the milliseconds until the answer."""

    per_second: float
    p50: float
    p99: float
    slowest: float


@dataclass(frozen=True, slots=True)
class Accept:
    """`alone`: workers stopped in place; `working`: the whole press run at work."""

    senders: int
    webhooks: int
    alone: Rate
    working: Rate
    load: float


def measure(sizes: Sizes) -> Accept:
    """Post `sizes.webhooks` twice. Raises StackError when one is not accepted."""
    with Stack() as stack:
        began = load()
        _burst(stack, "warm", WARM)
        stack.wait_until_settled(60)
        with _workers_stopped(stack):
            alone = _burst(stack, "alone", sizes.webhooks)
        working = _burst(stack, "working", sizes.webhooks)
        return Accept(SENDERS, sizes.webhooks, rate(alone), rate(working), began)


def _burst(stack: Stack, prefix: str, count: int) -> Sent:
    with senders(stack.port, prefix, count, connections=SENDERS) as ready:
        ready.go()
        sent = ready.result()
    if sent.statuses != {"202": count}:
        message = f"of {count} webhooks not all were accepted: {sent.statuses}"
        raise StackError(message)
    return sent


def rate(sent: Sent) -> Rate:
    """What senders saw, as figures."""
    p50, p99 = (1000 * percentile(sent.latencies, share) for share in (0.5, 0.99))
    return Rate(sent.rate, p50, p99, 1000 * max(sent.latencies))


@contextmanager
def _workers_stopped(stack: Stack) -> Iterator[None]:
    """Stop the workers' processes in place (SIGSTOP) and let them go on afterwards. Raises StackError when they cannot be."""
    workers = [pid for pid in processes.tree(stack.pid) if processes.name_of(pid) in {"craft", "reach"}]
    try:
        for _ in range(STOPS):
            _signal(workers, signal.SIGSTOP)
            if _can_write(stack):
                break
            # One of them was stopped in the middle of a write: nobody could store anything then.
            _signal(workers, signal.SIGCONT)
            time.sleep(0.05)
        else:
            raise StackError("the workers hold the ledger whenever they are stopped")
        yield
    finally:
        _signal(workers, signal.SIGCONT)


def _signal(workers: Sequence[int], number: signal.Signals) -> None:
    for pid in workers:
        os.kill(pid, number)


def _can_write(stack: Stack) -> bool:
    with closing(sqlite3.connect(stack.database, timeout=0.1, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return False
        return True
