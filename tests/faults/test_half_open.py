"""A bad network between us and the broker (FT3): connections that stand and carry nothing, resets, torn and late bytes.

Webhooks are answered all the while, as nothing that answers them waits for the broker; and when the network is well again,
work flows again by itself.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest

from tasks.embedded import EmbeddedBroker
from tests.faults.checking import judge
from tests.faults.conftest import LONG
from tests.faults.killing import delivered, percentile
from tests.faults.load import SITE, Load, story
from tests.support.running import running_in
from tests.support.toxic import Toxic, ToxicProxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.scoreboard import Score
    from tests.support.running import Running

PER_SECOND = 15.0
HOLE = 4.0
LONGER = 9.0
"""Seconds, longer than any wait for an answer of the broker (`socket_timeout`, 2 s), so that connections are given up."""

SHORT = ((Toxic.RESET, 1.0), (Toxic.LATENCY, 1.0), (Toxic.SLICE, 1.0), (Toxic.REFUSE, 1.0), (Toxic.FORGET, 0.0))
BUSY = (*((toxic, HOLE) for toxic, _ in SHORT), (Toxic.BLACK_HOLE, HOLE), (Toxic.BLACK_HOLE, LONGER)) if LONG else SHORT


@contextmanager
def room_behind(folder: Path) -> Iterator[tuple[Running, ToxicProxy]]:
    """A press run whose broker is reached through a network that can be told to be bad."""
    (folder / "redis").mkdir()
    (folder / "room").mkdir()
    with (
        EmbeddedBroker(folder / "redis") as server,
        ToxicProxy(Path(unquote(urlsplit(server.url).path))) as proxy,
        running_in(folder / "room", "sqlite", broker=f"redis://127.0.0.1:{proxy.port}", sites=("storm",)) as room,
    ):
        yield room, proxy


@pytest.mark.fault("FT3")
@pytest.mark.timeout(300)
def test_half_open_network(tmp_path: Path, score: Score) -> None:
    """Each fault in turn while articles arrive; then a black hole while the workers wait for something to do."""
    score.database = "sqlite"
    with room_behind(tmp_path) as (room, proxy):
        load = Load(room.context.settings.server.port, story("h", 10_000, score.seed, room.context.clock.now()))
        for toxic, seconds in BUSY:
            senders = load.start(per_second=PER_SECOND)
            assert room.wait(lambda: delivered(room)), room.account()
            proxy.toxic = toxic
            time.sleep(seconds)
            note(score, f"after {toxic.name.lower().replace('_', ' ')} of {seconds:.0f} s", healed(room, proxy))
            load.end(senders)
        room.settle(SITE)
        proxy.toxic = Toxic.BLACK_HOLE  # each worker waits in BRPOP, and the sender of nudges meets it in its next send
        senders = load.start(per_second=PER_SECOND)
        time.sleep(HOLE)
        note(score, "after a black hole at rest", healed(room, proxy))
        load.end(senders)
        answered = sorted(load.seconds)
        score.note("worst answer to a webhook", answered[-1], target=2.0)
        score.note("p99 answer", percentile(answered, 0.99))
        score.note("webhooks", len(answered), "")
        score.count("stuck", [f"{count} webhooks were answered {status}" for status, count in load.refused.items()])
        judge(room, load, score)
        score.count("stuck", [f"{name} died" for name in room.died])
    assert score.clean, score.problems


def note(score: Score, what: str, seconds: float) -> None:
    """How long it took until work flowed again."""
    score.note(what, seconds, target=10.0)


def healed(room: Running, proxy: ToxicProxy) -> float:
    """Make the network well; seconds until an article that was accepted after that is delivered."""
    proxy.toxic = Toxic.PASS
    began = time.monotonic()
    with room.context.ledger.read() as tx:
        when = tx.now
    assert room.wait(lambda: delivered(room, when)), room.account()
    return time.monotonic() - began
