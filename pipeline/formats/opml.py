"""OPML 2.0, the list of a site's feeds that a reader takes in at once: http://opml.org/spec2.opml .

It is no format of a feed: it lists all of them, so it is made by a call of its own. Dates are the caller's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from email.utils import format_datetime
from typing import TYPE_CHECKING

from lxml import etree

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

MEDIA_TYPE = "text/x-opml; charset=utf-8"  # registered by nobody; what readers send and take


@dataclass(frozen=True, slots=True)
class Listed:
    """One feed: its name for people, the absolute URL of its document, the page it belongs to, its language and what it is about.

    `version` is what OPML calls the document: "RSS2" for RSS 2.0, empty for anything OPML has no word for.
    """

    title: str
    url: str
    home_url: str
    language: str
    description: str = ""
    version: str = "RSS2"


def opml(title: str, owner: str, owner_url: str, created_at: datetime, modified_at: datetime, feeds: Sequence[Listed]) -> bytes:
    """The document: all feeds in the order given, below one outline with the title. Raises ValueError for a text XML 1.0 cannot carry.

    `owner_url` is where the owner can be reached or read of (`ownerId`); it, and whatever else is empty, is left out.
    """
    root = etree.Element("opml", version="2.0")
    head = etree.SubElement(root, "head")
    told = [
        ("title", title),
        ("dateCreated", format_datetime(created_at.astimezone(UTC))),
        ("dateModified", format_datetime(modified_at.astimezone(UTC))),
        ("ownerName", owner),
        ("ownerId", owner_url),
    ]
    for name, text in told:
        if text:
            etree.SubElement(head, name).text = text
    group = etree.SubElement(etree.SubElement(root, "body"), "outline", text=title)
    for feed in feeds:
        etree.SubElement(group, "outline", _attributes(feed))
    etree.indent(root)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True) + b"\n"


def _attributes(feed: Listed) -> dict[str, str]:
    stated = {
        "type": "rss",  # of Atom and JSON Feed too: the specification knows no other kind of feed
        "text": feed.title,
        "title": feed.title,
        "version": feed.version,
        "xmlUrl": feed.url,
        "htmlUrl": feed.home_url,
        "language": feed.language,
        "description": feed.description,
    }
    return {name: value for name, value in stated.items() if value}
