"""Direction and dates of languages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipeline.kit import languages
from pipeline.kit.languages import Calendar, direction

CALENDARS = {name: value for name, value in vars(languages).items() if isinstance(value, Calendar)}


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("ar", "rtl"),
        ("AR-EG", "rtl"),
        ("fa", "rtl"),
        ("he-IL", "rtl"),
        ("ur", "rtl"),
        ("az-Arab", "rtl"),
        ("ar-Latn", "ltr"),
        ("uz-Latn-UZ", "ltr"),
        ("en", "ltr"),
        ("ru", "ltr"),
        ("zh-Hant-TW", "ltr"),
    ],
)
def test_direction_follows_script_then_language(language: str, expected: str) -> None:
    """A script named in the tag decides; else the language's usual one."""
    assert direction(language) == expected


@pytest.mark.parametrize("name", sorted(CALENDARS))
def test_a_calendar_has_twelve_months_and_names_all_of_a_date(name: str) -> None:
    """Each month apart, and day, month and year in every line."""
    calendar = CALENDARS[name]
    assert len(set(calendar.months)) == len(calendar.months) == 12
    for month in range(1, 13):
        line = calendar.line(datetime(2026, month, 23, 22, 5, tzinfo=UTC), UTC)
        assert all(part in line for part in ("23", calendar.months[month - 1], "2026", "22:05 UTC"))
