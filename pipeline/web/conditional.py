"""Conditional requests (RFC 9110 section 13): strong ETags, dates that never go back, the right 304."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

STILL = timedelta(seconds=2)
_TAG = re.compile(r'(?:W/)?"([^"]*)"')


def etag(sha256: str, coding: str = "") -> str:
    """A strong ETag over the content, another one for each content coding (RFC 9110 8.8.3.3)."""
    return f'"{sha256[:32]}{"-" + coding if coding else ""}"'


def http_date(when: datetime) -> str:
    """An IMF-fixdate (RFC 9110 5.6.7)."""
    return format_datetime(when.astimezone(UTC), usegmt=True)


def is_still(modified: datetime, now: datetime) -> bool:
    """Whether a date tells this document from the next: within one second it would not (RFC 9110 8.8.2.2)."""
    return now - modified >= STILL


def not_modified(headers: Mapping[str, str], tag: str, modified: datetime, *, still: bool) -> bool:
    """Whether 304 is right. If-None-Match decides alone where it stands (RFC 9110 13.2.2).

    If-Modified-Since is believed only once the document has been still for 2 s: HTTP dates know no fractions,
    and a second change within the same second would hide behind it.
    """
    if (none_match := headers.get("if-none-match")) is not None:
        return none_match.strip() == "*" or tag.strip('"') in _TAG.findall(none_match)
    try:
        since = parsedate_to_datetime(headers["if-modified-since"])
    except (KeyError, ValueError, TypeError, OverflowError):  # the last for an offset from UTC of twenty digits
        return False
    since = since if since.tzinfo else since.replace(tzinfo=UTC)
    return still and modified <= since


def best(header: str, codings: tuple[str, ...]) -> str:
    """The first of these codings that Accept-Encoding takes, "" (as it is) where it takes none."""
    return _known_best(header, codings) if len(header) <= _USUAL else _best(header, codings)


def _best(header: str, codings: tuple[str, ...]) -> str:
    return next((coding for coding in codings if coding and accepts(header, coding)), "")


_USUAL = 100  # characters; readers are many, their programs few, and what somebody makes up is soon forgotten
_known_best = lru_cache(256)(_best)


def accepts(header: str, coding: str) -> bool:
    """Whether Accept-Encoding takes a coding (RFC 9110 12.5.3): q=0 refuses, `*` stands for all not named."""
    weights: dict[str, float] = {}
    for part in header.lower().split(","):
        name, _, parameters = part.strip().partition(";")
        weights[name.strip()] = _quality(parameters)
    return weights.get(coding, weights.get("*", 0.0)) > 0


def _quality(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0
