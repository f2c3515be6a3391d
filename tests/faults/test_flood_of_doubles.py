"""A flood of doubles (FT9): many copies of each webhook at once make one event and one revision, with one answer for all.

PRESSRUN_FAULT_N sets how many ids there are (200); each is posted fifty times, shuffled, over kept connections.
"""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from pipeline.kit.clock import rfc3339
from pipeline.ledger import tables
from tests.conftest import article

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.faults.scoreboard import Score
    from tests.support.running import Answer, Running

N = int(os.environ.get("PRESSRUN_FAULT_N", "200"))
COPIES = 50
SENDERS = 32
SITE = "storm"
SEED = 20261123

_floods = itertools.count(1)


@dataclass
class Flood:
    """What was answered to each webhook: id → body sent → answers."""

    room: Running
    prefix: str = field(default_factory=lambda: f"flood{os.getpid()}x{next(_floods)}")
    answers: dict[str, dict[bytes, list[Answer]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    errors: list[BaseException] = field(default_factory=list)

    def body(self, number: int, headline: str = "One of many") -> bytes:
        """A publication of the article of that number."""
        name = f"{self.prefix}-{number}"
        data = article(id=name, url=f"https://www.example.org/news/{name}.html", headline=f"{headline} {name}", section=["Culture"])
        return json.dumps({"type": "article.published", "timestamp": rfc3339(self.room.context.clock.now()), "data": data}).encode()

    def send(self, posts: Sequence[tuple[str, bytes]]) -> None:
        """Post all of them, shuffled, by many senders that begin together."""
        shuffled = list(posts)
        Random(SEED).shuffle(shuffled)
        start, lock = threading.Barrier(SENDERS), threading.Lock()

        def sender(mine: Iterable[tuple[str, bytes]]) -> None:
            try:
                start.wait(30)
                for webhook_id, body in mine:
                    answer = self.room.post(body, webhook_id, SITE)
                    with lock:
                        self.answers[webhook_id][body].append(answer)
            except BaseException as error:  # noqa: BLE001 - told to the test's own thread
                self.errors.append(error)

        threads = [threading.Thread(target=sender, args=(shuffled[n::SENDERS],), daemon=True) for n in range(SENDERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(110)
        assert not self.errors, self.errors
        assert not any(thread.is_alive() for thread in threads)

    def events(self) -> list[str]:
        """Webhook ids of the flood that are stored, sorted; one that is stored twice would be here twice."""
        e = tables.events.c
        with self.room.context.ledger.read() as tx:
            return [
                row.webhook_id for row in tx.all(select(e.webhook_id).where(e.webhook_id.like(f"{self.prefix}%")).order_by(e.webhook_id))
            ]

    def revisions(self) -> Counter[str]:
        """How many revisions each article of the flood has."""
        a, r = tables.articles.c, tables.revisions.c
        query = select(a.cms_id, func.count().label("n")).join(tables.revisions, r.article_id == a.id)
        with self.room.context.ledger.read() as tx:
            rows = tx.all(query.where(a.cms_id.like(f"{self.prefix}-%")).group_by(a.cms_id))
        return Counter({row.cms_id: row.n for row in rows})


@pytest.mark.fault("FT9")
def test_every_id_is_stored_once_and_every_copy_gets_the_same_answer(running: Running, score: Score) -> None:
    """200 ids, 50 copies of each: exactly 200 events and revisions, 10,000 times 202, and one answer per id."""
    score.what, score.database = "flood of doubles", "sqlite" if running.context.ledger.sqlite else "postgres"
    flood = Flood(running)
    bodies = {f"{flood.prefix}_{n}": flood.body(n) for n in range(N)}
    flood.send([(webhook_id, body) for webhook_id, body in bodies.items() for _ in range(COPIES)])
    for webhook_id, body in bodies.items():
        answers = flood.answers[webhook_id][body]
        assert Counter(a.status for a in answers) == {202: COPIES}
        assert len({a.body for a in answers}) == 1
    running.settle(SITE)
    stored, revisions = flood.events(), flood.revisions()
    score.count("lost", [f"{webhook_id} is not stored" for webhook_id in bodies.keys() - set(stored)])
    score.count("double", [f"{name} has {count} revisions" for name, count in revisions.items() if count != 1])
    score.note("webhooks", N * COPIES, "")
    assert stored == sorted(bodies)
    assert revisions == {f"{flood.prefix}-{n}": 1 for n in range(N)}
    again = running.post(flood.body(0, "Another body"), f"{flood.prefix}_0", SITE)
    assert again.status == 409
    assert again.headers["content-type"].startswith("application/problem+json")


def test_of_two_bodies_under_one_id_one_is_stored_and_the_other_refused(running: Running) -> None:
    """Both come at once, many times: whichever was first is accepted each time, the other is 409 each time."""
    flood = Flood(running)
    pairs = {f"{flood.prefix}_{n}": (flood.body(n, "This"), flood.body(n, "That")) for n in range(N // 10)}
    flood.send([(webhook_id, body) for webhook_id, pair in pairs.items() for body in pair for _ in range(COPIES // 5)])
    for webhook_id, pair in pairs.items():
        statuses = sorted((Counter(a.status for a in flood.answers[webhook_id][body]) for body in pair), key=min)
        assert statuses == [{202: COPIES // 5}, {409: COPIES // 5}]
    assert flood.events() == sorted(pairs)
    running.settle(SITE)
    assert set(flood.revisions().values()) == {1}
