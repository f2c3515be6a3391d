"""What a format is, and what a feed document must keep before it may replace the last good one.

The check reads the bytes back instead of trusting the code that wrote them: a wrong feed reaches every
reader within minutes, and readers remember the ids they were shown.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pipeline.model.entry import Entry, FeedHead, Seen


@dataclass(frozen=True, slots=True)
class Format:
    """One way of writing a feed.

    entry   (entry, head) → its bytes as they stand inside a document. Depends on the entry and, of the head, on nothing but what
            is the site's: `sections_url`, `publication`, `publisher` and `language`. Raises ValueError for a text the format
            cannot carry, NoPlace for an article it does not show: the caller leaves that entry out
    quoted  a URL → how `entry` writes it: entries are kept once for all outlets, and each puts in its own link
    frame   head → the document without entries. Raises ValueError for a head it cannot carry
    splice  (frame, entries' bytes newest first) → the whole document
    read    document → what stands in it, in document order. Raises ValueError when it is not well-formed
    folder  where it stands below the site: `{site}/{folder}/{feed}.{extension}`
    most    at most so many entries, the newest, in a document; None: all the feed shows
    title   what people call it; empty: its name
    archived  whether what leaves the feed's window goes to archive pages in this format
    index   (absolute URL, last change) of the live document and each archive page → a document that lists them; None: there is none
    """

    name: str
    extension: str
    media_type: str
    entry: Callable[[Entry, FeedHead], bytes]
    quoted: Callable[[str], bytes]
    frame: Callable[[FeedHead], bytes]
    splice: Callable[[bytes, Sequence[bytes]], bytes]
    read: Callable[[bytes], Sequence[Seen]]
    folder: str = "feeds"
    most: int | None = None
    title: str = ""
    archived: bool = True
    index: Callable[[Sequence[tuple[str, datetime]]], bytes] | None = None

    def document(self, head: FeedHead, entries: Sequence[bytes]) -> bytes:
        """The whole document, entries in the order given. Raises ValueError for a head the format cannot carry."""
        return self.splice(self.frame(head), entries)


@dataclass(frozen=True, slots=True)
class Expectation:
    """An entry that was put in: its identity, when its article was published, where it leads.

    `link` is needed where the format tells no identity, for then entries are known by their links.
    """

    identity: str
    date: datetime
    link: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """One broken promise; `identity` names the entry to leave out, None where no single one is to blame."""

    identity: str | None
    detail: str


class NoPlace(ValueError):
    """The format does not show such an article, with which nothing is wrong."""


@lru_cache(maxsize=4096)  # the same dates come back with every build
def instant(text: str) -> datetime:
    """An RFC 3339 date as a reader reads it. Raises ValueError for anything else, also for one without an offset."""
    return aware(datetime.fromisoformat(text))


def aware(when: datetime) -> datetime:
    """The same instant. Raises ValueError for one without an offset."""
    if when.tzinfo is None:
        message = f"{when.isoformat()} has no offset"
        raise ValueError(message)
    return when


def check(fmt: Format, document: bytes, expected: Sequence[Expectation], max_bytes: int, latest: datetime) -> list[Fault]:
    """Everything wrong with a document; an empty list means it may be stored.

    `expected` is newest first, `max_bytes` bounds the document, no date in it may be later than `latest`.
    Dates compare by whole seconds, since RFC 822 dates have no fraction.
    """
    try:
        seen = fmt.read(document) if len(document) <= max_bytes else ()
    except ValueError as error:
        return [Fault(None, f"cannot be read back: {error}")]
    return check_parts(seen, len(document), expected, max_bytes, latest)


def read_entry(fmt: Format, frame: bytes, entry: bytes) -> Seen:
    """What one entry's bytes say, read back from a document that holds nothing else. Raises ValueError unless it is one entry."""
    seen = fmt.read(fmt.splice(frame, [entry]))
    if len(seen) != 1:
        message = f"reads back as {len(seen)} entries"
        raise ValueError(message)
    return seen[0]


def check_frame(fmt: Format, frame: bytes) -> list[Fault]:
    """Whether the document without its entries reads back as a feed of none."""
    try:
        stray = len(fmt.read(frame))
    except ValueError as error:
        return [Fault(None, f"its head cannot be read back: {error}")]
    return [Fault(None, f"its head reads back with {stray} entries")] if stray else []


def check_parts(seen: Sequence[Seen], size: int, expected: Sequence[Expectation], max_bytes: int, latest: datetime) -> list[Fault]:
    """As `check`, of a document whose frame and entries were each read back before (`check_frame`, `read_entry`).

    A document is its frame with the entries spliced in, so what holds for the parts holds for the whole, and a
    build pays only for what is new in it.
    """
    if size > max_bytes:
        return [Fault(None, f"{size} bytes, more than the {max_bytes} allowed")]
    doubled = [] if all(one.link is None for one in seen) else list(_doubled_links(expected))
    found = _identified(seen, expected)
    if _all_right(found, expected, latest):
        return doubled
    return [*doubled, *_presence(found, expected), *_dates(found, expected, latest), *_order(found, expected)]


def _identified(seen: Sequence[Seen], expected: Sequence[Expectation]) -> Sequence[Seen]:
    """The same entries, each with an identity: what its format tells, else whose link it bears."""
    if all(one.identity is not None for one in seen):
        return seen
    owners: defaultdict[str | None, list[str]] = defaultdict(list)
    for wanted in reversed(expected):
        owners[wanted.link].append(wanted.identity)
    return [replace(one, identity=_identity(one, owners)) for one in seen]


def _identity(one: Seen, owners: Mapping[str | None, list[str]]) -> str:
    """Each link is taken by the entries that were to bear it, newest first; one more of it is the last of them again."""
    if one.identity is not None:
        return one.identity
    left = owners.get(one.link, [])
    return left.pop() if len(left) > 1 else left[0] if left else one.link or "one without a link"


def _doubled_links(expected: Sequence[Expectation]) -> Iterator[Fault]:
    first: dict[str, str] = {}
    for one in expected:
        if first.setdefault(one.link, one.identity) != one.identity:
            yield Fault(one.identity, f"leads to {one.link}, as {first[one.link]} does")


def _all_right(seen: Sequence[Seen], expected: Sequence[Expectation], latest: datetime) -> bool:
    """Whether what follows would find nothing, asked in one go: every build asks it of its whole window."""
    identities = [one.identity for one in seen]
    return (
        identities == [one.identity for one in expected]
        and len(set(identities)) == len(identities)
        and max((when for one in seen for when in (one.date, one.modified) if when is not None), default=latest) <= latest
        and all(_same(one.date, wanted.date) for one, wanted in zip(seen, expected, strict=True))
        and all(_falls(above.date, below.date) for above, below in pairwise(seen))
    )


def _is_ahead(one: Seen, latest: datetime) -> bool:
    return (one.date is not None and one.date > latest) or (one.modified is not None and one.modified > latest)


def _same(told: datetime | None, wanted: datetime) -> bool:
    return told is None or told == wanted or _second(told) == _second(wanted)


def _falls(above: datetime | None, below: datetime | None) -> bool:
    return above is None or below is None or above >= below or _second(above) == _second(below)


def _presence(seen: Sequence[Seen], expected: Sequence[Expectation]) -> Iterator[Fault]:
    found = Counter(one.identity for one in seen)
    wanted: Counter[str | None] = Counter(one.identity for one in expected)
    for identity in dict.fromkeys([*wanted, *found]):
        if max(found[identity], wanted[identity]) > 1:
            yield Fault(identity, f"stands {found[identity]} times")
        elif not found[identity]:
            yield Fault(identity, "was lost")
        elif not wanted[identity]:
            yield Fault(None, f"an entry nobody put in: {identity}")


def _dates(seen: Sequence[Seen], expected: Sequence[Expectation], latest: datetime) -> Iterator[Fault]:
    promised = {one.identity: one.date for one in expected}
    for one in seen:
        if _is_ahead(one, latest):
            yield Fault(one.identity, f"is dated after {latest.isoformat()}")
        elif one.date is not None and one.identity in promised and not _same(one.date, promised[one.identity]):
            yield Fault(one.identity, f"says {one.date.isoformat()} instead of {promised[one.identity].isoformat()}")


def _order(seen: Sequence[Seen], expected: Sequence[Expectation]) -> Iterator[Fault]:
    for above, below in pairwise(seen):
        if not _falls(above.date, below.date):
            yield Fault(below.identity, f"stands below {above.identity}, which is older")
    known = {one.identity for one in seen} & {one.identity for one in expected}
    stands = dict.fromkeys(one.identity for one in seen if one.identity in known)
    ordered = dict.fromkeys(one.identity for one in expected if one.identity in known)
    misplaced = next((found for found, wanted in zip(stands, ordered, strict=True) if found != wanted), None)
    if misplaced is not None:
        yield Fault(misplaced, "stands out of the order it was given in")


@lru_cache(maxsize=4096)  # every build asks for the dates of its whole window
def _second(when: datetime) -> int:
    return math.floor(when.timestamp())
