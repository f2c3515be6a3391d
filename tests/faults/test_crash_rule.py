"""What stops a worker stops only itself, and what a run leaves behind when it dies in the middle does no harm.

Runs die here as a killed process does: nothing is released, and the next one comes when the lease has run out.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select, update

from pipeline import building, feeds, leasing, mirrors, validate
from pipeline.ledger import outlets, tables
from pipeline.ledger.events import CLAIM
from pipeline.ledger.outlets import LEASE
from pipeline.model.run import Step
from tasks.drain import STEPS
from tests.conftest import START, article
from tests.faults.looking import loose_ends, temporary_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Newsroom

OUTLETS = {Step.FEEDS: "demo/feed:all", Step.MIRRORS: "demo/mirror:one", Step.SOCIAL: "demo/network:x"}
MOST_DEATHS = 4
"""One fast run and three careful ones: the crash rule, the same in every step."""

AFTER_LEASE = LEASE.total_seconds() + 1
AFTER_CLAIM = CLAIM.total_seconds() + 1
IDS = [f"a-{n}" for n in range(5)]
POSITIONS = [IDS[0], IDS[2], IDS[4]]


class Killed(BaseException):
    """The process is gone: no `except Exception` sees it, and nothing after it happens."""


@contextmanager
def deadly_rendering() -> Iterator[None]:
    """Whoever renders the article called “poison” dies."""
    render = building.entry_of

    def deadly(revision: Any, link: str) -> Any:
        if revision.headline == "poison":
            raise Killed
        return render(revision, link)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "entry_of", deadly)
        yield


@contextmanager
def deadly_events() -> Iterator[None]:
    """Whoever decides about an event that says “poison” dies."""
    decide = validate.decide

    def deadly(source: Any, site: Any, event: Any, **options: Any) -> Any:
        if b'"poison"' in event.body:
            raise Killed
        return decide(source, site, event, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validate, "decide", deadly)
        yield


@contextmanager
def death_in(module: Any, name: str) -> Iterator[None]:
    """Whoever calls that function dies."""

    def deadly(*_arguments: object, **_options: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, deadly)
        yield


def story(name: str, headline: str = "", **changes: Any) -> dict[str, Any]:
    """An article with an address of its own."""
    return article(id=name, **{"url": f"https://www.example.org/news/{name}.html", "headline": headline or f"About {name}", **changes})


def publish(room: Newsroom, deadly: str) -> dict[str, str]:
    """Five articles arrive, one of them deadly; article → event id."""
    return {name: room.send("published", story(name, "poison" if name == deadly else "")) for name in IDS}


def validated(room: Newsroom) -> None:
    """Events have become revisions with their plans; no outlet has done anything yet."""
    validate.run(room.context, [room.context.settings.sources[0].name])


def dies(room: Newsroom, step: Step, key: str, wait: float) -> bool:
    """Run a step once; whether it died, in which case its lease runs out."""
    try:
        STEPS[step](room.context, (key,))
    except Killed:
        room.clock.move(wait)
        return True
    return False


def deaths(room: Newsroom, step: Step, key: str, wait: float) -> int:
    """Run a step again and again until it lives; how often it died."""
    count = 0
    while dies(room, step, key, wait):
        count += 1
        assert count <= MOST_DEATHS, "it dies for ever"
    return count


def states_at(room: Newsroom, key: str) -> dict[str, str]:
    """Article → state of its delivery at an outlet."""
    return {name: room.states(name)[key] for name in IDS}


@pytest.mark.parametrize("deadly", POSITIONS)
@pytest.mark.parametrize("step", list(OUTLETS))
def test_an_article_that_kills_its_outlet_fails_there_alone(small_five: Newsroom, step: Step, deadly: str) -> None:
    """At most four deaths, then its delivery is failed and says why; its neighbours are settled, and other outlets hold it."""
    key = OUTLETS[step]
    publish(small_five, deadly)
    validated(small_five)
    with deadly_rendering():
        assert 0 < deaths(small_five, step, key, AFTER_LEASE) <= MOST_DEATHS
    states = states_at(small_five, key)
    assert states.pop(deadly) == "failed"
    assert set(states.values()) == {"settled"}
    small_five.drain()
    lines = {o.outlet: o for o in small_five.status(deadly).outlets}
    assert "stopped its worker" in lines.pop(key).reason
    assert {line.state for line in lines.values()} == {"settled"}


@pytest.mark.parametrize("deadly", POSITIONS)
@pytest.mark.parametrize("step", list(OUTLETS))
def test_its_neighbours_wait_for_two_careful_runs_at_most(small_five: Newsroom, step: Step, deadly: str) -> None:
    """The first careful run finds out its name; from then on it goes last, so the second settles everybody else before it dies."""
    key = OUTLETS[step]
    publish(small_five, deadly)
    validated(small_five)
    with deadly_rendering():
        assert [dies(small_five, step, key, AFTER_LEASE) for _ in range(3)] == [True, True, True]
    states = states_at(small_five, key)
    assert states.pop(deadly) == "pending"
    assert set(states.values()) == {"settled"}


@pytest.mark.parametrize("step", list(OUTLETS))
def test_over_each_database_a_new_text_frees_what_failed(five_outlets: Newsroom, step: Step) -> None:
    """A new revision begins without strikes: it is delivered like any other, and nothing is left over."""
    key, deadly = OUTLETS[step], IDS[2]
    publish(five_outlets, deadly)
    validated(five_outlets)
    with deadly_rendering():
        assert 0 < deaths(five_outlets, step, key, AFTER_LEASE) <= MOST_DEATHS
    five_outlets.send("updated", story(deadly, "Harmless now", updated_at="2026-11-23T07:50:00Z"))
    five_outlets.drain()
    assert set(five_outlets.states(deadly).values()) == {"settled"}
    assert sorted(five_outlets.feed_ids()) == IDS
    assert not loose_ends(five_outlets.context, "demo")


@pytest.mark.parametrize("deadly", POSITIONS)
def test_an_event_that_kills_validate_is_rejected_alone(five_outlets: Newsroom, deadly: str) -> None:
    """At most four deaths, then the event is rejected with the reason; its neighbours in the batch are published."""
    sent = publish(five_outlets, deadly)
    with deadly_events():
        assert 0 < deaths(five_outlets, Step.VALIDATE, "demo", AFTER_CLAIM) <= MOST_DEATHS
        five_outlets.drain()
    seen = five_outlets.seen(sent.pop(deadly))
    assert seen["status"] == "rejected"
    assert "stopped its worker" in seen["problems"][0]["detail"]
    assert {five_outlets.seen(event)["status"] for event in sent.values()} == {"applied"}
    assert sorted(five_outlets.feed_ids()) == [name for name in IDS if name != deadly]


@pytest.mark.parametrize("deadly", POSITIONS)
def test_events_beside_a_deadly_one_wait_for_two_careful_runs_at_most(small_five: Newsroom, deadly: str) -> None:
    """Known by name it goes last; everybody else is a revision before it kills again."""
    sent = publish(small_five, deadly)
    with deadly_events():
        assert [dies(small_five, Step.VALIDATE, "demo", AFTER_CLAIM) for _ in range(3)] == [True, True, True]
    assert small_five.seen(sent.pop(deadly))["status"] == "accepted"
    assert {small_five.seen(event)["status"] for event in sent.values()} == {"applied"}


@pytest.mark.parametrize("step", list(OUTLETS))
def test_a_worker_killed_from_outside_blames_nobody(small_five: Newsroom, step: Step) -> None:
    """Whoever was touched at that moment gets a strike; one clean run, and it is settled like the others and has none."""
    key = OUTLETS[step]
    publish(small_five, IDS[2])
    validated(small_five)
    with deadly_rendering():
        assert dies(small_five, step, key, AFTER_LEASE)
        assert dies(small_five, step, key, AFTER_LEASE)
    small_five.drain()
    assert set(states_at(small_five, key).values()) == {"settled"}
    with small_five.context.ledger.read() as tx:
        assert not tx.all(select(tables.deliveries.c.outlet).where(tables.deliveries.c.strikes > 0))
        assert not tx.all(select(tables.outlets.c.key).where(tables.outlets.c.suspect.is_not(None)))


def readable(room: Newsroom, words: str) -> list[str]:
    """Pages of the mirror's folder with these words that a web server would answer with 200."""
    root = room.context.settings.data / "mirrors" / "demo" / "one"
    pages = [page for page in root.rglob("*.html") if words in page.read_text()]
    return sorted(str(page.relative_to(root)) for page in pages if not (page.parent / ".gone").exists())


