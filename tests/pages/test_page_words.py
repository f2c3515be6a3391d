"""A page's own words and dates follow the language."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from pipeline.pages.words import BY_LANGUAGE, ENGLISH, date_line, words_for

MOMENT = datetime(2026, 11, 23, 22, 5, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("language", "zone", "line"),
    [
        ("en", "UTC", "23 November 2026, 22:05 UTC"),
        ("en-GB", "Europe/Moscow", "24 November 2026, 01:05 UTC+3"),
        ("xx", "Asia/Kolkata", "24 November 2026, 03:35 UTC+5:30"),
        ("es", "America/St_Johns", "23 de noviembre de 2026, 18:35 UTC−3:30"),
        ("de", "Europe/Berlin", "23. November 2026, 23:05 UTC+1"),
        ("fr", "UTC", "23 novembre 2026, 22:05 UTC"),
        ("ru", "UTC", "23 ноября 2026, 22:05 UTC"),
        ("ar", "UTC", "23 نوفمبر 2026، 22:05 UTC"),
    ],
)
def test_dates_are_written_as_the_language_writes_them(language: str, zone: str, line: str) -> None:
    """On the newsroom's wall clock, with its distance from UTC."""
    assert date_line(MOMENT, ZoneInfo(zone), words_for(language)) == line


@pytest.mark.parametrize("language", sorted(BY_LANGUAGE))
def test_no_language_lacks_a_word(language: str) -> None:
    """Every word is there."""
    words = BY_LANGUAGE[language]
    assert all(getattr(words, field.name) for field in fields(words))


def test_a_language_without_words_gets_english() -> None:
    """By the primary language alone: Swiss German is German, Klingon is English."""
    assert words_for("de-CH") is BY_LANGUAGE["de"]
    assert words_for("tlh") is ENGLISH
