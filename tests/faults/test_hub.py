"""The hub (FT19): a fifth of the subscribers dead, a twentieth slow, strangers who ask for thousands: who lives has the newest in time.

The crowd is in a process of its own. In the middle the worker that tells them is killed; at the end everybody who lives holds what
the feed says, nobody was told something older after it, and no claim is left.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest
from sqlalchemy import func, select

from benchmarks.crowd import SLOW, Crowd, Heard
from benchmarks.hub import LIVE, kinds
from benchmarks.measuring import percentile
from pipeline.ledger import subscription_views, tables
from tests.faults.checking import judge
from tests.faults.conftest import DATABASES, LONG, scaled
from tests.faults.load import SITE, Load, story
from tests.support.running import fresh_database, running_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.scoreboard import Score
    from tests.support.running import Running

SUBSCRIBERS = scaled(40, 1000)
STRANGERS = 5 * SUBSCRIBERS
ROOM = 50  # strangers that the bound of a host lets in
ARTICLES = scaled(4, 8)
_HUB = """
[hub]
per_host = {most}
most = {most}
[retries]
hub = [1, 2, 4, 8]
"""


@pytest.mark.fault("FT19")
@pytest.mark.timeout(500)
@pytest.mark.parametrize("database", DATABASES if LONG else DATABASES[:1])  # who never answers takes half a minute of each
def test_hub(tmp_path: Path, request: pytest.FixtureRequest, score: Score, database: str) -> None:
    """Each that lives is told within seconds, whoever else is not; strangers are asked one question each, and only some of them."""
    with _room(tmp_path, request, database) as (room, crowd):
        load = Load(room.context.settings.server.port, story("h", ARTICLES, score.seed, room.context.clock.now()))
        topic, hub = f"{room.context.settings.site(SITE).feeds_base}all.atom", room.context.settings.hub_url
        load.send(again=True)
        room.settle(SITE)
        _subscribe(room, crowd, hub, topic)
        seconds = [_change(room, crowd, score, name, topic) for name in ("known", "unknown")]
        before = crowd.requests()
        flooded = crowd.subscribe(hub, topic, {"stranger": STRANGERS})
        seconds.append(_change(room, crowd, score, "flooded", topic))
        room.until(lambda: not _count(room, "asked"))
        score.note("strangers refused at once", flooded.count(429) / STRANGERS * 100, "%")
        score.note("requests for a stranger", (crowd.requests() - before - SUBSCRIBERS) / STRANGERS, "", target=1)
        score.note("the hub's worker", _memory(room), "MB", target=200)
        room.kill("reach")
        seconds.append(_change(room, crowd, score, "killed", topic))
        for what, found in zip(("first", "second", "in a flood", "after a kill"), seconds, strict=True):
            score.note(f"{what}, p50", percentile(found, 0.5))
            score.note(f"{what}, p99", percentile(found, 0.99), target=None if what == "after a kill" else 2.0)
        _look(room, crowd, score, topic)
        judge(room, load, score)
    assert score.clean, score.problems


@contextmanager
def _room(folder: Path, request: pytest.FixtureRequest, database: str) -> Iterator[tuple[Running, Crowd]]:
    with ExitStack() as stack:
        crowd = stack.enter_context(Crowd())
        url = database if database == "sqlite" else stack.enter_context(fresh_database(request.getfixturevalue("postgres_server")))
        hub = _HUB.format(most=SUBSCRIBERS + ROOM)
        yield stack.enter_context(running_in(folder, url, sites=(SITE,), more=hub, allow=crowd.authorities)), crowd


def _subscribe(room: Running, crowd: Crowd, hub: str, topic: str) -> None:
    """Everybody, verified; then some are gone."""
    assert set(crowd.subscribe(hub, topic, kinds(SUBSCRIBERS))) == {202}
    room.until(lambda: _count(room, "active") == SUBSCRIBERS)
    assert crowd.verified() == SUBSCRIBERS
    crowd.leave()


def _count(room: Running, state: str) -> int:
    with room.context.ledger.read() as tx:
        return subscription_views.by_state(tx).get(state, 0)


def _change(room: Running, crowd: Crowd, score: Score, name: str, topic: str) -> list[float]:
    """One article; seconds until each that lives holds the feed as it stands then."""
    began = room.context.clock.now().timestamp()
    room.send("published", _article(name, score.seed), site=SITE)
    room.settle(SITE)
    newest = hashlib.sha256(room.get(topic).body).hexdigest()
    living = {(kind, number) for kind in LIVE for number in range(kinds(SUBSCRIBERS)[kind])}

    def holding() -> dict[tuple[str, int], Heard]:
        return {(one.kind, one.number): one for one in reversed(crowd.heard()) if one.sha256 == newest and one.kind in LIVE}

    if not room.wait(lambda: holding().keys() >= living):
        score.count("lost", [f"{name}: {who} was not told" for who in sorted(living - holding().keys())])
    room.wait(lambda: not _claimed(room, () if LONG else _dead(crowd)), 2 * SLOW)  # the long form has figures: it begins each at rest
    return [one.at - began for one in holding().values()]


def _article(name: str, seed: int) -> dict[str, object]:
    """One that is no part of the load: it stands in no window that the checker looks into."""
    from tests.conftest import article

    return article(
        id=f"told-{seed}-{name}", url=f"https://www.example.org/news/told-{name}.html", headline=f"Told {name}", section=["Culture"]
    )


def _claimed(room: Running, but: tuple[str, ...] = ()) -> int:
    """How many somebody is at; without those whose callback begins with one of `but`."""
    s = tables.subscriptions.c
    with room.context.ledger.read() as tx:
        others = (s.callback.not_like(f"{start}%") for start in but)
        return int(tx.value(select(func.count()).where(s.claimed_by.is_not(None), *others)))


def _memory(room: Running) -> float:
    return float(psutil.Process(room.supervisor.children["reach"].process.pid).memory_info().rss / 1e6)


def _look(room: Running, crowd: Crowd, score: Score, topic: str) -> None:
    """Nobody heard an older text after a newer one; the living subscribe still, nothing waits for them, and none is claimed."""
    latest: dict[tuple[str, int], str] = {}
    for one in crowd.heard():
        who = (one.kind, one.number)
        if one.kind in LIVE and one.updated < latest.get(who, ""):
            score.count("malformed", [f"{who} was told {one.updated} after {latest[who]}"])
        latest[who] = max(one.updated, latest.get(who, ""))
    # Those who never answer are tried again whatever else happens; after a kill by themselves, one in a quarter of a second.
    room.until(lambda: not _claimed(room, _dead(crowd)))
    with room.context.ledger.read() as tx:
        rows = subscription_views.listed(tx, topic, "active", SUBSCRIBERS + ROOM)
    behind = [row.callback for row in rows if row.held_seq < row.seq and not row.callback.startswith(_dead(crowd))]
    score.count("stuck", [f"{callback} lives and is behind" for callback in behind])
    score.count("lost", [f"{SUBSCRIBERS - len(rows)} subscriptions are gone"] if len(rows) != SUBSCRIBERS else [])


def _dead(crowd: Crowd) -> tuple[str, ...]:
    return tuple(start for kind in ("silent", "gone") for start in crowd.starts(kind))
