"""The checker counts what is wrong: each fault planted here is found, and nothing is where there is none."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
from sqlalchemy import update

from pipeline.ledger import tables
from tests.faults.checking import doubled, missing_events
from tests.faults.load import Load, story

if TYPE_CHECKING:
    from tests.conftest import Newsroom
    from tests.faults.newsroom_order import Action
    from tests.support.running import Running


@pytest.fixture
def load(small_five: Newsroom) -> Load:
    """Three articles, sent, acknowledged and published."""
    made = Load(0, story("c", 3, 1, small_five.clock.now(), changed=0.0), "demo")
    for action in made.actions:
        send(small_five, made, action)
        made.answered[action.number] = 202
    small_five.drain()
    return made


def send(room: Newsroom, load: Load, action: Action, **changes: Any) -> None:
    """Store the webhook of an action."""
    room.send(action.kind, {**action.data(action.at), **changes}, at=action.at, webhook_id=load.webhook_id(action))


def found(room: Newsroom, load: Load) -> list[str]:
    """What is lost or doubled."""
    here = cast("Running", room)  # of a room both ask for its context alone
    return [*missing_events(here, load), *doubled(here, load)]


def test_nothing_is_counted_where_nothing_is_wrong(small_five: Newsroom, load: Load) -> None:
    """Neither lost nor doubled."""
    assert found(small_five, load) == []


def test_an_acknowledged_event_that_is_gone_is_lost(small_five: Newsroom, load: Load) -> None:
    """Though its article stands."""
    with small_five.context.ledger.write() as tx:
        tx.run(update(tables.events).where(tables.events.c.webhook_id == "c_1").values(webhook_id="another"))
    assert found(small_five, load) == ["c_1 was acknowledged and is not stored"]


def test_an_event_that_still_waits_is_lost(small_five: Newsroom, load: Load) -> None:
    """The test has waited long enough."""
    with small_five.context.ledger.write() as tx:
        tx.run(update(tables.events).where(tables.events.c.webhook_id == "c_2").values(state="waiting"))
    assert found(small_five, load) == ["c_2 was acknowledged and is waiting"]


def test_an_article_in_another_text_than_its_newest_is_lost(small_five: Newsroom, load: Load) -> None:
    """Old text won."""
    with small_five.context.ledger.write() as tx:
        tx.run(update(tables.revisions).where(tables.revisions.c.headline == "The story cw0w").values(headline="The story cw9w"))
    assert found(small_five, load) == ["c-0 says 'The story cw9w' and was last told as cw0w"]


def test_a_revision_nobody_asked_for_is_doubled(small_five: Newsroom, load: Load) -> None:
    """One webhook of an article, and two revisions of it."""
    first = load.actions[0]
    again = {"updated_at": (first.at + timedelta(seconds=1)).isoformat(), "summary": "Told twice."}
    small_five.send(first.kind, {**first.data(first.at), **again}, at=first.at + timedelta(seconds=1))
    small_five.drain()
    assert found(small_five, load) == ["c-0 has 2 revisions of 1 actions"]
