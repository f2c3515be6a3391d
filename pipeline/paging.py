"""What one run makes of a feed: the live document, pages to close, pages to write again; read from the ledger at once.

An archive page is written when it is closed, and again only when something on it was corrected or withdrawn, came late, or
is damaged. Each names the page before it; that a newer one was closed is told by the live document alone.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline import building
from pipeline.building import Edition, Window
from pipeline.ledger import archives, deliveries
from pipeline.ledger.archives import Page
from pipeline.model.entry import Tombstone
from pipeline.windows import PAGES_A_RUN, cut, parts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from pipeline.ledger.deliveries import Due
    from pipeline.ledger.engine import Tx
    from pipeline.model.settings import Feed
    from pipeline.windows import Shown

_PAGE = re.compile(r"-([0-9]{4}-[0-9]{2}-[0-9]+)\.")


@dataclass(frozen=True, slots=True)
class Work:
    """What a run is to make.

    window    of the live document
    previous  the newest archive page once this is done; empty without one
    pages     archive pages to write, with what stands on each; the first ones have never been written
    waiting   articles whose page is left to the next run
    left      whether pages are left to the next run
    late      pages that more came to than this run takes: they are to be written again
    listed    every page (name, last change) but those to write, the newest first; only for feeds that are asked to list them
    """

    window: Window
    previous: str = ""
    pages: tuple[tuple[Page, Edition], ...] = ()
    waiting: frozenset[int] = frozenset()
    left: bool = False
    listed: tuple[Page, ...] = ()
    late: frozenset[str] = frozenset()

    def live(self, feed: Feed) -> Edition:
        """The live document."""
        return Edition(feed.name, self.window.shown, self.window.tombstones, page_name(feed, self.previous))

    @property
    def shown(self) -> list[Shown]:
        """Every entry that stands in any of it."""
        return [*self.window.shown, *(one for _, edition in self.pages for one in edition.shown)]


def page_name(feed: Feed, page: str) -> str:
    """The name of a page's documents, `all-2026-11-1`; empty for no page."""
    return f"{feed.name}-{page}" if page else ""


def page_of(path: str) -> str | None:
    """The page that a document belongs to, by its path; None for a live document."""
    found = _PAGE.search(path)
    return found[1] if found else None


def read(
    tx: Tx, key: str, feed: Feed, due: Sequence[Due], without: Collection[int] = (), *, leave: int = 0, most: int = PAGES_A_RUN
) -> Work:
    """What is to be made of a feed now, without these articles, on about `most` pages; `leave` as `windows.cut` has it."""
    if not feed.page_size:
        return Work(building.window(tx, key, feed, without))
    return _Reading(tx, key, feed, without, most).work(due, leave)


class _Reading:
    """One look at a feed's rows."""

    def __init__(self, tx: Tx, key: str, feed: Feed, without: Collection[int], most: int) -> None:
        self._tx, self._key, self._feed, self._without, self._most = tx, key, feed, without, most
        self._newest = archives.newest(tx, key)
        self._numbers: Counter[str] = Counter()
        self._pages: list[tuple[Page, Edition]] = []

    def work(self, due: Sequence[Due], leave: int) -> Work:
        tx = self._tx
        window, closed = self._window(leave)
        previous = self._newest.name if self._newest else ""
        for shown in closed:
            previous = self._new(shown, previous)
        pages = {article: names for article, names in self._touched(due).items() if names}
        marked = archives.to_write(tx, self._key, PAGES_A_RUN + 1) if self._newest else []
        asked = list(dict.fromkeys([*(name for names in pages.values() for name in sorted(names)), *(page.name for page in marked)]))
        found = {page.name: page for page in archives.named(tx, self._key, asked)}
        asked = [name for name in asked if name in found]
        done, late = set[str](), set[str]()
        for name in asked:
            if (done or late) and len(self._pages) >= self._most:
                break
            (done if self._again(found[name]) else late).add(name)
        waiting = frozenset(article for article, names in pages.items() if not (names & found.keys()) <= done)
        left = len(asked) > len(done) or len(closed) == self._most
        return Work(window, previous, tuple(self._pages), waiting, left, tuple(self._listed()), frozenset(late))

    def _window(self, leave: int) -> tuple[Window, tuple[tuple[Shown, ...], ...]]:
        feed = self._feed
        most = feed.window_max + self._most * feed.page_size
        shown = self._stretch(self._newest.end if self._newest else None, None, most + 1)
        more = len(shown) > most
        cutting = cut(shown[:most], feed, building.floor_to_edge(self._tx.now), more=int(more), leave=leave, most=self._most)
        live: Sequence[Shown] = cutting.live
        if more:  # so many came that the newest are not among them
            rows = deliveries.window(self._tx, self._key, feed.window_max + len(self._without))
            live = [building.shown_of(row) for row in rows if row.article_id not in self._without][: feed.window_max]
        return building.showing(self._tx, self._key, feed, live), cutting.pages

    def _stretch(self, above: tuple[datetime, int] | None, upto: tuple[datetime, int] | None, most: int) -> list[Shown]:
        rows = deliveries.stretch(self._tx, self._key, above, upto, most + len(self._without))
        return [building.shown_of(row) for row in rows if row.article_id not in self._without][:most]

    def _touched(self, due: Iterable[Due]) -> dict[int, set[str]]:
        """Article → the pages it was put on, and belongs on now."""
        touched: dict[int, set[str]] = {}
        for one in due:
            touched[one.article_id] = {one.page} if one.page else set()
            place = (one.sort_at, one.article_id)
            if one.present and self._newest is not None and place <= self._newest.end:
                page = archives.above(self._tx, self._key, place)
                touched[one.article_id] |= {page.name} if page else set()
        return touched

    def _new(self, shown: Sequence[Shown], previous: str) -> str:
        """A page that closes with the newest of these (oldest first); answers its name."""
        month = shown[-1].month
        if month not in self._numbers:
            self._numbers[month] = archives.count(self._tx, self._key, month)
        self._numbers[month] += 1
        page = Page(f"{month}-{self._numbers[month]}", *shown[-1].place, self._tx.now)
        self._write(page, shown, previous)
        return page.name

    def _write(self, page: Page, shown: Sequence[Shown], previous: str) -> None:
        gone = deliveries.removed_from_page(self._tx, self._key, page.name)
        stones = tuple(Tombstone(row.identity, row.live_at) for row in gone)
        name = page_name(self._feed, page.name)
        edition = Edition(name, tuple(shown)[::-1], stones, page_name(self._feed, previous), archive=True)
        self._pages.append((page, edition))

    def _again(self, page: Page) -> bool:
        """Write a page again; what came late and is too much for it goes on new pages before it. False while more is to come."""
        before = archives.before(self._tx, self._key, page.end)
        most = self._most * self._feed.page_size
        shown = self._stretch(before.end if before else None, page.end, most + 1)
        previous = before.name if before else ""
        *earlier, own = parts(shown[:most], self._feed)
        complete = len(shown) <= most
        for part in earlier if complete else (*earlier, own):
            previous = self._new(part, previous)
        if complete:
            self._write(page, own, previous)
        return complete

    def _listed(self) -> list[Page]:
        """Every page that is not to be written, for formats that list them."""
        if not any(fmt.index for fmt in building.formats_of(self._feed)):
            return []
        written = {page.name for page, _ in self._pages}
        return [page for page in archives.everything(self._tx, self._key) if page.name not in written]


def changed_at(page: Page, when: datetime) -> Page:
    """The page, changed then."""
    return replace(page, changed_at=when)
