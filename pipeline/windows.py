"""Where an article stands in a feed: in the live document, or on an archive page (RFC 5005 section 4).

An archive page holds everything between two places of the feed's order (date, then article), so what stands on it needs
no list. Above the newest page's upper end is what the live document shows. A page is closed when it is full, or its
month is over; an entry leaves the live document by that and by nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pipeline.model.settings import Feed

PAGES_A_RUN = 5
"""Pages that one run closes or writes again: of 100 entries, each made in three formats, in about two seconds."""


class Place(NamedTuple):
    """A place in a feed's order: the article's date, then its row id."""

    sort_at: datetime
    article_id: int


@dataclass(frozen=True, slots=True)
class Shown:
    """One entry of a feed: which revision of which article, and its date."""

    article_id: int
    revision: int
    sort_at: datetime
    identity: str
    short_id: str

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(self.sort_at, self.article_id)

    @property
    def month(self) -> str:
        """`yyyy-mm`, of UTC: the same wherever it is asked."""
        return self.sort_at.astimezone(UTC).strftime("%Y-%m")


@dataclass(frozen=True, slots=True)
class Cut:
    """What a feed's live document keeps, newest first, and the pages to close, each oldest first, the oldest page first."""

    live: tuple[Shown, ...]
    pages: tuple[tuple[Shown, ...], ...]


def cut(shown: Sequence[Shown], feed: Feed, as_of: datetime, *, more: int = 0, leave: int = 0, most: int = PAGES_A_RUN) -> Cut:
    """Decide what leaves, on at most `most` pages. `shown` is all above the newest page, oldest first; `more` newer ones were not read.

    leave  so many must go whatever their age: the document would be too large
    """
    recent = as_of - timedelta(hours=feed.window_hours)
    pages: list[tuple[Shown, ...]] = []
    left = tuple(shown)
    while feed.page_size and len(pages) < most and (page := _next_page(left, feed, recent, more, leave)):
        pages.append(page)
        left, leave = left[len(page) :], max(0, leave - len(page))
    return Cut(left[::-1], tuple(pages))


def _next_page(left: Sequence[Shown], feed: Feed, recent: datetime, more: int, leave: int) -> tuple[Shown, ...]:
    """The oldest page that may be closed now, oldest first; nothing where none may."""
    if not left:
        return ()
    beyond = len(left) + more - feed.window
    too_many = len(left) + more > feed.window_max
    may_leave = len(tuple(takewhile(lambda one: one.sort_at <= recent, left[: max(0, beyond)])))
    if not (leave or too_many or may_leave):
        return ()  # at most builds; the months of a whole window take longer to work out than all else here
    month = tuple(takewhile(lambda one: one.month == left[0].month, left))
    if leave or too_many:
        return month[: min(feed.page_size, max(beyond, leave))]
    full = min(len(month), may_leave) >= feed.page_size
    over = len(month) <= may_leave and len(month) < len(left) + more
    return month[: feed.page_size] if full or over else ()


def parts(shown: Sequence[Shown], feed: Feed) -> tuple[tuple[Shown, ...], ...]:
    """What a page holds by now (oldest first) as pages that are not too large: the last keeps the page's name."""
    size = feed.page_size
    first = len(shown) % size or size
    return (tuple(shown[:first]), *(tuple(shown[start : start + size]) for start in range(first, len(shown), size)))
