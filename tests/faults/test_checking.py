"""The checker counts what is wrong: each fault planted here is found, and nothing is where there is none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
from sqlalchemy import update

from pipeline.ledger import tables
from tests.faults.checking import Expected, doubled, feed, missing_events
from tests.faults.load import Load, story
from tests.support.running import Answer
from tests.test_archives import TEXT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.context import Context
    from tests.conftest import Newsroom
    from tests.faults.newsroom_order import Action
    from tests.support.running import Running


@pytest.fixture
def load(small_five: Newsroom) -> Load:
    """Three articles, sent, acknowledged and published."""
    return published(small_five, 3)


def published(room: Newsroom, articles: int) -> Load:
    """So many, sent, acknowledged and published."""
    made = Load(0, story("c", articles, 1, room.clock.now(), changed=0.0), "demo")
    for action in made.actions:
        send(room, made, action)
        made.answered[action.number] = 202
    room.drain()
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


@dataclass
class Served:
    """A newsroom whose origin is read as over HTTP."""

    context: Context

    @property
    def folder(self) -> Path:
        """Where the feeds are."""
        return self.context.settings.origin / "demo" / "feeds"

    def get(self, path: str) -> Answer:
        """What stands there."""
        file = self.context.settings.origin / path.lstrip("/")
        return Answer(200, {}, file.read_bytes()) if file.exists() else Answer(404, {}, b"")

    def wrong(self, load: Load) -> list[tuple[str, str]]:
        """What the checker says of a feed."""
        expected = Expected(load)
        return list(feed(cast("Running", self), load, expected, "all.atom", expected.of()))


@pytest.fixture
def archived(make_newsroom: Callable[..., Newsroom]) -> tuple[Served, Load]:
    """Thirteen articles in a feed that shows three and puts four on a page."""
    room = make_newsroom(TEXT)
    load = published(room, 13)
    served = Served(room.context)
    assert len(list(served.folder.glob("all-*.atom"))) == 2
    return served, load


def test_what_left_the_live_document_is_looked_for_in_its_archive(archived: tuple[Served, Load]) -> None:
    """However many articles there are, each is found."""
    served, load = archived
    assert served.wrong(load) == []


def test_what_is_neither_in_the_live_document_nor_in_its_archive_is_lost(archived: tuple[Served, Load]) -> None:
    """A page is gone, and with it four articles."""
    served, load = archived
    min(served.folder.glob("all-*.atom")).unlink()
    assert served.wrong(load) == [("lost", f"all.atom: c-{n} is neither in it nor in its archive") for n in range(4)]


def test_what_is_in_the_live_document_and_in_its_archive_is_doubled(archived: tuple[Served, Load]) -> None:
    """Another page with the same entries, too."""
    served, load = archived
    (served.folder / "all-2026-12-1.atom").write_bytes((served.folder / "all.atom").read_bytes())
    assert served.wrong(load) == [("double", "all-2026-12-1.atom: an entry twice")]
