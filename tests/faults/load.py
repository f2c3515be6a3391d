"""What a newsroom sends in a test of faults: publications, corrections and withdrawals, by several senders, and what was answered.

A sender does what a CMS does: it sends again until it is told 2xx. What was never answered may be there or not; what was
answered 2xx must be, for ever.
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.client import HTTPException
from random import Random
from typing import TYPE_CHECKING, Any

from pipeline.kit.clock import rfc3339
from tests.faults.newsroom_order import SECTIONS, SLUGS, Action, Desk
from tests.support.running import Line, signed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SITE = "storm"
OK = range(200, 300)
PATIENCE = 90.0
"""Seconds a sender tries one webhook before it gives up and the test fails."""


def story(prefix: str, articles: int, seed: int, now: datetime, *, changed: float = 0.2) -> list[Action]:
    """Actions of a desk, oldest first: every article published, and a share of them corrected or withdrawn later.

    Each happened a microsecond or more after the one before, all of them before `now`. The same seed tells the same story.
    """
    random, desk = Random(seed), Desk(prefix)
    begin = now - timedelta(seconds=30)
    open_changes: list[str] = []
    for number in range(articles):
        name = f"{prefix}-{number}"
        at = begin + timedelta(milliseconds=number)
        desk.write(name, "published", at, random.choices(SECTIONS, weights=(5, 3, 2))[0], SLUGS[0], same_time=False)
        if random.random() < changed:
            open_changes.append(name)
        if open_changes and random.random() < changed:
            _change(desk, open_changes.pop(random.randrange(len(open_changes))), random, at)
    for name in open_changes:
        _change(desk, name, random, begin + timedelta(milliseconds=articles))
    return desk.actions


def _change(desk: Desk, name: str, random: Random, at: datetime) -> None:
    if random.random() < 0.5:
        desk.withdraw(name, at)
    else:
        desk.write(name, "corrected", at, random.choice(SECTIONS), random.choice(SLUGS), same_time=False)


@dataclass
class Load:
    """Actions and what was answered to each. `answered`: action number → the last status, 0 where nobody answered."""

    port: int
    actions: Sequence[Action]
    site: str = SITE
    answered: dict[int, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    refused: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    bad: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _first: dict[str, datetime] = field(default_factory=dict)
    _left: Iterator[Action] = field(default_factory=lambda: iter(()))
    _ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """An article's `published_at` is when it was first written, whichever webhook says so."""
        for action in self.actions:
            self._first.setdefault(action.article, action.at)

    def webhook_id(self, action: Action) -> str:
        """The webhook's id: the same however often it is sent."""
        return f"{action.article.rpartition('-')[0]}_{action.number}"

    def body(self, action: Action) -> bytes:
        """The webhook's bytes: the same however often it is sent."""
        data: dict[str, Any] = action.data(self._first[action.article])
        return json.dumps({"type": f"article.{action.kind}", "timestamp": rfc3339(action.at), "data": data}).encode()

    def send(self, *, senders: int = 8, again: bool = True, per_second: float = 0.0) -> None:
        """Send everything, in order, by so many senders at once; `again`: until it is acknowledged; at most so many a second."""
        threads = self.start(senders=senders, again=again, per_second=per_second)
        for thread in threads:
            thread.join(PATIENCE + len(self.actions) / (per_second or 50.0))
        assert not any(thread.is_alive() for thread in threads), "the senders did not end"

    def start(self, *, senders: int = 8, again: bool = True, per_second: float = 0.0) -> list[threading.Thread]:
        """The same in the background; join the threads it answers. Goes on where `end` stopped it."""
        if not self._ended.is_set():
            self._left = iter(self.actions)
        self._ended.clear()
        waiting, began = enumerate(self._left), time.monotonic()

        def sender() -> None:
            line = Line(self.port)
            while (found := self._next(waiting)) is not None:
                place, action = found
                if per_second:
                    self._ended.wait(max(0.0, began + place / per_second - time.monotonic()))
                line = self._one(line, action, again=again)
            line.close()

        threads = [threading.Thread(target=sender, daemon=True) for _ in range(senders)]
        for thread in threads:
            thread.start()
        return threads

    def send_one(self, action: Action) -> None:
        """Send one of the actions until it is acknowledged."""
        self._one(Line(self.port), action, again=True).close()

    def end(self, threads: Sequence[threading.Thread]) -> None:
        """Send nothing further, and wait for what is under way; what was never sent is nobody's."""
        self._ended.set()
        for thread in threads:
            thread.join(PATIENCE)
        assert not any(thread.is_alive() for thread in threads), "the senders did not end"

    def _next(self, waiting: Iterator[tuple[int, Action]]) -> tuple[int, Action] | None:
        with self._lock:
            return None if self._ended.is_set() else next(waiting, None)

    def _one(self, line: Line, action: Action, *, again: bool) -> Line:
        body, webhook_id, ends = self.body(action), self.webhook_id(action), time.monotonic() + PATIENCE
        while True:
            began = time.monotonic()
            try:
                answer = line.ask("POST", f"/webhooks/{self.site}", body, signed(body, webhook_id))
            except (OSError, HTTPException):
                line.close()
                line = Line(self.port)
                status, headers = 0, {}
            else:
                status, headers = answer.status, answer.headers
            self._heard(action, status, headers, time.monotonic() - began)
            if status in OK or not again or time.monotonic() > ends:
                return line
            time.sleep(0.05)

    def _heard(self, action: Action, status: int, headers: dict[str, str], took: float) -> None:
        with self._lock:
            self.answered[action.number] = status
            if status in OK:
                self.seconds.append(took)
                return
            self.refused[status] += 1
            if status not in {0, 503} or (status and not headers.get("retry-after", "").isdigit()):
                self.bad.append(f"{self.webhook_id(action)} was answered {status}, Retry-After {headers.get('retry-after')!r}")

    def acknowledged(self) -> list[Action]:
        """What was answered 2xx, in the desk's order."""
        return [a for a in self.actions if self.answered.get(a.number, 0) in OK]

    def unanswered(self) -> list[Action]:
        """What was sent and never acknowledged: it may be there or not."""
        return [a for a in self.actions if a.number in self.answered and self.answered[a.number] not in OK]
