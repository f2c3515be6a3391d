"""What belongs to a source or outlet that is no longer configured: kept, seen, left alone, and gone on with when it is back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY
from sqlalchemy import select, update

from pipeline import upkeep
from pipeline.ledger import tables
from pipeline.model.run import Step
from tests.conftest import article

if TYPE_CHECKING:
    from tests.conftest import Newsroom


def nudged(room: Newsroom) -> list[tuple[Step, tuple[str, ...]]]:
    """What upkeep asks for."""
    return [(nudge.step, nudge.keys) for nudge in upkeep.run(room.context).nudges]


def test_events_of_a_removed_source_wait_without_a_nudge_until_it_is_back(newsroom: Newsroom) -> None:
    """Nobody could read them; they are counted all the same, and answered for."""
    settings = newsroom.context.settings
    newsroom.drain()
    event_id = newsroom.send("published", article())
    newsroom.context.settings = replace(settings, sources=())
    for _ in range(3):
        assert nudged(newsroom) == []
        newsroom.clock.move(10)
    assert newsroom.seen(event_id)["status"] == "accepted"
    assert REGISTRY.get_sample_value("pressrun_waiting_events", {"source": "newsroom"}) == 1
    newsroom.context.settings = settings
    assert nudged(newsroom) == [(Step.VALIDATE, ("newsroom",))]
    newsroom.drain()
    assert newsroom.feed_ids() == ["a-1"]


def test_an_outlet_that_was_removed_before_it_held_anything_is_not_nudged(newsroom: Newsroom) -> None:
    """Its rows wait for its return."""
    settings = newsroom.context.settings
    newsroom.drain()
    with newsroom.context.ledger.write() as tx:
        tx.run(update(tables.outlets).where(tables.outlets.c.kind == "mirror").values(wanted_seq=9))
    site = settings.sites[0]
    newsroom.context.settings = replace(settings, sites=(replace(site, mirrors=()),))
    newsroom.clock.move(10)
    assert nudged(newsroom) == []
    newsroom.context.settings = settings
    assert nudged(newsroom) == [(Step.MIRRORS, ("demo/mirror:one",))]


def test_an_embargo_that_ends_while_its_site_is_removed_is_kept(newsroom: Newsroom) -> None:
    """Nothing is called live that nobody delivers: it is planned when the site is back."""
    settings = newsroom.context.settings
    newsroom.send("published", article(embargo_until="2026-11-23T09:00:00Z"))
    newsroom.drain()
    newsroom.context.settings = replace(settings, sites=())
    newsroom.clock.move(7200)
    upkeep.run(newsroom.context)
    with newsroom.context.ledger.read() as tx:
        assert tx.value(select(tables.revisions.c.state)) == "waiting"
    newsroom.context.settings = settings
    newsroom.drain()
    assert newsroom.feed_ids() == ["a-1"]
