"""The origin cannot be written for hours: nobody's retries are spent, and one build brings everything that waited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from pipeline.backends.local import LocalBackend
from pipeline.ledger import tables
from pipeline.model.errors import Transient
from tests.conftest import article

if TYPE_CHECKING:
    import pytest

    from tests.conftest import Newsroom


def test_an_origin_that_is_back_holds_everything_within_minutes(newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, say: no article waits for an hour of its own when there is room again."""
    put = LocalBackend.put

    def full(self: LocalBackend, path: str, body: bytes, media_type: str, fence: int) -> None:
        if "/feeds/" in f"/{path}":
            message = "No space left on device"
            raise Transient(message)
        put(self, path, body, media_type, fence)

    monkeypatch.setattr(LocalBackend, "put", full)
    for number in range(4):
        newsroom.send("published", article(id=f"a-{number}"))
        newsroom.drain()
        newsroom.clock.move(7)
    for _ in range(60):
        newsroom.clock.move(301)
        newsroom.drain()
    assert newsroom.feed_ids() == []
    with newsroom.context.ledger.read() as tx:
        rows = tx.all(select(tables.deliveries.c.state, tables.deliveries.c.attempts).where(tables.deliveries.c.outlet == "demo/feed:all"))
    assert {row.attempts for row in rows} == {0}
    assert {row.state for row in rows} <= {"retrying", "pending"}
    monkeypatch.setattr(LocalBackend, "put", put)
    newsroom.clock.move(301)
    newsroom.drain()
    assert sorted(newsroom.feed_ids()) == [f"a-{number}" for number in range(4)]
    assert all(newsroom.states(f"a-{number}")["demo/feed:all"] == "settled" for number in range(4))
