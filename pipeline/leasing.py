"""One run at one outlet: take the lease, keep it alive, give it back, and ask again after that.

A lease found expired and unreleased is a crash: the run after it is careful and commits the id it is about to
touch before each item, so that what stops a worker is known by name and stops only itself.
"""

from __future__ import annotations

import math
import os
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from pipeline.kit import metrics
from pipeline.kit.clock import rfc3339
from pipeline.ledger import deliveries, outlets
from pipeline.model.errors import FenceLost, PressrunError, Transient
from pipeline.model.run import Nudge, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from pipeline.context import Context
    from pipeline.ledger.engine import Tx
    from pipeline.ledger.outlets import Hold
    from pipeline.model.run import Step
    from pipeline.model.settings import Kind, Site

TAKES_WORK = 1.0  # seconds in which a run begins new items
RENEW = 1.0
MOST_PATIENT = 3600.0  # seconds; what an outlet may ask for all it holds
LONGEST_ASKED = 7 * 86_400.0  # seconds; what an outlet may ask for with Retry-After


@dataclass(slots=True)
class Lease:
    """A run's hold on an outlet. `ends` is the monotonic second after which it begins nothing new."""

    context: Context
    hold: Hold
    ends: float
    limit: float
    broken: bool = False  # set by a run that saw more than it mended: whoever comes next must be careful
    circuit: str = ""  # what this run made of it, told when the run has ended
    touched: int | None = None  # what the ledger names as suspect now
    has_failed: bool = False  # in this run
    left: bool = False  # whether anything was due there as the lease was given back

    @property
    def key(self) -> str:
        """The outlet's key."""
        return self.hold.outlet

    def takes_work(self) -> bool:
        """Whether there is time to begin another item."""
        return self.context.clock.monotonic() < self.ends

    def guard(self, tx: Tx, **values: object) -> None:
        """Write what was achieved at the outlet, only if the lease is still ours. Raises FenceLost."""
        if "suspect" in values:
            self.touched = None
        if not outlets.progress(tx, self.hold, values or {"fence": self.hold.fence}):
            message = f"somebody else took over {self.key}"
            raise FenceLost(message)

    def failed(self, tx: Tx, times: int = 1, asked: float = 0.0) -> None:
        """The outlet itself failed, so often: after some of it in a row it is left alone for a while.

        asked  the seconds it asked to be left alone for: that is done at once
        """
        bounds = self.context.settings.limits
        self.has_failed = True
        most, seconds = (1, math.ceil(asked)) if asked > 0 else (bounds.circuit_failures, bounds.circuit_seconds)
        for _ in range(times):
            until = outlets.failed_once_more(tx, self.hold, most, seconds)
            self.circuit = f"open until {rfc3339(until)}" if until else ""

    def hasten(self, tx: Tx) -> None:
        """It takes things again: what waited only for that is due now. Deliveries come first in a settling, `worked` comes last."""
        if self.hold.circuit_failures:
            deliveries.hasten(tx, self.key)

    def worked(self, tx: Tx) -> None:
        """It took something: it is left alone no longer."""
        if self.hold.circuit_failures >= self.context.settings.limits.circuit_failures:
            self.circuit = "closed"
        if self.hold.circuit_failures or self.has_failed:
            outlets.worked(tx, self.hold)

    def touch(self, article_id: int) -> None:
        """Careful runs: commit what is touched next, once for all its formats. Raises FenceLost."""
        if self.hold.careful and article_id != self.touched:
            with self.context.ledger.write() as tx:
                self.guard(tx, suspect=article_id)
            self.touched = article_id


@contextmanager
def lease(context: Context, key: str, limit: float, *, due: bool = False) -> Iterator[Lease | None]:
    """Hold an outlet for one run of at most `limit` seconds; None when it is not to be had, or `due` and nothing is to be done there.

    A strike is given to what the run before was touching when it died.
    """
    with context.ledger.write() as tx:
        hold = outlets.claim(tx, key, context.me(), due=due)
    if hold is None:
        yield None
        return
    if hold.suspect is not None:
        _strike(context, hold, hold.suspect)
    with _holding(context, [hold], limit) as (held,):
        yield held


