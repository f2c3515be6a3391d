"""Clocks (FT12): machines that disagree about the time, and clocks that jump, change neither the order nor who holds a lease."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest

from pipeline import upkeep, validate
from pipeline.kit import signatures
from pipeline.kit.clock import SetClock, SystemClock
from pipeline.ledger import Ledger, outlets
from pipeline.ledger.outlets import LEASE
from tests.conftest import START, Newsroom, article, open_newsroom
from tests.faults.conftest import scaled
from tests.faults.test_order import CONFIG, STEPS_OF_OTHERS, Drained, explore
from tests.support.running import PATIENCE

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from tests.faults.scoreboard import Score

HISTORIES = scaled(30, 100)
JUMPS = (600.0, -600.0, -3600.0)
BEHIND, AHEAD = timedelta(minutes=-10), timedelta(minutes=10)
SECRET = b"the secret of a test newsroom, 32"
WINDOW = 300


@dataclass
class Jumping(Drained):
    """The press run's clock jumps whenever time passes; the newsroom has a clock of its own, and that is right."""

    newsroom: SetClock = field(default_factory=lambda: SetClock(START - timedelta(days=20)))
    luck: Random = field(default_factory=Random)
    jumps: int = 0

    def now(self) -> datetime:
        """The newsroom's time."""
        return self.newsroom.now()

    def pass_time(self, seconds: int) -> None:
        """It passes in the newsroom; ours goes anywhere. Upkeep was there shortly before, as it is every second."""
        self.newsroom.move(seconds)
        upkeep.run(self.context)
        self.room.clock.move(self.luck.choice([*JUMPS, float(seconds)]))
        self.jumps += 1


@pytest.mark.fault("FT12")
@pytest.mark.timeout(400)
def test_clock_that_jumps(database: str, database_url: str, tmp_path: Path, score: Score) -> None:
    """Ten minutes either way and an hour back, in the middle of histories: every outlet ends with what the newsroom did last."""
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}" if database == "sqlite" else database_url
    way = Jumping(open_newsroom(tmp_path, url, CONFIG), luck=Random(score.seed))
    try:
        explore(lambda: way, HISTORIES, STEPS_OF_OTHERS * 2, replayable=False)
    finally:
        way.context.close()
    score.note("histories", HISTORIES, "")
    score.note("jumps", way.jumps, "")
    assert way.jumps


def test_what_waited_when_the_clock_was_put_back_is_due(newsroom: Newsroom) -> None:
    """It was due at once; it does not wait until the clock has caught up."""
    newsroom.drain()
    newsroom.clock.move(60)
    upkeep.run(newsroom.context)
    newsroom.send("published", article())
    validate.run(newsroom.context, ["newsroom"])
    newsroom.clock.move(-3600)
    newsroom.drain()
    assert set(newsroom.states().values()) == {"settled"}


@pytest.mark.fault("FT12")
def test_clocks_apart(postgres: str, tmp_path: Path, score: Score) -> None:
    """Two workers twenty minutes apart: a lease is as long as the database says, for both."""
    score.database = "postgres"
    room = open_newsroom(tmp_path, postgres)
    early, late = (Ledger(postgres, SetClock(SystemClock().now() + off)) for off in (BEHIND, AHEAD))
    key = "demo/feed:all"
    for number, (mine, other) in enumerate(((early, late), (late, early))):
        with mine.write() as tx:
            hold = outlets.claim(tx, key, f"worker {number}")
            began = tx.now
        assert hold is not None
        score.count("double", [f"worker {number}'s lease was taken from it"] if _claimed(other, key) else [])
        with mine.write() as tx:
            assert outlets.renew(tx, hold)
        ends = SystemClock().monotonic() + PATIENCE
        while not _claimed(other, key):
            assert SystemClock().monotonic() < ends
            SystemClock().sleep(0.05)
        with other.read() as tx:
            score.count("double", ["a lease ended early"] if tx.now - began < LEASE else [])
        with mine.write() as tx:
            score.count("double", ["who lost it still writes"] if outlets.progress(tx, hold, {"suspect": 1}) else [])
            outlets.free_leases(tx, ["the other"])
    for ledger in (early, late):
        ledger.close()
    room.context.close()
    assert score.clean, score.problems


def _claimed(ledger: Ledger, key: str) -> bool:
    with ledger.write() as tx:
        return outlets.claim(tx, key, "the other") is not None


@pytest.mark.fault("FT12")
def test_signature_window(small_newsroom: Newsroom, score: Score) -> None:
    """Three hundred seconds either way are taken, to the second; a microsecond more is not."""
    now = int(START.timestamp())
    wrong = []
    for off in (-WINDOW - 1, -WINDOW, -WINDOW + 1, 0, WINDOW - 1, WINDOW, WINDOW + 1):
        for part in (0.0, 1e-6, -1e-6):
            headers = {
                "webhook-id": "msg_1",
                "webhook-timestamp": str(now + off),
                "webhook-signature": signatures.sign(SECRET, "msg_1", now + off, b"{}"),
            }
            taken = _taken(headers, now + part)
            if taken is not (abs(off - part) <= WINDOW):
                wrong.append(f"{off} s off, at {part:+} s: {'taken' if taken else 'refused'}")
    score.count("malformed", wrong)
    assert score.clean, score.problems


def _taken(headers: dict[str, str], now: float) -> bool:
    try:
        signatures.verify(headers, b"{}", [SECRET], now, WINDOW)
    except signatures.BadSignature:
        return False
    return True
