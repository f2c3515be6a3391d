"""The life of a story on real processes, as a subscriber sees it over HTTP: web, broker and both workers, on each database."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import feedparser
import pytest

from tests.conftest import article
from tests.support.running import running, running_postgres, running_sqlite

if TYPE_CHECKING:
    from tests.support.running import Answer, Running

__all__ = ["running", "running_postgres", "running_sqlite"]

EMBARGO = timedelta(seconds=2)
_stories = itertools.count(1)


@dataclass
class Story:
    """One article of its own, sent by the newsroom and looked for by a subscriber."""

    room: Running
    id: str = field(default_factory=lambda: f"life-{next(_stories)}")

    def send(self, kind: str, **changes: Any) -> str:
        """Post an event of the article and wait until every outlet holds what it asks for."""
        event = self.send_only(kind, **changes)
        self.room.settle()
        return event

    def send_only(self, kind: str, **changes: Any) -> str:
        """Post an event of the article."""
        url = f"https://www.example.org/news/{self.id}.html"
        now = self.room.context.clock.now()
        dates = {"published_at": (now - timedelta(minutes=1)).isoformat(), "updated_at": now.isoformat()}
        data = {"id": self.id} if kind == "withdrawn" else article(id=self.id, url=url, **{**dates, "headline": f"Quiet {self.id}"})
        return self.room.send(kind, {**data, **changes})

    def entry(self, feed: str, extension: str) -> Any:
        """The article's entry in a feed as a feed reader parses it, or None."""
        answer = self.room.get(f"/demo/feeds/{feed}.{extension}")
        if answer.status == 404:  # nothing was ever published in it
            return None
        assert answer.status == 200
        parsed = feedparser.parse(answer.body)
        assert not parsed.bozo
        found = [entry for entry in parsed.entries if entry.id.endswith(f"/{self.id}")]
        assert len(found) < 2
        return found[0] if found else None

    def titles(self, feed: str) -> set[str | None]:
        """Its headline in each format of a feed; None where it is not in it."""
        shown = {entry.title if (entry := self.entry(feed, extension)) else None for extension in ("rss", "atom")}
        items = self.room.get(f"/demo/feeds/{feed}.json")
        here = [i["title"] for i in (items.json()["items"] if items.status == 200 else []) if i["id"].endswith(f"/{self.id}")]
        return shown | {here[0] if here else None}

    def page(self) -> Answer:
        """What the mirror answers where the newsroom was told that the page is."""
        outlets = self.room.status(self.id).outlets
        return self.room.get(next(o.url for o in outlets if o.outlet == "demo/mirror:one"))

    def shares(self) -> tuple[int, str]:
        """(status, texts) of its share payloads."""
        answer = self.room.get(f"/demo/shares/{self.id}.json")
        return answer.status, answer.body.decode()


@pytest.fixture
def story(running: Running) -> Story:
    """An article nobody has heard of yet."""
    return Story(running)


def test_published_it_is_everywhere(story: Story) -> None:
    """Both feeds in three formats, the mirror's page, the share payloads; and the newsroom is told so at the status URL."""
    event = story.send("published")
    assert story.titles("all") == story.titles("world") == {f"Quiet {story.id}"}
    assert story.page().status == 200
    assert f"Quiet {story.id}" in story.page().body.decode()
    assert story.shares()[0] == 200
    assert story.room.get(f"/events/{event}").json()["status"] == "applied"
    assert story.room.status(story.id).settled


def test_updated_it_keeps_its_guid_and_shows_only_the_new_text(story: Story) -> None:
    """One entry, the same id in every feed, nowhere the former headline."""
    story.send("published")
    before = story.entry("all", "rss")
    story.send("updated", headline=f"Loud {story.id}")
    after = story.entry("all", "rss")
    assert before.id == after.id
    assert story.titles("all") == story.titles("world") == {f"Loud {story.id}"}
    page, (_, shares) = story.page().body.decode(), story.shares()
    for text in (page, shares):
        assert f"Loud {story.id}" in text
        assert f"Quiet {story.id}" not in text


def test_corrected_it_says_what_was_put_right(story: Story) -> None:
    """The note stands on the mirror's page and in the feed's text."""
    story.send("published")
    story.send("corrected", correction={"note": "It was the other harbour.", "at": story.room.context.clock.now().isoformat()})
    assert "the other harbour" in story.page().body.decode()
    assert "the other harbour" in story.entry("all", "atom").content[0].value


def test_moved_to_another_section_it_leaves_the_feed_and_the_mirror_that_do_not_take_it(story: Story) -> None:
    """What no longer matches lets go: the feed drops it, the mirror answers 410; what matches keeps it."""
    story.send("published")
    story.send("updated", section=["Culture"])
    assert story.titles("world") == {None}
    assert story.titles("all") == {f"Quiet {story.id}"}
    assert story.page().status == 410
    assert story.shares()[0] == 200


def test_embargoed_it_is_nowhere_until_its_time_and_then_everywhere(story: Story) -> None:
    """Before the embargo ends no document has it; afterwards nobody has to ask for it."""
    until = story.room.context.clock.now() + EMBARGO
    event = story.send_only("published", embargo_until=until.isoformat())
    story.room.until(lambda: story.room.get(f"/events/{event}").json()["status"] == "applied")
    state, feeds, shares = story.room.status(story.id).state, story.titles("all"), story.shares()
    looked = story.room.context.ledger.now()
    if looked < until:  # only what was seen before its end says anything about the embargo
        assert state == "waiting"
        assert feeds == {None}
        assert shares[0] == 404
    story.room.until(lambda: story.room.status(story.id).settled)
    story.room.settle()
    assert story.room.context.ledger.now() >= until
    assert story.titles("all") == story.titles("world") == {f"Quiet {story.id}"}
    assert story.page().status == 200


def test_withdrawn_it_is_gone_everywhere_and_published_again_it_is_back(story: Story) -> None:
    """410 at the mirror and for the payloads, a tombstone in Atom; the re-publication takes the same address and guid."""
    story.send("published")
    guid, address = story.entry("all", "rss").id, story.room.status(story.id).outlets
    story.send("withdrawn", reason="It was not true.")
    assert story.titles("all") == story.titles("world") == {None}
    assert guid.encode() in story.room.get("/demo/feeds/all.atom").body.split(b"<at:deleted-entry", 1)[1]
    gone = story.page()
    assert gone.status == 410
    assert "It was not true." in gone.body.decode()
    assert story.shares()[0] == 410
    story.send("published")
    assert story.entry("world", "atom").id == guid
    assert story.page().status == 200
    assert story.shares()[0] == 200
    assert {o.url for o in story.room.status(story.id).outlets} == {o.url for o in address}


def test_nothing_had_to_be_started_again(running: Running) -> None:
    """Whatever was sent before, every process is the one that was started, unless a test killed it."""
    assert not running.supervisor.look()
    assert all(child.process.poll() is None for child in running.supervisor.children.values())
