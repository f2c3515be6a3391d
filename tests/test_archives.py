"""Archive pages (RFC 5005 section 4): an article is in the live document or on one page, and who follows the links finds them all."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from lxml import etree

from pipeline import feeds, recovery
from pipeline.context import register
from pipeline.kit.clock import rfc3339
from pipeline.ledger import archives, deliveries
from tests.conftest import CONFIG, article

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Newsroom

SMALL = """[sites.demo.feeds.all]
title = "Everything"
window = 3
window_hours = 0
window_max = 12
page_size = 4
"""
TEXT = CONFIG.replace('[sites.demo.feeds.all]\ntitle = "Everything"\n', SMALL)
KEY = "demo/feed:all"
ATOM = "{http://www.w3.org/2005/Atom}"
FH = "{http://purl.org/syndication/history/1.0}"
GONE = "{http://purl.org/atompub/tombstones/1.0}deleted-entry"
FIRST = datetime(2026, 8, 1, 6, tzinfo=UTC)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def room(request: pytest.FixtureRequest, make_newsroom: Callable[..., Newsroom], tmp_path: Path) -> Newsroom:
    """A newsroom whose feed `all` shows three articles and has pages of four, over each database."""
    urls = {"memory": "sqlite://", "sqlite": f"sqlite:///{tmp_path / 'ledger.sqlite'}"}
    return make_newsroom(TEXT, urls.get(request.param) or request.getfixturevalue("postgres"))


def publish(room: Newsroom, number: int, day: float, kind: str = "published", **changes: object) -> None:
    """An article dated so many days after the first of August; the newsroom's clock is in November."""
    when = FIRST + timedelta(days=day)
    updated = {"updated_at": rfc3339(room.clock.now())} if kind != "published" else {}
    room.send(kind, article(id=f"n{number}", url=f"https://www.example.org/n{number}", published_at=rfc3339(when), **updated, **changes))
    room.clock.move(1)


def documents(room: Newsroom, extension: str = "atom") -> dict[str, bytes]:
    """Name → bytes of the feed's documents in one format."""
    folder = room.context.settings.origin / "demo" / "feeds"
    return {path.name: path.read_bytes() for path in folder.glob(f"all*.{extension}")}


def ids(document: bytes) -> list[str]:
    """The CMS ids of an Atom document."""
    return [entry.findtext(f"{ATOM}id", "").rpartition("/")[2] for entry in etree.fromstring(document).iterfind(f"{ATOM}entry")]


def link(document: bytes, rel: str) -> str:
    """The file name a link of an Atom document leads to; empty without one."""
    found = etree.fromstring(document).find(f"{ATOM}link[@rel='{rel}']")
    return "" if found is None else urlsplit(found.get("href", "")).path.rpartition("/")[2]


def followed(room: Newsroom) -> list[tuple[str, list[str]]]:
    """What a subscriber finds who follows `prev-archive` from the live document: (file, ids)."""
    found, name, stored = [], "all.atom", documents(room)
    while name:
        found.append((name, ids(stored[name])))
        name = link(stored[name], "prev-archive")
        assert name not in [seen for seen, _ in found], "the chain is a ring"
    assert {name for name, _ in found} == set(stored), "every page is found, and no other stands"
    return found


def holds(room: Newsroom, present: dict[str, float]) -> None:
    """Everything is found once, in order; each delivery says where; all formats say the same; pages are as they should be."""
    found = followed(room)
    listed = [one for _, shown in found for one in shown]
    assert listed == sorted(present, key=lambda one: (present[one], int(one[1:])), reverse=True)
    for name, shown in found:
        stem = name.removesuffix(".atom")
        items = json.loads(documents(room, "json")[f"{stem}.json"])["items"]
        assert [item["id"].rpartition("/")[2] for item in items] == shown
        root = etree.fromstring(documents(room)[name])
        assert (root.find(f"{FH}archive") is not None) is (name != "all.atom")
        if name != "all.atom":
            assert len(shown) <= 4
            assert link(documents(room)[name], "current") == "all.atom"
            assert link(documents(room)[name], "self") == name
        for one in shown:
            (at,) = (o for o in room.status(one).outlets if o.outlet == KEY)
            assert (at.state, at.url.rpartition("/")[2]) == ("settled", f"{stem}.rss")


