"""The page of a feed for people: what it is, how to subscribe, its newest articles. It stands in for a style sheet on the XML.

Browsers are dropping XSLT, so a feed cannot explain itself any more. The page is HTML that is also well-formed XML, so that it
is read back as strictly as the others; its entries are an h-feed (https://microformats.org/wiki/h-feed), which some readers take.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC
from functools import cache
from typing import TYPE_CHECKING

from pipeline.formats.content import summary_of
from pipeline.formats.contract import Format, instant
from pipeline.formats.jsonbytes import legal
from pipeline.formats.phrases import phrases_for
from pipeline.formats.xmlbytes import parsed, quoted, spliced
from pipeline.kit import templates
from pipeline.kit.languages import direction
from pipeline.model.entry import Seen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from jinja2 import Environment
    from lxml import etree

    from pipeline.formats.phrases import Phrases
    from pipeline.model.entry import Entry, FeedHead

MEDIA_TYPE = "text/html; charset=utf-8"
MOST = 20  # entries: a page to look at, not the archive
NAME = "html"

_NONE = re.compile(rb'<p class="none">[^<]*</p>\n')
_STYLE = templates.style("pipeline.formats", "subscribe.css")
CONTENT_SECURITY_POLICY = templates.policy(_STYLE)


@dataclass(frozen=True, slots=True)
class Stamp:
    """An instant for `<time>`: HTML allows three digits of a second's fraction (2.3.5, "valid time string"), people want none."""

    iso: str
    text: str


def entry(entry: Entry, head: FeedHead) -> bytes:  # noqa: ARG001 - one signature for every format
    """One `article` in its own language. Raises ValueError for a text XML 1.0 could not carry."""
    article = entry.article
    words = phrases_for(article.language)
    return _rendered(
        "entry.html.j2",
        article=article,
        direction=direction(article.language),
        identity=entry.identity,
        link=entry.link,
        published=_stamp(article.published_at, words),
        summary=summary_of(article),
        updated=_stamp(entry.modified_at, words),
        words=words,
    )


def frame(head: FeedHead) -> bytes:
    """The page without articles. Raises ValueError for a head XML 1.0 could not carry."""
    words = phrases_for(head.language)
    return _rendered(
        "subscribe.html.j2",
        about=head.description or words.what_text,
        # Readers compare the type as a whole, so it comes without its charset.
        addresses=[replace(a, media_type=a.media_type.partition(";")[0]) for a in head.addresses if a.name != NAME],
        changed=_stamp(head.updated_at, words),
        direction=direction(head.language),
        head=head,
        publication=head.publication or head.publisher,
        words=words,
    )


def splice(frame: bytes, entries: Sequence[bytes]) -> bytes:
    """The page with the articles in the order given: its last section is theirs. The sentence that there are none goes when there are."""
    return spliced(_NONE.sub(b"", frame) if entries else frame, entries, b"</section>")


def read(document: bytes) -> tuple[Seen, ...]:
    """Identity and both dates of every h-entry. Raises ValueError where one is missing or the page is not well-formed."""
    return tuple(_seen(element) for element in parsed(document).iter("article"))


def _seen(element: etree._Element) -> Seen:
    told = {str(one.get("class")): one.get("value") or one.get("datetime") or "" for one in element.iter("data", "time")}
    missing = {"u-uid", "dt-published", "dt-updated"} - {name for name, value in told.items() if value}
    if missing:
        message = f"an article lacks {', '.join(sorted(missing))}"
        raise ValueError(message)
    return Seen(told["u-uid"], instant(told["dt-published"]), instant(told["dt-updated"]))


def _stamp(moment: datetime, words: Phrases) -> Stamp:
    there = moment.astimezone(UTC)
    iso = there.isoformat(timespec="milliseconds" if there.microsecond else "seconds").replace("+00:00", "Z")
    return Stamp(iso, words.calendar.line(there, UTC))


@cache
def _environment() -> Environment:
    return templates.environment("pipeline.formats", _STYLE, CONTENT_SECURITY_POLICY)


def _rendered(template: str, **values: object) -> bytes:
    # A carriage return would be read as a line feed, in XML (2.11) as in HTML; a reference to it stays one.
    return legal(_environment().get_template(template).render(values)).replace("\r", "&#13;").strip().encode()


FORMAT = Format(NAME, "html", MEDIA_TYPE, entry, quoted, frame, splice, read, most=MOST, title="Web page", archived=False)
