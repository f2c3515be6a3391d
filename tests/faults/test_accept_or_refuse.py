"""Accept or refuse (FT5): what was answered 2xx is there for ever, and everything else was told to come again.

The web process dies amid bursts of webhooks that nobody sends a second time; then the database cannot be written, cannot
be reached, or takes everything and answers nothing.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from http.client import HTTPException
from random import Random
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from pipeline.ledger import tables
from tests.faults import reading
from tests.faults.checking import judge
from tests.faults.conftest import LONG, scaled
from tests.faults.load import SITE, Load, story
from tests.support.own_postgres import own_postgres
from tests.support.running import running_in
from tests.support.toxic import Toxic, ToxicProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.faults.newsroom_order import Action
    from tests.faults.scoreboard import Score
    from tests.support.running import Running

POSTS = scaled(200, 1000)
KILLS = 50 if LONG else 6
SENDERS = 16
DOWN = 6.0 if LONG else 3.0
"""Seconds the database is away: longer than an answer may take."""


@pytest.mark.fault("FT5")
@pytest.mark.timeout(600)
def test_web_killed_while_it_accepts(own_room: Callable[..., AbstractContextManager[Running]], score: Score) -> None:
    """Bursts of webhooks, each sent once and no more; in the middle of each the web process is killed."""
    random = Random(score.seed)
    with own_room() as room:
        load = _load(room, score, POSTS)
        size = len(load.actions) // KILLS
        for number in range(KILLS):
            until = len(load.actions) if number == KILLS - 1 else (number + 1) * size
            burst = replace(load, actions=load.actions[number * size : until])
            senders = burst.start(senders=SENDERS, again=False)
            _after_some_answers(load, number * size + random.randrange(size))
            room.kill("web")
            for sender in senders:
                sender.join(60)
            room.until(lambda: _answers(room))
        score.note("web processes killed", KILLS, "")
        score.note("unanswered", len(load.unanswered()), "webhooks")
        score.note("of these stored all the same", len(_stored(room, load, {a.number for a in load.unanswered()})), "")
        score.count("malformed", halves(room, load))
        judge(room, load, score)
    assert score.clean, score.problems


@pytest.mark.fault("FT5")
@pytest.mark.timeout(300)
def test_database_that_cannot_be_written(tmp_path: Path, database: str, score: Score) -> None:
    """While it is so every webhook is answered 503 with Retry-After, in time; what was sent before and after is published."""
    with ExitStack() as stack:
        room, faults = stack.enter_context(_room_and_faults(tmp_path, database))
        load = _load(room, score, POSTS // 2)
        half = len(load.actions) // 2
        replace(load, actions=load.actions[:half]).send()
        room.settle(SITE)
        readers = [stack.enter_context(reader) for reader in reading.everybody(load.port, SITE)]
        during = replace(load, actions=load.actions[half:])
        for name, away in faults.items():
            with away():
                score.note(f"{name}: longest answer", _refused(during, score), target=2.0)
            back = time.monotonic()
            room.until(lambda: _accepts(load, during.actions[-1]))
            score.note(f"{name}: accepts again after", time.monotonic() - back, target=5.0)
        score.note("refused", load.refused[503], "times")
        during.send()
        score.count("malformed", halves(room, load))
        judge(room, load, score, readers)
    assert score.clean, score.problems


def _load(room: Running, score: Score, posts: int) -> Load:
    actions = story("k", posts, score.seed, room.context.clock.now())[:posts]
    return Load(room.context.settings.server.port, actions)


def _after_some_answers(load: Load, count: int) -> None:
    ends = time.monotonic() + 10
    while len(load.answered) < count and time.monotonic() < ends:
        time.sleep(0.0005)


def _answers(room: Running) -> bool:
    with suppress(OSError, HTTPException):
        return room.get("/healthz").status == 200
    return False


def _accepts(load: Load, action: Action) -> bool:
    """Whether one webhook gets through; it is sent once."""
    one = replace(load, actions=[action])
    one.send(senders=1, again=False)
    return bool(one.acknowledged())


def _refused(during: Load, score: Score) -> float:
    """Send the same few again and again for a while: none may be acknowledged. Answers the seconds the slowest of them took."""
    few, ends, longest = replace(during, actions=during.actions[:SENDERS]), time.monotonic() + DOWN, 0.0
    while time.monotonic() < ends:
        began = time.monotonic()
        few.send(senders=SENDERS, again=False)
        longest = max(longest, time.monotonic() - began)
        statuses = {few.answered[a.number] for a in few.actions}
        score.count("lost", [f"answered {status} while nothing could be stored" for status in statuses - {503}])
    return longest


@contextmanager
def _room_and_faults(folder: Path, database: str) -> Iterator[tuple[Running, dict[str, Callable[[], AbstractContextManager[None]]]]]:
    """A room over that database, and what takes the database away for the length of a `with`, each with its name."""
    if database == "sqlite":
        with running_in(folder, sites=(SITE,)) as room:
            yield room, {"locked": lambda: locked(room.context.settings.data / "ledger.sqlite")}
        return
    with own_postgres() as server, ToxicProxy(server.socket) as proxy, running_in(folder, server.url(proxy.port), sites=(SITE,)) as room:

        @contextmanager
        def away(toxic: Toxic) -> Iterator[None]:
            proxy.toxic = toxic
            yield
            proxy.toxic = Toxic.PASS

        yield room, {"refused": lambda: away(Toxic.REFUSE), "silent": lambda: away(Toxic.BLACK_HOLE)}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Somebody else holds SQLite's write lock."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def halves(room: Running, load: Load) -> list[str]:
    """Stored webhooks that are not, byte for byte, what was sent."""
    sent = {load.webhook_id(action): load.body(action) for action in load.actions}
    e, b = tables.events.c, tables.bodies.c
    with room.context.ledger.read() as tx:
        rows = tx.all(select(e.webhook_id, b.body).join(tables.bodies, b.event == e.id).where(e.source == load.site))
    return [f"{row.webhook_id} is stored as {bytes(row.body)[:80]!r}" for row in rows if sent.get(row.webhook_id) != bytes(row.body)]


def _stored(room: Running, load: Load, numbers: set[int]) -> list[str]:
    e = tables.events.c
    names = [load.webhook_id(action) for action in load.actions if action.number in numbers]
    with room.context.ledger.read() as tx:
        return [row.webhook_id for row in tx.all(select(e.webhook_id).where(e.source == load.site, e.webhook_id.in_(names)))]