def test_what_leaves_the_window_is_on_a_page(room: Newsroom) -> None:
    """A page is closed when four have left; until then they stay in the live document."""
    for number in range(10):
        publish(room, number, number / 10)
        room.drain()
    holds(room, {f"n{n}": n / 10 for n in range(10)})
    assert [name for name, _ in followed(room)] == ["all.atom", "all-2026-08-1.atom"]
    publish(room, 10, 1.0)
    room.drain()
    assert [len(shown) for _, shown in followed(room)] == [3, 4, 4]


def test_a_month_that_is_over_closes_its_page(room: Newsroom) -> None:
    """Two articles of August are a page as soon as three of September stand above them."""
    for number, day in enumerate((1, 2, 32, 33, 34)):
        publish(room, number, day)
    room.drain()
    assert [(name, len(shown)) for name, shown in followed(room)] == [("all.atom", 3), ("all-2026-08-1.atom", 2)]


def test_thousands_at_once_are_all_found(room: Newsroom) -> None:
    """A burst far beyond the window: in pages, none lost, none twice."""
    for number in range(120):
        publish(room, number, number / 100)
    room.drain()
    holds(room, {f"n{n}": n / 100 for n in range(120)})


def test_a_correction_touches_its_page_and_no_other(room: Newsroom) -> None:
    """Every other page keeps its bytes; the live document too."""
    for number in range(30):
        publish(room, number, number / 10)
    room.drain()
    before = documents(room)
    room.clock.move(60)
    publish(room, 5, 0.5, "corrected", headline="Now it is right", correction={"note": "It was not.", "at": rfc3339(room.clock.now())})
    room.drain()
    after = documents(room)
    changed = [name for name in after if after[name] != before[name]]
    assert len(changed) == 1
    assert "n5" in ids(after[changed[0]])
    assert b"Now it is right" in after[changed[0]]
    holds(room, {f"n{n}": n / 10 for n in range(30)})


def test_a_withdrawal_empties_its_place_and_leaves_a_tombstone(room: Newsroom) -> None:
    """On its page in Atom; the live document tells it too, for thirty days."""
    for number in range(30):
        publish(room, number, number / 10)
    room.drain()
    room.clock.move(60)
    room.send("withdrawn", {"id": "n5", "reason": "wrong"})
    room.drain()
    holds(room, {f"n{n}": n / 10 for n in range(30) if n != 5})
    told = [name for name, document in documents(room).items() if etree.fromstring(document).find(GONE) is not None]
    assert told == ["all.atom", "all-2026-08-2.atom"] or sorted(told) == ["all-2026-08-2.atom", "all.atom"]
    assert room.states("n5")[KEY] == "settled"


def test_who_comes_late_is_put_where_it_belongs(room: Newsroom) -> None:
    """Old articles that are published now: a page grows to four and is then split; its neighbours keep their bytes."""
    present = {f"n{n}": float(n) for n in range(20)}
    for number in range(20):
        publish(room, number, number)
    room.drain()
    for number, day in enumerate((2.5, 2.6, 2.7, 2.8, 0.5, 0.6, 0.7, 0.1, 0.2), start=100):
        publish(room, number, day)
        present[f"n{number}"] = day
        room.drain()
        holds(room, present)


def test_what_was_written_before_1970_has_its_place(room: Newsroom) -> None:
    """The null date of a CMS east of Greenwich is an hour before the epoch; a newspaper's own archive begins long before it."""
    present = {f"n{n}": float(day) for n, day in enumerate((-20_667.3, -28_000, -40_000, *range(6)))}
    for number, day in enumerate(present.values()):
        publish(room, number, day)
        room.drain()
    holds(room, present)
    publish(room, 2, present["n2"], "corrected", headline="The first page, corrected")
    room.drain()
    holds(room, present)