@contextmanager
def _holding(context: Context, holds: Sequence[Hold], limit: float) -> Iterator[tuple[Lease, ...]]:
    """Keep these alive while the block runs, and give them back after it."""
    now = context.clock.monotonic()
    leases = tuple(Lease(context, hold, now + TAKES_WORK, now + limit) for hold in holds)
    with _kept_alive(leases):
        try:
            yield leases
        except PressrunError as error:
            # Bytes may stand that no row knows of: the next run must look at everything.
            _give_back(context, leases, broken=True)
            if isinstance(error, FenceLost):
                for held in leases:
                    _catch_up(context, held.key, error)
            raise
        # Any other error leaves the lease as a crash would: the next run is careful and finds out who causes it.
    for held in leases:
        if held.circuit:
            context.log.warning("circuit", outlet=held.key, outcome=held.circuit)
    _give_back(context, leases)


def at_each(context: Context, keys: Sequence[str], step: Step, limit: float, bring: Callable[[Lease, Site, str], int]) -> Run:
    """One run at each of these outlets that is to be had: `bring(lease, site, name)` answers how many items it did.

    As the lease is given back it is asked again whether anything came meanwhile; then the run nudges itself.
    """
    again: list[Nudge] = []
    done = 0
    for key in keys:
        try:
            site, _, name = context.outlet(key)
        except KeyError:
            continue
        held: Lease | None = None
        try:
            with lease(context, key, limit, due=True) as held:
                done += bring(held, site, name) if held else 0
        except FenceLost as error:
            context.log.warning("lease lost", outlet=key, outcome=str(error))
        if held is not None and held.left:
            again.append(Nudge(step, (key,)))
    return Run(tuple(again), done, len(again))


def at_all(context: Context, keys: Sequence[str], step: Step, limit: float, bring: Callable[[Sequence[Lease]], int]) -> Run:
    """One run at all of these outlets that are to be had, together: `bring(leases)` answers how many items it did.

    For outlets whose work takes no time of its own, so that none waits for another: then the transactions are most of it, and
    one each does for all. An outlet left by a crash is brought by itself, before or after whom it cannot harm.
    """
    known = sorted(key for key in keys if _is_configured(context, key))
    with context.ledger.write() as tx:
        holds = [hold for key in known if (hold := outlets.claim(tx, key, context.me(), due=True)) is not None]
        crashed = [hold for hold in holds if hold.careful or hold.suspect is not None]
        for hold in crashed:
            outlets.abandon(tx, hold)
    sound = [hold for hold in holds if hold not in crashed]
    done, again = 0, []
    if sound:
        try:
            with _holding(context, sound, limit) as leases:
                done = bring(leases)
        except FenceLost as error:
            context.log.warning("leases lost", outlets=[hold.outlet for hold in sound], outcome=str(error))
        again = [held.key for held in leases if held.left]
    alone = at_each(context, [hold.outlet for hold in crashed], step, limit, lambda held, _site, _name: bring([held]))
    nudges = (Nudge(step, tuple(again)), *alone.nudges) if again else alone.nudges
    return Run(nudges, done + alone.done, len(again) + alone.left)


def _is_configured(context: Context, key: str) -> bool:
    try:
        context.outlet(key)
    except KeyError:
        return False
    return True


def _catch_up(context: Context, key: str, error: FenceLost) -> None:
    """A ledger that was restored from a backup counts from further back than the folders do: begin above them."""
    with context.ledger.write() as tx:
        if outlets.raise_fence(tx, key, error.kept):
            context.log.warning("fence raised", outlet=key, fence=error.kept)