def test_a_page_stored_by_a_run_that_died_goes_with_a_withdrawal(five_outlets: Newsroom) -> None:
    """The run never came to settle, so no row says that its page stands: it must not stay readable for that."""
    five_outlets.send("published", story("a-0", "Secret"))
    validated(five_outlets)
    with death_in(mirrors, "_settle"):
        assert dies(five_outlets, Step.MIRRORS, "demo/mirror:one", AFTER_LEASE)
    assert readable(five_outlets, "Secret")
    five_outlets.send("withdrawn", {"id": "a-0"})
    five_outlets.drain()
    assert readable(five_outlets, "Secret") == []


def test_a_page_stored_at_a_new_address_by_a_run_that_died_goes_with_a_withdrawal(five_outlets: Newsroom) -> None:
    """The same where the rows know only the former address."""
    five_outlets.send("published", story("a-0", "First"))
    five_outlets.drain()
    moved = story("a-0", "Secret", url="https://www.example.org/news/elsewhere.html", updated_at="2026-11-23T07:10:00Z")
    five_outlets.send("updated", moved)
    validated(five_outlets)
    with death_in(mirrors, "_settle"):
        assert dies(five_outlets, Step.MIRRORS, "demo/mirror:one", AFTER_LEASE)
    five_outlets.send("withdrawn", {"id": "a-0"})
    five_outlets.drain()
    assert readable(five_outlets, "Secret") == []


