"""The contract finds each way a document can be wrong, and names the entry where there is one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.formats import FORMATS, Expectation, Format, Seen, check, contract

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.model.entry import Entry, FeedHead

BOUND = 2_000_000
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
every_format = pytest.mark.parametrize("fmt", FORMATS.values(), ids=list(FORMATS))
dated_format = pytest.mark.parametrize("fmt", [fmt for name, fmt in FORMATS.items() if name != "sitemap"], ids=lambda fmt: fmt.name)


def found(fmt: Format, head: FeedHead, shown: Sequence[Entry], promised: Sequence[Entry]) -> list[tuple[str | None, str]]:
    """The faults of a document that shows `shown` where `promised` was to be shown."""
    document = fmt.document(head, [fmt.entry(entry, head) for entry in shown])
    expected = [Expectation(entry.identity, entry.article.published_at, entry.link) for entry in promised]
    return [(fault.identity, fault.detail) for fault in check(fmt, document, expected, BOUND, head.updated_at)]


@every_format
def test_lost_doubled_and_strange_entries(fmt: Format, head: FeedHead, make_shown: Callable[..., Entry]) -> None:
    """A lost or doubled one is named; one nobody put in has nobody to leave out."""
    a, b, c = (make_shown(number) for number in range(3))
    assert found(fmt, head, [a, c], [a, b, c]) == [(b.identity, "was lost")]
    assert found(fmt, head, [a, b, b], [a, b]) == [(b.identity, "stands 2 times")]
    ((nobody, detail),) = found(fmt, head, [a, b], [a])
    assert nobody is None
    assert detail in {f"an entry nobody put in: {b.identity}", f"an entry nobody put in: {b.link}"}


@every_format
def test_an_entry_promised_twice_is_named(fmt: Format, head: FeedHead, make_shown: Callable[..., Entry]) -> None:
    """The document cannot be right when the promise is wrong."""
    a = make_shown()
    assert (a.identity, "stands 2 times") in found(fmt, head, [a, a], [a, a])


@dated_format
def test_oldest_first_is_refused(fmt: Format, head: FeedHead, make_shown: Callable[..., Entry]) -> None:
    """Newest first, even when that was the order asked for."""
    a, b = make_shown(0), make_shown(1)
    assert found(fmt, head, [b, a], [b, a]) == [(a.identity, f"stands below {b.identity}, which is older")]


@every_format
def test_another_order_among_equal_dates_is_refused(fmt: Format, head: FeedHead, make_shown: Callable[..., Entry]) -> None:
    """Two articles of one instant keep the order they were given in."""
    a = make_shown(0)
    b = replace(a, identity="tag:news.example,2026-01-01:cms/twin", link="https://news.example/twin/")
    assert found(fmt, head, [b, a], [a, b]) == [(b.identity, "stands out of the order it was given in")]
    assert found(fmt, head, [a, b], [a, b]) == []


@every_format
def test_a_change_ahead_of_the_feed_is_refused(fmt: Format, head: FeedHead, make_shown: Callable[..., Entry]) -> None:
    """It would tell of an embargo, or freeze readers."""
    a = make_shown()
    wrong = replace(a, modified_at=head.updated_at + timedelta(hours=1))
    ((identity, detail),) = found(fmt, head, [wrong], [wrong])
    assert identity == a.identity
    assert detail.startswith("is dated after")


@dated_format
def test_a_publication_ahead_of_the_feed_is_refused(fmt: Format, head: FeedHead, make_shown: Callable[..., Entry]) -> None:
    """Wherever its date is told."""
    a = make_shown()
    wrong = replace(a, article=replace(a.article, published_at=head.updated_at + timedelta(hours=1)))
    ((identity, detail),) = found(fmt, head, [wrong], [wrong])
    assert identity == a.identity
    assert detail.startswith("is dated after")


@dated_format
def test_a_date_that_is_not_the_articles_is_refused(fmt: Format, head: FeedHead, make_shown: Callable[..., Entry]) -> None:
    """The entry kept from another revision is recognised by its date."""
    a = make_shown()
    other = replace(a, article=replace(a.article, published_at=a.article.published_at - timedelta(days=1)))
    ((identity, detail),) = found(fmt, head, [other], [a])
    assert identity == a.identity
    assert "instead of" in detail


@every_format
def test_too_large_and_broken_documents_blame_nobody(fmt: Format, head: FeedHead, make_shown: Callable[..., Entry]) -> None:
    """There is no culprit to leave out, so the old document stays."""
    document = fmt.document(head, [fmt.entry(make_shown(), head)])
    shown = make_shown()
    expected = [Expectation(shown.identity, shown.article.published_at, shown.link)]
    assert check(fmt, document, expected, len(document), head.updated_at) == []
    (large,) = check(fmt, document, expected, len(document) - 1, head.updated_at)
    (broken,) = check(fmt, document[:-9], expected, BOUND, head.updated_at)
    assert (large.identity, broken.identity) == (None, None)


@given(st.lists(st.integers(0, 5), max_size=8), st.lists(st.integers(0, 5), max_size=8))
def test_no_fault_means_exactly_what_was_promised(shown: list[int], promised: list[int]) -> None:
    """Whatever is shown and promised: no fault only where both are the same list, without repeats and newest first."""
    latest = NOON + timedelta(days=1)
    fmt = replace(FORMATS["rss"], read=lambda _: [Seen(str(n), NOON - timedelta(hours=n)) for n in shown])
    faults = check(fmt, b"", [Expectation(str(n), NOON - timedelta(hours=n)) for n in promised], BOUND, latest)
    assert (not faults) == (shown == promised == sorted(set(promised)))


@every_format
def test_what_is_not_one_entry_is_refused(fmt: Format, head: FeedHead, make_shown: Callable[..., Entry]) -> None:
    """Bytes that close their element early, hold two entries, or none, never get into a document."""
    story = make_shown()
    good = fmt.entry(story, head)
    frame = fmt.frame(head)
    seen = contract.read_entry(fmt, frame, good)
    assert seen.identity == story.identity or (seen.identity, seen.link) == (None, story.link)
    joint = b",\n" if good.startswith(b"{") else b"\n"
    for bad in (good + joint + good, b"", good[:-3], good + b"</channel>" + good, good + b"</urlset>" + good):
        with pytest.raises(ValueError, match=r"."):
            contract.read_entry(fmt, frame, bad)
    assert contract.check_frame(fmt, frame) == []


def by_link(*told: str) -> Format:
    """A format whose document tells links only, these."""
    return replace(FORMATS["rss"], read=lambda _: [Seen(None, None, None, link) for link in told])


LINKED = [Expectation(name.upper(), NOON, name) for name in ("a", "b", "c")]


@pytest.mark.parametrize(
    ("told", "faults"),
    [
        ("abc", []),
        ("ac", [("B", "was lost")]),
        ("abbc", [("B", "stands 2 times")]),
        ("abcd", [(None, "an entry nobody put in: d")]),
        ("bac", [("B", "stands out of the order it was given in")]),
    ],
)
def test_without_identities_links_tell_entries_apart(told: str, faults: list[tuple[str | None, str]]) -> None:
    """What is lost, doubled, strange or misplaced is named as where identities are told."""
    assert [(fault.identity, fault.detail) for fault in check(by_link(*told), b"", LINKED, BOUND, NOON)] == faults


def test_two_articles_at_one_address_are_refused_where_the_address_is_all_there_is() -> None:
    """The newer keeps it; a format that tells identities has no such trouble."""
    twins = [Expectation("A", NOON, "a"), Expectation("B", NOON, "a")]
    assert [(f.identity, f.detail) for f in check(by_link("a", "a"), b"", twins, BOUND, NOON)] == [("B", "leads to a, as A does")]
    identified = replace(FORMATS["rss"], read=lambda _: [Seen("A", NOON), Seen("B", NOON)])
    assert check(identified, b"", twins, BOUND, NOON) == []


def test_a_last_change_ahead_is_refused_where_it_is_the_only_date() -> None:
    """A sitemap may not tell the future either."""
    fmt = replace(FORMATS["rss"], read=lambda _: [Seen(None, None, NOON + timedelta(seconds=1), "a")])
    ((identity, detail),) = [(f.identity, f.detail) for f in check(fmt, b"", LINKED[:1], BOUND, NOON)]
    assert identity == "A"
    assert detail.startswith("is dated after")


_SOON = st.sampled_from([NOON + timedelta(milliseconds=300 * step) for step in range(-4, 3)])
_SEEN = st.lists(st.builds(Seen, st.sampled_from("abcd"), st.none() | _SOON, st.none() | _SOON), max_size=4)


@given(_SEEN, st.data())
def test_one_look_finds_nothing_exactly_where_every_look_does(seen: list[Seen], data: st.DataObject) -> None:
    """The quick answer that all is right is the answer of the single checks."""
    likely = st.just([Expectation(one.identity or "", one.date or NOON) for one in seen])
    expected = data.draw(likely | st.lists(st.builds(Expectation, st.sampled_from("abcd"), _SOON), max_size=4))
    checks = [*contract._presence(seen, expected), *contract._dates(seen, expected, NOON), *contract._order(seen, expected)]
    assert contract._all_right(seen, expected, NOON) == (not checks)
