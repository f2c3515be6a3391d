"""The clock that tests set."""

from __future__ import annotations

import sys
import threading
from datetime import UTC, datetime, timedelta

from pipeline.kit.clock import SetClock

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
MOVES = 50_000


def test_no_move_is_lost_while_another_thread_looks() -> None:
    """The thread that renews leases looks by the machine's clock; a lease that was to run out must have."""
    clock, done = SetClock(START), threading.Event()

    def look() -> None:
        while not done.is_set():
            clock.now()

    looking = [threading.Thread(target=look, daemon=True) for _ in range(2)]
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in looking:
            thread.start()
        for _ in range(MOVES):
            clock.move(1)
    finally:
        done.set()
        sys.setswitchinterval(usual)
    for thread in looking:
        thread.join(10)
    assert clock.now() - START >= timedelta(seconds=MOVES)
    assert clock.monotonic() == MOVES
