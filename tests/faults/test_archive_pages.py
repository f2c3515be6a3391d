"""What may go wrong around the archive pages of a feed, and still nothing withdrawn stays readable and everything is found once.

Crashes, failed puts, late arrivals, withdrawals meanwhile, other configurations: each may leave pages at the origin of which the
ledger knows only a part, and nobody looks again at an entry that is forgotten on one of them.
"""

from __future__ import annotations

import errno
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from lxml import etree
from sqlalchemy import select, update
from structlog.testing import capture_logs

from pipeline import building, feeds, filling, recovery, validate
from pipeline.backends.local import LocalBackend
from pipeline.context import register
from pipeline.kit.cache import Weighed
from pipeline.kit.clock import rfc3339
from pipeline.ledger import archives, deliveries, tables
from tests.conftest import CONFIG, article, settings_in
from tests.test_archives import FIRST, GONE, KEY, TEXT, documents, holds, ids, publish
from tests.test_feed_kinds import changed, statuses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Row

    from pipeline.context import Context
    from pipeline.formats import Format
    from pipeline.leasing import Lease
    from pipeline.model.document import Document
    from pipeline.model.entry import FeedHead, Rendered
    from pipeline.model.revision import Revision
    from pipeline.model.run import Run
    from tests.conftest import Newsroom

WORLD = "[sites.demo.feeds.world]\n"
LONG_BODY = "<p>" + "word " * 18_000 + "</p>"
"""90 kB, so that a window of them does not fit into a document."""


@pytest.fixture
def room(make_newsroom: Callable[..., Newsroom]) -> Newsroom:
    """A newsroom whose feed `all` shows three articles and has pages of four, for what does not depend on the database."""
    return make_newsroom(TEXT)


def plan(room: Newsroom) -> None:
    """Events have become revisions with their plans; no outlet has done anything yet."""
    while validate.run(room.context, ["newsroom"]).done:
        pass


def build(room: Newsroom) -> Run:
    """One run of the feed."""
    return feeds.run(room.context, [KEY])


def publish_daily(room: Newsroom, count: int, first: int = 0) -> None:
    """Articles from n0 on, a day apart, of which n0 is dated `first` days after the first of August."""
    for number in range(count):
        publish(room, number, first + number)


def publish_long(room: Newsroom, number: int) -> None:
    """An article whose entry is large."""
    when = rfc3339(FIRST + timedelta(days=number / 10))
    room.send("published", article(id=f"n{number}", url=f"https://www.example.org/n{number}", body_html=LONG_BODY, published_at=when))
    room.clock.move(1)


def readable(room: Newsroom, name: str) -> list[str]:
    """The documents in which an article stands."""
    return [stored for stored, document in documents(room).items() if name in ids(document)]


def with_tombstones(room: Newsroom) -> list[str]:
    """The documents that tell of a withdrawal."""
    return [name for name, document in documents(room).items() if etree.fromstring(document).find(GONE) is not None]


def configure(room: Newsroom, folder: Path, text: str) -> None:
    """Start again with this configuration; nothing has run since."""
    settings = settings_in(folder, text)
    room.context.settings = replace(settings, data=room.context.settings.data, origin=room.context.settings.origin)
    register(room.context)


@contextmanager
def full_disk(end: str = "") -> Iterator[None]:
    """No document whose path ends so can be put, and at least one is tried."""
    put, refused = LocalBackend.put, list[str]()

    def full(self: LocalBackend, path: str, body: bytes, media_type: str, fence: int) -> None:
        if path.endswith(end):
            refused.append(path)
            raise OSError(errno.ENOSPC, "full")
        put(self, path, body, media_type, fence)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalBackend, "put", full)
        yield
    assert refused


# Late arrivals


@pytest.mark.parametrize("late", [16, 17, 20, 21, 36, 40, 80])
def test_however_many_come_late_the_chain_holds(room: Newsroom, late: int) -> None:
    """All planned before the feed runs, below the oldest page: everything is found once, in order."""
    present = {f"n{n}": 60.0 + n for n in range(12)}
    publish_daily(room, 12, 60)
    room.drain()
    for number in range(100, 100 + late):
        publish(room, number, (number - 100) / 10)
        present[f"n{number}"] = (number - 100) / 10
    plan(room)
    room.drain()
    holds(room, present)


