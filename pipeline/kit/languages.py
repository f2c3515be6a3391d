"""What is known of languages whatever is said in them: which way they are written, and how they write a date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

# Scripts written from right to left, and languages whose usual script is one of them (Unicode CLDR, characterOrder).
_RTL_SCRIPTS = frozenset({"adlm", "arab", "hebr", "mand", "nkoo", "rohg", "syrc", "thaa"})
_RTL_LANGUAGES = frozenset({"ar", "arc", "ckb", "dv", "fa", "he", "iw", "ks", "nqo", "ps", "sd", "syr", "ug", "ur", "yi"})


@dataclass(frozen=True, slots=True)
class Calendar:
    """How one language writes a date. `date` takes day, month and year; months are in the case a date asks for."""

    comma: str
    date: str
    months: tuple[str, ...]

    def line(self, moment: datetime, zone: tzinfo) -> str:
        """Such as "16 November 2026, 09:30 UTC+3": the wall clock there, and how far it is from UTC."""
        local = moment.astimezone(zone)
        date = self.date.format(day=local.day, month=self.months[local.month - 1], year=local.year)
        return f"{date}{self.comma}{local:%H:%M} {_offset(local)}"


ENGLISH = Calendar(
    ", ",
    "{day} {month} {year}",
    ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"),
)
RUSSIAN = Calendar(
    ", ",
    "{day} {month} {year}",
    ("января", "февраля", "марта", "апреля", "мая", "июня", "июля", "августа", "сентября", "октября", "ноября", "декабря"),
)
ARABIC = Calendar(
    "، ",
    "{day} {month} {year}",
    ("يناير", "فبراير", "مارس", "أبريل", "مايو", "يونيو", "يوليو", "أغسطس", "سبتمبر", "أكتوبر", "نوفمبر", "ديسمبر"),
)
SPANISH = Calendar(
    ", ",
    "{day} de {month} de {year}",
    ("enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"),
)
FRENCH = Calendar(
    ", ",
    "{day} {month} {year}",
    ("janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"),
)
GERMAN = Calendar(
    ", ",
    "{day}. {month} {year}",
    ("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"),
)


def direction(language: str) -> str:
    """Say "rtl" or "ltr" for a BCP 47 tag: its script subtag (RFC 5646 2.2.3) decides, else the usual script."""
    primary, *others = language.lower().split("-")
    script = next((tag for tag in others if len(tag) == 4 and tag.isalpha()), "")  # noqa: PLR2004 - the length of a script subtag
    right_to_left = script in _RTL_SCRIPTS if script else primary in _RTL_LANGUAGES
    return "rtl" if right_to_left else "ltr"


def _offset(local: datetime) -> str:
    minutes = int((local.utcoffset() or timedelta()).total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    sign = "−" if minutes < 0 else "+"
    return f"UTC{sign}{hours}{f':{rest:02d}' if rest else ''}" if minutes else "UTC"