def test_an_entry_that_has_no_place_is_a_failure_and_not_tried_without_a_pause(room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be; if it is, the operator reads of it, and the others come through."""
    stretch = deliveries.stretch
    monkeypatch.setattr(deliveries, "stretch", lambda *given: [row for row in stretch(*given) if not row.identity.endswith("/n1")])
    for number in range(3):
        publish(room, number, number)
    room.drain()
    assert feeds.run(room.context, [KEY]).nudges == ()
    assert ids(documents(room)["all.atom"]) == ["n2", "n0"]
    (at,) = (outlet for outlet in room.status("n1").outlets if outlet.outlet == KEY)
    assert (at.state, at.reason) == ("retrying", "It has no place in the feed.")


def test_many_that_come_late_all_find_a_page(room: Newsroom) -> None:
    """A back file imported below the oldest page."""
    present = {f"n{n}": 60.0 + n for n in range(12)}
    for number in range(12):
        publish(room, number, 60 + number)
    room.drain()
    for number in range(100, 190):
        publish(room, number, (number - 100) / 10)
        present[f"n{number}"] = (number - 100) / 10
    room.drain()
    holds(room, present)


def test_an_article_that_gets_another_date_moves(room: Newsroom) -> None:
    """From a page into the live document, and back onto another page."""
    present = {f"n{n}": float(n) for n in range(20)}
    for number in range(20):
        publish(room, number, number)
    room.drain()
    for day in (30.0, 9.5, 0.25):
        publish(room, 3, day, "updated")
        present["n3"] = day
        room.drain()
        holds(room, present)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_happens_everything_is_found_once(make_newsroom: Callable[..., Newsroom], seed: int) -> None:
    """Publications, corrections, new dates, withdrawals and returns in any order and in bursts."""
    room, chance, present = make_newsroom(TEXT), Random(seed), dict[str, float]()
    for _ in range(60):
        for _ in range(chance.choice((1, 1, 2, 9))):
            number = chance.randrange(70)
            name = f"n{number}"
            if name in present and chance.random() < 0.3:
                room.send("withdrawn", {"id": name, "reason": "chance"})
                room.clock.move(1)
                del present[name]
            else:
                day = present.get(name) if chance.random() < 0.7 else None
                day = day or chance.randrange(1000) / 10 + number / 10_000  # none shares its date with another
                publish(room, number, day, "updated", headline=f"{name} at {room.clock.now()}")
                present[name] = day
        room.drain()
        holds(room, present)


def test_a_damaged_page_is_found_and_written_again(room: Newsroom) -> None:
    """By `pressrun verify`, which looks at every page."""
    for number in range(20):
        publish(room, number, number)
    room.drain()
    whole = documents(room)
    folder = room.context.settings.origin / "demo" / "feeds"
    (folder / "all-2026-08-2.atom").write_bytes(b"torn")
    looked, drifts = recovery.verify_feed(room.context, KEY)
    assert looked == 3 * len(whole) + 1, "every document in three formats, the live one also as a page"
    assert [drift.path for drift in drifts] == ["demo/feeds/all-2026-08-2.atom"]
    room.clock.move(10)
    room.drain()
    assert documents(room) == whole
    assert recovery.verify_feed(room.context, KEY)[1] == ()


def test_another_address_reaches_every_page(room: Newsroom) -> None:
    """Pages name each other: where the feeds' address changes they are written again, a few a run."""
    from dataclasses import replace

    for number in range(40):
        publish(room, number, number)
    room.drain()
    settings = room.context.settings
    (site,) = settings.sites
    room.context.settings = replace(settings, sites=(replace(site, feeds_url="https://feeds.example.org/"),))
    register(room.context)
    room.clock.move(10)
    room.drain()
    assert all(b"http://127.0.0.1:8499/demo/feeds/" not in document for document in documents(room).values())
    holds(room, {f"n{n}": float(n) for n in range(40)})
    with room.context.ledger.read() as tx:
        assert archives.to_write(tx, KEY, 10) == []
