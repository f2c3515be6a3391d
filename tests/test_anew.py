"""What is only made anew, or does not show, changes nothing that anybody was told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.context import register
from pipeline.kit import metrics
from tests.conftest import article

if TYPE_CHECKING:
    import pytest

    from tests.conftest import Newsroom

OLD = {"id": "old", "published_at": "2026-01-02T07:00:00Z"}


def moved_to(room: Newsroom, public_url: str) -> None:
    """The same newsroom at another address, as after a start on another port."""
    context = room.context
    mirrors = tuple(
        replace(m, base_url=m.base_url.replace(context.settings.server.public_url, public_url)) for m in context.settings.sites[0].mirrors
    )
    site = replace(context.settings.sites[0], mirrors=mirrors)
    context.settings = replace(context.settings, server=replace(context.settings.server, public_url=public_url), sites=(site,))
    context.told = type(context.told)()
    assert register(context)


def seconds(room: Newsroom) -> dict[str, float | None]:
    """Outlet → how long it took."""
    return {o.outlet: o.seconds for o in room.status().outlets}


def test_a_changed_address_makes_nothing_late(newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages and payloads are made anew; how long the article took to get there stays what it was."""
    newsroom.send("published", article())
    newsroom.clock.move(2)
    newsroom.drain()
    before = seconds(newsroom)
    newsroom.clock.move(300)
    moved_to(newsroom, "http://127.0.0.1:9999/")
    observed: list[float] = []
    monkeypatch.setattr(type(metrics.delivery_seconds), "observe", lambda _self, value: observed.append(value))
    newsroom.drain()
    assert "127.0.0.1:9999" in newsroom.page()[1]
    assert seconds(newsroom) == before
    assert max(observed, default=0.0) < 300


def test_the_notice_of_a_withdrawn_article_follows_a_changed_address(newsroom: Newsroom) -> None:
    """It names the feeds and the other addresses as any page does."""
    newsroom.send("published", article())
    newsroom.drain()
    newsroom.send("withdrawn", {"id": "a-1"})
    newsroom.drain()
    newsroom.clock.move(5)
    moved_to(newsroom, "http://127.0.0.1:9999/")
    newsroom.drain()
    (notice,) = (newsroom.context.settings.data / "mirrors/demo/one").glob("quiet-harbour-*/index.html")
    assert "http://127.0.0.1:8499" not in notice.read_text()
    assert "http://127.0.0.1:9999" in notice.read_text()


OLD_NEWS = "demo/feed:news-sitemap"


def test_an_article_too_old_for_a_feed_says_so(newsroom: Newsroom) -> None:
    """It is held there in no document, and nothing waits: a news sitemap has no archive."""
    newsroom.send("published", article(**OLD))
    newsroom.drain()
    (held,) = (o for o in newsroom.status("old").outlets if o.outlet == OLD_NEWS)
    assert (held.state, held.reason) == ("settled", "It is older than what this outlet shows.")
    assert b"<url>" not in news(newsroom)


def news(newsroom: Newsroom) -> bytes:
    """The news sitemap."""
    return (newsroom.context.settings.origin / "demo/sitemaps/news-sitemap.xml").read_bytes()


def test_a_change_beyond_the_window_leaves_the_feed_as_it_was(newsroom: Newsroom) -> None:
    """Not a byte: who polls it is told nothing changed."""
    newsroom.send("published", article(**OLD))
    newsroom.drain()
    before = news(newsroom)
    newsroom.clock.move(60)
    newsroom.send("updated", article(**OLD, headline="Another", updated_at="2026-11-23T08:00:30Z"))
    newsroom.drain()
    assert newsroom.status("old").revision == 2
    assert news(newsroom) == before


def test_a_scheduled_article_was_last_edited_before_its_hour(newsroom: Newsroom) -> None:
    """It waits, and is out at its time."""
    event = newsroom.send("published", article(published_at="2026-11-23T09:00:00Z", updated_at="2026-11-23T07:59:00Z"))
    newsroom.drain()
    assert newsroom.seen(event)["status"] == "applied"
    assert newsroom.feed_ids() == []
    newsroom.clock.move(3601)
    newsroom.drain()
    newsroom.drain()
    assert newsroom.feed_ids() == ["a-1"]
