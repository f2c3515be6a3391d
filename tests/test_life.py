"""The life of a story, from the newsroom's side, over drain and each database."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tests.conftest import START, article

if TYPE_CHECKING:
    from tests.conftest import Newsroom


def test_a_published_article_is_everywhere(newsroom: Newsroom) -> None:
    """One event, and every outlet whose rules match holds it."""
    event = newsroom.send("published", article())
    newsroom.drain()
    assert newsroom.seen(event)["status"] == "applied"
    assert set(newsroom.states().values()) == {"settled"}
    assert newsroom.feed_ids("all") == newsroom.feed_ids("world") == ["a-1"]
    assert b"A quiet harbour" in newsroom.feed("all", "rss")
    status, page = newsroom.page()
    assert status == 200
    assert "A quiet harbour" in page


def test_an_update_replaces_the_text_and_keeps_the_guid(newsroom: Newsroom) -> None:
    """One entry, the same id, the new text, a later Atom date."""
    newsroom.send("published", article())
    newsroom.drain()
    before = newsroom.feed("all", "atom")
    newsroom.clock.move(60)
    newsroom.send("updated", article(headline="A loud harbour", updated_at="2026-11-23T08:00:30Z"))
    newsroom.drain()
    after = newsroom.feed("all", "atom")
    assert newsroom.feed_ids() == ["a-1"]
    assert b"A loud harbour" in after
    assert b"A quiet harbour" not in after
    assert b"<updated>2026-11-23T08:00:30" in after
    assert before != after
    assert "A loud harbour" in newsroom.page()[1]


def test_a_correction_carries_its_note(newsroom: Newsroom) -> None:
    """The page and the feed say what was put right."""
    newsroom.send("published", article())
    newsroom.drain()
    note = {"note": "An earlier version named the wrong harbour.", "at": "2026-11-23T07:30:00Z"}
    newsroom.send("corrected", article(correction=note, updated_at="2026-11-23T07:30:00Z"))
    newsroom.drain()
    assert "named the wrong harbour" in newsroom.page()[1]
    assert b"named the wrong harbour" in newsroom.feed("all", "rss")
    assert newsroom.status().revision == 2


def test_a_change_of_section_leaves_the_old_feed(newsroom: Newsroom) -> None:
    """What held a copy is told, though its rules no longer match."""
    newsroom.send("published", article())
    newsroom.drain()
    newsroom.send("updated", article(section=["Culture"], updated_at="2026-11-23T07:30:00Z"))
    newsroom.drain()
    assert newsroom.feed_ids("world") == []
    assert newsroom.feed_ids("all") == ["a-1"]
    assert newsroom.states()["demo/feed:world"] == "settled"


def test_an_outlet_that_never_had_it_is_skipped_with_its_reason(newsroom: Newsroom) -> None:
    """Nothing held, nothing to do, and the operator can read why."""
    newsroom.send("published", article(section=["Culture"]))
    newsroom.drain()
    line = next(o for o in newsroom.status().outlets if o.outlet == "demo/feed:world")
    assert line.state == "skipped"
    assert "Culture" in line.reason


def test_a_withdrawal_removes_it_everywhere(newsroom: Newsroom) -> None:
    """Feeds drop it, the mirror answers 410, the share payloads go, and the status says when."""
    newsroom.send("published", article())
    newsroom.drain()
    newsroom.clock.move(5)
    newsroom.send("withdrawn", {"id": "a-1", "reason": "It was not true."})
    newsroom.drain()
    status = newsroom.status()
    assert status.state == "withdrawn"
    assert status.settled
    assert all(o.seconds is not None for o in status.outlets)
    assert newsroom.feed_ids("all") == newsroom.feed_ids("world") == []
    assert b"deleted-entry" in newsroom.feed("all", "atom")
    code, page = newsroom.page()
    assert code == 410
    assert "It was not true." in page


def test_a_withdrawn_article_may_be_published_again(newsroom: Newsroom) -> None:
    """A later publish brings it back, at the same address."""
    newsroom.send("published", article())
    newsroom.send("withdrawn", {"id": "a-1"})
    newsroom.drain()
    newsroom.clock.move(5)
    newsroom.send("published", article())
    newsroom.drain()
    assert newsroom.feed_ids() == ["a-1"]
    assert newsroom.page()[0] == 200
    assert b"deleted-entry" not in newsroom.feed("all", "atom")


def test_an_embargo_is_a_hard_gate(newsroom: Newsroom) -> None:
    """Nothing anywhere before its time; everywhere after it."""
    event = newsroom.send("published", article(embargo_until="2026-11-23T09:00:00Z"))
    newsroom.drain()
    assert newsroom.seen(event)["status"] == "applied"
    assert newsroom.status().state == "waiting"
    assert newsroom.feed_ids() == []
    everything = [p for p in newsroom.context.settings.data.rglob("*") if p.is_file() and "ledger" not in p.name]
    assert not [p for p in everything if b"quiet" in p.read_bytes().lower()]
    newsroom.clock.move(3601)
    newsroom.drain()
    assert newsroom.feed_ids() == ["a-1"]
    assert newsroom.status().settled


def test_the_revision_before_an_embargoed_one_stays_live(newsroom: Newsroom) -> None:
    """An update under embargo shows nothing of itself until its time."""
    newsroom.send("published", article())
    newsroom.drain()
    newsroom.send("updated", article(headline="Later", updated_at="2026-11-23T07:59:00Z", embargo_until="2026-11-23T09:00:00Z"))
    newsroom.drain()
    assert "A quiet harbour" in newsroom.page()[1]
    newsroom.clock.move(3601)
    newsroom.drain()
    assert "Later" in newsroom.page()[1]


def test_a_withdrawal_ends_an_embargoed_revision(newsroom: Newsroom) -> None:
    """Withdrawn while it waited: it never appears."""
    newsroom.send("published", article(embargo_until="2026-11-23T09:00:00Z"))
    newsroom.drain()
    newsroom.send("withdrawn", {"id": "a-1"})
    newsroom.clock.move(3601)
    newsroom.drain()
    assert newsroom.feed_ids() == []
    assert newsroom.status().state == "withdrawn"


def test_a_stale_event_is_kept_and_not_applied(newsroom: Newsroom) -> None:
    """The older of two revisions changes nothing, whenever it comes."""
    newsroom.send("updated", article(headline="New", updated_at="2026-11-23T07:50:00Z"))
    newsroom.drain()
    event = newsroom.send("published", article(headline="Old", updated_at="2026-11-23T07:10:00Z"))
    newsroom.drain()
    assert newsroom.seen(event)["status"] == "stale"
    assert "New" in newsroom.page()[1]


def test_a_publish_overtaken_by_its_withdrawal_stays_withdrawn(newsroom: Newsroom) -> None:
    """The withdrawal gives no updated_at; its floor is the newest known, its time decides above that."""
    newsroom.send("published", article(updated_at="2026-11-23T07:10:00Z"), at=START)
    newsroom.drain()
    newsroom.send("withdrawn", {"id": "a-1"}, at=START + timedelta(seconds=30))
    newsroom.drain()
    late = newsroom.send("updated", article(headline="Late", updated_at="2026-11-23T07:20:00Z"), at=START + timedelta(seconds=20))
    newsroom.drain()
    assert newsroom.seen(late)["status"] == "stale"
    assert newsroom.feed_ids() == []


def test_a_withdrawal_that_comes_first_wins_over_its_publish(newsroom: Newsroom) -> None:
    """Reordered on the way: the article is known, and withdrawn."""
    newsroom.send("withdrawn", {"id": "a-1"}, at=START + timedelta(seconds=30))
    newsroom.drain()
    late = newsroom.send("published", article(updated_at="2026-11-23T07:20:00Z"), at=START)
    newsroom.drain()
    assert newsroom.seen(late)["status"] == "stale"
    assert newsroom.feed_ids() == []
    assert newsroom.status().settled


def test_the_same_content_makes_no_revision(newsroom: Newsroom) -> None:
    """A doubled publish under a new id is unchanged, and moves no feed."""
    newsroom.send("published", article())
    newsroom.drain()
    before = newsroom.feed("all", "rss")
    newsroom.clock.move(60)
    event = newsroom.send("published", article())
    newsroom.drain()
    assert newsroom.seen(event)["status"] == "unchanged"
    assert newsroom.status().revision == 1
    assert newsroom.feed("all", "rss") == before


def test_a_new_slug_keeps_the_article_and_moves_the_page(newsroom: Newsroom) -> None:
    """The id decides; the old address leads to the new one."""
    newsroom.send("published", article())
    newsroom.drain()
    old = next(o.url for o in newsroom.status().outlets if o.outlet == "demo/mirror:one")
    newsroom.send("updated", article(url="https://www.example.org/news/new-name.html", updated_at="2026-11-23T07:30:00Z"))
    newsroom.drain()
    new = next(o.url for o in newsroom.status().outlets if o.outlet == "demo/mirror:one")
    assert old != new
    root = newsroom.context.settings.data / "mirrors" / "demo" / "one"
    assert new in (root / old.rstrip("/").rpartition("/")[2] / "index.html").read_text()
    assert newsroom.feed_ids() == ["a-1"]


def test_a_rejected_event_names_every_problem(newsroom: Newsroom) -> None:
    """Schema and house rules speak at once, each with a pointer."""
    event = newsroom.send(
        "published", {"id": "a-1", "headlin": "typo", "published_at": "2026-02-30T00:00:00Z", "images": [{"url": "ftp://x"}]}
    )
    newsroom.drain()
    seen = newsroom.seen(event)
    assert seen["status"] == "rejected"
    pointers = {p["pointer"] for p in seen["problems"]}
    assert {"/data/headlin", "/data/headline", "/data/url", "/data/published_at", "/data/images/0/url", "/data/images/0/credit"} <= pointers
    assert newsroom.feed_ids() == []


def test_nothing_new_means_the_same_bytes(newsroom: Newsroom) -> None:
    """Draining again changes no document, and no file is written."""
    newsroom.send("published", article())
    newsroom.drain()
    root = newsroom.context.settings.origin
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in root.rglob("*.rss")}
    newsroom.drain()
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in root.rglob("*.rss")} == before
