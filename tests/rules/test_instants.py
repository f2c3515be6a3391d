"""Instants: RFC 3339 into UTC, and nothing a calendar has not or a newsroom cannot mean."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kit.clock import rfc3339
from pipeline.rules.article import instant
from tests.rules import valid_articles


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-11-23T08:00:00Z", "2026-11-23T08:00:00Z"),
        ("2026-11-23t08:00:00z", "2026-11-23T08:00:00Z"),
        ("2026-11-23T08:00:00+03:00", "2026-11-23T05:00:00Z"),
        ("2026-11-23T08:00:00-03:30", "2026-11-23T11:30:00Z"),
        ("2026-11-23T08:00:00-00:00", "2026-11-23T08:00:00Z"),
        ("2026-11-23T08:00:00+23:59", "2026-11-22T08:01:00Z"),
        ("2026-11-23T08:00:00.5Z", "2026-11-23T08:00:00.500000Z"),
        ("2026-11-23T08:00:00.123456789Z", "2026-11-23T08:00:00.123456Z"),
        ("1900-01-01T00:00:00Z", "1900-01-01T00:00:00Z"),
        ("2200-12-31T23:59:59.999999Z", "2200-12-31T23:59:59.999999Z"),
        ("2201-01-01T00:30:00+01:00", "2200-12-31T23:30:00Z"),
    ],
)
def test_an_instant_is_told_in_utc(text: str, utc: str) -> None:
    """Whatever its offset; beyond microseconds it is cut, not rounded."""
    when = instant(text)
    assert when is not None
    assert when.tzinfo is UTC
    assert rfc3339(when) == utc


@pytest.mark.parametrize(
    "value",
    [
        *(None, 1795420800, 1.5, True, [], {}, b"2026-11-23T08:00:00Z", datetime(2026, 11, 23, tzinfo=UTC)),
        *("", "now", "2026-11-23", "2026-11-23T08:00:00", "08:00:00Z", "2026-11-23T08:00:00Z\n"),
        *("2016-12-31T23:59:60Z", "1990-12-31T15:59:60-08:00", "2026-11-23T08:00:61Z", "2026-11-23T08:60:00Z", "2026-11-23T25:00:00Z"),
        *("2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-31T00:00:00Z", "2026-11-23T08:00:00+24:00", "2026-11-23T08:00:00+99:99"),
        *("0000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "10000-01-01T00:00:00Z"),
        *("1899-12-31T23:59:59Z", "1900-01-01T00:30:00+01:00", "2201-01-01T00:00:00Z", "2200-12-31T23:30:00-01:00"),
        *("٢٠٢٦-11-23T08:00:00Z", "2026-11-23T08:00:00.１Z", "2026-11-23T08:00:00\ud800", "Z" * 2000, "1" * 5000 + "Z"),
    ],
)
def test_what_is_none(value: object) -> None:
    """Leap seconds are none of Python's clock; a year counts in UTC; no value of another type raises."""
    assert instant(value) is None


@given(valid_articles.moments)
def test_an_instant_is_the_same_at_every_offset(when: datetime) -> None:
    """Read back from its own spelling, in UTC or not, and never later than it was."""
    assert instant(when.isoformat()) == when
    assert instant(rfc3339(when)) == when
    assert instant(when.isoformat().lower()) == when


@given(st.tuples(valid_articles.moments, valid_articles.moments))
def test_instants_keep_their_order(pair: tuple[datetime, datetime]) -> None:
    """Also across offsets."""
    first, second = (instant(when.isoformat()) for when in pair)
    assert first is not None
    assert second is not None
    assert (first < second) == (pair[0] < pair[1])


@given(st.text("0123456789-:+.,TZtzW \n\0é", max_size=40) | st.text(max_size=40))
def test_any_text_is_an_instant_or_none(text: str) -> None:
    """Nothing raises; what comes out is UTC, between 1900 and 2200."""
    when = instant(text)
    assert when is None or (when.tzinfo is UTC and 1900 <= when.year <= 2200)
