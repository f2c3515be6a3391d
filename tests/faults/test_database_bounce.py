"""Database bounce (FT6): a database that dies and comes back, or is locked by somebody else, costs time and nothing more."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from pipeline.ledger import tables
from tests.faults import reading
from tests.faults.checking import judge
from tests.faults.conftest import LONG, scaled
from tests.faults.load import SITE, Load, story
from tests.faults.test_accept_or_refuse import locked
from tests.support.own_postgres import own_postgres
from tests.support.running import running_in

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.faults.scoreboard import Score
    from tests.support.running import Running

ARTICLES = scaled(60, 600)
TIMES = 3
LOCKED = 5.0 if LONG else 2.0
"""Seconds the lock is held by somebody else, each time."""


@pytest.mark.fault("FT6")
@pytest.mark.timeout(300)
def test_database_bounce(tmp_path: Path, database: str, score: Score) -> None:
    """Three times amid publishing; the newsroom sends again what was refused, and subscribers read on."""
    with ExitStack() as stack:
        room, bounce = stack.enter_context(_room_and_bounce(tmp_path, database))
        load = Load(room.context.settings.server.port, story("b", ARTICLES, score.seed, room.context.clock.now()))
        readers = [stack.enter_context(reader) for reader in reading.everybody(load.port, SITE)]
        senders = load.start(per_second=len(load.actions) / (TIMES * 2.0))
        resumed = []
        for _ in range(TIMES):
            before = _settled(room)
            room.until(lambda before=before: _settled(room) > before or not _sending(senders))  # type: ignore[misc]
            with bounce():
                pass
            resumed.append(_resumed(room, lambda: _sending(senders)))
        for sender in senders:
            room.until(lambda sender=sender: not sender.is_alive())  # type: ignore[misc]
        score.note("resumed at the latest after", max(resumed), target=5.0)
        score.note("refused meanwhile", sum(load.refused.values()), "times")
        judge(room, load, score, readers)
    assert score.clean, score.problems


def _sending(senders: list[threading.Thread]) -> bool:
    return any(sender.is_alive() for sender in senders)


def _resumed(room: Running, sending: Callable[[], bool]) -> float:
    """Seconds until something is delivered again."""
    began, before = time.monotonic(), _settled(room)
    room.until(lambda: _settled(room) > before or not (sending() or room.open_work(SITE)))
    return time.monotonic() - began


def _settled(room: Running) -> int:
    """Deliveries that were made so far, of every revision."""
    d = tables.deliveries.c
    with room.context.ledger.read() as tx:
        return int(tx.value(select(func.coalesce(func.sum(d.held_number + 1), 0)).where(d.state == "settled")))


@contextmanager
def _room_and_bounce(folder: Path, database: str) -> Iterator[tuple[Running, Callable[[], AbstractContextManager[None]]]]:
    """A room over that database, and what happens to the database in a `with`."""
    if database == "sqlite":

        @contextmanager
        def lock() -> Iterator[None]:
            with locked(room.context.settings.data / "ledger.sqlite"):
                time.sleep(LOCKED)
                yield

        with running_in(folder, sites=(SITE,)) as room:
            yield room, lock
        return
    with own_postgres() as server, running_in(folder, server.url(), sites=(SITE,)) as room:

        @contextmanager
        def restart() -> Iterator[None]:
            server.kill()
            server.start()
            yield

        yield room, restart