def test_a_late_one_withdrawn_while_others_wait_for_a_page_is_gone(room: Newsroom) -> None:
    """Its delivery was not settled yet, though a page showed it."""
    publish_daily(room, 12, 60)
    room.drain()
    for number in range(100, 130):
        publish(room, number, (number - 100) / 10)
    plan(room)
    build(room)
    assert readable(room, "n100")
    room.send("withdrawn", {"id": "n100"})
    plan(room)
    room.drain()
    assert readable(room, "n100") == []


def test_one_that_moved_to_another_page_and_is_withdrawn_is_on_neither(room: Newsroom) -> None:
    """Three got another date and only some pages were written when the withdrawal came."""
    publish_daily(room, 60)
    room.drain()
    room.clock.move(10)
    for number in (1, 9, 17):
        publish(room, number, number + 24.5, "updated")
    plan(room)
    build(room)
    assert readable(room, "n17")
    room.send("withdrawn", {"id": "n17"})
    plan(room)
    room.drain()
    assert readable(room, "n17") == []


def test_one_on_a_page_before_its_delivery_was_looked_at_can_be_withdrawn(room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run looks at so many deliveries; an export that begins with the newest puts others on pages, too."""
    monkeypatch.setattr(feeds, "MOST", 10)
    for number in range(40):
        publish(room, 40 - number, 40 - number)
    plan(room)
    build(room)
    on_pages = [one for name, document in documents(room).items() if name != "all.atom" for one in ids(document)]
    victim = next(one for one in on_pages if room.states(one)[KEY] == "pending")
    room.send("withdrawn", {"id": victim})
    plan(room)
    room.drain()
    assert readable(room, victim) == []


def test_one_on_a_page_while_its_delivery_waits_to_be_retried_can_be_withdrawn(room: Newsroom) -> None:
    """Documents that broke the contract left it so; meanwhile a page was closed around it."""
    publish_daily(room, 6)
    room.drain()
    room.clock.move(5)
    publish(room, 30, 2.5)
    plan(room)
    d = tables.deliveries.c
    retrying = {"state": "retrying", "attempts": 7, "next_attempt_at": room.clock.now() + timedelta(minutes=15)}
    with room.context.ledger.write() as tx:
        tx.run(update(tables.deliveries).where(d.outlet == KEY, d.next_attempt_at.is_not(None)).values(retrying))
    publish(room, 6, 6)
    plan(room)
    build(room)
    assert readable(room, "n30")
    room.send("withdrawn", {"id": "n30"})
    plan(room)
    room.drain()
    assert readable(room, "n30") == []


def test_a_burst_leaves_no_entry_out(make_newsroom: Callable[..., Newsroom], monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no place yet waits for the next run, and alarms nobody."""
    monkeypatch.setattr(feeds, "MOST", 10)
    room = make_newsroom(TEXT)
    publish_daily(room, 40)
    room.clock.move(1)
    plan(room)
    with capture_logs() as lines:
        build(room)
    assert not [line for line in lines if line["event"] == "entry left out"]


def test_the_live_document_never_goes_back_in_time(room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """One delivery was struck, a later one was not: whatever a run puts for either, the date of the document only grows."""
    publish_daily(room, 3)
    room.drain()
    publish(room, 50, 50)
    plan(room)
    d = tables.deliveries.c
    with room.context.ledger.write() as tx:
        tx.run(update(tables.deliveries).where(d.outlet == KEY, d.next_attempt_at.is_not(None)).values(strikes=1))
    room.clock.move(60)
    publish(room, 51, 51)
    plan(room)
    seen, store = list[Any](), feeds._store

    def noting(
        context: Context,
        lease: Lease,
        made: Sequence[tuple[Document, datetime]],
        known: dict[str, Row[Any]],
        put: list[tuple[Document, datetime]],
    ) -> None:
        seen.append(next(updated for document, updated in made if document.path.endswith("all.atom")))
        store(context, lease, made, known, put)

    monkeypatch.setattr(feeds, "_store", noting)
    build(room)
    assert seen
    assert seen == sorted(seen)


# Failed puts and crashes


@pytest.mark.parametrize("refused", [".json", "08-2.json"])
def test_one_on_a_half_written_page_can_be_withdrawn(room: Newsroom, refused: str) -> None:
    """Some formats of its page were put, and then the disk was full."""
    publish_daily(room, 20)
    room.drain()
    publish(room, 100, 6.5)
    plan(room)
    with full_disk(refused):
        build(room)
    room.send("withdrawn", {"id": "n100"})
    plan(room)
    room.clock.move(5)
    room.drain()
    assert readable(room, "n100") == []


def test_one_on_a_new_page_whose_live_document_failed_can_be_withdrawn(room: Newsroom) -> None:
    """The page stood, the live document did not follow."""
    publish_daily(room, 6)
    room.drain()
    publish(room, 6, 6)
    plan(room)
    with full_disk("all.rss"):
        build(room)
    room.send("withdrawn", {"id": "n1"})
    plan(room)
    room.clock.move(5)
    room.drain()
    assert readable(room, "n1") == []


@pytest.mark.parametrize(
    ("before", "gone"), [pytest.param(20, "n100", id="a late one on an old page"), pytest.param(6, "n1", id="on a new page")]
)
def test_what_a_killed_run_put_can_be_withdrawn(room: Newsroom, monkeypatch: pytest.MonkeyPatch, before: int, gone: str) -> None:
    """Its pages stood at the origin, and the ledger knew nothing of them."""
    publish_daily(room, before)
    room.drain()
    publish(room, 100, 6.5)
    plan(room)

    def killed(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(feeds, "_settle", killed)
        with pytest.raises(RuntimeError, match="killed"):
            build(room)
    assert readable(room, gone)
    room.send("withdrawn", {"id": gone})
    plan(room)
    for _ in range(2):
        room.clock.move(20)
        room.drain()
    assert recovery.verify_feed(room.context, KEY, repair=False)[1] == ()
    assert readable(room, gone) == []


def test_pages_left_by_a_run_that_failed_are_written_later(room: Newsroom) -> None:
    """The feeds' address changed while the disk was full; with no news since, every page is written all the same."""
    publish_daily(room, 60)
    room.drain()
    settings = room.context.settings
    (site,) = settings.sites
    room.context.settings = replace(settings, sites=(replace(site, feeds_url="https://feeds.example.org/"),))
    register(room.context)
    room.clock.move(10)
    with full_disk():
        build(room)
    for _ in range(20):
        room.clock.move(60)
        room.drain()
    with room.context.ledger.read() as tx:
        assert [page.name for page in archives.to_write(tx, KEY, 50)] == []


def test_an_entry_of_a_page_that_cannot_be_made_is_not_called_settled(room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found out when a neighbour is corrected; nothing was due for it."""
    publish_daily(room, 20)
    room.drain()
    room.context.entries = Weighed(20_000_000)
    rendered = building._rendered

    def failing(fmt: Format, told: FeedHead, revision: Revision) -> Rendered:
        if revision.identity.endswith("n5"):
            raise ValueError("no")
        return rendered(fmt, told, revision)

    monkeypatch.setattr(building, "_rendered", failing)
    room.clock.move(5)
    publish(room, 6, 6, "corrected", headline="x", correction={"note": "n", "at": rfc3339(room.clock.now())})
    room.drain()
    assert readable(room, "n5") or room.states("n5")[KEY] != "settled"


# Withdrawals meanwhile


@pytest.mark.parametrize(("pause", "rest"), [(0, 5), (1, 10)])
@pytest.mark.parametrize("where", ["live", "page"])
def test_one_withdrawn_between_put_and_settlement_is_gone_and_told(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch, where: str, pause: int, rest: int
) -> None:
    """In the same instant or a second later; its tombstone stands in the live document, and on the page it had just come to."""
    publish_daily(room, 6)
    room.drain()
    publish(room, 6, 6)
    plan(room)
    gone, store = "n6" if where == "live" else "n1", feeds._store

    def meanwhile(*arguments: Any) -> None:
        store(*arguments)
        room.clock.move(pause)
        room.send("withdrawn", {"id": gone})
        plan(room)

    with monkeypatch.context() as patch:
        patch.setattr(feeds, "_store", meanwhile)
        build(room)
    room.clock.move(rest)
    room.drain()
    assert readable(room, gone) == []
    told = with_tombstones(room)
    assert "all.atom" in told
    assert where == "live" or len(told) == 2


def test_settling_pages_and_a_plan_of_the_same_articles_never_lock_each_other_out(
    postgres: str, make_newsroom: Callable[..., Newsroom], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan takes rows in the order of (article, outlet), while a run is about to put some of them on a page."""
    room = make_newsroom(TEXT, postgres)
    publish_daily(room, 6)
    room.drain()
    publish(room, 6, 6)  # it is due; n0 to n3 go on a page
    plan(room)
    inside, go_on, put_on_page = threading.Event(), threading.Event(), deliveries.put_on_page

    def slow(*arguments: Any) -> None:
        inside.set()
        go_on.wait(5)
        put_on_page(*arguments)

    def touch() -> None:
        d, a = tables.deliveries.c, tables.articles.c
        with room.context.ledger.write() as tx:
            for name in ("n1", "n6"):
                one = select(a.id).where(a.cms_id == name).scalar_subquery()
                tx.run(update(tables.deliveries).where(d.outlet == KEY, d.article_id == one).values(attempts=d.attempts))

    monkeypatch.setattr(deliveries, "put_on_page", slow)
    with ThreadPoolExecutor(2) as crew:
        run = crew.submit(build, room)
        assert inside.wait(10)
        touched = crew.submit(touch)
        time.sleep(0.7)
        go_on.set()
    assert (run.exception(), touched.exception()) == (None, None)


# Other configurations


@pytest.mark.parametrize("line", ['formats = ["atom"]', "closed = true"])
def test_nothing_withdrawn_stays_where_a_feed_is_no_longer_written(newsroom: Newsroom, tmp_path: Path, line: str) -> None:
    """In formats it gave up, or closed: neither at the origin nor at a mirror."""
    newsroom.send("published", article())
    newsroom.drain()
    changed(newsroom, tmp_path, WORLD, f"{WORLD}{line}\n")
    newsroom.send("withdrawn", {"id": "a-1"})
    newsroom.drain()
    assert not [path for path in newsroom.context.settings.data.rglob("world.*") if b"quiet harbour" in path.read_bytes()]


def test_nothing_withdrawn_stays_on_the_pages_of_a_feed_without_any(room: Newsroom, tmp_path: Path) -> None:
    """It had pages, and is configured to have none now."""
    publish_daily(room, 20)
    room.drain()
    configure(room, tmp_path, TEXT.replace("page_size = 4", "page_size = 0"))
    room.clock.move(4)
    room.drain()
    room.send("withdrawn", {"id": "n2"})
    room.drain()
    assert readable(room, "n2") == []


def test_a_closed_feed_that_opens_again_holds_what_it_held(newsroom: Newsroom, tmp_path: Path) -> None:
    """Without any news."""
    newsroom.send("published", article())
    newsroom.drain()
    changed(newsroom, tmp_path, WORLD, f"{WORLD}closed = true\n")
    changed(newsroom, tmp_path, WORLD, WORLD)
    newsroom.drain()
    assert newsroom.feed_ids("world") == ["a-1"]
    assert newsroom.states()["demo/feed:world"] == "settled"


def test_a_closed_feed_with_pages_that_opens_again_has_them_all(room: Newsroom, tmp_path: Path) -> None:
    """More pages than one run writes."""
    publish_daily(room, 70)
    room.drain()
    for line in ("closed = true\n", ""):
        configure(room, tmp_path, TEXT.replace("page_size = 4\n", f"page_size = 4\n{line}"))
        for _ in range(2):
            room.clock.move(4)
            room.drain()
    room.clock.move(4)
    room.drain()
    holds(room, {f"n{n}": float(n) for n in range(70)})


def test_a_closed_feed_that_is_renamed_leads_to_its_new_name(newsroom: Newsroom, tmp_path: Path) -> None:
    """What was gone has moved."""
    newsroom.send("published", article())
    newsroom.drain()
    changed(newsroom, tmp_path, WORLD, f"{WORLD}closed = true\n")
    changed(newsroom, tmp_path, WORLD, '[sites.demo.feeds.planet]\nformer = ["world"]\n')
    assert {status for status, _ in statuses(newsroom, "demo/feed:world").values()} == {"moved"}


def test_a_feed_that_was_dropped_and_put_back_holds_what_came_meanwhile(newsroom: Newsroom, tmp_path: Path) -> None:
    """An article was published while nobody configured it."""
    world = f'{WORLD}title = "World"\nsections = ["News/World", "News/Russia"]\n'
    assert world in CONFIG
    changed(newsroom, tmp_path, world, "")
    newsroom.send("published", article())
    newsroom.drain()
    changed(newsroom, tmp_path, world, world)
    newsroom.drain()
    newsroom.clock.move(5)
    newsroom.drain()
    assert newsroom.feed_ids("world") == ["a-1"]


def test_a_new_feed_is_filled_while_old_processes_still_run(newsroom: Newsroom, tmp_path: Path) -> None:
    """They know nothing of it, and validate a publication and a withdrawal that it must not miss."""
    newsroom.send("published", article())
    newsroom.drain()
    before = newsroom.context.settings
    new = '[sites.demo.feeds.new]\ntitle = "New"\n'
    configure(newsroom, tmp_path, CONFIG.replace("[sites.demo.networks.x]", f"{new}[sites.demo.networks.x]"))
    after = newsroom.context.settings
    filling.fill(newsroom.context, newsroom.context.clock.monotonic() + 5)
    newsroom.context.settings = before
    newsroom.clock.move(1)
    newsroom.send("withdrawn", {"id": "a-1"})
    newsroom.send("published", article(id="a-2", url="https://www.example.org/2"))
    plan(newsroom)
    newsroom.context.settings = after
    for _ in range(2):
        newsroom.clock.move(301)
        newsroom.drain()
        newsroom.clock.move(5)
        newsroom.drain()
    assert newsroom.feed_ids("new") == ["a-2"]


def test_other_rules_reach_what_stands_on_pages(room: Newsroom, tmp_path: Path) -> None:
    """What they no longer take leaves its page."""
    for number in range(20):
        publish(room, number, number, section=["A" if number % 2 else "B"])
    room.drain()
    configure(room, tmp_path, TEXT.replace("page_size = 4\n", 'page_size = 4\nsections = ["A"]\n'))
    for _ in range(3):
        room.clock.move(4)
        room.drain()
    holds(room, {f"n{n}": float(n) for n in range(20) if n % 2})


def test_the_address_of_an_archived_article_leads_to_a_document(make_newsroom: Callable[..., Newsroom]) -> None:
    """Also where the feed's first format has no pages."""
    room = make_newsroom(TEXT.replace("page_size = 4\n", 'page_size = 4\nformats = ["html", "rss"]\n'))
    publish_daily(room, 20)
    room.drain()
    (at,) = (o for o in room.status("n2").outlets if o.outlet == KEY)
    assert (room.context.settings.origin / "demo/feeds" / at.url.rpartition("/")[2]).exists(), at.url


# Articles that fill a document


def test_the_newest_of_many_long_articles_is_settled(make_newsroom: Callable[..., Newsroom]) -> None:
    """Together they are beyond the size bound of a document."""
    room = make_newsroom(CONFIG)
    for number in range(75):
        publish_long(room, number)
    plan(room)
    build(room)
    for _ in range(5):
        room.clock.move(30)
        room.drain()
    (at,) = (o for o in room.status("n74").outlets if o.outlet == KEY)
    assert at.state == "settled", at


def test_long_articles_one_by_one_make_no_page_each(make_newsroom: Callable[..., Newsroom]) -> None:
    """A page is not closed for every entry that the size bound drives out."""
    room = make_newsroom(CONFIG)
    for number in range(34):
        publish_long(room, number)
        plan(room)
        build(room)
    with room.context.ledger.read() as tx:
        assert len(archives.everything(tx, KEY)) <= 2
