"""A document held against a partner's table: every rule it breaks, where, and how to mend it.

    needs      true: there is at least one value, and it is not blank
    count      {min, max} of values
    length     {min, max} characters of each value, white space at its edges left out
    matches    a regular expression that each whole value matches
    date       each value is such a date, with an offset: "rfc822", with a year of four digits and the right weekday where one is named |
               "w3c", a bare day too | "any", the first or RFC 3339
    max_days   no value is a date ahead, or more days ago than this
    max_bytes  the place itself is no longer than this, as bytes
    number     {min, max}; {any = true}: one value that is right is enough. No value is no fault
    unique     true: no value stands twice in the document
    plain      true: no value holds an HTML element
    without    names of HTML elements no value may hold
    url        true: each value is an absolute http(s) URL without user name and password
    encoding   the document's encoding

Rules but `needs` and `count` say nothing of a value that is not there.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import lxml.html
from lxml import etree

from pipeline.formats.contract import aware
from pipeline.formats.feedgen_cures import ATOM, CONTENT, DC, DCTERMS, MEDIA
from pipeline.formats.news import NEWS
from pipeline.formats.partners import PLACES, ROOTS, Rule
from pipeline.formats.rss import rfc822
from pipeline.formats.sitemap import IMAGE, SITEMAP
from pipeline.formats.xmlbytes import parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.formats.partners import Profile

NAMESPACES = {
    "atom": ATOM,
    "content": CONTENT,
    "dc": DC,
    "dcterms": DCTERMS,
    "image": IMAGE,
    "media": MEDIA,
    "news": NEWS,
    "sm": SITEMAP,
    "snf": "http://www.smartnews.be/snf",
}
"""The prefixes a rule's path may use."""

# RFC 822 section 5.1 with the four-digit year of RFC 2822; zones with letters that RFC 822 gives an offset, but for the military ones.
_RFC_822 = re.compile(
    r"(?:(Mon|Tue|Wed|Thu|Fri|Sat|Sun), *)?\d{1,2} +(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d{4} +\d\d:\d\d(?::\d\d)?"
    r" +(?:[+-]\d{4}|UT|GMT|Z|[ECMP][SD]T)",
    re.ASCII | re.IGNORECASE,
)
_RFC_3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"  # section 5.6, date-time
_W3C = r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))?"  # https://www.w3.org/TR/NOTE-datetime, from the day on
_ISO = {"any": re.compile(_RFC_3339, re.ASCII), "w3c": re.compile(_W3C, re.ASCII)}
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NEEDED = {"rss": "channel"}  # what a root is not the document it says without; an empty sitemap is one
_ROOT_TAGS = {"rss": "rss", "news-sitemap": f"{{{SITEMAP}}}urlset"}
_TAG = re.compile(r"<[a-zA-Z/!][^>]*>")
_NAMED = "guid | link | sm:loc | parent::sm:url/sm:loc"
_SHOWN = 60  # characters of a value in a finding


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule: which, how much it matters, where, what was found, the rule in a sentence, how to mend it, whose page says so."""

    rule: str
    level: str
    where: str
    what: str
    says: str
    mend: str
    source: str

    def to_json(self) -> dict[str, str]:
        """As programs read it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Place:
    """What a rule is about: a name for people, the element, and the values at the rule's path."""

    name: str
    element: etree._Element
    values: tuple[str, ...]


def lint(document: bytes, profile: Profile, now: datetime) -> list[Finding]:
    """Everything the document breaks, in the order of the table, then of the document. `now` is what ages are counted from."""
    try:
        root = parsed(document)
    except ValueError as error:
        return [_unreadable(profile, f"It is {error}.", "Have it made again; what follows from a broken document is lost on every reader.")]
    if root.tag != _ROOT_TAGS[profile.reads]:
        what = f"Its root is {root.tag!s}: it is not {ROOTS[profile.reads]}."
        return [_unreadable(profile, what, f"Give {profile.title} the address of {ROOTS[profile.reads]}.")]
    if (needed := _NEEDED.get(profile.reads)) and root.find(needed) is None:
        return [_unreadable(profile, f"Its root has no {needed}.", f"Have it made again as {ROOTS[profile.reads]}: nothing is in it.")]
    return [finding for rule in profile.rules for finding in _broken(rule, profile, root, now)]


