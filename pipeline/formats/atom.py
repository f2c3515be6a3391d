"""Atom 1.0 with tombstones: RFC 4287, RFC 6721."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.formats.content import attachments
from pipeline.formats.contract import Format, instant
from pipeline.formats.feedgen_cures import ATOM, RENDERING, generator, news_entry
from pipeline.formats.xmlbytes import parsed, quoted, spliced, standing, text_of
from pipeline.model.entry import Seen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lxml import etree

    from pipeline.model.entry import Entry, FeedHead

MEDIA_TYPE = "application/atom+xml; charset=utf-8"


def entry(entry: Entry, head: FeedHead) -> bytes:
    """One `entry`. Raises ValueError for a text XML 1.0 cannot carry."""
    with RENDERING:
        return standing(news_entry(entry, head, attachments(entry.article)).atom_entry(), {})


def frame(head: FeedHead) -> bytes:
    """Head and tombstones without entries. Raises ValueError for a head XML 1.0 cannot carry."""
    with RENDERING:
        made: bytes = generator(head, MEDIA_TYPE.partition(";")[0], rss=False).atom_str()
    return made


def splice(frame: bytes, entries: Sequence[bytes]) -> bytes:
    """The feed with the entries in the order given."""
    return spliced(frame, entries, b"</feed>")


def read(document: bytes) -> tuple[Seen, ...]:
    """Id, published and updated of every entry. Raises ValueError where one is missing or the XML is broken."""
    return tuple(_seen(element) for element in parsed(document).iterfind(f"{{{ATOM}}}entry"))


def _seen(element: etree._Element) -> Seen:
    identity, published, updated = (text_of(element, f"{{{ATOM}}}{name}") for name in ("id", "published", "updated"))
    return Seen(identity, instant(published), instant(updated))


FORMAT = Format("atom", "atom", MEDIA_TYPE, entry, quoted, frame, splice, read, title="Atom")
