"""Poison article (FT14): one that kills, hangs or exhausts its worker is touched four times at most, and its neighbours settle.

Real workers meet it, in a batch with others: at validation it ends rejected, at a feed its delivery ends failed; both say
why. A new text of the same article is published like any other.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from pipeline.ledger import tables
from tests.faults.checking import judge
from tests.faults.conftest import LONG
from tests.faults.load import SITE, Load
from tests.faults.newsroom_order import CULTURE, SLUGS, Desk
from tests.support.poison import poisoned
from tests.support.running import running_in

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.newsroom_order import Action
    from tests.faults.scoreboard import Score
    from tests.support.running import Running

ARTICLES = 30
MOST = {"validate": 4, "feeds": 3 * 4}
"""One fast run and three careful ones, at each outlet: a feed and the two sitemaps are what `feeds` makes of them."""

FEED = f"{SITE}/feed:all"
POISON = {11: ("feeds", "kills"), 17: ("feeds", "exhausts")}
"""Place among the articles → where it is poison, and how. Each death costs seconds, so the others are for the long form."""

if LONG:
    POISON |= {5: ("validate", "kills"), 7: ("validate", "hangs"), 9: ("validate", "exhausts")}
    POISON |= {13: ("feeds", "hangs"), 19: ("feeds", "hangs_hard")}


@pytest.mark.fault("FT14")
@pytest.mark.timeout(500)
def test_poison_article(tmp_path: Path, score: Score) -> None:
    """Thirty articles at once, some of them poison; then harmless texts of those."""
    actions, cures = _stories()
    marks = {mark(actions[number]): how for number, how in POISON.items()}
    with poisoned(tmp_path / "poison", marks) as poison, running_in(tmp_path, sites=(SITE,)) as room:
        load = Load(room.context.settings.server.port, [*actions, *cures])
        began = time.monotonic()
        replace(load, actions=actions).send()
        neighbours = {action.article for number, action in enumerate(actions) if number not in POISON}
        room.until(lambda: _settled(room) >= neighbours, 240)
        score.note("its neighbours were settled after", time.monotonic() - began)
        room.until(lambda: all(_told(room, load, actions[n], where) for n, (where, _) in POISON.items()), 300)
        score.note("it was told after", time.monotonic() - began)
        touches = poison.touches()
        score.note("touched at most", max(touches.values()), "times", target=max(MOST.values()))
        often = {n: touches[mark(actions[n])] for n, (where, _) in POISON.items() if touches[mark(actions[n])] > MOST[where]}
        score.count("double", [f"{POISON[n]} was touched {times} times" for n, times in often.items()])
        assert all(touches[found] for found in marks)
        replace(load, actions=cures).send()
        room.killed += sum(touches.values())
        # What was rejected, as it had to be, is nothing the checker may miss: it counts as never acknowledged.
        load.answered |= {actions[n].number: 0 for n, (where, _) in POISON.items() if where == "validate"}
        judge(room, load, score)
    assert score.clean, score.problems


def _stories() -> tuple[list[Action], list[Action]]:
    """Articles that only one feed, the sitemaps and one network take; and a new text of each that is poison."""
    desk, begin = Desk("p"), datetime.now(UTC) - timedelta(seconds=30)
    for number in range(ARTICLES):
        desk.write(f"p-{number}", "published", begin + timedelta(milliseconds=number), CULTURE, SLUGS[0], same_time=False)
    for number in POISON:
        desk.write(f"p-{number}", "corrected", begin + timedelta(seconds=1), CULTURE, SLUGS[0], same_time=False)
    return desk.actions[:ARTICLES], desk.actions[ARTICLES:]


def mark(action: Action) -> str:
    """What tells its text from every other."""
    assert action.text is not None
    return action.text.mark


def _settled(room: Running) -> set[str]:
    """Articles that the feed holds."""
    d, a = tables.deliveries.c, tables.articles.c
    with room.context.ledger.read() as tx:
        rows = tx.all(select(a.cms_id).join(tables.deliveries, d.article_id == a.id).where(d.outlet == FEED, d.state == "settled"))
    return {row.cms_id for row in rows}


def _told(room: Running, load: Load, action: Action, where: str) -> bool:
    """Whether it is seen to have failed, and why: the event's problems, or the delivery's reason."""
    if where == "validate":
        e = tables.events.c
        with room.context.ledger.read() as tx:
            row = tx.first(select(e.state, e.problems).where(e.webhook_id == load.webhook_id(action)))
        return row.state == "rejected" and "stopped its worker" in row.problems[0]["detail"]
    lines = {line.outlet: line for line in room.status(action.article, SITE).outlets} if _known(room, action) else {}
    return FEED in lines and lines[FEED].state == "failed" and bool(lines[FEED].reason)


def _known(room: Running, action: Action) -> bool:
    a = tables.articles.c
    with room.context.ledger.read() as tx:
        return tx.first(select(a.id).where(a.cms_id == action.article)) is not None