def test_a_page_taken_away_by_a_run_that_died_comes_back_with_its_publication(five_outlets: Newsroom) -> None:
    """The notice and its marker were stored and never settled; published again, the page answers 200 and shows the text."""
    five_outlets.send("published", story("a-0", "First"))
    five_outlets.drain()
    five_outlets.clock.move(5)
    five_outlets.send("withdrawn", {"id": "a-0"})
    validated(five_outlets)
    with death_in(mirrors, "_settle"):
        assert dies(five_outlets, Step.MIRRORS, "demo/mirror:one", AFTER_LEASE)
    five_outlets.send("published", story("a-0", "First"))
    five_outlets.drain()
    assert five_outlets.page("a-0")[0] == 200
    assert readable(five_outlets, "First")


def test_a_page_stored_by_a_run_that_died_goes_when_the_article_comes_back_elsewhere(five_outlets: Newsroom) -> None:
    """Withdrawn, then published in a section the mirror does not take, and no row ever said that the mirror has it."""
    five_outlets.send("published", story("a-0", "Secret", updated_at="2026-11-23T07:10:00Z"))
    validated(five_outlets)
    with death_in(mirrors, "_settle"):
        assert dies(five_outlets, Step.MIRRORS, "demo/mirror:one", AFTER_LEASE)
    five_outlets.send("withdrawn", {"id": "a-0"})
    validated(five_outlets)
    five_outlets.clock.move(1)
    five_outlets.send("published", story("a-0", "Culture", section=["Culture"], updated_at="2026-11-23T07:20:00Z"))
    five_outlets.drain()
    assert readable(five_outlets, "Secret") == []
    assert not loose_ends(five_outlets.context, "demo")


@pytest.mark.parametrize("extension", ["rss", "atom", "json"])
def test_a_feed_stored_by_a_run_that_died_is_made_again(small_five: Newsroom, extension: str) -> None:
    """Documents were renamed in and never settled; the next run makes them again from what is wanted then."""
    small_five.send("published", story("a-0", "Secret"))
    validated(small_five)
    with death_in(feeds, "_settle"):
        assert dies(small_five, Step.FEEDS, "demo/feed:all", AFTER_LEASE)
    assert b"Secret" in small_five.feed("all", extension)
    small_five.send("withdrawn", {"id": "a-0"})
    small_five.drain()
    assert b"Secret" not in small_five.feed("all", extension)
    assert not loose_ends(small_five.context, "demo")


def test_a_temporary_file_of_a_writer_that_died_long_ago_is_removed(small_five: Newsroom) -> None:
    """Killed between writing and renaming: a day later the file beside the page is gone, and the page is as it was."""
    small_five.send("published", story("a-0"))
    small_five.drain()
    mirror = small_five.context.settings.data / "mirrors" / "demo" / "one"
    left = next(mirror.glob("a-0-*")) / ".tmp-999999-0123456789ab"
    left.write_bytes(b"half a pa")
    os.utime(left, (START.timestamp() - 86_400,) * 2)
    small_five.clock.move(86_400)
    small_five.drain()
    assert temporary_files(small_five.context) == []
    assert small_five.page("a-0")[0] == 200


def test_what_is_touched_again_is_not_written_again(small_newsroom: Newsroom) -> None:
    """An entry is rendered in three formats, and each write waits for everybody else's; after a settling it is named anew."""
    context, key = small_newsroom.context, OUTLETS[Step.FEEDS]

    def named() -> int | None:
        with context.ledger.read() as tx:
            row = tx.first(select(tables.outlets.c.suspect).where(tables.outlets.c.key == key))
        return None if row is None else row.suspect

    def wipe() -> None:
        with context.ledger.write() as tx:
            tx.run(update(tables.outlets).where(tables.outlets.c.key == key).values(suspect=None))

    with context.ledger.write() as tx:
        assert outlets.claim(tx, key, "somebody who dies") is not None
    small_newsroom.clock.move(AFTER_LEASE)
    with leasing.lease(context, key, 5.0) as held:
        assert held is not None
        held.touch(7)
        assert named() == 7
        wipe()
        held.touch(7)
        assert named() is None
        held.touch(8)
        assert named() == 8
        with context.ledger.write() as tx:
            held.guard(tx, suspect=None)
        held.touch(8)
        assert named() == 8
