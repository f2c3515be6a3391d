"""Step 1: signed bytes → a durable event, answered before anything else happens.

One thread commits whatever waits, so many webhooks share one fsync; a second thread sends the nudge, so a deaf
broker costs one waiting thread and never an answer. A commit whose outcome is unknown is refused: the retry is a double.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.kit import metrics, signatures
from pipeline.ledger import events as rows
from pipeline.ledger.engine import ACCEPT_SECONDS
from pipeline.model.errors import PressrunError, Unavailable
from pipeline.model.event import Event
from pipeline.model.run import Nudge, Step
from pipeline.rules.identity import event_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.context import Context
    from pipeline.model.settings import Source

GROUP = 64
PAUSE = 0.02  # seconds between nudges; the first one after a rest goes at once
KEPT_HEADERS = ("content-type", "user-agent", "webhook-id", "webhook-timestamp")


class Conflict(PressrunError):
    """The id was used before for another body."""


class Busy(PressrunError):
    """More webhooks wait than will be answered in time."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A durable event: its id, the same for a double."""

    event_id: str


def admit(source: Source, headers: Mapping[str, str], body: bytes, context: Context) -> Event:
    """The event of a webhook whose signature holds. Header names in lower case. Raises signatures.BadSignature."""
    now = context.clock.now()
    tolerance = context.settings.limits.timestamp_seconds
    webhook_id = signatures.verify(headers, body, source.secrets, now.timestamp(), tolerance)
    return Event(
        event_id=event_id(source.name, webhook_id),
        source=source.name,
        webhook_id=webhook_id,
        body=body,
        sha256=hashlib.sha256(body).hexdigest(),
        received_at=now,
        headers={name: headers[name][:500] for name in KEPT_HEADERS if name in headers},
    )


class Acceptor:
    """The group commit of one web process. `carry` sends nudges and may block as long as it likes."""

    def __init__(self, context: Context, carry: Callable[[Sequence[Nudge]], None]) -> None:
        """Threads start with the first event."""
        self._context = context
        self._carry = carry
        self._waiting: deque[tuple[Event, Future[Accepted]]] = deque()
        self._work = threading.Condition()
        self._nudge = threading.Condition()
        self._to_nudge: dict[str, None] = {}
        self._stopping = False
        self._rest = threading.Event()  # set at the end: nobody rests then
        self._threads: list[threading.Thread] = []

    def submit(self, event: Event) -> Future[Accepted]:
        """A future that ends in Accepted, Conflict or Unavailable. Raises Busy at once when too many wait."""
        future: Future[Accepted] = Future()
        with self._work:
            if self._stopping or len(self._waiting) >= self._context.settings.limits.accept_queue:
                message = "too many webhooks wait to be stored"
                raise Busy(message)
            if not self._threads:
                self._start()
            self._waiting.append((event, future))
            self._work.notify()
        return future

    def stop(self) -> None:
        """Commit what waits, then end both threads."""
        with self._work:
            self._stopping = True
            self._work.notify()
        self._rest.set()
        with self._nudge:
            self._nudge.notify()
        for thread in self._threads[:1]:
            thread.join(timeout=5)

    def _start(self) -> None:
        self._threads = [
            threading.Thread(target=run, name=name, daemon=True) for name, run in (("accept", self._write), ("nudge", self._send))
        ]
        for thread in self._threads:
            thread.start()

    def _write(self) -> None:
        while True:
            with self._work:
                while not self._waiting and not self._stopping:
                    self._work.wait()
                if not self._waiting:
                    return
                popped = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
            # Whose sender has given up is refused already; the others must not pay for it when they are answered.
            group = [single for single in popped if single[1].set_running_or_notify_cancel()]
            if not group:
                continue
            try:
                self._commit(group)
            except Exception as error:  # noqa: BLE001 - whatever it was, each sender is told and this thread lives on
                for _, future in group:
                    if not future.done():
                        future.set_exception(Unavailable(f"the event could not be stored: {type(error).__name__}"))

    def _commit(self, group: Sequence[tuple[Event, Future[Accepted]]]) -> None:
        """All in one transaction; if that fails, once more one by one, so that one bad row harms only itself."""
        metrics.accept_group.observe(len(group))
        try:
            self._store(group)
        except Exception:
            if len(group) == 1:
                raise
            for single in group:
                try:
                    self._store([single])
                except Exception as error:  # noqa: BLE001 - told to its sender
                    single[1].set_exception(Unavailable(f"the event could not be stored: {type(error).__name__}"))

    def _store(self, group: Sequence[tuple[Event, Future[Accepted]]]) -> None:
        unique = {event.event_id: event for event, _ in reversed(group)}
        # Sorted, so that two web processes with the same doubles never wait for each other in a ring.
        ordered = [unique[event_id] for event_id in sorted(unique)]
        with self._context.ledger.write(deadline=ACCEPT_SECONDS, durable=True) as tx:
            kept = rows.add(tx, ordered)
        with self._nudge:
            self._to_nudge.update(dict.fromkeys(event.source for event, _ in group))
            self._nudge.notify()
        for event, future in group:
            if kept[event.event_id] != event.sha256:
                future.set_exception(Conflict("this webhook id was used before for another body"))
            else:
                future.set_result(Accepted(event.event_id))

    def _send(self) -> None:
        """One nudge per commit at most, and under a burst one every PAUSE; what comes meanwhile folds into the next."""
        while True:
            with self._nudge:
                while not self._to_nudge and not self._stopping:
                    self._nudge.wait()
                if not self._to_nudge:
                    return
                sources, self._to_nudge = tuple(self._to_nudge), {}
            try:
                self._carry([Nudge(Step.VALIDATE, (source,)) for source in sources])
            except Exception as error:  # noqa: BLE001 - the row is there; upkeep finds it
                self._context.log.warning("nudge not sent", step="validate", outcome=type(error).__name__)
            # A run takes all that waits, so more nudges than this would find nothing to do.
            self._rest.wait(PAUSE)
