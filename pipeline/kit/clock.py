"""Time as something a step is handed, so that a test can set it."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """`now` is an aware instant; `monotonic` counts seconds and never jumps."""

    def now(self) -> datetime:
        """The current instant, UTC."""

    def monotonic(self) -> float:
        """Seconds since some moment; only differences mean anything."""

    def sleep(self, seconds: float) -> None:
        """Let that long pass."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The current instant, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds of the machine's monotonic clock."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let that long pass."""
        time.sleep(seconds)


class SetClock:
    """A clock that stands still until it is moved: for tests and for long outages in seconds. Threads may share one."""

    def __init__(self, start: datetime) -> None:
        """Stand at `start`, which must be aware."""
        self._now = start.astimezone(UTC)
        self._passed = 0.0
        self._turn = threading.Lock()

    def now(self) -> datetime:
        """Where it was set, one microsecond later at each look, so that instants differ."""
        with self._turn:  # whoever looks while another moves it would put it back
            self._now += timedelta(microseconds=1)
            return self._now

    def monotonic(self) -> float:
        """Seconds it was moved forward."""
        return self._passed

    def sleep(self, seconds: float) -> None:
        """Move forward."""
        self.move(seconds)

    def move(self, seconds: float) -> None:
        """Move the wall clock, forwards or back; the monotonic one only forwards."""
        with self._turn:
            self._now += timedelta(seconds=seconds)
            self._passed += max(0.0, seconds)


def microseconds(instant: datetime) -> int:
    """Whole microseconds since 1970-01-01 UTC. Raises ValueError for a naive instant."""
    if instant.tzinfo is None:
        message = "an instant needs an offset"
        raise ValueError(message)
    return (instant - EPOCH) // timedelta(microseconds=1)


def instant(count: int) -> datetime:
    """The aware instant that many microseconds after 1970-01-01 UTC."""
    return EPOCH + timedelta(microseconds=count)


def rfc3339(when: datetime) -> str:
    """`2026-11-23T08:00:00Z`, with a fraction only where there is one (RFC 3339)."""
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")