def _unreadable(profile: Profile, what: str, mend: str) -> Finding:
    return Finding("document", "required", "document", what, f"{profile.title} reads {ROOTS[profile.reads]}.", mend, profile.source)


def _broken(rule: Rule, profile: Profile, root: etree._Element, now: datetime) -> Iterator[Finding]:
    places = [_place(rule, number, element) for number, element in enumerate(_elements(root, PLACES[profile.reads][rule.at]), 1)]
    for place, what in _CHECKS[rule.kind](rule.value, places, now):
        yield Finding(rule.name, rule.level, place, what, rule.says, rule.mend, rule.source)


def _elements(root: etree._Element, path: str) -> list[etree._Element]:
    found: Any = root.xpath(path, namespaces=NAMESPACES)
    return list(found)


def _place(rule: Rule, number: int, element: etree._Element) -> _Place:
    found: Any = element.xpath(rule.path, namespaces=NAMESPACES)
    values = tuple(str(one) if isinstance(one, str) else _text(one) for one in found)
    if rule.at in {"document", "channel"}:
        return _Place(rule.at, element, values)
    called = next((_text(one).strip() for one in _elements(element, _NAMED)), "")
    return _Place(f"{rule.at} {number} ({called})" if called else f"{rule.at} {number}", element, values)


def _text(element: etree._Element) -> str:
    return "".join(str(text) for text in element.itertext())


Broken = tuple[str, str]  # where, what


def _each(wrong: Callable[[Any, str, datetime], str]) -> Callable[[Any, Sequence[_Place], datetime], Iterator[Broken]]:
    """A check that looks at one value at a time, and says what is wrong with it."""

    def check(asked: Any, places: Sequence[_Place], now: datetime) -> Iterator[Broken]:
        for place in places:
            for value in place.values:
                if what := wrong(asked, value.strip(), now):
                    yield place.name, what

    return check


def _needs(_asked: object, places: Sequence[_Place], _now: datetime) -> Iterator[Broken]:
    for place in places:
        if not any(value.strip() for value in place.values):
            yield place.name, "It is blank." if place.values else "It is not there."


def _count(asked: dict[str, int], places: Sequence[_Place], _now: datetime) -> Iterator[Broken]:
    for place in places:
        if wrong := _outside(asked, len(place.values)):
            yield place.name, f"There are {len(place.values)}, {wrong}."


def _length(asked: dict[str, int], value: str, _now: datetime) -> str:
    wrong = _outside(asked, len(value)) if value else ""
    return f"“{_shown(value)}” has {len(value)} characters, {wrong}." if wrong else ""


def _matches(asked: str, value: str, _now: datetime) -> str:
    return "" if re.fullmatch(asked, value) else f"“{_shown(value)}” is not of that form."


def _date(asked: str, value: str, _now: datetime) -> str:
    return "" if _read_date(asked, value) else f"“{_shown(value)}” is no such date."


def _max_days(asked: int, value: str, now: datetime) -> str:
    when = _read_date("w3c", value) or _read_date("rfc822", value) or _guessed(value)
    if when is None:
        return f"“{_shown(value)}” is no date."
    if when > now:
        return f"{value} is ahead."
    days = (now - when) / timedelta(days=1)
    return f"{value} is {days:.1f} days ago, more than {asked}." if days > asked else ""


def _max_bytes(asked: int, places: Sequence[_Place], _now: datetime) -> Iterator[Broken]:
    for place in places:
        size = len(etree.tostring(place.element, encoding="UTF-8", with_tail=False))
        if size > asked:
            yield place.name, f"It is {size} bytes long, more than {asked}."


