"""Ends processes of a press run in the middle of their work, and tells from the ledger how long each took to be missed no more.

A kill that meets a process at rest shows little. So a victim is stopped first (SIGSTOP), the ledger is asked what it holds,
and only one that holds something is killed; where nothing comes in time it is killed all the same, and counted apart.
"""

from __future__ import annotations

import os
import signal
import time
from bisect import bisect_right
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil
from sqlalchemy import func, select, text

from pipeline.ledger import tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from random import Random

    from tests.support.running import Running

WORKERS = ("craft", "reach")
MOMENT = 1.5
"""Seconds a victim is given to take something in hand."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One: whom, when by the ledger's clock, and how many leases and claims were in its hands."""

    victim: str
    at: datetime
    in_hand: int


@dataclass
class Killing:
    """The kills of one test, in their order."""

    room: Running
    kills: list[Kill] = field(default_factory=list)

    def worker(self, random: Random) -> None:
        """A worker with everything it forked: one that is at work, drawn where both are, or any where none is in time."""
        self.room.wait(lambda: all(map(self._up, WORKERS)))
        self.room.wait(lambda: any(self._held(self._tree(name)) for name in WORKERS), MOMENT)
        name = random.choice([name for name in WORKERS if self._held(self._tree(name))] or WORKERS)
        self._strike(name, lambda: self._tree(name))
        self.room.supervisor.children[name].process.wait()

    def child(self) -> None:
        """One process of the prefork pool: whichever is at work, or the first."""
        self.room.wait(lambda: len(self._tree("craft")) > 1)
        self._strike("child", lambda: self._busiest(self._tree("craft")[1:]))

    def broker(self) -> None:
        """The broker, while somebody is at work."""
        embedded = self.room.supervisor.broker
        assert embedded is not None
        pid = self.room.until(lambda: embedded.pid)
        assert pid is not None
        everybody = [pid for name in WORKERS for pid in self._tree(name)]
        self.room.wait(lambda: self._held(everybody), MOMENT)
        self.kills.append(Kill("broker", self._now(), self._held(everybody)))
        os.kill(pid, signal.SIGKILL)
        while embedded.pid == pid:  # until it is reaped, which takes a moment
            time.sleep(0.001)

    def web(self) -> None:
        """The web process."""
        self.room.wait(lambda: self._up("web"))
        self.kills.append(Kill("web", self._now(), 0))
        self.room.kill("web")

    def _up(self, name: str) -> bool:
        return self.room.supervisor.children[name].process.poll() is None

    def _tree(self, name: str) -> list[int]:
        """A worker's own process id and those it forked; nothing where it is not up."""
        with suppress(psutil.Error):
            main = psutil.Process(self.room.supervisor.children[name].process.pid)
            return [main.pid, *sorted(child.pid for child in main.children())]
        return []

    def _busiest(self, pids: Sequence[int]) -> list[int]:
        return sorted(pids, key=lambda pid: -self._held([pid]))[:1]

    def _strike(self, victim: str, who: Callable[[], list[int]]) -> None:
        ends, pids, held = time.monotonic() + MOMENT, who(), 0
        while not held and time.monotonic() < ends:
            pids = who()
            if self._held(pids):
                _signal(pids, signal.SIGSTOP)
                held = self._held(pids)
                if not held:  # it was given back in that moment
                    _signal(pids, signal.SIGCONT)
            else:
                time.sleep(0.002)
                self.room.died += self.room.supervisor.look()
        self.kills.append(Kill(victim, self._now(), held))
        _signal(pids, signal.SIGKILL)
        self.room.killed += 1

    def _held(self, pids: Iterable[int]) -> int:
        """Leases of outlets and claims of events in the hands of these processes."""
        counts = holders(self.room)
        return sum(counts[pid] for pid in pids)

    def _now(self) -> datetime:
        with self.room.context.ledger.read() as tx:
            return tx.now

    def back(self, victim: str) -> list[float]:
        """Seconds from each such kill until what the victim does was done again: a delivery of its outlets, an event accepted."""
        moments = {name: sorted(self.moments(name)) for name in ("feed", "mirror", "event", "any")}
        does = {"craft": "feed", "child": "feed", "reach": "mirror", "web": "event", "broker": "any"}
        found = []
        for kill in self.kills:
            if kill.victim == victim:
                after = moments[does[victim]]
                place = bisect_right(after, kill.at)
                found += [(after[place] - kill.at).total_seconds()] if place < len(after) else []
        return found

    def moments(self, what: str) -> list[datetime]:
        """When deliveries of a kind of outlet were made, of `any`, or an `event` accepted."""
        d, e = tables.deliveries.c, tables.events.c
        with self.room.context.ledger.read() as tx:
            if what == "event":
                return [row.received_at for row in tx.all(select(e.received_at))]
            query = select(d.held_at).where(d.held_at.is_not(None))
            rows = tx.all(query if what == "any" else query.where(d.outlet.like(f"%/{what}:%")))
        return [row.held_at for row in rows]


def holders(room: Running) -> Counter[int]:
    """Process id → leases of outlets and claims of events it holds, by the owner's mark `host:pid:…`."""
    o, e = tables.outlets.c, tables.events.c
    with room.context.ledger.read() as tx:
        leases = tx.all(select(o.lease_owner).where(o.lease_owner.is_not(None), o.lease_until > tx.now))
        claims = tx.all(select(e.claimed_by).where(text("events.state = 'waiting'"), e.claimed_by.is_not(None), e.claimed_until > tx.now))
    return Counter(int(row[0].split(":")[1]) for row in [*leases, *claims])


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def delivered(room: Running, since: datetime | None = None) -> int:
    """Deliveries made of what was accepted after that instant, or of anything."""
    d = tables.deliveries.c
    made = select(func.count()).where(d.held_at.is_not(None))
    with room.context.ledger.read() as tx:
        return int(tx.value(made.where(d.wanted_at > since) if since else made))


def seconds_to_hold(room: Running) -> list[float]:
    """From acceptance to held, of all deliveries that are made, in order."""
    d = tables.deliveries.c
    with room.context.ledger.read() as tx:
        rows = tx.all(select(d.wanted_at, d.held_at).where(d.state == "settled", d.held_at.is_not(None)))
    return sorted((row.held_at - row.wanted_at).total_seconds() for row in rows)


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which that share lies; 0 of nothing."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0
