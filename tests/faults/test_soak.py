"""Soak (FT18): thousands of revisions through one running room, and nothing grows that should not.

Each article is published and then corrected three times. After every portion the room comes to rest and is measured; what
a revision costs is the slope of those measures over the second half: until then what is kept between runs fills up to its
bounds, and forked processes stop sharing the pages they write to.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from sqlalchemy import func, select

from pipeline.ledger import tables
from tasks import broker
from tests.faults.checking import judge
from tests.faults.conftest import LONG, scaled
from tests.faults.load import SITE, Load
from tests.faults.newsroom_order import SECTIONS, SLUGS, Desk
from tests.support.running import running_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.faults.newsroom_order import Action
    from tests.faults.scoreboard import Score
    from tests.support.running import Running

REVISIONS = scaled(400, 20_000)
PORTION = 500 if LONG else 50
TIMES = 4
SECONDS = 360.0
"""After that no further portion is sent: how many revisions were reached is on the line."""

MOST_KEYS = 40
"""Of a resting broker: its queues, their bindings, who reads them, what is unacknowledged."""


@dataclass
class Measures:
    """What was seen after each portion: revisions sent → a figure for each thing."""

    room: Running
    seen: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    def look(self, revisions: int) -> None:
        """Measure everything."""
        children = self.room.supervisor.children
        found = {f"{name} MB": _pss(child.process.pid) for name, child in children.items()}
        with broker._client(self.room.broker_url, 5.0) as client:
            found["Redis keys"] = float(client.dbsize())
            found["Redis MB"] = float(client.info("memory")["used_memory"]) / 1e6
        found["files"] = float(sum(1 for path in self.room.context.settings.data.rglob("*") if not _page(path)))
        self.seen.append((revisions, found))

    def slope(self, name: str) -> float:
        """Growth for each 1,000 revisions, by least squares, over the second half."""
        points = [(revisions / 1000, found[name]) for revisions, found in self.seen[len(self.seen) // 2 :]]
        middle = [sum(axis) / len(points) for axis in zip(*points, strict=True)]
        over = sum((x - middle[0]) * (y - middle[1]) for x, y in points)
        return float(over / (sum((x - middle[0]) ** 2 for x, _ in points) or 1.0))

    def most(self, name: str) -> float:
        """The highest."""
        return max(found[name] for _, found in self.seen)


@pytest.mark.fault("FT18")
@pytest.mark.timeout(900)
def test_soak(tmp_path: Path, score: Score) -> None:
    """Portion after portion, each until everything holds it."""
    with running_in(tmp_path, sites=(SITE,)) as room:
        load = Load(room.context.settings.server.port, _story(room))
        measures, began, sent = Measures(room), time.monotonic(), 0
        while sent < len(load.actions) and time.monotonic() < began + SECONDS:
            replace(load, actions=load.actions[sent : sent + PORTION]).send()
            sent += PORTION
            room.until(lambda: not room.open_work(SITE), 120)
            measures.look(sent)
        score.note("revisions", sent, "", target=REVISIONS, at_most=False)
        score.note("a second", sent / (time.monotonic() - began), "revisions")
        for name in room.supervisor.children:
            score.note(f"{name} for 1,000", measures.slope(f"{name} MB"), "MB", target=0.25 if LONG else None)
            score.note(f"{name} at most", measures.most(f"{name} MB"), "MB")
        score.note("Redis for 1,000", measures.slope("Redis MB"), "MB", target=0.05 if LONG else None)
        score.note("files for 1,000", measures.slope("files"), "", target=0.5 if LONG else None)
        score.note("most Redis keys", measures.most("Redis keys"), "", target=MOST_KEYS)
        for name, table in (("events", tables.events), ("attempts", tables.attempts)):
            with room.context.ledger.read() as tx:
                score.note(f"rows of {name}", tx.value(select(func.count()).select_from(table)), "")
        score.note("ledger for 1,000", _size(room) / 1e6 / (sent / 1000), "MB")
        score.count("stuck", [f"{name} died" for name in room.died])
        judge(room, replace(load, actions=load.actions[:sent]), score)
    assert score.clean, score.problems


def _story(room: Running) -> Sequence[Action]:
    desk, begin = Desk("s"), room.context.clock.now() - timedelta(minutes=2)
    articles = REVISIONS // TIMES
    for group in range(0, articles, PORTION // TIMES):
        names = range(group, min(group + PORTION // TIMES, articles))
        for kind in ("published", *["corrected"] * (TIMES - 1)):
            for number in names:
                section = SECTIONS[number % len(SECTIONS)]
                desk.write(f"s-{number}", kind, begin + timedelta(milliseconds=number), section, SLUGS[0], same_time=False)
    return desk.actions


def _pss(pid: int) -> float:
    """Of a process and those it forked: 10**6 bytes, each shared page counted once among its sharers."""
    total = 0
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        told = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        total += next(int(line.split()[1]) for line in told.splitlines() if line.startswith("Pss:"))
    return total * 1024 / 1e6


def _page(path: Path) -> bool:
    """Whether it is an article's own, or a page of an archive: those grow with the articles."""
    return any("-name-" in part for part in path.parts) or re.search(r"-\d{4}-\d{2}-\d+\.", path.name) is not None


def _size(room: Running) -> int:
    return sum(path.stat().st_size for path in room.context.settings.data.glob("ledger.sqlite*"))