def _number(asked: dict[str, int], places: Sequence[_Place], _now: datetime) -> Iterator[Broken]:
    for place in places:
        wrong = [what for value in place.values if (what := _wrong_number(asked, value))]
        enough = 1 if asked.get("any") else len(place.values)
        if len(place.values) - len(wrong) < min(enough, len(place.values)):
            yield place.name, wrong[0]


def _wrong_number(asked: dict[str, int], value: str) -> str:
    if not re.fullmatch(r"\d{1,15}", value.strip()):
        return f"“{_shown(value)}” is no number."
    wrong = _outside(asked, int(value))
    return f"It is {int(value)}, {wrong}." if wrong else ""


def _unique(_asked: object, places: Sequence[_Place], _now: datetime) -> Iterator[Broken]:
    times = Counter(value.strip() for place in places for value in place.values)
    told: set[str] = set()
    for place in places:
        for value in (value.strip() for value in place.values):
            if value in told:
                yield place.name, f"“{_shown(value)}” stands {times[value]} times."
            told.add(value)


def _plain(_asked: object, value: str, _now: datetime) -> str:
    found = _TAG.search(value)
    return f"It holds {_shown(found[0])}." if found else ""


def _without(asked: Sequence[str], value: str, _now: datetime) -> str:
    # Not as a fragment: lxml refuses one that is a whole page.
    found = sorted({str(element.tag) for element in lxml.html.document_fromstring(f"<div>{value}</div>").iter(*asked)})
    return f"It holds {', '.join(found)}." if found else ""


def _url(_asked: object, value: str, _now: datetime) -> str:
    try:
        parts = urlsplit(value)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        good = False
    return "" if good else f"“{_shown(value)}” is no such address."


def _encoding(asked: str, places: Sequence[_Place], _now: datetime) -> Iterator[Broken]:
    for place in places:
        stated = place.element.getroottree().docinfo.encoding or "UTF-8"
        if stated.lower() != asked.lower():
            yield place.name, f"It is {stated}."


_CHECKS: dict[str, Callable[[Any, Sequence[_Place], datetime], Iterator[Broken]]] = {
    "needs": _needs,
    "count": _count,
    "length": _each(_length),
    "matches": _each(_matches),
    "date": _each(_date),
    "max_days": _each(_max_days),
    "max_bytes": _max_bytes,
    "number": _number,
    "unique": _unique,
    "plain": _each(_plain),
    "without": _each(_without),
    "url": _each(_url),
    "encoding": _encoding,
}


def _outside(asked: dict[str, int], found: int) -> str:
    if found < asked.get("min", found):
        return f"fewer than {asked['min']}"
    return f"more than {asked['max']}" if found > asked.get("max", found) else ""


def _read_date(kind: str, value: str) -> datetime | None:
    """The date, if it is one to the letter (a bare day is taken as UTC), else None: what a lenient reader makes of others nobody knows."""
    try:
        if kind in _ISO and _ISO[kind].fullmatch(value):
            return aware(datetime.fromisoformat(value if "T" in value else f"{value}T00:00:00Z"))
        return _read_rfc_822(value) if kind in {"rfc822", "any"} else None
    except ValueError:
        return None


def _read_rfc_822(value: str) -> datetime | None:
    """As `_read_date`. Raises ValueError for a day or hour that no calendar or clock has."""
    found = _RFC_822.fullmatch(value)
    if found is None:
        return None
    when = rfc822(value.removesuffix("-0000") + "+0000" if value.endswith("-0000") else value)  # RFC 2822 3.3: UTC
    return None if found[1] and _WEEKDAYS[when.weekday()] != found[1].lower() else when


def _guessed(value: str) -> datetime | None:
    """What lenient readers take for an RFC 822 date: how old something is, and how its date is written, are two rules."""
    try:
        return rfc822(value)
    except ValueError:
        return None


def _shown(value: str) -> str:
    return value if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…"