def _strike(context: Context, hold: Hold, article_id: int) -> None:
    """One strike for what the run before was touching when it died; deliveries first, the outlet last."""
    with context.ledger.write() as tx:
        last = deliveries.strike(tx, hold.outlet, article_id)
        outlets.progress(tx, hold, {"suspect": None})
    if last:
        metrics.alerts.labels("stops its worker").inc()
        context.log.error("delivery failed", outlet=hold.outlet, article=article_id, outcome="stops its worker")


def _give_back(context: Context, leases: Sequence[Lease], *, broken: bool = False) -> None:
    """End these leases, and look what is due there now.

    Both in one transaction: a plan is written before it, and seen, or after it, and whom it nudges finds the lease free.
    """
    with context.ledger.write() as tx:
        for held in leases:
            (outlets.abandon if broken or held.broken else outlets.release)(tx, held.hold)
        for held in leases:
            held.left = outlets.has_work(tx, held.key)


class _Renewer:
    """One thread a process that renews every lease held in it each second, until the run's own time is up."""

    def __init__(self) -> None:
        """The thread starts with the first lease."""
        self._held: dict[int, Lease] = {}
        self._change = threading.Condition()
        self._pid = 0

    def add(self, held: Lease) -> None:
        """Keep this lease alive from now on."""
        with self._change:
            self._held[id(held)] = held
            if self._pid != os.getpid():  # a fork copies this object and no thread
                self._held = {id(held): held}
                self._pid = os.getpid()
                threading.Thread(target=self._keep, name="renew leases", daemon=True).start()
            self._change.notify()

    def drop(self, held: Lease) -> None:
        """Its run has ended."""
        with self._change:
            self._held.pop(id(held), None)

    def _keep(self) -> None:
        while True:
            with self._change:
                while not self._held:
                    self._change.wait()
            time.sleep(RENEW)
            with self._change:
                now = list(self._held.values())
            for held in now:
                if held.context.clock.monotonic() >= held.limit or not _renew(held):
                    self.drop(held)


def _renew(held: Lease) -> bool:
    """False when the lease is no longer ours. Any error is survived: this thread renews for the whole process."""
    try:
        with held.context.ledger.write(deadline=RENEW) as tx:
            return outlets.renew(tx, held.hold)
    except Exception as error:  # noqa: BLE001 - the next second is another chance
        held.context.log.warning("lease not renewed", outlet=held.key, outcome=type(error).__name__)
        return True


_renewer = _Renewer()


@contextmanager
def _kept_alive(leases: Sequence[Lease]) -> Iterator[None]:
    for held in leases:
        _renewer.add(held)
    try:
        yield
    finally:
        for held in leases:
            _renewer.drop(held)


def back_at(held: Lease, kind: Kind, now: datetime, error: Exception) -> datetime:
    """When to come back to an outlet that failed as a whole, and for no article of its own.

    Soon, by how often it failed: it is the circuit that waits, and lets one request through. An outlet that names a time
    itself (Retry-After) is left alone until then, for an hour at most.
    """
    bounds = held.context.settings.limits
    delays = sorted(s for s in held.context.settings.retries.of(kind) if s <= bounds.circuit_seconds) or [bounds.circuit_seconds]
    delay = delays[min(held.hold.circuit_failures, len(delays) - 1)] * (0.8 + 0.4 * held.context.random.random())
    asked = min((error.retry_after if isinstance(error, Transient) else None) or 0.0, MOST_PATIENT)
    return now + timedelta(seconds=max(delay, asked))


def again_at(context: Context, kind: Kind, attempts: int, now: datetime, error: Exception) -> datetime | None:
    """When to try next, after `attempts` failures before this one; None when it is of no use.

    Full list in the configuration, ±20 % so that outlets do not march in step; never sooner than the outlet asked.
    """
    delays = context.settings.retries.of(kind)
    if not isinstance(error, Transient) or attempts >= len(delays):
        return None
    delay = delays[attempts] * (0.8 + 0.4 * context.random.random())
    return now + timedelta(seconds=max(delay, min(error.retry_after or 0.0, LONGEST_ASKED)))
