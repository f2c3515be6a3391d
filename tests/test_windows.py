"""What leaves a feed's live document, and onto which archive page: a decision about dates and numbers alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.model.settings import Feed
from pipeline.windows import PAGES_A_RUN, Shown, cut, parts

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
FEED = Feed("all", "All", "All", window=3, window_hours=0, window_max=12, page_size=4)


def shown(count: int, first: datetime = datetime(2026, 11, 1, tzinfo=UTC), apart: timedelta = timedelta(hours=1)) -> list[Shown]:
    """So many entries, oldest first."""
    return [Shown(n, n, first + n * apart, f"tag:{n}", f"s{n}") for n in range(count)]


@pytest.mark.parametrize(("count", "pages"), [(0, []), (3, []), (6, []), (7, [4]), (10, [4]), (11, [4, 4])])
def test_a_page_is_closed_when_it_is_full(count: int, pages: list[int]) -> None:
    """The newest three stay, and with them what does not fill a page."""
    made = cut(shown(count), FEED, NOW)
    assert [len(page) for page in made.pages] == pages
    assert [one.article_id for one in made.live] == list(range(count))[::-1][: count - sum(pages)]


def test_young_entries_stay_until_there_are_too_many() -> None:
    """What is younger than the window's hours stays up to `window_max`; beyond that the oldest leave all the same."""
    young = Feed("all", "All", "All", window=3, window_hours=24, window_max=12, page_size=4)
    minutes = {"first": NOW - timedelta(hours=2), "apart": timedelta(minutes=1)}
    assert cut(shown(12, **minutes), young, NOW).pages == ()  # type: ignore[arg-type]
    assert [len(page) for page in cut(shown(13, **minutes), young, NOW).pages] == [4]  # type: ignore[arg-type]


def test_a_month_that_is_over_closes_its_page() -> None:
    """As soon as all of it lies beyond the window."""
    october = shown(2, datetime(2026, 10, 30, tzinfo=UTC))
    later = [Shown(n, n, datetime(2026, 11, 1, n, tzinfo=UTC), f"tag:{n}", "") for n in (10, 11, 12)]
    assert [len(page) for page in cut([*october, *later], FEED, NOW).pages] == [2]
    assert cut([*october, *later[:2]], FEED, NOW).pages == ()


def test_no_page_holds_two_months() -> None:
    """Also where many must leave at once."""
    pages = cut([*shown(2, datetime(2026, 10, 30, tzinfo=UTC)), *shown(40)], FEED, NOW).pages
    assert [len({one.month for one in page}) for page in pages] == [1] * len(pages)
    assert len(pages) == PAGES_A_RUN


def test_what_is_too_large_leaves_before_its_page_is_full() -> None:
    """So many as the document has no room for."""
    assert [len(page) for page in cut(shown(5), FEED, NOW, leave=3).pages] == [3]


def test_entries_that_were_not_read_count() -> None:
    """Of a burst only the oldest are read: they all leave."""
    assert [len(page) for page in cut(shown(12), FEED, NOW, more=1).pages] == [4, 4]


def test_without_pages_nothing_leaves() -> None:
    """A feed whose window is all there is."""
    assert cut(shown(50), Feed("all", "All", "All", page_size=0), NOW).pages == ()


@pytest.mark.parametrize(("count", "sizes"), [(0, [0]), (1, [1]), (4, [4]), (5, [1, 4]), (9, [1, 4, 4])])
def test_a_page_that_grew_is_split(count: int, sizes: list[int]) -> None:
    """The newest part, which keeps its name, is full."""
    made = parts(shown(count), FEED)
    assert [len(part) for part in made] == sizes
    assert [one.article_id for part in made for one in part] == list(range(count))
