"""Accepted webhooks per second and the latency of the answer, with sixteen senders on kept connections.

Taken three times: with the workers stopped in place (what the web process can do), with them at work on the same two or more
processors (what a sender meets in a burst), and at the floor, a bare endpoint that only checks the signature and commits.
"""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks import processes
from benchmarks.measuring import load, percentile
from benchmarks.sending import senders
from benchmarks.stack import READY_SECONDS, ROOT, STOP_SECONDS, Stack, StackError
from pipeline.cli.start import free_port
from tasks.broker import tied

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
    """`alone`: workers stopped in place; `working`: the whole press run at work; `bare`: the floor (`bare_web`)."""

    senders: int
    webhooks: int
    alone: Rate
    working: Rate
    bare: Rate
    load: float


def measure(sizes: Sizes) -> Accept:
    """Post `sizes.webhooks` twice. Raises StackError when one is not accepted."""
    with Stack() as stack:
        began = load()
        _burst(stack.port, "warm", WARM)
        stack.wait_until_settled(60)
        with _workers_stopped(stack):
            alone = _burst(stack.port, "alone", sizes.webhooks)
            with _bare_web() as port:  # as neighbours in time, and on a machine as quiet
                _burst(port, "warm", WARM)
                bare = _burst(port, "bare", sizes.webhooks)
        working = _burst(stack.port, "working", sizes.webhooks)
        return Accept(SENDERS, sizes.webhooks, rate(alone), rate(working), rate(bare), began)


@contextmanager
def _bare_web() -> Iterator[int]:
    """The floor's endpoint in a process and a folder of its own; its port."""
    port = free_port(0)
    with tempfile.TemporaryDirectory(prefix="pressrun-bare-") as folder:
        process = subprocess.Popen(tied([sys.executable, "-m", "benchmarks.bare_web", str(port), folder]), cwd=ROOT)
        try:
            ends = time.monotonic() + READY_SECONDS
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > ends:
                    raise StackError("the bare endpoint did not come up")
                time.sleep(0.05)
            yield port
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _burst(port: int, prefix: str, count: int) -> Sent:
    with senders(port, prefix, count, connections=SENDERS) as ready:
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
