"""Long outage (FT17): an outlet that is down for three days is still tried after them, and gets the newest revision and no other.

On a virtual clock, against a real server over HTTP that counts what is put to it.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from pipeline.ledger import tables
from pipeline.model.errors import Transient
from tests.faults.conftest import scaled
from tests.faults.test_mirror_outages import hours, refuse
from tests.support.mirrors import KEY, rows, story
from tests.support.put_server import Fault

if TYPE_CHECKING:
    from tests.conftest import Newsroom
    from tests.faults.scoreboard import Score
    from tests.support.put_server import PutServer

HOUR = 3600.0
DAYS_3 = 72 * HOUR
ARTICLES = scaled(6, 40)
REVISIONS = 5


def _database(room: Newsroom) -> str:
    return "sqlite" if room.context.ledger.sqlite else "postgres"


@pytest.mark.fault("FT17")
@pytest.mark.timeout(300)
def test_three_days_without_a_mirror(remote_over_each: Newsroom, server: PutServer, score: Score) -> None:
    """Corrected again and again meanwhile: on its return each page is put once, with its last text, and what was withdrawn never."""
    room, score.database = remote_over_each, _database(remote_over_each)
    server.fault = Fault.ERROR
    names = [f"a-{number}" for number in range(ARTICLES)]
    for revision in range(REVISIONS):
        for name in names:
            changed = {"headline": f"Text {revision} of {name}", "updated_at": f"2026-11-{23 + revision // 2}T0{7 + revision % 2}:10:00Z"}
            room.send("published" if revision == 0 else "corrected", story(name, **changed))
        room.drain()
        hours(room, DAYS_3 / REVISIONS)
    room.send("withdrawn", {"id": names[0]})
    room.drain()
    asked = len(server.seen)
    server.fault = Fault.NONE
    hours(room, HOUR, 300)
    score.note("requests in three days", asked, "")
    score.count(
        "stuck",
        [f"article {number} is {row.state}" for number, row in rows(room.context).items() if row.state not in {"settled", "skipped"}],
    )
    for name in names:
        put, wanted = [body for path, body in server.kept if f"{name}-" in path], 0 if name == names[0] else 1
        score.count("double", [f"{name} was put {len(put)} times, not {wanted}"] if len(put) != wanted else [])
        last = f"Text {REVISIONS - 1} of {name}".encode()
        score.count("lost", [f"{name} was put with another text than its last" for body in put if last not in body])
    assert score.clean, score.problems


@pytest.mark.fault("FT17")
@pytest.mark.timeout(300)
def test_three_days_of_one_page(remote: Newsroom, server: PutServer, score: Score, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pages that alone are refused: their own schedules reach beyond three days, each with a jitter of its own."""
    score.database = _database(remote)
    for name in ("bad-1", "bad-2", "good"):
        remote.send("published", story(name))
    with monkeypatch.context() as patched:
        refuse(patched, "bad-", Transient("503 Service Unavailable"))
        remote.drain()
        hours(remote, DAYS_3, 900)
        assert {remote.states(name)[KEY] for name in ("bad-1", "bad-2")} == {"retrying"}
        assert remote.states("good")[KEY] == "settled"
    gaps = [_gaps(remote, article) for article in sorted(rows(remote.context))[:2]]
    planned = remote.context.settings.retries.mirror
    score.note("attempts in three days", len(gaps[0]) + 1, "")
    score.note("schedule reaches", sum(planned) * 0.8 / HOUR, "h at least", target=72.0, at_most=False)
    apart = [first != second for first, second in zip(*gaps, strict=False)]
    score.count("double", [] if any(apart) else ["two pages march in step"])
    hours(remote, 30 * HOUR, 600)
    score.count("stuck", [f"{name} is {remote.states(name)[KEY]}" for name in ("bad-1", "bad-2") if remote.states(name)[KEY] != "settled"])
    assert score.clean, score.problems


def _gaps(room: Newsroom, article: int) -> list[float]:
    """Seconds between an article's attempts at the mirror."""
    a = tables.attempts.c
    with room.context.ledger.read() as tx:
        times = [row.at for row in tx.all(select(a.at).where(a.article_id == article, a.outlet == KEY).order_by(a.id))]
    return [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(times)]
