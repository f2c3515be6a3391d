"""Ten thousand subscriptions that have what they should cost nothing: no statement walks them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from pipeline import feeds, hub, upkeep
from pipeline.ledger import subscriptions
from pipeline.ledger import tables as t
from pipeline.ledger.subscriptions import Ask
from tests.conftest import article, open_newsroom
from tests.ledger.explaining import Explainer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Newsroom

MANY = 10_000
MOST = {"sqlite": 6_000, "postgres": 1_000}
"""Steps of SQLite's virtual machine, rows met by PostgreSQL, in one statement; going through all of them takes 100,000 and 10,000."""


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_what_is_settled_costs_nothing(tmp_path: Path, request: pytest.FixtureRequest, database: str) -> None:
    """Only counting them goes through an index of them, for the metrics and for the bound on how many there may be."""
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}" if database == "sqlite" else request.getfixturevalue("postgres")
    room = open_newsroom(tmp_path, url)
    room.send("published", article())
    room.drain()
    _stock(room)
    with Explainer() as explainer:
        with explainer.path("upkeep"):
            upkeep.run(room.context)
        with explainer.path("hub"):
            hub.run(room.context)
        with explainer.path("ask"), room.context.ledger.write() as tx:
            topic = f"{room.context.settings.sites[0].feeds_base}all.atom"
            assert subscriptions.ask(tx, [_ask(topic, MANY + 1)], room.context.settings.hub) == ["most"]
        with explainer.path("feeds"):
            feeds.run(room.context, ["demo/feed:all"])
    seen = [plan for plan in explainer.plans.values() if "subscriptions" in plan.statement]
    assert {plan.where for plan in seen} >= {"upkeep", "hub", "ask"}
    counting = [plan for plan in seen if "count(*)" in plan.statement]
    assert len(counting) >= 2
    long = [plan for plan in seen if plan.work > MOST[database] and plan not in counting]
    assert not long, "\n".join(map(str, long))
    room.context.close()


def _stock(room: Newsroom) -> None:
    """Half of them in each of two formats, all of them told."""
    base = room.context.settings.sites[0].feeds_base
    with room.context.ledger.write() as tx:
        told = {"kind": "subscriber", "state": "active", "expires_at": tx.now + timedelta(days=5), "held_seq": 100, "changed_at": tx.now}
        rows = [
            {
                **told,
                "key": str(number),
                "topic": f"{base}all.{('atom', 'rss')[number % 2]}",
                "callback": f"https://r{number}.example.org/",
                "host": f"r{number}.example.org",
            }
            for number in range(MANY)
        ]
        tx.each(t.subscriptions.insert(), rows)
        tx.run(update(t.topics).values(told_seq=t.topics.c.seq))
        if tx.postgres:
            tx.connection.exec_driver_sql("ANALYZE subscriptions")


def _ask(topic: str, number: int) -> Ask:
    return Ask("subscribe", topic, f"https://r{number % 500}.example.org/{number}", "", 600, "")
